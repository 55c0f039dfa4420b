"""More noise while the model learns: whole channels dropped, numbers blurred."""

import math
from typing import Any

from minicnn import ops
from minicnn.activations import SELU_ALPHA, SELU_SCALE
from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array, fed
from minicnn.layers import arguments
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.regularization import Dropout, check_noise_shape, mask_shape
from minicnn.layers.shapes import Shape
from minicnn.random import new_generator


class SpatialDropout2D(Dropout):
    """Set whole channels of images to zero while the model learns.

    Neighbouring pixels are much alike, so a number that Dropout sets to zero can be guessed from
    those beside it. A channel that is missing as a whole cannot.

    Args:
        rate: the probability that a channel is dropped, from 0 to 1.
        data_format: only "channels_last": images are (N, H, W, C).
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: see Layer.

    Raises:
        ValueError: rate is not from 0 to 1.
        TypeError: rate is no number, or seed no integer.

    Source: Tompson et al. 2015, arXiv:1411.4280.

    >>> import numpy as np
    >>> y = SpatialDropout2D(0.5, seed=1)(np.ones((1, 2, 2, 100)), training=True).numpy()
    >>> bool((y == y[:, :1, :1]).all()), sorted(set(y.ravel().tolist()))
    (True, [0.0, 2.0])
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(rate, seed=seed, **keywords)
        self.data_format = arguments.channels_last("SpatialDropout2D", data_format)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        config = {**super().get_config(), "data_format": self.data_format}
        del config["trainable"], config["noise_shape"]  # Keras' layer does not take them
        return config

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        N, _, _, C = shape
        return N, 1, 1, C


class Noise(Layer):
    """What the next ones have in common: random numbers while the model learns, nothing otherwise.

    Args:
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: see Layer.

    Raises:
        TypeError: seed is no integer.
    """

    def __init__(self, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.seed = seed
        if seed is not None:
            self.seed = arguments.whole_number(type(self).__name__, "seed", seed, at_least=0)
        self._random = new_generator(self.seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.disturbed(x) if training else x

    def disturbed(self, x: Tensor) -> Tensor:
        """X with noise; the subclass says which."""
        raise NotImplementedError(f"{type(self).__name__} defines no disturbed.")

    def normal(self, x: Tensor, mean: float, deviation: float) -> Array:
        """Normally distributed numbers, one for each number of x."""

        def draw() -> Array:
            return (self._random.standard_normal(x.shape) * deviation).astype(self.dtype) + mean

        return fed(draw, x.shape, self.dtype, x.data)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "seed": self.seed}


class GaussianNoise(Noise):
    """Add normally distributed numbers while the model learns.

    Args:
        stddev: their standard deviation.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: see Layer.

    Raises:
        ValueError: stddev is negative or not finite.
        TypeError: stddev is no number, or seed no integer.

    Differs from Keras: stddev may be above 1.

    >>> import numpy as np
    >>> y = GaussianNoise(0.5, seed=1)(np.zeros((1, 10000)), training=True).numpy()
    >>> y.std().round(1)
    np.float32(0.5)
    """

    def __init__(self, stddev: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.stddev = number("GaussianNoise: stddev", stddev)

    def disturbed(self, x: Tensor) -> Tensor:
        return x + self.normal(x, 0, self.stddev)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "stddev": self.stddev}


class GaussianDropout(Noise):
    """Multiply by normally distributed numbers around 1 while the model learns.

    Their standard deviation is sqrt(rate / (1 - rate)), that of the factors of Dropout.

    Args:
        rate: as for Dropout, from 0 to below 1.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: see Layer.

    Raises:
        ValueError: rate is not from 0 to below 1.
        TypeError: rate is no number, or seed no integer.

    Source: Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html, section 10.

    >>> import numpy as np
    >>> y = GaussianDropout(0.2, seed=1)(np.ones((1, 10000)), training=True).numpy()
    >>> y.mean().round(1), y.std().round(1)
    (np.float32(1.0), np.float32(0.5))
    """

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(seed, **keywords)
        self.rate = number("GaussianDropout: rate", rate, below=1)

    def disturbed(self, x: Tensor) -> Tensor:
        return x * self.normal(x, 1, math.sqrt(self.rate / (1 - self.rate)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "rate": self.rate}


class AlphaDropout(Noise):
    """Dropout for networks of selu: mean and variance of the outputs stay what they are.

        y = a * (x or -1.7581, if it is dropped) + b

    -1.7581 is what selu gives for very negative x; a and b bring mean 0 and variance 1 back.

    Args:
        rate: the probability that a number is dropped, from 0 to below 1.
        noise_shape: shape of the random mask, with its batch axis; None along an axis takes the
            size of the input, 1 drops all numbers along that axis together.
        seed: starts the layer's own random numbers; None takes the next stream of the global seed.
        **keywords: see Layer.

    Raises:
        ValueError: rate is not from 0 to below 1.
        TypeError: rate is no number, or seed no integer.

    Source: Klambauer et al. 2017, arXiv:1706.02515.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(1, 10000))
    >>> y = AlphaDropout(0.2, seed=1)(x, training=True).numpy()
    >>> abs(y.mean()).round(1), y.std().round(1)
    (np.float32(0.0), np.float32(1.0))
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **keywords: Any
    ) -> None:
        super().__init__(seed, **keywords)
        self.rate = number("AlphaDropout: rate", rate, below=1)
        self.noise_shape = noise_shape
        if noise_shape is not None:
            self.noise_shape = arguments.shape("AlphaDropout", "noise_shape", noise_shape)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if a mask of noise_shape does not fit inputs of this shape."""
        check_noise_shape(self.title, self.noise_shape, shape)

    def disturbed(self, x: Tensor) -> Tensor:
        lowest = -SELU_ALPHA * SELU_SCALE
        a = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        shape = mask_shape(self.noise_shape or x.shape, x.shape)
        kept = fed(lambda: self._random.random(shape) >= self.rate, shape, bool, x.data)
        return ops.where(kept, x, lowest) * a - a * lowest * self.rate

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape}
