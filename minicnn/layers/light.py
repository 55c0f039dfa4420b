"""Augmentation that changes the light of images: RandomBrightness, RandomContrast."""

import math
from typing import Any

from minicnn import ops
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array, fed
from minicnn.layers.augmentation import ImageAugmentation, bounds
from minicnn.notices import warn_user


class RandomLight(ImageAugmentation):
    """What both have in common: the range of the pixels.

    Args:
        value_range: the smallest and the largest value that a pixel can have.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: the range is no pair of different numbers.
        TypeError: an end of the range is no number, or seed no integer.
    """

    def __init__(
        self, value_range: tuple[float, float] = (0, 255), seed: int | None = None, **keywords: Any
    ) -> None:
        super().__init__(seed, **keywords)
        who = type(self).__name__
        if not isinstance(value_range, tuple | list) or len(value_range) != 2:
            raise ValueError(
                f"{who}: value_range must be a pair of numbers, as (0, 255), but is "
                f"{value_range!r}."
            )
        ends = [number(f"{who}: value_range", end, low=-math.inf) for end in value_range]
        self.low, self.high = sorted(ends)
        if self.low == self.high:
            raise ValueError(f"{who}: value_range={value_range} leaves no room between its ends.")
        self.value_range = value_range
        self._seen = False

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training:
            return x
        if not self._seen and x.size:
            self._check_range(x)
            self._seen = True
        return ops.clip(self.relit(x), self.low, self.high)

    def relit(self, x: Tensor) -> Tensor:
        """The images in another light; the subclass says in which."""
        raise NotImplementedError(f"{type(self).__name__} defines no relit.")

    def drawn(self, x: Tensor, low: float, high: float) -> Array:
        """A random number between two limits for each image, (N, 1, 1, 1)."""
        shape = (x.shape[0], 1, 1, 1)
        return fed(lambda: self._random.uniform(low, high, shape), shape, self.dtype, x.data)

    def _check_range(self, x: Tensor) -> None:
        """Warn if value_range cannot be meant for these images: they would turn white, or stay."""
        low, high = float(x.data.min()), float(x.data.max())
        span = self.high - self.low
        outside = max(high - self.high, self.low - low) > span
        if outside or 0 < high - low < span / 100:
            warn_user(
                f"{self.title} [MC033]: value_range={self.value_range} does not fit images whose "
                f"pixels are {low:.4g} to {high:.4g}. Give the range that pixels can have: "
                f"value_range=(0, 1) or (0, 255)."
            )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "value_range": self.value_range}


class RandomBrightness(RandomLight):
    """Make each image darker or brighter:  y = x + f * (high - low), cut off at the ends.

    Args:
        factor: f, a fraction of the range: 0.2 means from -0.2 to 0.2, a pair gives the bounds.
        value_range: the smallest and the largest value that a pixel can have: (low, high).
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a factor is not from -1 to 1, or the range is no pair of different numbers.
        TypeError: a factor is no number, or seed no integer.

    >>> import numpy as np
    >>> RandomBrightness((0.5, 0.5), value_range=(0, 1))(np.array([[[[0.25, 0.75]]]])).numpy()
    array([[[[0.75, 1.  ]]]], dtype=float32)
    """

    def __init__(
        self, factor: float | tuple[float, float], *settings: Any, **keywords: Any
    ) -> None:
        super().__init__(*settings, **keywords)
        self.factor = bounds("RandomBrightness: factor", factor)

    def relit(self, x: Tensor) -> Tensor:
        return x + self.drawn(x, *(end * (self.high - self.low) for end in self.factor))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "factor": self.factor}


class RandomContrast(RandomLight):
    """Make each image duller or more vivid:  y = (x - mean) * f + mean, cut off at the ends.

    The mean is that of each channel of each image.

    Args:
        factor: how far f is from 1: 0.2 means f from 0.8 to 1.2, a pair (a, b) from 1 - a to 1 + b.
        value_range: the smallest and the largest value that a pixel can have.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: data_format, see ImageAugmentation; name, trainable, dtype, see Layer.

    Raises:
        ValueError: a factor is not from 0 to 1, or the range is no pair of different numbers.
        TypeError: a factor is no number, or seed no integer.

    Differs from Keras: there, a single factor of 0.2 takes f from 1 to 1.2 only, against its text.

    >>> import numpy as np
    >>> y = RandomContrast(0.5)(np.array([100.0, 200.0]).reshape(1, 2, 1, 1)).numpy()
    >>> y.mean().round(3)
    np.float32(150.0)
    """

    def __init__(
        self, factor: float | tuple[float, float], *settings: Any, **keywords: Any
    ) -> None:
        super().__init__(*settings, **keywords)
        pair = factor if isinstance(factor, tuple | list) else (factor, factor)
        lower, upper = bounds("RandomContrast: factor", pair, low=0)
        self.factor = lower, upper

    def relit(self, x: Tensor) -> Tensor:
        lower, upper = self.factor
        factors = self.drawn(x, 1 - lower, 1 + upper)
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        return (x - mean) * factors + mean

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "factor": self.factor}
