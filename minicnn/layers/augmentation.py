"""Augmentation: images that change a little each time they are seen, so that more is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array, fed
from minicnn.layers import arguments
from minicnn.layers.calling import outermost_call
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.resizing import center_crop
from minicnn.layers.shapes import Shape
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.random import new_generator

MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class ImageAugmentation(Layer):
    """What the layers of this file have in common: random numbers, and images that come in.

    They work while the model learns and, as in Keras, when they are called by hand, so that one can
    look at what they do. In evaluate, predict and model(x) they leave images alone.

    Args:
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        TypeError: seed is no integer.

    Differs from Keras: there, model(x) augments, too.
    """

    def __init__(
        self, seed: int | None = None, data_format: str | None = None, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.seed = seed
        if seed is not None:
            self.seed = arguments.whole_number(who, "seed", seed, at_least=0)
        self.data_format = arguments.channels_last(who, data_format)
        self._random = new_generator(self.seed)

    def __call__(self, x: Any, *others: Any, training: bool | None = None, **keywords: Any) -> Any:
        """Compute the output; see Layer. Called by hand, the layer does what it does in training.

        Raises:
            ValueError: x is not (N, H, W, C).
            TypeError: x is no tensor or array of numbers.
        """
        if training is None and not others and outermost_call() is None:
            training = None if isinstance(x, SymbolicTensor) else True
        return super().__call__(x, *others, training=training, **keywords)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "seed": self.seed, "data_format": self.data_format}


class RandomFlip(ImageAugmentation):
    """Mirror each image or not, as a coin decides.

    Args:
        mode: "horizontal" exchanges left and right, "vertical" top and bottom;
            "horizontal_and_vertical" throws a coin for each.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: there is no such mode.
        TypeError: seed is no integer.

    >>> x = np.arange(3.0).reshape(1, 1, 3, 1)
    >>> flip = RandomFlip("horizontal", seed=1)
    >>> sorted({tuple(flip(x).numpy().ravel().tolist()) for _ in range(20)})
    [(0.0, 1.0, 2.0), (2.0, 1.0, 0.0)]
    """

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, **keywords: Any
    ) -> None:
        super().__init__(seed, **keywords)
        self.mode = arguments.one_of("RandomFlip", "mode", mode, MODES)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        N, H, W, _ = x.shape
        rows = fed(lambda: self._maybe_flipped("vertical", N, H), (N, H), np.intp, x.data)
        columns = fed(lambda: self._maybe_flipped("horizontal", N, W), (N, W), np.intp, x.data)
        return ops.gather_pixels(x, rows, columns)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "mode": self.mode}

    def _maybe_flipped(self, direction: str, count: int, size: int) -> Array:
        """For each of `count` images, its rows or columns in their order or in the opposite one."""
        forward = np.arange(size)
        if direction not in self.mode:
            return np.tile(forward, (count, 1))
        flipped = self._random.random(count) < 0.5
        return np.where(flipped[:, None], forward[::-1], forward)


class RandomCrop(ImageAugmentation):
    """Cut a piece out of each image, from another place each time; without training, the middle.

    Of images that are smaller than the piece, as much as has its proportions is enlarged to it.

    Args:
        height: rows of the piece.
        width: columns of the piece.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size or seed is no integer.

    Differs from Keras: there, all images of a batch are cut at one place, and without training
    they stay whole.

    >>> RandomCrop(24, 24)(np.ones((8, 32, 32, 3))).shape
    (8, 24, 24, 3)
    """

    def __init__(self, height: int, width: int, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.height = arguments.whole_number("RandomCrop", "height", height)
        self.width = arguments.whole_number("RandomCrop", "width", width)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        N, H, W, _ = x.shape
        if not training or self.height > H or self.width > W:
            return center_crop(x, (self.height, self.width))
        rows = fed(lambda: self._pieces(N, H, self.height), (N, self.height), np.intp, x.data)
        columns = fed(lambda: self._pieces(N, W, self.width), (N, self.width), np.intp, x.data)
        return ops.gather_pixels(x, rows, columns)

    def _pieces(self, count: int, size: int, length: int) -> Array:
        """For each of `count` images, as many of its rows or columns, beginning anywhere."""
        starts = self._random.integers(0, size - length, (count, 1), endpoint=True)
        return starts + np.arange(length)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, height, width, C)."""
        self.check_input(input_shape)
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "height": self.height, "width": self.width}


def bounds(name: str, factor: Any, low: float = -1) -> tuple[float, float]:
    """The smallest and the largest fraction that `factor` means, none below `low` or above 1.

    >>> bounds("RandomRotation: factor", 0.25), bounds("RandomRotation: factor", (0.5, 0.25))
    ((-0.25, 0.25), (0.25, 0.5))
    """
    if isinstance(factor, tuple | list) and len(factor) == 2:
        first, second = sorted(number(name, bound, low=low, high=1) for bound in factor)
        return first, second
    fraction = abs(number(name, factor, low=low, high=1))
    return -fraction, fraction
