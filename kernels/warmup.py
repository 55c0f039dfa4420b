"""Every kernel once, on little arrays of zeros, so that nothing is left to be compiled later.

Numba compiles a function anew for each combination of argument types. So each kernel stands here
with the types that training and inference call it with; and twice where it goes one way for few
numbers and another for many. A new kernel needs a line in `calls`; a test says so.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import all_kernels

FEW, MANY = 8, 1 << 15  # numbers; MANY is more than any kernel leaves to a single thread
NO_PADDING = ((0, 0), (0, 0))


def calls(dtype: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Names of kernels, and arguments for each."""
    return [
        *_convolutions(dtype),
        *_depthwise(dtype),
        *_normalization(dtype),
        *_pooling(dtype),
        *_of_single_numbers(dtype),
        *_classifiers(dtype),
        *_optimizers(dtype),
        *_input(dtype),
    ]


def compile_all(dtype: str, report: Callable[[int, int, str], None]) -> None:
    """Call every kernel.

    Args:
        dtype: of the weights and inputs of the networks to come, "float32" or "float64".
        report: is told before each call: its number from 1 on, how many there are, the family.
    """
    kernels = all_kernels()
    planned = calls(dtype)
    for number, (name, arguments) in enumerate(planned, start=1):
        report(number, len(planned), name.partition(".")[0])
        kernels[name](*arguments)


def compile_some(names: Sequence[str], dtype: str) -> None:
    """Call the kernels of these names, in this order."""
    kernels, planned = all_kernels(), calls(dtype)
    for wanted in names:
        for name, arguments in planned:
            if name == wanted:
                kernels[name](*arguments)


def _convolutions(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    # images of few channels, and of many with filters that are packed by all threads
    from .chain import Chain, Link  # here, because it imports Numba

    for C, F, stride in ((3, 8, 1), (64, 64, 1), (64, 64, 2)):
        x, weight = np.zeros((2, 17, 17, C), dtype), np.zeros((3, 3, C, F), dtype)
        size = 15 if stride == 1 else 8
        dy, where = np.zeros((2, size, size, F), dtype), ((stride, stride), NO_PADDING, (1, 1), 1)
        yield "conv2d.forward", (x, weight, np.zeros(F, dtype), True, *where)
        yield "conv2d.input_grad", (dy, weight, x.shape, *where)
        yield "conv2d.weight_grad", (x, dy, weight.shape, *where)
        pooling = ((2, 2), ((2, 2), NO_PADDING))
        yield "conv_pool.forward", (x, weight, np.zeros(F, dtype), where, *pooling)
        y, winners = (
            dy[:, ::2, ::2].copy(),
            np.zeros((2, -(-size // 2), -(-size // 2), F), np.int32),
        )
        yield "conv_pool.input_grad", (y, winners, weight, x.shape, where)
        yield "conv_pool.weight_grad", (x, y, winners, weight.shape, where)
    rows, matrix, y = (np.zeros(shape, dtype) for shape in ((2, 72), (72, 10), (2, 10)))
    yield "matmul.multiply", (rows, matrix, np.zeros(10, dtype), True)
    yield "matmul.input_grad", (y, matrix)
    yield "matmul.weight_grad", (rows, y)
    yield "sum_rows.forward", (np.zeros((MANY // 8, 8), dtype),)
    links = [Link(np.zeros((3, 3, 3, 8), dtype), None), Link(np.zeros((392, 10), dtype), None)]
    yield "chain.forward", (np.zeros((2, 9, 9, 3), dtype), Chain(links))


def _depthwise(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Its tiles are compiled for each size of the window; these are the commonest."""
    C, padding = 32, ((1, 1), (1, 1))
    x, weight = np.zeros((2, 14, 14, C), dtype), np.zeros((3, 3, 1, C), dtype)
    for stride in (1, 2):
        where = ((stride, stride), padding, (1, 1), C)
        dy = np.zeros((2, 14 // stride, 14 // stride, C), dtype)
        yield "conv2d.forward", (x, weight, np.zeros(C, dtype), True, *where)
        yield "conv2d.input_grad", (dy, weight, x.shape, *where)
        yield "conv2d.weight_grad", (x, dy, weight.shape, *where)


def _normalization(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    x, line = np.zeros((2, 4, 4, 8), dtype), (np.zeros(8), np.zeros(8), np.zeros(8), True)
    yield "batch_norm.moments", (x,)
    yield "batch_norm.normalize", (x, *line)
    yield "batch_norm.sums", (x, x, *line)
    yield "batch_norm.input_grad", (x, x, *line, np.zeros((3, 8)))
    rows, gamma = np.zeros((4, FEW), dtype), np.zeros(FEW, dtype)
    yield "layer_norm.forward", (rows, gamma, gamma, 0.001)
    yield "layer_norm.backward", (rows, rows, gamma, 0.001)


def _pooling(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    x, y = np.zeros((2, 8, 8, 4), dtype), np.zeros((2, 4, 4, 4), dtype)
    winners = np.zeros(y.shape, np.int32)
    where = ((2, 2), (2, 2), NO_PADDING)
    yield "max_pool2d.forward", (x, *where)
    yield "max_pool2d.gather", (x, winners)
    yield "max_pool2d.scatter", (y, winners, x.shape)
    yield "average_pool2d.forward", (x, *where)
    yield "average_pool2d.spread", (y, x.shape, *where)


def _of_single_numbers(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for x in (np.zeros(FEW, dtype), np.zeros(MANY, dtype)):
        yield "relu.forward", (x,)
        yield "relu.backward", (x, x)
        yield "addition.forward", (x, x, True)
        yield "sigmoid.sigmoid", (x,)
        yield "sigmoid.tanh", (x,)
        yield "sigmoid.sigmoid_grad", (x, x)
        yield "sigmoid.tanh_grad", (x, x)
        yield "normal_cdf.forward", (x,)
        yield "dropout.apply", (x, 0.5, 1)


def _classifiers(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    scores = np.zeros((2, 10), dtype)
    yield "softmax.forward", (scores,)
    yield "softmax_cross_entropy.forward", (scores, scores)
    yield "softmax_cross_entropy.backward", (np.zeros(2, dtype), scores, scores)


def _optimizers(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    w, g, m, v, none = *np.zeros((4, FEW), dtype), np.zeros(0, dtype)
    yield "adam.step", (w, g, m, v, none, 0.001, 0.0, 0.9, 0.999, 1e-7)
    yield "rmsprop.step", (w, g, v, none, none, 0.001, 0.0, 0.9, 0.0, 1e-7)
    yield "sgd.step", (w, g, none, 0.01, 0.0, 0.0, False)


def _input(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    places = np.zeros(FEW, np.intp)
    for given in ("uint8", "float32", "float64"):
        yield "rows.gather", (np.zeros((FEW, 3), given), places, dtype)
    yield "rows.scatter", (np.zeros((MANY, 1), dtype), np.zeros(MANY, np.intp), FEW)
    tables = np.zeros((2, 4), np.intp), np.zeros((2, 4), np.intp)
    yield "augment.gather", (np.zeros((2, 4, 4, 3), dtype), *tables, 0.0)
    yield "augment.scatter", (np.zeros((2, 4, 4, 3), dtype), *tables, (2, 4, 4, 3))
    yield "resize.along", (np.zeros((2, 4, 4, 3), dtype), tables[0], np.zeros((2, 4)), 1)
    yield "warp.gather", (np.zeros((2, 4, 4, 3), dtype), np.zeros((2, 6)), True, "reflect", 0.0)
    yield "warp.scatter", (np.zeros((2, 4, 4, 3), dtype), np.zeros((2, 6)), True, "reflect")
