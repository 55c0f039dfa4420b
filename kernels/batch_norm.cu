// batch_norm.cu - the formulas of batch_norm.py for a GPU, with the same letters.
//
// moments      of each chunk of rows: mean, and sum of the squared distances from it
// combine      mean[c] and variance[c] of all rows, from those of the chunks
// normalize    z = (x - mean) * scale + shift, plus a shortcut;  y = z, or with relu 0 where z < 0
// sums         of each chunk: of g, and of g * (x - mean);  g = dy, or with relu 0 where z <= 0
// input_grad   dx = g * slopes[0] + (x - mean) * slopes[1] + slopes[2]
//
// What there is one of per channel is double, and so is what is added up over threads and chunks;
// what is done for every number is REAL, because most GPUs are slow at doubles. To lose no digits,
// x - mean is (x - center) - off, where center is the mean as a REAL and off what that has lost.
// In moments, the center is the mean of the first sixteenth of a chunk; see batch_norm.py, also for
// how the chunks are combined.
//
// Threads:  a block of (32, 8) owns 32 channels of a chunk of rows; in combine, one of (32, 32)
//           owns 32 channels. A thread owns one channel and every eighth row, so a warp reads 32
//           neighbouring numbers of a row. What several threads add up together, thread (c, 0)
//           writes; all in an order that is always the same. How the rows are cut depends on
//           nothing but their number: every GPU gives the same bits.
// Work:     a few operations per number; the time goes into memory. moments reads x once, sums
//           reads x and dy, normalize and input_grad read the same and write a result. Of fewer
//           than 32 channels lanes are idle.
// Versions: 1. this one   2. for few channels, several rows in a warp

// The sum over the threads of a channel, for all of them.
__device__ double channel_sum(double value) {
    __shared__ double parts[32][32];
    __syncthreads();  // nobody reads what was added up before any more
    parts[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    double sum = 0;
    for (int k = 0; k < blockDim.y; ++k) sum += parts[k][threadIdx.x];
    return sum;
}

// What a thread needs to know of its channel.
struct Line {
    REAL center, off, scale, shift;

    __device__ REAL distance(REAL x) const { return (x - center) - off; }
    __device__ REAL at(REAL distance) const { return distance * scale + shift; }

    // dy, where relu lets it pass; NaN is not below zero
    __device__ REAL gated(REAL dy, REAL distance, int relu) const {
        return relu && at(distance) <= 0 ? REAL(0) : dy;
    }
};

__device__ Line line_of(const double* mean, const double* scale, const double* shift, int c) {
    const REAL center = REAL(mean[c]);
    return {center, REAL(mean[c] - center), REAL(scale[c]), REAL(shift[c])};
}

// partials (chunks, 2, C)
extern "C" __global__ void moments(const REAL* x, double* partials, int R, int C, int rows) {
    const int c = blockIdx.y * 32 + threadIdx.x, r = threadIdx.y;
    const int begin = blockIdx.x * rows, count = min(rows, R - begin), early = (count + 15) / 16;
    const bool owns = c < C;  // the others come along to the barriers
    x += size_t(begin) * C + c;
    REAL sum = 0;
    for (int k = r; owns && k < early; k += 8) sum += x[size_t(k) * C];
    const REAL center = REAL(channel_sum(sum) / early);
    REAL total = 0, squares = 0;
    for (int k = r; owns && k < count; k += 8) {
        const REAL d = x[size_t(k) * C] - center;
        total += d;
        squares += d * d;
    }
    const double of_d = channel_sum(total), of_squares = channel_sum(squares);
    if (r > 0 || !owns) return;
    partials[size_t(2 * blockIdx.x) * C + c] = center + of_d / count;
    partials[size_t(2 * blockIdx.x + 1) * C + c] = of_squares - of_d * of_d / count;
}

extern "C" __global__ void combine(const double* partials, double* mean, double* variance, int R,
                                   int C, int rows, int chunks) {
    const int c = blockIdx.x * 32 + threadIdx.x;
    const bool owns = c < C;
    double sum = 0, squares = 0;
    for (int k = threadIdx.y; owns && k < chunks; k += 32)
        sum += min(rows, R - k * rows) * partials[size_t(2 * k) * C + c];
    const double center = channel_sum(sum) / R;
    for (int k = threadIdx.y; owns && k < chunks; k += 32) {
        const double d = partials[size_t(2 * k) * C + c] - center;
        squares += partials[size_t(2 * k + 1) * C + c] + min(rows, R - k * rows) * d * d;
    }
    const double of_squares = channel_sum(squares);
    if (threadIdx.y > 0 || !owns) return;
    mean[c] = center;
    variance[c] = of_squares / R;
}

// shortcut: of the shape of x, or a null pointer
extern "C" __global__ void normalize(const REAL* x, const double* mean, const double* scale,
                                     const double* shift, int relu, const REAL* shortcut, REAL* y,
                                     int R, int C, int rows) {
    const int c = blockIdx.y * 32 + threadIdx.x, begin = blockIdx.x * rows;
    if (c >= C) return;
    const Line line = line_of(mean, scale, shift, c);
    for (int r = begin + threadIdx.y; r < min(begin + rows, R); r += 8) {
        const size_t k = size_t(r) * C + c;
        REAL z = line.at(line.distance(x[k]));
        if (shortcut) z += shortcut[k];
        y[k] = relu && z < 0 ? REAL(0) : z;
    }
}

// partials (chunks, 2, C)
extern "C" __global__ void sums(const REAL* dy, const REAL* x, const double* mean,
                                const double* scale, const double* shift, int relu,
                                double* partials, int R, int C, int rows) {
    const int c = blockIdx.y * 32 + threadIdx.x, begin = blockIdx.x * rows;
    const bool owns = c < C;
    const Line line = line_of(mean, scale, shift, owns ? c : 0);
    REAL total = 0, products = 0;
    for (int r = begin + threadIdx.y; owns && r < min(begin + rows, R); r += 8) {
        const REAL d = line.distance(x[size_t(r) * C + c]);
        const REAL g = line.gated(dy[size_t(r) * C + c], d, relu);
        total += g;
        products += g * d;
    }
    const double of_g = channel_sum(total), of_products = channel_sum(products);
    if (threadIdx.y > 0 || !owns) return;
    partials[size_t(2 * blockIdx.x) * C + c] = of_g;
    partials[size_t(2 * blockIdx.x + 1) * C + c] = of_products;
}

// slopes (3, C)
extern "C" __global__ void input_grad(const REAL* dy, const REAL* x, const double* mean,
                                      const double* scale, const double* shift, int relu,
                                      const double* slopes, REAL* dx, int R, int C, int rows) {
    const int c = blockIdx.y * 32 + threadIdx.x, begin = blockIdx.x * rows;
    if (c >= C) return;
    const Line line = line_of(mean, scale, shift, c);
    const REAL of_g = REAL(slopes[c]), of_d = REAL(slopes[C + c]), rest = REAL(slopes[2 * C + c]);
    for (int r = begin + threadIdx.y; r < min(begin + rows, R); r += 8) {
        const size_t k = size_t(r) * C + c;
        const REAL d = line.distance(x[k]);
        dx[k] = line.gated(dy[k], d, relu) * of_g + d * of_d + rest;
    }
}
