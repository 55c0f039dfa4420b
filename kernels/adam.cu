// adam.cu - the formulas of adam.py for a GPU, with the same letters.
//
// step   w -= decay * w
//        m += rate_1 * (g - m)                 rate_1 = 1 - beta_1
//        v += rate_2 * (g^2 - v)               rate_2 = 1 - beta_2
//        w -= alpha * m / (sqrt(v) + epsilon)
//        amsgrad:  top = max(top, v)  stands in the place of v in the last line; without it, top
//        is a null pointer
//
// Threads:  one owns one weight and what belongs to it, which it updates in place; nobody else
//           looks at them. Neighbours own neighbouring places. One launch serves all weights of a
//           model.
// Work:     a root and a division per number; 4 arrays are read and 3 written, each once.
// Versions: 1. this one

extern "C" __global__ void step(REAL* w, const REAL* g, REAL* m, REAL* v, REAL* top, REAL alpha,
                                REAL decay, REAL rate_1, REAL rate_2, REAL epsilon, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    m[k] += rate_1 * (g[k] - m[k]);
    v[k] += rate_2 * (g[k] * g[k] - v[k]);
    REAL spread = v[k];
    if (top) {
        if (top[k] > spread || top[k] != top[k]) spread = top[k];  // a NaN stays, as in NumPy
        top[k] = spread;
    }
    w[k] = w[k] - decay * w[k] - alpha * m[k] / (sqrt(spread) + epsilon);
}
