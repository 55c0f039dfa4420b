// depthwise.cu - the GPU version of depthwise.py: each filter sees one channel only.
//
//     y[n,i,j,f]  = sum of  x[n,h,w,c] * weight[p,q,f]    over p, q            forward
//     dx[n,h,w,c] = sum of dy[n,i,j,f] * weight[p,q,f]    over i, j, p, q, f   input_grad
//     dw[p,q,f]   = sum of dy[n,i,j,f] * x[n,h,w,c]       over n, i, j         weight_grad
//
//     where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0;
//     C channels, of each of which EACH filters are made:  c = f / EACH,  F = C * EACH.
//
// There is no product of matrices in it: a number that is read is used P*Q times, not F times. So
// memory decides how long it takes, and caches serve as well as tiles in shared memory.
//
// Threads:  forward: one owns one y[n,i,j,f]; input_grad: one owns one dx[n,h,w,c], and gathers
//           from the windows that reach it. The 32 threads of a warp differ in f or c: neighbours
//           in memory. weight_grad: see there.
// Work:     N*I*J * P*Q * F multiplications.
// Versions: 1. these. To come: rows of x in shared memory for large windows.
// Indices are int: at most 2^31 - 1 numbers in an array.

#ifndef REAL
#define REAL float                 // -DREAL=double for gradient checks
#endif

extern "C" __global__ void depthwise_forward(const REAL* x, const REAL* weight, const REAL* bias,
                                             REAL* y, int relu, int N, int H, int W, int C, int P,
                                             int Q, int F, int I, int J, int s, int t, int d,
                                             int e, int top, int left) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * I * J * F) return;
    const int f = index % F, j = index / F % J, i = index / F / J % I, n = index / F / J / I;
    const int c = f / (F / C);
    REAL sum = bias ? bias[f] : REAL(0);
    for (int p = 0; p < P; ++p) {
        const int h = s * i + d * p - top;
        if (h < 0 || h >= H) continue;
        for (int q = 0; q < Q; ++q) {
            const int w = t * j + e * q - left;
            if (w < 0 || w >= W) continue;
            sum += x[((n * H + h) * W + w) * C + c] * weight[(p * Q + q) * F + f];
        }
    }
    y[index] = relu && sum < 0 ? REAL(0) : sum;     // NaN stays NaN
}

// Which i has s * i = distance; a negative number if none from 0 on has.
__device__ __forceinline__ int place_at(int distance, int s) {
    if (s == 1) return distance;
    return distance % s == 0 ? distance / s : -1;
}

extern "C" __global__ void depthwise_input_grad(const REAL* dy, const REAL* weight, REAL* dx,
                                                int N, int H, int W, int C, int P, int Q, int F,
                                                int I, int J, int s, int t, int d, int e, int top,
                                                int left) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * H * W * C) return;
    const int c = index % C, w = index / C % W, h = index / C / W % H, n = index / C / W / H;
    const int each = F / C;
    REAL sum = 0;
    for (int p = 0; p < P; ++p) {
        const int i = place_at(h + top - d * p, s);
        if (i < 0 || i >= I) continue;
        for (int q = 0; q < Q; ++q) {
            const int j = place_at(w + left - e * q, t);
            if (j < 0 || j >= J) continue;
            for (int f = c * each; f < (c + 1) * each; ++f)
                sum += dy[((n * I + i) * J + j) * F + f] * weight[(p * Q + q) * F + f];
        }
    }
    dx[index] = sum;
}

// Block (32, ROWS), grid (ceil(F / 32), P*Q, pieces). A block owns 32 filters of one cell p, q of
// the window, and one piece of the places n, i, j of the window. Its ROWS rows of threads go
// through them together and add up their sums in shared memory, in order. Each piece has a dw of
// its own; conv2d_add_pieces adds them.
#define ROWS 8

extern "C" __global__ void depthwise_weight_grad(const REAL* x, const REAL* dy, REAL* dw,
                                                 int pieces, int N, int H, int W, int C, int P,
                                                 int Q, int F, int I, int J, int s, int t, int d,
                                                 int e, int top, int left) {
    __shared__ REAL sums[ROWS][32];
    const int f = blockIdx.x * 32 + threadIdx.x, p = blockIdx.y / Q, q = blockIdx.y % Q;
    const int places = N * I * J, each = (places + pieces - 1) / pieces;
    const int end = min((int)(blockIdx.z + 1) * each, places);
    REAL sum = 0;
    if (f < F)
        for (int place = blockIdx.z * each + threadIdx.y; place < end; place += ROWS) {
            const int j = place % J, i = place / J % I, n = place / J / I;
            const int h = s * i + d * p - top, w = t * j + e * q - left;
            if (h >= 0 && h < H && w >= 0 && w < W)
                sum += dy[place * F + f] * x[((n * H + h) * W + w) * C + f / (F / C)];
        }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();                                // the sums of all rows are there
    if (threadIdx.y > 0 || f >= F) return;
    for (int row = 1; row < ROWS; ++row) sum += sums[row][threadIdx.x];
    dw[(blockIdx.z * P * Q + blockIdx.y) * F + f] = sum;
}
