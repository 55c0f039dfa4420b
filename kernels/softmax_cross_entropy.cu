// softmax_cross_entropy.cu - the formulas of softmax_cross_entropy.py for a GPU, the same letters.
//
// forward    loss[n] = sum over k of  t[n,k] * (log S[n] - (x[n,k] - m[n]))
// backward   dx[n,k] = dloss[n] * (T[n] * e^(x[n,k] - m[n]) / S[n] - t[n,k])
//            where  m[n] = max over k of x[n,k],   S[n] = sum over k of e^(x[n,k] - m[n]),
//                   T[n] = sum over k of t[n,k]
//
// fmax passes over NaN, but the sum does not: one NaN makes NaN of its whole row. Classes with
// t = 0 are left out of the loss, so that a score of -infinity is no NaN there.
//
// Threads:  the 32 lanes of a warp own a row: lane l its numbers l, l + 32, ... They tell each
//           other the largest and the sums by shuffles, in an order that is always the same, and
//           need neither shared memory nor barriers. blockDim.x is a multiple of 32.
// Work:     N*K exponentials forward, 2*N*K backward.
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

// The largest score of a row, for all lanes.
__device__ REAL largest_of(const REAL* x, int K, int lane) {
    REAL largest = x[0];
    for (int k = lane; k < K; k += 32) largest = fmax(largest, x[k]);
    return warp_max(largest);
}

// The sum of e^(score - largest) over a row, for all lanes.
__device__ REAL sum_of_powers(const REAL* x, REAL largest, int K, int lane) {
    REAL sum = 0;
    for (int k = lane; k < K; k += 32) sum += exp(x[k] - largest);
    return warp_sum(sum);
}

extern "C" __global__ void forward(const REAL* x, const REAL* t, REAL* loss, int N, int K) {
    const int n = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (n >= N) return;  // the whole warp
    x += size_t(n) * K;
    t += size_t(n) * K;
    const REAL largest = largest_of(x, K, lane);
    const REAL log_sum = log(sum_of_powers(x, largest, K, lane));
    REAL surprise = 0;
    for (int k = lane; k < K; k += 32)
        if (t[k] != 0) surprise += t[k] * (log_sum - (x[k] - largest));
    surprise = warp_sum(surprise);
    if (lane == 0) loss[n] = surprise;
}

extern "C" __global__ void backward(const REAL* dloss, const REAL* x, const REAL* t, REAL* dx,
                                    int N, int K) {
    const int n = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (n >= N) return;  // the whole warp
    x += size_t(n) * K;
    t += size_t(n) * K;
    dx += size_t(n) * K;
    const REAL largest = largest_of(x, K, lane), sum = sum_of_powers(x, largest, K, lane);
    REAL truth = 0;
    for (int k = lane; k < K; k += 32) truth += t[k];
    truth = warp_sum(truth);
    for (int k = lane; k < K; k += 32)
        dx[k] = dloss[n] * (truth * (exp(x[k] - largest) / sum) - t[k]);
}
