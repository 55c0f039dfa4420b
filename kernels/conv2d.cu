// conv2d.cu - the GPU version of conv2d.py: the same formulas, the same letters.
//
//     y[n,i,j,f]  = sum of  x[n,h,w,c] * weight[p,q,c,f]   over p, q, c         forward
//     dx[n,h,w,c] = sum of dy[n,i,j,f] * weight[p,q,c,f]   over i, j, p, q, f   input_grad
//     dw[p,q,c,f] = sum of dy[n,i,j,f] * x[n,h,w,c]        over n, i, j         weight_grad
//
//     where  h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.
//
// Each of the three is a product of two matrices,  out[m,f] = sum over k of  A[m,k] * B[k,f]:
//
//                    m         k         f      A[m,k]         B[k,f]
//     forward      n, i, j   p, q, c     f      x[n,h,w,c]     weight[p,q,c,f]
//     input_grad   n, h, w   p, q, f     c      dy[n,i,j,f]    weight[p,q,c,f]
//     weight_grad  p, q, c   n, i, j     f      x[n,h,w,c]     dy[n,i,j,f]
//
// A is never written to memory: an Operand below says where A[m,k] stands in x or dy, and the tile
// of A that is needed now is gathered from there ("implicit GEMM"; Chetlur et al. 2014,
// arXiv:1410.0759). matmul.py multiplies matrices with the same kernels: images of one row, windows
// of one pixel.
//
// Threads:  a block owns TILE x TILE numbers of `out`, each of its threads 16 of them, so no two
//           write the same place and there are no atomics. For every STEP of k the block copies a
//           tile of A and one of B to shared memory, where each number is used TILE times.
//           Where there are few tiles and k is long, `pieces` blocks share the sums of one tile:
//           each writes its own, and conv2d_add_pieces adds them in order. How many they are
//           depends on the shapes only, so a GPU of any size gives the same bits.
// Groups:   blockIdx.z says which block of channels meets which block of filters.
// Work:     N*I*J * P*Q * C*F / groups multiplications. With strides, input_grad also multiplies
//           the zeros between the places of the window.
// Versions: 1. a thread per output (depthwise.cu)   2. tiles in shared memory
//           3. -DTF32 and -DBF16: the same tiles on tensor cores, operands rounded to 11 and
//              8 bits, sums in float32.
//           To come: tiles copied by cp.async several steps ahead, wgmma of sm_90.
// Indices are int: at most 2^31 - 1 numbers in an array.

#ifndef REAL
#define REAL float                 // -DREAL=double for gradient checks
#endif

#define TILE 64                    // rows and columns of `out` in a block
#define STEP 16                    // terms of the sums in shared memory at a time
#define SIDE 16                    // threads of a block: SIDE * SIDE
#define EACH (TILE / SIDE)         // numbers of a tile that a thread copies, for one k
#define SUMS (EACH * EACH)         // numbers of `out` that a thread owns
#define NOWHERE {0, -(1 << 29), 0} // a Pixel in a row that no image has

// -------------------------------------------------------------------------------------------------
// Operands: where A[m,k] and B[k,f] stand
//
// An index is taken apart once, by row(m) or term(k), and then serves many numbers. Tiles may reach
// beyond the last row, where all numbers are 0; no term is asked for that is none. ALONG_TERMS says
// in which direction neighbours in memory lie: there the threads of a warp stand side by side.
// -------------------------------------------------------------------------------------------------
struct Geometry {                  // as in geometry.py; F counts the filters of one group
    int N, H, W, C, P, Q, K, F, I, J, s, t, d, e, top, left;
};

struct Pixel {                     // a corner of a window, or the way from there to a cell in it
    int at, h, w;                  // in images with C channels: at + (h * W + w) * C
};

__device__ __forceinline__ Pixel corner_of_window(const Geometry& g, int index) {    // n, i, j
    const int j = index % g.J, i = index / g.J % g.I, n = index / g.J / g.I;
    if (n >= g.N) return NOWHERE;
    return {n * g.H * g.W * g.C, g.s * i - g.top, g.t * j - g.left};
}

__device__ __forceinline__ Pixel cell_of_window(const Geometry& g, int index) {      // p, q, c
    const int c = index % g.K, q = index / g.K % g.Q, p = index / g.K / g.Q;
    if (p >= g.P) return NOWHERE;
    return {c, g.d * p, g.e * q};
}

__device__ __forceinline__ REAL pixel_under(const REAL* x, const Geometry& g, const Pixel& corner,
                                            const Pixel& cell) {
    const int h = corner.h + cell.h, w = corner.w + cell.w;
    if (h < 0 || h >= g.H || w < 0 || w >= g.W) return 0;
    return x[corner.at + cell.at + (h * g.W + w) * g.C];
}

struct Windows {                   // A of forward: row n, i, j and term p, q, c of x
    static const bool ALONG_TERMS = true;
    typedef Pixel Row;
    typedef Pixel Term;
    const REAL* x;
    Geometry g;
    __device__ Row row(int m) const { return corner_of_window(g, m); }
    __device__ Term term(int k) const { return cell_of_window(g, k); }
    __device__ REAL value(const Row& m, const Term& k) const { return pixel_under(x, g, m, k); }
};

struct Cells {                     // A of weight_grad: row p, q, c and term n, i, j of x
    static const bool ALONG_TERMS = false;
    typedef Pixel Row;
    typedef Pixel Term;
    const REAL* x;
    Geometry g;
    __device__ Row row(int m) const { return cell_of_window(g, m); }
    __device__ Term term(int k) const { return corner_of_window(g, k); }
    __device__ REAL value(const Row& m, const Term& k) const { return pixel_under(x, g, k, m); }
};

// Which i has s * i = distance; a negative number if none from 0 on has.
__device__ __forceinline__ int place_at(int distance, int s) {
    if (s == 1) return distance;
    return distance % s == 0 ? distance / s : -1;
}

struct Sources {                   // A of input_grad: row n, h, w and term p, q, f of dy
    static const bool ALONG_TERMS = true;
    typedef Pixel Row;
    typedef Pixel Term;
    const REAL* dy;
    Geometry g;
    int filters;                   // of all groups
    __device__ Row row(int m) const {
        const int w = m % g.W, h = m / g.W % g.H, n = m / g.W / g.H;
        if (n >= g.N) return NOWHERE;
        return {n * g.I * g.J * filters, h + g.top, w + g.left};
    }
    __device__ Term term(int k) const {
        const int f = k % g.F, q = k / g.F % g.Q, p = k / g.F / g.Q;
        return {f, g.d * p, g.e * q};
    }
    __device__ REAL value(const Row& m, const Term& k) const {
        const int i = place_at(m.h - k.h, g.s), j = place_at(m.w - k.w, g.t);
        if (i < 0 || i >= g.I || j < 0 || j >= g.J) return 0;
        return dy[m.at + k.at + (i * g.J + j) * filters];
    }
};

struct Matrix {                    // B of forward and weight_grad: `width` numbers from k to k + 1
    static const bool ALONG_TERMS = false;
    typedef int Row;
    typedef int Term;
    const REAL* data;
    int columns, width;
    __device__ Row row(int f) const { return f < columns ? f : -1; }
    __device__ Term term(int k) const { return k * width; }
    __device__ REAL value(const Row& f, const Term& k) const {
        return f < 0 ? REAL(0) : data[k + f];
    }
};

struct TurnedFilters {             // B of input_grad: column c and term p, q, f of weight
    static const bool ALONG_TERMS = true;
    typedef int Row;
    typedef int Term;
    const REAL* weight;
    Geometry g;
    int filters;                   // of all groups
    __device__ Row row(int c) const { return c < g.K ? c * filters : -1; }
    __device__ Term term(int k) const {
        const int f = k % g.F, cell = k / g.F;
        return cell * g.K * filters + f;
    }
    __device__ REAL value(const Row& c, const Term& k) const {
        return c < 0 ? REAL(0) : weight[c + k];
    }
};

// -------------------------------------------------------------------------------------------------
// The product of two tiles: in three precisions
//
// Each defines STORED, what tiles hold; stored(value), how a number becomes that; slot(m, k), where
// it lies, such that the threads of a warp meet different banks; multiply(a, b, sums), which adds
// STEP products to each sum of a thread; row_of(s), column_of(s), where sum s stands in the tile.
// -------------------------------------------------------------------------------------------------
#ifndef TENSOR_CORES
#if defined(TF32) || defined(BF16)
#define TENSOR_CORES (defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800)
#else
#define TENSOR_CORES 0
#endif
#endif

__device__ __forceinline__ bool is_nan_or_infinite(unsigned bits) {
    return (bits & 0x7f800000u) == 0x7f800000u;
}

// A float's upper 16 bits, rounded: the nearest number with 8 bits, halves to the even one. A NaN
// stays one.
__device__ __forceinline__ unsigned short upper_half(float value) {
    const unsigned bits = __float_as_uint(value);
    if (is_nan_or_infinite(bits)) return bits >> 16 | ((bits & 0xffffu) != 0);
    return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

#if !TENSOR_CORES

#define STORED REAL
#define TILE_NUMBERS (STEP * (TILE + 4))

#ifdef BF16                        // on a GPU older than sm_80: the same numbers, slowly
__device__ __forceinline__ STORED stored(REAL value) {
    return __uint_as_float((unsigned)upper_half(value) << 16);
}
#else
__device__ __forceinline__ STORED stored(REAL value) { return value; }
#endif
__device__ __forceinline__ int slot(int m, int k) { return k * (TILE + 4) + m; }
__device__ __forceinline__ int row_of(int s) { return threadIdx.y * EACH + s / EACH; }
__device__ __forceinline__ int column_of(int s) { return threadIdx.x * EACH + s % EACH; }

__device__ __forceinline__ void multiply(const STORED* a, const STORED* b, REAL sums[SUMS]) {
    #pragma unroll
    for (int k = 0; k < STEP; ++k) {
        REAL left[EACH], right[EACH];
        #pragma unroll
        for (int r = 0; r < EACH; ++r) {
            left[r] = a[slot(threadIdx.y * EACH + r, k)];
            right[r] = b[slot(threadIdx.x * EACH + r, k)];
        }
        #pragma unroll
        for (int s = 0; s < SUMS; ++s) sums[s] += left[s / EACH] * right[s % EACH];
    }
}

#else

// Tensor cores: the 32 threads of a warp multiply a matrix of 16 rows by one of 8 columns together.
// A warp owns 16 x 32 numbers of the tile, four such products; 4 x 2 warps cover it. Thread 4*g + t
// of a warp receives rows g and g + 8, columns 2*t and 2*t + 1 of each product: see the PTX manual,
// "Matrix Fragments for mma.m16n8k16".
#define WARP_COLUMNS 32

__device__ __forceinline__ int thread_number() { return threadIdx.y * SIDE + threadIdx.x; }
__device__ __forceinline__ int first_row() { return thread_number() / 64 * 16; }
__device__ __forceinline__ int first_column() { return thread_number() / 32 % 2 * WARP_COLUMNS; }
__device__ __forceinline__ int lane_row() { return thread_number() % 32 / 4; }
__device__ __forceinline__ int lane_column() { return thread_number() % 4; }
__device__ __forceinline__ int row_of(int s) { return first_row() + lane_row() + s % 4 / 2 * 8; }
__device__ __forceinline__ int column_of(int s) {
    return first_column() + s / 4 * 8 + 2 * lane_column() + s % 2;
}

#ifdef TF32

#define STORED unsigned             // the bits of a float; tensor cores read the upper 19 of them
#define PADDED (STEP + 4)

// To the nearest number with 11 bits; halves away from 0, as cvt.rna.tf32. A NaN stays one.
__device__ __forceinline__ STORED stored(float value) {
    const unsigned bits = __float_as_uint(value);
    if (is_nan_or_infinite(bits)) return (bits & 0x1fffu) != 0 ? bits | 0x2000u : bits;
    return (bits + 0x1000u) & ~0x1fffu;
}

#ifndef CUDA_ON_CPU
__device__ __forceinline__ void mma_m16n8k8_tf32(float c[4], const unsigned a[4],
                                                 const unsigned b[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

#else

#define STORED unsigned short       // the upper half of a float
#define PADDED (STEP + 8)

__device__ __forceinline__ STORED stored(float value) { return upper_half(value); }

#ifndef CUDA_ON_CPU
__device__ __forceinline__ void mma_m16n8k16_bf16(float c[4], const unsigned a[4],
                                                  const unsigned b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

#endif

#define TILE_NUMBERS (TILE * PADDED)

__device__ __forceinline__ int slot(int m, int k) { return m * PADDED + k; }

#ifdef TF32

__device__ __forceinline__ void multiply(const STORED* a, const STORED* b, float sums[SUMS]) {
    const int row = first_row() + lane_row(), column = first_column() + lane_row();
    #pragma unroll
    for (int first = 0; first < STEP; first += 8) {
        const int k = first + lane_column();
        const unsigned left[4] = {a[slot(row, k)], a[slot(row + 8, k)],
                                  a[slot(row, k + 4)], a[slot(row + 8, k + 4)]};
        #pragma unroll
        for (int s = 0; s < SUMS; s += 4) {
            const unsigned right[2] = {b[slot(column + 2 * s, k)], b[slot(column + 2 * s, k + 4)]};
            mma_m16n8k8_tf32(sums + s, left, right);
        }
    }
}

#else

__device__ __forceinline__ unsigned two_at(const STORED* tile, int m, int k) {    // and k + 1
    return *(const unsigned*)(tile + slot(m, k));
}

__device__ __forceinline__ void multiply(const STORED* a, const STORED* b, float sums[SUMS]) {
    const int row = first_row() + lane_row(), column = first_column() + lane_row();
    const int k = 2 * lane_column();
    const unsigned left[4] = {two_at(a, row, k), two_at(a, row + 8, k),
                              two_at(a, row, k + 8), two_at(a, row + 8, k + 8)};
    #pragma unroll
    for (int s = 0; s < SUMS; s += 4) {
        const unsigned right[2] = {two_at(b, column + 2 * s, k), two_at(b, column + 2 * s, k + 8)};
        mma_m16n8k16_bf16(sums + s, left, right);
    }
}

#endif
#endif

// -------------------------------------------------------------------------------------------------
// What a block does: copy tiles, multiply them, write its sums
// -------------------------------------------------------------------------------------------------
template <class Operand>
struct Share {                     // what one thread copies of one operand: EACH numbers of a step
    Operand operand;
    typename Operand::Row rows[EACH];
    REAL values[EACH];
    int m, k;                      // of the first of them; the others are SIDE rows apart

    __device__ Share(const Operand& operand, int first_row) : operand(operand) {
        m = Operand::ALONG_TERMS ? threadIdx.y : threadIdx.x;
        k = Operand::ALONG_TERMS ? threadIdx.x : threadIdx.y;
        #pragma unroll
        for (int r = 0; r < EACH; ++r) rows[r] = operand.row(first_row + m + r * SIDE);
    }
    __device__ void fetch(int first, int last) {
        if (first + k >= last) {
            #pragma unroll
            for (int r = 0; r < EACH; ++r) values[r] = 0;
            return;
        }
        const typename Operand::Term term = operand.term(first + k);
        #pragma unroll
        for (int r = 0; r < EACH; ++r) values[r] = operand.value(rows[r], term);
    }
    __device__ void store(STORED* tile) const {
        #pragma unroll
        for (int r = 0; r < EACH; ++r) tile[slot(m + r * SIDE, k)] = stored(values[r]);
    }
};

struct __align__(16) Tiles {       // in shared memory
    STORED a[TILE_NUMBERS];
    STORED b[TILE_NUMBERS];
};

struct Result {                    // out[m,f] = data[m * width + f] for m < rows, f < columns
    REAL* data;
    int rows, columns, width;
    const REAL* bias;              // of `columns` numbers, or null
    int relu;
};

// The first of those terms that piece number `piece` adds up.
__device__ __forceinline__ int begin_of(int piece, int pieces, int terms) {
    const int steps = (terms + STEP - 1) / STEP, each = (steps + pieces - 1) / pieces;
    return min(piece * each * STEP, terms);
}

// The sums of the block's tile, over one piece of the terms.
template <class Left, class Right>
__device__ __forceinline__ void product(const Left& left, const Right& right, int piece, int pieces,
                                        int terms, Tiles& tiles, const Result& out) {
    const int first_m = blockIdx.x * TILE, first_f = blockIdx.y * TILE;
    const int first = begin_of(piece, pieces, terms), last = begin_of(piece + 1, pieces, terms);
    Share<Left> share_a(left, first_m);
    Share<Right> share_b(right, first_f);
    REAL sums[SUMS] = {};
    share_a.fetch(first, last);
    share_b.fetch(first, last);
    for (int k = first; k < last; k += STEP) {
        __syncthreads();                            // nobody reads the last tiles any more
        share_a.store(tiles.a);
        share_b.store(tiles.b);
        __syncthreads();                            // the new tiles are complete
        share_a.fetch(k + STEP, last);              // on its way while sums grow
        share_b.fetch(k + STEP, last);
        multiply(tiles.a, tiles.b, sums);
    }
    #pragma unroll
    for (int s = 0; s < SUMS; ++s) {
        const int m = first_m + row_of(s), f = first_f + column_of(s);
        if (m >= out.rows || f >= out.columns) continue;
        const REAL value = out.bias ? sums[s] + out.bias[f] : sums[s];
        out.data[m * out.width + f] = out.relu && value < 0 ? REAL(0) : value;   // NaN stays NaN
    }
}

// -------------------------------------------------------------------------------------------------
// The three maps. Block (SIDE, SIDE), grid (tiles of m, tiles of f, groups * pieces).
// With several pieces, y, dx, dw are arrays of as many results, and there is no bias and no relu.
// -------------------------------------------------------------------------------------------------
extern "C" __global__ void __launch_bounds__(256)
conv2d_forward(const REAL* x, const REAL* weight, const REAL* bias, REAL* y, int relu, int pieces,
               int N, int H, int W, int C, int P, int Q, int K, int F, int I, int J, int s, int t,
               int d, int e, int top, int left, int groups) {
    __shared__ Tiles tiles;
    const Geometry g = {N, H, W, C, P, Q, K, F, I, J, s, t, d, e, top, left};
    const int group = blockIdx.z / pieces, piece = blockIdx.z % pieces;
    const int terms = P * Q * K, filters = groups * F;
    const Windows windows = {x + group * K, g};
    const Matrix matrix = {weight + group * F, F, filters};
    const Result out = {y + piece * (N * I * J * filters) + group * F, N * I * J, F, filters,
                        bias ? bias + group * F : bias, relu};
    product(windows, matrix, piece, pieces, terms, tiles, out);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad(const REAL* dy, const REAL* weight, REAL* dx, int pieces, int N, int H, int W,
                  int C, int P, int Q, int K, int F, int I, int J, int s, int t, int d, int e,
                  int top, int left, int groups) {
    __shared__ Tiles tiles;
    const Geometry g = {N, H, W, C, P, Q, K, F, I, J, s, t, d, e, top, left};
    const int group = blockIdx.z / pieces, piece = blockIdx.z % pieces;
    const int terms = P * Q * F, filters = groups * F;
    const Sources sources = {dy + group * F, g, filters};
    const TurnedFilters turned = {weight + group * F, g, filters};
    const Result out = {dx + piece * (N * H * W * C) + group * K, N * H * W, K, C, 0, 0};
    product(sources, turned, piece, pieces, terms, tiles, out);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_weight_grad(const REAL* x, const REAL* dy, REAL* dw, int pieces, int N, int H, int W,
                   int C, int P, int Q, int K, int F, int I, int J, int s, int t, int d, int e,
                   int top, int left, int groups) {
    __shared__ Tiles tiles;
    const Geometry g = {N, H, W, C, P, Q, K, F, I, J, s, t, d, e, top, left};
    const int group = blockIdx.z / pieces, piece = blockIdx.z % pieces;
    const int terms = N * I * J, filters = groups * F;
    const Cells cells = {x + group * K, g};
    const Matrix matrix = {dy + group * F, F, filters};
    const int rows = P * Q * K;
    const Result out = {dw + piece * (rows * filters) + group * F, rows, F, filters, 0, 0};
    product(cells, matrix, piece, pieces, terms, tiles, out);
}

// y[k] = the sum over pieces of parts[piece, k], + bias[k % columns]. One thread owns one y[k].
extern "C" __global__ void conv2d_add_pieces(const REAL* parts, const REAL* bias, REAL* y,
                                             int relu, int pieces, int size, int columns) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    REAL sum = bias ? bias[k % columns] : REAL(0);
    for (int piece = 0; piece < pieces; ++piece) sum += parts[piece * size + k];
    y[k] = relu && sum < 0 ? REAL(0) : sum;
}
