// sigmoid.cu - the formulas of sigmoid.py for a GPU, with the same letters.
//
// sigmoid_of     y = 1 / (1 + e^-x), with e^-|x|, which cannot overflow
// tanh_of        y = (e^x - e^-x) / (e^x + e^-x)
// sigmoid_grad   dx = dy * y * (1 - y)
// tanh_grad      dx = dy * (1 - y^2)
//
// Threads:  one owns one number. Neighbours read and write neighbouring places.
// Work:     a power of e per number, or three operations; the time goes into memory.
// Versions: 1. this one

extern "C" __global__ void sigmoid_of(const REAL* x, REAL* y, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    const REAL shrunk = exp(-fabs(x[k]));
    y[k] = (x[k] < 0 ? shrunk : REAL(1)) / (1 + shrunk);
}

extern "C" __global__ void tanh_of(const REAL* x, REAL* y, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) y[k] = tanh(x[k]);
}

extern "C" __global__ void sigmoid_grad(const REAL* dy, const REAL* y, REAL* dx, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) dx[k] = dy[k] * y[k] * (1 - y[k]);
}

extern "C" __global__ void tanh_grad(const REAL* dy, const REAL* y, REAL* dx, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) dx[k] = dy[k] * (1 - y[k] * y[k]);
}
