"""Dropout: switch off some numbers at random, so that no unit can rely on another."""

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, array_module, kernels
from minicnn.ops.axes import Shape, as_shape
from minicnn.ops.reduce import broadcast_to


class Drop(Op):
    """y = x / (1 - rate) where the seed keeps it, else 0;   dx = Drop(dy) with the same seed."""

    def __init__(self, rate: float, seed: int | Array) -> None:
        self.rate, self.seed = rate, seed

    def forward(self, x: Array) -> Array:
        return kernels.dropout.apply(x, self.rate, self.seed)

    def backward(self, dy: Tensor) -> Tensor:
        return Drop(self.rate, self.seed)(dy)


def dropout(
    x: Tensor,
    rate: float,
    seed: int | np.random.Generator,
    noise_shape: Shape | None = None,
) -> Tensor:
    """Set each number to 0 with probability `rate`, and enlarge the others to make up for it.

        y[k] = x[k] / (1 - rate)  if k is kept, else 0

    On average over all masks y is x, so nothing needs to change when dropout is left out after
    training. The mask is a constant, hence the gradient passes through the same one:

        dx[k] = dy[k] / (1 - rate)  if k is kept, else 0

    The mask is not stored. Whether k is kept follows from the seed and k alone, so backward, or
    another device, works it out again and gets the same.

    Args:
        x: any shape.
        rate: the probability to be dropped, from 0 to 1.
        seed: a number that decides the mask, or a generator to draw one from.
        noise_shape: the shape of the mask, where it is to be repeated along some axes of x:
            (N, 1, 1, C) drops whole channels of images. None: the shape of x.

    Returns:
        A tensor of the shape of x.

    Raises:
        ValueError: rate is no probability, or the mask cannot be broadcast to the shape of x.

    Kernels: kernels/dropout.py.
    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
    overfitting".

    >>> dropout(Tensor([1.0, 1.0, 1.0, 1.0, 1.0]), rate=0.5, seed=1)
    Tensor([2. 0. 0. 2. 0.])
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: rate is a probability, from 0 to 1, but got {rate}.")
    drop = Drop(rate, _drawn(seed, x.data) if isinstance(seed, np.random.Generator) else int(seed))
    if noise_shape is None:
        return drop(x)
    shape = as_shape(noise_shape)
    ones = Tensor(array_module(x.data).ones(shape, x.dtype), device=x.device)
    return x * broadcast_to(drop(ones), x.shape)


def _drawn(generator: np.random.Generator, x: Array) -> int | Array:
    """A seed from a generator; on a GPU an array, for which a graph draws anew in each launch."""

    def draw() -> int:
        return int(generator.integers(1 << 63))

    return kernels.dropout.fed_seed(draw, x) if kernels.is_gpu_array(x) else draw()
