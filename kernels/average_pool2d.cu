// average_pool2d.cu - the GPU version of average_pool2d.py: the same formulas, the same letters.
//
//     y[n,i,j,c]  = sum of x[n,h,w,c] / count(i,j)    over the pixels h, w of window i, j   forward
//     dx[n,h,w,c] = sum of dy[n,i,j,c] / count(i,j)   over the windows i, j that reach h, w spread
//
// A window has `count` pixels inside the image.
//
// Threads:  forward: one owns one y[n,i,j,c]. spread: one owns one dx[n,h,w,c], and gathers from
//           the windows that reach it. Threads of a warp differ in c: neighbours in memory.
// Work:     N*I*J * P*Q * C additions.
// Versions: 1. these.
// Indices are int: at most 2^31 - 1 numbers in an array.

#ifndef REAL
#define REAL float                 // -DREAL=double for gradient checks
#endif

// How many of `size` pixels lie under a window of P pixels that begins at `first`.
__device__ __forceinline__ int pixels_under(int first, int P, int size) {
    return min(first + P, size) - max(first, 0);
}

extern "C" __global__ void average_pool2d_forward(const REAL* x, REAL* y, int N, int H, int W,
                                                  int C, int P, int Q, int s, int t, int top,
                                                  int left, int I, int J) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * I * J * C) return;
    const int c = index % C, j = index / C % J, i = index / C / J % I, n = index / C / J / I;
    const int first_h = s * i - top, first_w = t * j - left;
    REAL sum = 0;
    for (int h = max(first_h, 0); h < min(first_h + P, H); ++h)
        for (int w = max(first_w, 0); w < min(first_w + Q, W); ++w)
            sum += x[((n * H + h) * W + w) * C + c];
    y[index] = sum / (pixels_under(first_h, P, H) * pixels_under(first_w, Q, W));
}

// Which windows reach a pixel: those from first_reaching(h + top, ...) to (h + top) / s.
__device__ __forceinline__ int first_reaching(int distance, int P, int s) {
    return distance < P ? 0 : (distance - P) / s + 1;
}

extern "C" __global__ void average_pool2d_spread(const REAL* dy, REAL* dx, int N, int H, int W,
                                                 int C, int P, int Q, int s, int t, int top,
                                                 int left, int I, int J) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * H * W * C) return;
    const int c = index % C, w = index / C % W, h = index / C / W % H, n = index / C / W / H;
    const int last_i = min((h + top) / s, I - 1), last_j = min((w + left) / t, J - 1);
    REAL sum = 0;
    for (int i = first_reaching(h + top, P, s); i <= last_i; ++i)
        for (int j = first_reaching(w + left, Q, t); j <= last_j; ++j) {
            const int count = pixels_under(s * i - top, P, H) * pixels_under(t * j - left, Q, W);
            sum += dy[((n * I + i) * J + j) * C + c] / count;
        }
    dx[index] = sum;
}
