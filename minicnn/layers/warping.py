"""Augmentation that moves, turns or stretches images."""

import math
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array, fed
from minicnn.layers import arguments
from minicnn.layers.augmentation import ImageAugmentation, bounds
from minicnn.ops.warp import FILL_MODES, INTERPOLATIONS


class RandomWarp(ImageAugmentation):
    """Take each pixel from another place of its image; the subclass says from where.

    Where that place lies between four pixels, bilinear interpolation takes their mean, the nearer
    ones counting more; see ops.warp.

    Args:
        fill_mode: what comes in from beyond the border: "reflect", "wrap", "constant", "nearest".
        interpolation: "bilinear", or "nearest": the pixel nearest to the place.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        fill_value: what comes in where fill_mode is "constant".
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a word is unknown.
        TypeError: fill_value is no number, or seed no integer.
    """

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        **keywords: Any,
    ) -> None:
        super().__init__(seed, **keywords)
        who = type(self).__name__
        self.fill_mode = arguments.one_of(who, "fill_mode", fill_mode, FILL_MODES)
        self.interpolation = arguments.one_of(who, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = number(f"{who}: fill_value", fill_value, low=-math.inf)

    def transforms(self, N: int, H: int, W: int) -> Array:
        """The transforms of ops.warp for N images of H x W pixels, (N, 6)."""
        raise NotImplementedError(f"{type(self).__name__} defines no transforms.")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        N, H, W, _ = x.shape
        table = fed(lambda: self.transforms(N, H, W), (N, 6), np.float64, x.data)
        return ops.warp(x, table, self.interpolation, self.fill_mode, self.fill_value)

    def drawn(self, limits: tuple[float, float], N: int) -> Array:
        """N random numbers between two limits."""
        return self._random.uniform(*limits, N)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


class RandomTranslation(RandomWarp):
    """Move each image up or down and left or right, by random fractions of its height and width.

    An image that is moved by a whole number of pixels is copied. Else each new pixel lies between
    four old ones: by d rows down and e columns to the right,

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
        *settings: Any,
        **keywords: Any,
    ) -> None:
        super().__init__(*settings, **keywords)
        who = "RandomTranslation"
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = bounds(f"{who}: height_factor", height_factor)
        self._widths = bounds(f"{who}: width_factor", width_factor)

    def transforms(self, N: int, H: int, W: int) -> Array:
        """Pixel i, j comes from  h = i - d,  w = j - e."""
        d, e = self.drawn(self._heights, N) * H, self.drawn(self._widths, N) * W
        one, zero = np.ones(N), np.zeros(N)
        return np.stack([one, zero, -e, zero, one, -d], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "height_factor": self.height_factor,
            "width_factor": self.width_factor,
        }


class RandomRotation(RandomWarp):
    """Turn each image around its middle, by a random angle.

    Pixel i, j of the new image, counted from the middle, comes from

        h = cos(angle) * i + sin(angle) * j    and    w = cos(angle) * j - sin(angle) * i

    Args:
        factor: fractions of a full turn, counter-clockwise: 0.1 means from -36 to 36 degrees, a
            pair gives the bounds.
        fill_mode: what comes in from beyond the border: "reflect", "wrap", "constant", "nearest".
        interpolation: "bilinear", see ops.warp, or "nearest".
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        fill_value: what comes in where fill_mode is "constant".
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a factor is not from -1 to 1, or a word is unknown.
        TypeError: a factor or fill_value is no number, or seed no integer.

    >>> quarter = RandomRotation((0.25, 0.25))
    >>> quarter(np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)).numpy().round(3).ravel()
    array([2., 4., 1., 3.], dtype=float32)
    """

    def __init__(
        self, factor: float | tuple[float, float], *settings: Any, **keywords: Any
    ) -> None:
        super().__init__(*settings, **keywords)
        self.factor = bounds("RandomRotation: factor", factor)

    def transforms(self, N: int, H: int, W: int) -> Array:
        """The formula above, counted from the first pixel."""
        angles = 2 * math.pi * self.drawn(self.factor, N)
        cos, sin, y, x = np.cos(angles), np.sin(angles), (H - 1) / 2, (W - 1) / 2
        row, column = y - sin * x - cos * y, x - cos * x + sin * y
        return np.stack([cos, -sin, column, sin, cos, row], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "factor": self.factor}


class RandomZoom(RandomWarp):
    """Enlarge or shrink each image around its middle, by random factors.

    Pixel i, j of the new image, counted from the middle, comes from  h = i * (1 + f)  and
    w = j * (1 + g): so positive f and g show more than the image, and negative ones less.

    Args:
        height_factor: f: 0.2 means from -0.2 to 0.2, a pair gives the bounds.
        width_factor: g, likewise; None takes f, which keeps the proportions.
        fill_mode: what comes in from beyond the border: "reflect", "wrap", "constant", "nearest".
        interpolation: "bilinear", see ops.warp, or "nearest".
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        fill_value: what comes in where fill_mode is "constant".
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a factor is not from above -1 to 1, or a word is unknown.
        TypeError: a factor or fill_value is no number, or seed no integer.

    >>> half = RandomZoom(0.0, (-0.5, -0.5))  # the middle, twice as wide
    >>> half(np.arange(5.0).reshape(1, 1, 5, 1)).numpy().ravel().tolist()
    [1.0, 1.5, 2.0, 2.5, 3.0]
    """

    def __init__(
        self,
        height_factor: float | tuple[float, float],
        width_factor: float | tuple[float, float] | None = None,
        *settings: Any,
        **keywords: Any,
    ) -> None:
        super().__init__(*settings, **keywords)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = _zoom("height_factor", height_factor)
        self._widths = None if width_factor is None else _zoom("width_factor", width_factor)

    def transforms(self, N: int, H: int, W: int) -> Array:
        """The formula above, counted from the first pixel."""
        heights = 1 + self.drawn(self._heights, N)
        widths = heights if self._widths is None else 1 + self.drawn(self._widths, N)
        table = np.zeros((N, 6))
        table[:, 0], table[:, 2] = widths, (1 - widths) * (W - 1) / 2
        table[:, 4], table[:, 5] = heights, (1 - heights) * (H - 1) / 2
        return table

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "height_factor": self.height_factor,
            "width_factor": self.width_factor,
        }


def _zoom(name: str, factor: Any) -> tuple[float, float]:
    low, high = bounds(f"RandomZoom: {name}", factor)
    if low == -1:
        raise ValueError(
            f"RandomZoom: {name} must be above -1, where nothing of the image would be left, but "
            f"is {factor}."
        )
    return low, high
