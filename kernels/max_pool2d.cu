// max_pool2d.cu - the GPU version of max_pool2d.py: the same formulas, the same letters.
//
//     where[n,i,j,c]            = h*W + w  of the largest  x[n,h,w,c]  in window i, j   forward
//     y[n,i,j,c]                = x[n, where[n,i,j,c], c]                      forward, gather
//     dx[n, where[n,i,j,c], c] += dy[n,i,j,c]                                          scatter
//
// Threads:  forward, gather: one owns one y[n,i,j,c]. scatter: one owns the rows of one of BANDS
//           bands of channel c of image n, and goes through all windows of the image in order; it
//           cannot ask which windows reach a pixel, for `where` does not say what they look like.
//           Threads of a warp differ in c: neighbours in memory. No two write the same place.
// Work:     N*I*J * P*Q * C comparisons; N*I*J * C copies, of which scatter reads each BANDS times.
// Versions: 1. these.
// Indices are int: at most 2^31 - 1 numbers in an array.

#ifndef REAL
#define REAL float                 // -DREAL=double for gradient checks
#endif

// What is below `floor` becomes it: 0 is a relu, and NaN stays NaN.
extern "C" __global__ void max_pool2d_forward(const REAL* x, REAL* y, int* where, REAL floor,
                                              int N, int H, int W, int C, int P, int Q, int s,
                                              int t, int top, int left, int I, int J) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * I * J * C) return;
    const int c = index % C, j = index / C % J, i = index / C / J % I, n = index / C / J / I;
    const int h_begin = max(s * i - top, 0), h_end = min(s * i - top + P, H);
    const int w_begin = max(t * j - left, 0), w_end = min(t * j - left + Q, W);
    const REAL* image = x + n * H * W * C + c;
    int winner = h_begin * W + w_begin;
    REAL best = image[winner * C];
    for (int h = h_begin; h < h_end; ++h)
        for (int w = w_begin; w < w_end; ++w) {
            const REAL value = image[(h * W + w) * C];
            if (!(value <= best) && best == best) {     // larger, or the first NaN
                best = value;
                winner = h * W + w;
            }
        }
    y[index] = best < floor ? floor : best;
    where[index] = winner;
}

extern "C" __global__ void max_pool2d_gather(const REAL* x, const int* where, REAL* y, int N,
                                             int pixels, int windows, int C) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * windows * C) return;
    const int c = index % C, n = index / C / windows;
    y[index] = x[(n * pixels + where[index]) * C + c];
}

#define BANDS 8

extern "C" __global__ void max_pool2d_scatter(const REAL* dy, const int* where, REAL* dx, int N,
                                              int pixels, int windows, int C) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= N * BANDS * C) return;
    const int c = index % C, band = index / C % BANDS, n = index / C / BANDS;
    const int each = (pixels + BANDS - 1) / BANDS;
    const int begin = band * each, end = min(begin + each, pixels);
    REAL* image = dx + n * pixels * C + c;
    for (int pixel = begin; pixel < end; ++pixel) image[pixel * C] = 0;
    for (int window = 0; window < windows; ++window) {
        const int at = (n * windows + window) * C + c, pixel = where[at];
        if (begin <= pixel && pixel < end) image[pixel * C] += dy[at];
    }
}
