"""Dropout with a mask that is computed, not stored.

    y[k] = x[k] / (1 - rate)  if draw(seed, k) >= rate, else 0                      apply

    draw(seed, k) = mix(mix(seed) + (k + 1) * GAMMA) / 2^64             from 0 to 1, without 1
    mix(z):   z ^= z >> 30;  z *= FIRST;  z ^= z >> 27;  z *= SECOND;  z ^= z >> 31

all in whole numbers below 2^64. Number k of the stream depends on nothing but the seed and k, so
every device, any number of threads, forward and backward make the same mask. k counts the numbers
of x in row-major order. The stream is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
pseudorandom number generators"), which passes the usual tests of randomness; the seed is mixed
once more, so that the streams of neighbouring seeds do not lie close to each other.

Work:     two multiplications of whole numbers and one of floats per number of x.
Threads:  one prange step owns a run of neighbouring numbers.
Versions: NumPy reference, Numba loops, CUDA (dropout.cu).
"""

from collections.abc import Callable

import numpy as np
from numba import prange

from . import cuda, graphs
from .compiling import compiled, compiled_parallel
from .kernel import Array, Kernel, is_gpu_array
from .memory import empty

GAMMA = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, made odd
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
RUN = 1 << 14  # numbers per prange step: enough to outweigh starting it


def _mixed(z):
    """`z`, an array of whole numbers below 2^64, thoroughly mixed."""
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def _start(seed):
    """Where the stream of a seed begins, as an array (1,)."""
    return _mixed(np.array([seed % 2**64], np.uint64))


def _apply_reference(x, rate, seed):
    start = _start(seed)
    draws = _mixed(start + np.arange(1, x.size + 1, dtype=np.uint64) * GAMMA)
    kept = draws.reshape(x.shape) >> np.uint64(11) >= _threshold(rate)
    return np.where(kept, x * _scale(rate), 0)


_mixed_number = compiled(_mixed)


@compiled
def _apply_run(x, threshold, scale, start, y, run):
    for k in range(run * RUN, min((run + 1) * RUN, x.size)):
        draw = _mixed_number(start + np.uint64(k + 1) * GAMMA)
        y[k] = x[k] * scale if draw >> np.uint64(11) >= threshold else 0


@compiled_parallel
def _apply_runs(x, threshold, scale, start, y):
    for run in prange((x.size + RUN - 1) // RUN):
        _apply_run(x, threshold, scale, start, y, run)


def _apply_cpu(x, rate, seed):
    y = empty(x.shape, x.dtype)
    start = _start(seed)[0]
    args = x.reshape(-1), _threshold(rate), x.dtype.type(_scale(rate)), start, y.reshape(-1)
    with np.errstate(over="ignore"):  # beyond 2^64 it begins at 0 again, on purpose
        if x.size <= RUN:
            _apply_run(*args, 0)  # one thread is done before a second one has started
        else:
            _apply_runs(*args)
    return y


def _threshold(rate):
    """How many of the 2^53 values that a draw can take are below the rate."""
    return np.uint64(round(rate * 2**53))


def _scale(rate):
    """What the kept numbers are multiplied by; none is kept at rate 1."""
    return 1 / (1 - rate) if rate < 1 else 0.0


def fed_seed(draw: Callable[[], int], like: Array) -> Array:
    """An array (1,) for `apply` in the place of a seed, beside `like`: the start of its stream.

    It holds what draw() gives, now or before each launch of the graph that is captured.
    """
    return graphs.fed(lambda: _start(draw()), (1,), np.uint64, like)


def _apply_gpu(x, rate, seed):
    y = cuda.empty(x.shape, x.dtype, like=x)
    start = seed if is_gpu_array(seed) else fed_seed(lambda: seed, x)
    args = x, y, _scale(rate), _threshold(rate), start, x.size
    cuda.launch("dropout", "apply", cuda.blocks(x.size), 256, *args)
    return y


apply = Kernel("dropout.apply", reference=_apply_reference, cpu=_apply_cpu, gpu=_apply_gpu)
