"""Dropout: noise while the model learns, so that it does not rely on any single number."""

from typing import Any

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.random import new_generator


class Dropout(Layer):
    """Set a random part of the numbers to zero while the model learns.

        training:  y = x / (1 - rate) with probability 1 - rate, else 0
        otherwise: y = x

    The division keeps the mean of y at that of x, so that nothing has to change afterwards.

    Args:
        rate: the probability that a number is dropped, from 0 to 1.
        noise_shape: shape of the random mask, with its batch axis; None along an axis takes the
            size of the input, 1 drops all numbers along that axis together.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: see Layer.

    Raises:
        ValueError: rate is not from 0 to 1.
        TypeError: rate is no number, or seed no integer.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
        overfitting", jmlr.org/papers/v15/srivastava14a.html.

    >>> import numpy as np
    >>> layer, x = Dropout(0.5, seed=1), np.ones((1, 1000))
    >>> layer(x).numpy().mean().item(), bool(0.9 < layer(x, training=True).numpy().mean() < 1.1)
    (1.0, True)
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.rate = number(f"{who}: rate", rate, high=1)
        self.noise_shape = noise_shape
        if noise_shape is not None:
            self.noise_shape = arguments.shape(who, "noise_shape", noise_shape)
        self.seed = seed
        if seed is not None:
            self.seed = arguments.whole_number(who, "seed", seed, at_least=0)
        self._random = new_generator(self.seed)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if a mask of noise_shape does not fit inputs of this shape."""
        check_noise_shape(self.title, self.noise_shape, shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        return ops.dropout(x, self.rate, self._random, self._mask_shape(x.shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        if self.noise_shape is None:
            return None
        return mask_shape(self.noise_shape, shape)


def check_noise_shape(title: str, noise_shape: Shape | None, shape: Shape) -> None:
    """Raise a ValueError if a mask of noise_shape does not fit inputs of this shape."""
    if noise_shape is None:
        return
    sizes = zip(noise_shape, shape, strict=False)
    if len(noise_shape) != len(shape) or any(
        noise not in (None, 1, size) and size is not None for noise, size in sizes
    ):
        raise ValueError(
            f"{title}: noise_shape={noise_shape} does not fit inputs of shape {shape}. "
            f"It wants None, 1 or the size of the input for each axis."
        )


def mask_shape(noise_shape: Shape, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the mask for an input of this shape.

    >>> mask_shape((None, 1), (8, 3))
    (8, 1)
    """
    sizes = zip(noise_shape, shape, strict=True)
    return tuple(size if noise is None else noise for noise, size in sizes)
