// rows.cu - the formula of rows.py for a GPU, with the same letters.
//
// gather   y[k,s] = x[places[k],s], converted to REAL;   s counts the S numbers of a row
//
// GIVEN is the type of x, which need not be one of floats.
//
// Threads:  one owns one y[k,s]. Neighbours differ in s, so they read and write neighbouring places.
// Work:     a conversion per number; the time goes into memory.
// Versions: 1. this one

extern "C" __global__ void gather(REAL* y, const GIVEN* x, const long long* places, int S,
                                  int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int k = index / S, s = index % S;
    y[index] = REAL(x[size_t(places[k]) * S + s]);
}
