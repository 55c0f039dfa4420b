// sigmoid.cu - the formulas of sigmoid.py for a GPU, with the same letters.
//
// sigmoid_grad   dx = dy * y * (1 - y)
// tanh_grad      dx = dy * (1 - y^2)
//
// Threads:  one owns one number. Neighbours read and write neighbouring places.
// Work:     three operations per number; the time goes into memory.
// Versions: 1. this one

extern "C" __global__ void sigmoid_grad(const REAL* dy, const REAL* y, REAL* dx, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) dx[k] = dy[k] * y[k] * (1 - y[k]);
}

extern "C" __global__ void tanh_grad(const REAL* dy, const REAL* y, REAL* dx, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) dx[k] = dy[k] * (1 - y[k] * y[k]);
}
