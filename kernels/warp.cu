// warp.cu - the formulas of warp.py for a GPU, with the same letters.
//
// gather    y[n,i,j,c]  = sum over the pixels p, q near h, w of  share * x[n,p,q,c]
// scatter   dx[n,p,q,c] = sum of  share * dy[n,i,j,c]  over all i, j whose h, w pixel p, q is near
//           where  w = a[0]*j + a[1]*i + a[2]  and  h = a[3]*j + a[4]*i + a[5],  a = transforms[n]
//
// Places are computed in double: in float, a pixel of a large image would come from a wrong place.
//
// Threads:  in gather, one owns one y[n,i,j,c]. In scatter, one owns a whole row dx[n,p,:,c] and
//           goes through all i, j in order, taking what leads to its row: fill modes lead from
//           many places to one pixel, and to find them backwards would take many cases. So no two
//           threads write one place, there are no atomics, and every run gives the same number.
// Work:     gather: 4*N*H*W*C multiply-adds. scatter: N*H*C * H*W places are looked at, much, but
//           only a network that learns about the images it is given ever asks for it.
// Versions: 1. this one   2. scatter by tiles of dx, with bounds on the i, j that can lead there

#define REFLECT 0
#define WRAP 1
#define NEAREST 2

struct Near { int first, second; double share; };  // two pixels, and the share of the second one

// The remainder that is never negative.
__device__ int modulo(int a, int b) { return (a % b + b) % b; }

// The pixel that a place stands for; -1 for none.
__device__ int inside(int place, int size, int mode) {
    if (0 <= place && place < size) return place;
    if (mode == REFLECT) {
        const int there_and_back = modulo(place, 2 * size);
        return min(there_and_back, 2 * size - 1 - there_and_back);
    }
    if (mode == WRAP) return modulo(place, size);
    if (mode == NEAREST) return place < 0 ? 0 : size - 1;
    return -1;
}

__device__ Near near_to(double at, int size, int bilinear, int mode) {
    if (bilinear) {
        const int first = int(floor(at));
        return {inside(first, size, mode), inside(first + 1, size, mode), at - floor(at)};
    }
    const int nearest = inside(int(floor(at + 0.5)), size, mode);
    return {nearest, nearest, 0.0};
}

__device__ Near rows_near(const double* a, int i, int j, int H, int bilinear, int mode) {
    return near_to(a[3] * j + a[4] * i + a[5], H, bilinear, mode);
}

__device__ Near columns_near(const double* a, int i, int j, int W, int bilinear, int mode) {
    return near_to(a[0] * j + a[1] * i + a[2], W, bilinear, mode);
}

// share * x at row p of an image, column q
__device__ REAL part(const REAL* x, int p, int q, double share, REAL fill, int W, int C) {
    if (share == 0) return 0;  // even of an infinite number
    return REAL(share) * (p < 0 || q < 0 ? fill : x[(size_t(p) * W + q) * C]);
}

extern "C" __global__ void gather(const REAL* x, const double* transforms, int bilinear, int mode,
                                  REAL fill, REAL* y, int H, int W, int C, int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int c = index % C, j = index / C % W, i = index / C / W % H, n = index / C / W / H;
    const double* a = transforms + 6 * n;
    const Near h = rows_near(a, i, j, H, bilinear, mode);
    const Near w = columns_near(a, i, j, W, bilinear, mode);
    const REAL* image = x + size_t(n) * H * W * C + c;
    y[index] = part(image, h.first, w.first, (1 - h.share) * (1 - w.share), fill, W, C)
             + part(image, h.first, w.second, (1 - h.share) * w.share, fill, W, C)
             + part(image, h.second, w.first, h.share * (1 - w.share), fill, W, C)
             + part(image, h.second, w.second, h.share * w.share, fill, W, C);
}

// dx[q] += share * dy, if there is a column q
__device__ void add_part(REAL* dx, int q, double share, REAL dy, int C) {
    if (q >= 0 && share != 0) dx[size_t(q) * C] += REAL(share) * dy;
}

extern "C" __global__ void scatter(const REAL* dy, const double* transforms, int bilinear,
                                   int mode, REAL* dx, int H, int W, int C, int rows) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= rows) return;
    const int c = index % C, p = index / C % H, n = index / C / H;
    const double* a = transforms + 6 * n;
    REAL* row = dx + (size_t(n) * H + p) * W * C + c;
    for (int q = 0; q < W; ++q) row[size_t(q) * C] = 0;
    for (int i = 0; i < H; ++i)
        for (int j = 0; j < W; ++j) {
            const Near h = rows_near(a, i, j, H, bilinear, mode);
            const double share = (h.first == p ? 1 - h.share : 0.0)
                               + (h.second == p ? h.share : 0.0);
            if (share == 0) continue;
            const Near w = columns_near(a, i, j, W, bilinear, mode);
            const REAL slope = dy[((size_t(n) * H + i) * W + j) * C + c];
            add_part(row, w.first, share * (1 - w.share), slope, C);
            add_part(row, w.second, share * w.share, slope, C);
        }
}
