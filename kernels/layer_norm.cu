// layer_norm.cu - the formulas of layer_norm.py for a GPU, with the same letters.
//
// forward      y[r,c]  = xhat[r,c] * gamma[c] + beta[c],   xhat[r,c] = (x[r,c] - mean[r]) * rate[r]
// input_grad   dx[r,c] = (g[r,c] - sum over c of g[r,c] / C
//                         - xhat[r,c] * sum over c of g[r,c] * xhat[r,c] / C) * rate[r]
//              where  g[r,c] = dy[r,c] * gamma[c];  it also keeps mean and rate for
// sums         of each chunk of rows: of dy[r,c], and of dy[r,c] * xhat[r,c]
//
// What is added up over threads is double, what is done for every number REAL, because most GPUs
// are slow at doubles. To lose no digits, x - mean is (x - center) - off, where center is the mean
// as a first sum gives it, and off what the distances from it still add up to.
//
// Threads:  in forward and input_grad, the 32 lanes of a warp own a row: lane l its numbers l,
//           l + 32, ... They tell each other their sums by shuffles, and need neither shared memory
//           nor barriers; blockDim.x is a multiple of 32. In sums, a block of (32, 8) owns 32
//           columns of a chunk of rows, a thread every eighth row, and thread (c, 0) writes. All
//           orders are always the same, and how the rows are cut depends on nothing but their
//           number: every GPU gives the same bits.
// Work:     a few operations per number; only the first pass over a row fetches it from memory,
//           as long as the rows at hand fit into a cache.
// Versions: 1. this one   2. a block for each long row

__device__ double warp_sum(double value) {
    for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(0xffffffffu, value, bits);
    return value;
}

struct Moments {
    REAL center, off, rate;

    __device__ REAL distance(REAL x) const { return (x - center) - off; }
};

// The moments of a row, for all lanes.
__device__ Moments moments_of(const REAL* x, int C, double epsilon, int lane) {
    REAL sum = 0, total = 0, squares = 0;
    for (int c = lane; c < C; c += 32) sum += x[c];
    const REAL center = REAL(warp_sum(sum) / C);
    for (int c = lane; c < C; c += 32) {
        const REAL d = x[c] - center;
        total += d;
        squares += d * d;
    }
    const double off = warp_sum(total) / C;
    const double variance = warp_sum(squares) / C - off * off;
    return {center, REAL(off), REAL(1 / sqrt(variance + epsilon))};
}

extern "C" __global__ void forward(const REAL* x, const REAL* gamma, const REAL* beta, REAL* y,
                                   double epsilon, int R, int C) {
    const int r = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (r >= R) return;  // the whole warp
    x += size_t(r) * C;
    y += size_t(r) * C;
    const Moments m = moments_of(x, C, epsilon, lane);
    for (int c = lane; c < C; c += 32) y[c] = m.distance(x[c]) * m.rate * gamma[c] + beta[c];
}

// moments (R, 3): center, off and rate of each row
extern "C" __global__ void input_grad(const REAL* dy, const REAL* x, const REAL* gamma, REAL* dx,
                                      REAL* moments, double epsilon, int R, int C) {
    const int r = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (r >= R) return;  // the whole warp
    x += size_t(r) * C;
    dy += size_t(r) * C;
    dx += size_t(r) * C;
    const Moments m = moments_of(x, C, epsilon, lane);
    REAL total = 0, products = 0;
    for (int c = lane; c < C; c += 32) {
        const REAL g = dy[c] * gamma[c];
        total += g;
        products += g * m.distance(x[c]);
    }
    const REAL shift = REAL(warp_sum(total) / C);
    const REAL stretch = REAL(warp_sum(products) * m.rate / C);
    for (int c = lane; c < C; c += 32)
        dx[c] = (dy[c] * gamma[c] - shift - m.distance(x[c]) * m.rate * stretch) * m.rate;
    if (lane > 0) return;
    moments[3 * r] = m.center;
    moments[3 * r + 1] = m.off;
    moments[3 * r + 2] = m.rate;
}

// The sum over the threads of a column, for all of them.
__device__ double column_sum(double value) {
    __shared__ double parts[8][32];
    __syncthreads();  // nobody reads what was added up before any more
    parts[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    double sum = 0;
    for (int k = 0; k < blockDim.y; ++k) sum += parts[k][threadIdx.x];
    return sum;
}

// partials (chunks, 2, C)
extern "C" __global__ void sums(const REAL* dy, const REAL* x, const REAL* moments,
                                double* partials, int R, int C, int rows) {
    const int c = blockIdx.y * 32 + threadIdx.x, begin = blockIdx.x * rows;
    const bool owns = c < C;  // the others come along to the barriers
    REAL total = 0, products = 0;
    for (int r = begin + threadIdx.y; owns && r < min(begin + rows, R); r += 8) {
        const Moments m = {moments[3 * r], moments[3 * r + 1], moments[3 * r + 2]};
        const REAL slope = dy[size_t(r) * C + c];
        total += slope;
        products += slope * m.distance(x[size_t(r) * C + c]) * m.rate;
    }
    const double of_dy = column_sum(total), of_products = column_sum(products);
    if (threadIdx.y > 0 || !owns) return;
    partials[size_t(2 * blockIdx.x) * C + c] = of_dy;
    partials[size_t(2 * blockIdx.x + 1) * C + c] = of_products;
}
