// rmsprop.cu - the formulas of rmsprop.py for a GPU, with the same letters.
//
// step   w -= decay * w
//        v  = rho * v + rate * g^2                       rate = 1 - rho
//        d  = learning_rate * g / sqrt(v + epsilon)
//        w -= d
//        centered:  a = rho * a + rate * g;  in d,  v - a^2 takes the place of v
//        momentum:  u = momentum * u + d;  in the last line,  u takes the place of d
//        without them, a or u is a null pointer
//
// Threads:  one owns one weight and what belongs to it, which it updates in place; nobody else
//           looks at them. Neighbours own neighbouring places. One launch serves all weights of a
//           model.
// Work:     a root and a division per number; each array is passed once.
// Versions: 1. this one

extern "C" __global__ void step(REAL* w, const REAL* g, REAL* v, REAL* a, REAL* u,
                                REAL learning_rate, REAL decay, REAL rho, REAL rate, REAL momentum,
                                REAL epsilon, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    v[k] = rho * v[k] + rate * g[k] * g[k];
    REAL spread = v[k];
    if (a) {
        a[k] = rho * a[k] + rate * g[k];
        spread -= a[k] * a[k];
    }
    REAL d = learning_rate * g[k] / sqrt(spread + epsilon);
    if (u) d = u[k] = momentum * u[k] + d;
    w[k] = w[k] - decay * w[k] - d;
}
