// softmax.cu - the formula of softmax.py for a GPU, with the same letters.
//
// forward   y[n,k] = e^(x[n,k] - m[n]) / S[n]
//           where  m[n] = max over k of x[n,k],   S[n] = sum over k of e^(x[n,k] - m[n])
//
// fmax passes over NaN, but the sum does not: one NaN makes NaN of its whole row.
//
// Threads:  the 32 lanes of a warp own a row: lane l its numbers l, l + 32, ... They tell each
//           other the largest and the sum by shuffles, in an order that is always the same, and
//           need neither shared memory nor barriers. blockDim.x is a multiple of 32.
// Work:     2*N*K exponentials: to compute one again is cheaper than to store and fetch it.
// Versions: 1. this one; for a handful of classes most lanes are idle   2. several rows per warp

__device__ REAL warp_sum(REAL value) {
    for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(0xffffffffu, value, bits);
    return value;
}

__device__ REAL warp_max(REAL value) {
    for (int bits = 16; bits > 0; bits /= 2)
        value = fmax(value, __shfl_xor_sync(0xffffffffu, value, bits));
    return value;
}

extern "C" __global__ void forward(const REAL* x, REAL* y, int N, int K) {
    const int n = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (n >= N) return;  // the whole warp
    const size_t row = size_t(n) * K;
    REAL largest = x[row], sum = 0;
    for (int k = lane; k < K; k += 32) largest = fmax(largest, x[row + k]);
    largest = warp_max(largest);
    for (int k = lane; k < K; k += 32) sum += exp(x[row + k] - largest);
    sum = warp_sum(sum);
    for (int k = lane; k < K; k += 32) y[row + k] = exp(x[row + k] - largest) / sum;
}
