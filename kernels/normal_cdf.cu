// normal_cdf.cu - the formula of normal_cdf.py for a GPU, with the same letters.
//
// forward   y = erfc(z) / 2   with   z = -x / sqrt(2)
//
// z is rounded, and far below 0 the steepness of erfc makes a large error of that: x^2 times as
// large. The exact product is z + lost; erfc(z + lost) is erfc(z) plus lost times the derivative,
// which is -2 / sqrt(pi) * e^(-z^2). So a float result has the digits of a float, and nothing but
// floats are needed, which most GPUs handle 32 or 64 times as fast as doubles.
//
// Threads:  one owns one number. Neighbours read and write neighbouring places.
// Work:     about 60 operations per number.
// Versions: 1. this one

#define ROOT_OF_HALF 0.70710678118654752440
#define ROOT_OF_PI 1.7724538509055160273

extern "C" __global__ void forward(const REAL* x, REAL* y, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    const REAL high = REAL(ROOT_OF_HALF), low = REAL(ROOT_OF_HALF - double(high));
    const REAL z = -x[k] * high;
    REAL result = erfc(z) / 2;
    if (fabs(z) < 30) {  // neither infinite nor NaN, nor so far off that nothing can be lost
        const REAL lost = fma(-x[k], high, -z) - x[k] * low;
        result -= lost * exp(-z * z) * REAL(1 / ROOT_OF_PI);
    }
    y[k] = result;
}
