// rows.cu - the formula of rows.py for a GPU, with the same letters.
//
// gather    y[k,s] = x[places[k],s], converted to REAL;   s counts the S numbers of a row
// scatter   dx[m,s] = sum of dy[order[k],s] over the run of all k with places[k] = m
//
// GIVEN is the type of x, which need not be one of floats. For scatter the launcher has sorted the
// places: places[k] <= places[k+1], and order[k] is where places[k] had stood. In a run of equal
// places order grows, so the sum has the order of the CPU, and every run gives the same bits.
//
// Threads:  in gather one owns one y[k,s]; in scatter one owns one dx[m,s], if its k is the first of
//           the run of m, and has nothing to do otherwise: no atomics. Neighbours differ in s, so
//           they read and write neighbouring places.
// Work:     a conversion or an addition per number; the time goes into memory. A row that is wanted
//           by all takes as long as one thread needs to add up all.
// Versions: 1. this one   2. for scatter, long runs cut into pieces for several threads

extern "C" __global__ void gather(REAL* y, const GIVEN* x, const long long* places, int S,
                                  int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int k = index / S, s = index % S;
    y[index] = REAL(x[size_t(places[k]) * S + s]);
}

extern "C" __global__ void scatter(REAL* dx, const REAL* dy, const long long* places,
                                   const long long* order, int S, int size) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int first = index / S, s = index % S, count = size / S;
    const long long m = places[first];
    if (first > 0 && places[first - 1] == m) return;
    REAL sum = 0;
    for (int k = first; k < count && places[k] == m; ++k) sum += dy[size_t(order[k]) * S + s];
    dx[size_t(m) * S + s] = sum;
}
