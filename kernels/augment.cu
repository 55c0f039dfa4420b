// augment.cu - the formulas of augment.py for a GPU, with the same letters.
//
// gather    y[n,i,j,c]  = x[n,h,w,c]  with  h = rows[n,i], w = columns[n,j];  fill outside
// scatter   dx[n,h,w,c] = sum of dy[n,i,j,c] over all i, j with  rows[n,i] = h, columns[n,j] = w
//
// Threads:  in gather, one owns one y[n,i,j,c]. In scatter, one owns one dx[n,h,w,c] and looks for
//           its copies in the tables, in order: no two threads write one place, there are no
//           atomics, and every run gives the same number. Neighbours differ in c, so they write
//           neighbouring places; all threads of a row look through the same small tables.
// Work:     gather: a copy per number. scatter: I + J comparisons per number, where each pixel has
//           one copy; J more for each row that was copied again.
// Versions: 1. this one

extern "C" __global__ void gather(const REAL* x, const long long* rows, const long long* columns,
                                  REAL fill, REAL* y, int H, int W, int C, int I, int J,
                                  int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int c = index % C, j = index / C % J, i = index / C / J % I, n = index / C / J / I;
    const long long h = rows[n * I + i], w = columns[n * J + j];
    y[index] = h < 0 || w < 0 ? fill : x[((size_t(n) * H + h) * W + w) * C + c];
}

extern "C" __global__ void scatter(const REAL* dy, const long long* rows, const long long* columns,
                                   REAL* dx, int H, int W, int C, int I, int J, int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int c = index % C, w = index / C % W, h = index / C / W % H, n = index / C / W / H;
    REAL sum = 0;
    for (int i = 0; i < I; ++i) {
        if (rows[n * I + i] != h) continue;
        for (int j = 0; j < J; ++j)
            if (columns[n * J + j] == w) sum += dy[((size_t(n) * I + i) * J + j) * C + c];
    }
    dx[index] = sum;
}
