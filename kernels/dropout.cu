// dropout.cu - the formulas of dropout.py for a GPU: the same whole numbers, hence the same mask.
//
// apply   y[k] = x[k] * scale  if draw >= threshold, else 0
//         draw = the upper 53 bits of mix(start + (k + 1) * GAMMA),   start = mix(seed)
//
// Threads:  one owns one number, and finds out its draw alone. Neighbours read and write
//           neighbouring places.
// Work:     two multiplications of whole numbers of 64 bits and one of floats per number.
// Versions: 1. this one

typedef unsigned long long u64;

#define GAMMA 0x9E3779B97F4A7C15ull  // 2^64 divided by the golden ratio, made odd

__device__ u64 mixed(u64 z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

extern "C" __global__ void apply(const REAL* x, REAL* y, REAL scale, unsigned long long threshold,
                                 const unsigned long long* start, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    const u64 draw = mixed(*start + (u64(k) + 1) * GAMMA) >> 11;
    y[k] = draw >= threshold ? x[k] * scale : REAL(0);
}
