// resize.cu - the formula of resize.py for a GPU, with the same letters.
//
// along   y[o,i,c] = sum over k < K of  shares[k,i] * x[o,places[k,i],c]
//
// H and I count the rows before and after, C the numbers behind the axis.
//
// Threads:  one owns one y[o,i,c] and adds it up alone. Neighbours differ in c, so they read and
//           write neighbouring places, and share one place and its share.
// Work:     a multiply-add for each y and k; from the second k on, x is mostly in a cache.
// Versions: 1. this one

extern "C" __global__ void along(const REAL* x, const long long* places, const REAL* shares,
                                 REAL* y, int H, int I, int C, int K, int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int c = index % C, i = index / C % I, o = index / C / I;
    REAL sum = 0;
    for (int k = 0; k < K; ++k)
        sum += shares[k * I + i] * x[(size_t(o) * H + places[k * I + i]) * C + c];
    y[index] = sum;
}
