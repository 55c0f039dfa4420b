"""Augmentation: images that change a little each time they are seen, so that more is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.layers import arguments
from minicnn.layers.calling import outermost_call
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.ops.pixels import FILL_MODES, places_beyond
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
        _, H, W, _ = x.shape
        rows = self._maybe_flipped("vertical", x.shape[0], H)
        return ops.gather_pixels(x, rows, self._maybe_flipped("horizontal", x.shape[0], W))

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

    Args:
        height: rows of the piece.
        width: columns of the piece.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a size is below 1; later: an image is smaller than the piece.
        TypeError: a size or seed is no integer.

    Differs from Keras: there, all images of a batch are cut at one place, and without training
    they stay whole; images that are too small are enlarged there, and refused here.

    >>> RandomCrop(24, 24)(np.ones((8, 32, 32, 3))).shape
    (8, 24, 24, 3)
    """

    def __init__(self, height: int, width: int, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.height = arguments.whole_number("RandomCrop", "height", height)
        self.width = arguments.whole_number("RandomCrop", "width", width)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images, or of images that are too small."""
        super().check_input(shape)
        _, H, W, _ = shape
        if (H is not None and self.height > H) or (W is not None and self.width > W):
            raise ValueError(
                f"{self.title}: cannot cut {self.height} x {self.width} pixels out of images of "
                f"{H} x {W}. Enlarge these, as with ZeroPadding2D, or cut out less."
            )

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        N, H, W, _ = x.shape
        if not training:
            top, left = (H - self.height) // 2, (W - self.width) // 2
            return x[:, top : top + self.height, left : left + self.width]
        tops = self._random.integers(0, H - self.height, (N, 1), endpoint=True)
        lefts = self._random.integers(0, W - self.width, (N, 1), endpoint=True)
        rows, columns = tops + np.arange(self.height), lefts + np.arange(self.width)
        return ops.gather_pixels(x, rows, columns)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, height, width, C)."""
        self.check_input(input_shape)
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "height": self.height, "width": self.width}


class RandomTranslation(ImageAugmentation):
    """Move each image up or down and left or right, by random fractions of its height and width.

    An image that is moved by a whole number of pixels is copied. Else each new pixel lies between
    four old ones, and is their mean, the nearer ones counting more: by d rows down and e columns to
    the right,

        y[h,w] = sum of  (1 - |h - d - h'|) * (1 - |w - e - w'|) * x[h',w']

    over the four pixels h', w' that are less than one row and one column away.

    Args:
        height_factor: fractions of the height, downwards: 0.2 means from -0.2 to 0.2, a pair gives
            the bounds.
        width_factor: the same for the width, to the right.
        fill_mode: what comes in from beyond the border: "reflect", "wrap", "constant", "nearest".
        interpolation: "bilinear", as above, or "nearest", which moves by whole pixels only.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        fill_value: what comes in where fill_mode is "constant".
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a factor is not from -1 to 1, or a word is unknown.
        TypeError: a factor or fill_value is no number, or seed no integer.

    >>> layer = RandomTranslation(0.0, (0.5, 0.5), "constant", fill_value=9.0)
    >>> layer(np.arange(4.0).reshape(1, 1, 4, 1)).numpy().ravel().tolist()
    [9.0, 9.0, 0.0, 1.0]
    """

    def __init__(
        self,
        height_factor: float | tuple[float, float],
        width_factor: float | tuple[float, float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        **keywords: Any,
    ) -> None:
        super().__init__(seed, **keywords)
        who = "RandomTranslation"
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = _bounds(f"{who}: height_factor", height_factor)
        self._widths = _bounds(f"{who}: width_factor", width_factor)
        self.fill_mode = arguments.one_of(who, "fill_mode", fill_mode, tuple(FILL_MODES))
        words = ("bilinear", "nearest")
        self.interpolation = arguments.one_of(who, "interpolation", interpolation, words)
        self.fill_value = number(f"{who}: fill_value", fill_value, low=-np.inf)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        N, H, W, _ = x.shape
        rows = self._neighbours(self._random.uniform(*self._heights, N) * H, H)
        columns = self._neighbours(self._random.uniform(*self._widths, N) * W, W)
        y = None
        for from_rows, row_share in rows:
            for from_columns, column_share in columns:
                part = ops.gather_pixels(x, from_rows, from_columns, self.fill_value)
                share = (row_share * column_share).astype(self.dtype).reshape(N, 1, 1, 1)
                part = part if len(rows) * len(columns) == 1 else part * share
                y = part if y is None else y + part
        assert y is not None
        return y

    def _neighbours(self, moves: Array, size: int) -> list[tuple[Array, Array]]:
        """For images that are moved along one axis: where pixels come from, and with which share.

        Pixel k comes from place k - move, which lies between two pixels or is one.
        """
        if self.interpolation == "nearest":
            moves = np.rint(moves)
        first = np.floor(-moves)
        share = -moves - first  # of the second neighbour
        places = first.astype(np.intp)[:, None] + np.arange(size)
        found = [(places_beyond(places, size, self.fill_mode), 1 - share)]
        if share.any():
            found.append((places_beyond(places + 1, size, self.fill_mode), share))
        return found

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "height_factor": self.height_factor,
            "width_factor": self.width_factor,
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


def _bounds(name: str, factor: Any) -> tuple[float, float]:
    """The smallest and the largest fraction that `factor` means."""
    if isinstance(factor, tuple | list) and len(factor) == 2:
        low, high = sorted(number(name, bound, low=-1, high=1) for bound in factor)
        return low, high
    fraction = abs(number(name, factor, low=-1, high=1))
    return -fraction, fraction
