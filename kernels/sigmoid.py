"""The S-shaped activations on the way back: their slopes can be told from their results.

    dx = dy * y * (1 - y)      sigmoid_grad, y = sigmoid(x)
    dx = dy * (1 - y^2)        tanh_grad,    y = tanh(x)

There is nothing here for the way forward, for NumPy's exp and tanh know vectors.

Work:     three operations per number; the time goes into memory. NumPy needs three passes, and
          two arrays more.
Threads:  one prange step owns a run of neighbouring numbers; a single run starts no threads.
Versions: NumPy reference, Numba loops, CUDA (sigmoid.cu).
"""

from numba import prange

from . import cuda
from .compiling import compiled, compiled_parallel
from .kernel import Kernel
from .memory import empty

RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _sigmoid_grad_reference(dy, y):
    return dy * y * (1 - y)


def _tanh_grad_reference(dy, y):
    return dy * (1 - y * y)


@compiled
def _sigmoid_grad_run(dy, y, dx, one):
    for k in range(dy.size):
        dx[k] = dy[k] * y[k] * (one - y[k])


@compiled
def _tanh_grad_run(dy, y, dx, one):
    for k in range(dy.size):
        dx[k] = dy[k] * (one - y[k] * y[k])


@compiled_parallel
def _sigmoid_grad_loops(dy, y, dx, one):
    for run in prange((dy.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, dy.size)
        _sigmoid_grad_run(dy[first:last], y[first:last], dx[first:last], one)


@compiled_parallel
def _tanh_grad_loops(dy, y, dx, one):
    for run in prange((dy.size + RUN - 1) // RUN):
        first, last = run * RUN, min((run + 1) * RUN, dy.size)
        _tanh_grad_run(dy[first:last], y[first:last], dx[first:last], one)


def _sigmoid_grad_cpu(dy, y):
    return _in_runs(_sigmoid_grad_run, _sigmoid_grad_loops, dy, y)


def _tanh_grad_cpu(dy, y):
    return _in_runs(_tanh_grad_run, _tanh_grad_loops, dy, y)


def _in_runs(run, loops, dy, y):
    dx = empty(dy.shape, dy.dtype)
    one = dy.dtype.type(1)  # an integer would make float32 arithmetic float64
    (run if dy.size <= RUN else loops)(dy.reshape(-1), y.reshape(-1), dx.reshape(-1), one)
    return dx


def _sigmoid_grad_gpu(dy, y):
    dx = cuda.empty(dy.shape, dy.dtype, like=dy)
    cuda.launch("sigmoid", "sigmoid_grad", cuda.blocks(dy.size), 256, dy, y, dx, dy.size)
    return dx


def _tanh_grad_gpu(dy, y):
    dx = cuda.empty(dy.shape, dy.dtype, like=dy)
    cuda.launch("sigmoid", "tanh_grad", cuda.blocks(dy.size), 256, dy, y, dx, dy.size)
    return dx


sigmoid_grad = Kernel(
    "sigmoid.sigmoid_grad",
    reference=_sigmoid_grad_reference,
    cpu=_sigmoid_grad_cpu,
    gpu=_sigmoid_grad_gpu,
)
tanh_grad = Kernel(
    "sigmoid.tanh_grad", reference=_tanh_grad_reference, cpu=_tanh_grad_cpu, gpu=_tanh_grad_gpu
)
