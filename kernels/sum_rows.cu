// sum_rows.cu - the formula of sum_rows.py for a GPU, with the same letters.
//
// forward   sums[b,c] = sum of x[r,c] over the rows of chunk b, that is  b*rows <= r < (b+1)*rows
//
// The launcher adds up the sums of the chunks by this kernel again, until one chunk is left. How
// the rows are cut depends on nothing but their number: every GPU gives the same bits.
//
// Threads:  a block of (32, 8) owns 32 columns of a chunk. A warp reads 32 neighbouring numbers of
//           a row; each of the 8 warps adds up every eighth row by itself, then thread (c, 0) adds
//           up the 8 sums of its column in order, and it alone writes sums[b,c].
// Work:     R*C additions; the time goes into reading x. Of fewer than 32 columns lanes are idle.
// Versions: 1. this one   2. for few columns, several rows in a warp

extern "C" __global__ void forward(const REAL* x, REAL* sums, int R, int C, int rows) {
    __shared__ REAL parts[8][32];
    const int c = blockIdx.y * 32 + threadIdx.x;
    const int begin = blockIdx.x * rows, end = min(begin + rows, R);
    REAL sum = 0;
    if (c < C)
        for (int r = begin + threadIdx.y; r < end; r += 8) sum += x[size_t(r) * C + c];
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || c >= C) return;
    for (int warp = 1; warp < blockDim.y; ++warp) sum += parts[warp][threadIdx.x];
    sums[size_t(blockIdx.x) * C + c] = sum;
}
