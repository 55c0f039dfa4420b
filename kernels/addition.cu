// addition.cu - the formulas of addition.py for a GPU, with the same letters.
//
// forward   z = x + y;  with relu 0 where the sum is below zero
//
// Threads:  one owns one number. Neighbours read and write neighbouring places.
// Work:     one addition per number; the time goes into memory.
// Versions: 1. this one

extern "C" __global__ void forward(const REAL* x, const REAL* y, REAL* z, int relu, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    const REAL total = x[k] + y[k];
    z[k] = relu && total < 0 ? REAL(0) : total;  // NaN is not below zero
}
