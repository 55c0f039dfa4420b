// relu.cu - the formulas of relu.py for a GPU. One thread owns one number.

extern "C" __global__ void forward(const REAL* x, REAL* y, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) y[k] = x[k] < 0 ? REAL(0) : x[k];  // NaN is not below zero
}

// more: a second gradient that comes back to the same place, or a null pointer
extern "C" __global__ void backward(const REAL* dy, const REAL* y, const REAL* more, REAL* dx,
                                    int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    const REAL sum = more ? dy[k] + more[k] : dy[k];
    dx[k] = y[k] > 0 ? sum : REAL(0);
}
