// sgd.cu - the formulas of sgd.py for a GPU, with the same letters.
//
// step   w -= decay * w
//        w -= learning_rate * g                          without velocity: v is a null pointer
//        v  = momentum * v - learning_rate * g           with velocity
//        w += v,   or nesterov   w += momentum * v - learning_rate * g
//
// Threads:  one owns one weight and its velocity, which it updates in place; nobody else looks at
//           them. Neighbours own neighbouring places. One launch serves all weights of a model.
// Work:     a few operations per number; each array is passed once.
// Versions: 1. this one

extern "C" __global__ void step(REAL* w, const REAL* g, REAL* v, REAL learning_rate, REAL decay,
                                REAL momentum, int nesterov, int size) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= size) return;
    const REAL push = learning_rate * g[k];
    REAL move = -push;
    if (v) {
        v[k] = momentum * v[k] - push;
        move = nesterov ? momentum * v[k] - push : v[k];
    }
    w[k] = w[k] - decay * w[k] + move;
}
