"""Rescaling and Normalization: numbers of any size become numbers that networks like."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minicnn.arguments import number
from minicnn.autograd import Tensor
from minicnn.backend import Array, constant, on_cpu
from minicnn.layers import arguments
from minicnn.layers.input_check import check_features
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.variable import Variable

EPSILON = 1e-7  # Keras': the smallest standard deviation that is divided by
FEW = 256  # inputs that adapt() converts to float64 at a time


class Rescaling(Layer):
    """Multiply all numbers by one factor, and add another:  y = x * scale + offset.

    Rescaling(1 / 255) takes pixels from 0...255 to 0...1, with 1 / 127.5 and offset=-1 to -1...1.

    Args:
        scale: the factor; or a list of one per channel.
        offset: what is added; or a list.
        **keywords: see Layer.

    Raises:
        TypeError: scale or offset is neither a number nor a list of numbers.
        ValueError: one of them is not finite.

    >>> Rescaling(1 / 255)(np.array([[0, 255]], np.uint8))
    Tensor([[0. 1.]])
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.scale = _numbers("Rescaling: scale", scale)
        self.offset = _numbers("Rescaling: offset", offset)

    def call(self, x: Tensor) -> Tensor:
        scale, offset = (np.asarray(value, self.dtype) for value in (self.scale, self.offset))
        return x * constant(scale, x.data) + constant(offset, x.data)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Normalization(Layer):
    """Move and stretch the inputs to mean 0 and variance 1, as measured on the training data.

        y = (x - mean) / max(sqrt(variance), 1e-7)

    adapt(x) measures mean and variance; they are weights that are saved, but never learned. In
    contrast to BatchNormalization, they do not change afterwards.

    Args:
        axis: the axes that have a mean and a variance for each of their places: -1 for one per
            channel, None for one pair for all, a tuple for several axes.
        mean: known means, in place of adapt().
        variance: known variances, together with mean.
        invert: whether to undo what such a layer does:  y = x * max(sqrt(variance), 1e-7) + mean.
        **keywords: see Layer.

    Raises:
        ValueError: only one of mean and variance is given, or they do not fit.
        TypeError: axis is no integer, tuple or None, or mean and variance are no numbers.

    Weights: mean, variance, of the sizes of the input along `axis`, and count, one integer that
        files of Keras have; none if mean and variance are given.
    Differs from Keras: to call a layer that was never adapted is an error; Keras hands the input
        on as it is.

    >>> layer = Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> layer(np.array([[3.0, 10.0]]))
    Tensor([[ 1. -1.]])
    """

    mean: Variable
    variance: Variable
    count: Variable

    def __init__(
        self,
        axis: int | tuple[int, ...] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = "Normalization"
        given = () if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
        self.axis = tuple(arguments.axis(who, k) for k in given)
        self.invert = arguments.truth_value(who, "invert", invert)
        if (mean is None) != (variance is None):
            raise ValueError(f"{who}: wants mean and variance, both or none, but got one of them.")
        self.given_mean = self.given_variance = None
        if mean is not None:
            self.given_mean = _numbers(f"{who}: mean", mean)
            self.given_variance = _numbers(f"{who}: variance", variance)
            shapes = np.shape(self.given_mean), np.shape(self.given_variance)
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"{who}: mean and variance must be of one shape, but theirs are {shapes[0]} "
                    f"and {shapes[1]}."
                )

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the layer cannot take inputs of this shape."""
        check_features(self.title, shape)
        axes = self._axes(shape)
        if len(set(axes)) < len(self.axis) or not all(0 < k < len(shape) for k in axes):
            raise ValueError(
                f"{self.title}: axis={self.axis} must name different axes of inputs of shape "
                f"{shape}, and not that of the batch."
            )
        if self.built:
            self._check_sizes(shape)

    def _check_sizes(self, shape: Shape) -> None:
        sizes = self._sizes(shape)
        for size, wanted in zip(sizes, self._sizes(self.input_shape), strict=True):
            if size not in (wanted, None):
                raise ValueError(
                    f"{self.title}: was built for inputs of shape {self.input_shape}, but got "
                    f"shape {shape}: axis={self.axis} must have the same size."
                )

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of (batch, ...)."""
        self.check_input(input_shape)
        sizes = self._sizes(input_shape)
        known = tuple(size for size in sizes if size is not None)
        if len(known) < len(sizes):
            raise ValueError(
                f"{self.title}: must know the sizes along axis={self.axis}, but the input has "
                f"shape {input_shape}."
            )
        if self.given_mean is None:
            self.mean = self.add_weight(known, "zeros", trainable=False, name="mean")
            self.variance = self.add_weight(known, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
            self._unadapted = self.mean.data  # until it is replaced, by adapt() or from a file
        elif not _fits(np.shape(self.given_mean), sizes):
            raise ValueError(
                f"{self.title}: mean and variance of shape {np.shape(self.given_mean)} do not fit "
                f"to axis={self.axis} of inputs of shape {input_shape}."
            )
        super().build(input_shape)

    def adapt(self, data: Any) -> None:
        """Measure mean and variance.

        Args:
            data: inputs, (N, ...); or batches of them, one after the other, of which each may also
                be a pair of inputs and labels.

        Raises:
            ValueError: there are no inputs, or they do not fit to each other; or mean and variance
                were given when the layer was made.
            TypeError: the inputs are no numbers.
        """
        if self.given_mean is not None:
            raise ValueError(
                f"{self.title}: has a mean and a variance already, so there is nothing to adapt. "
                f"Leave mean and variance out to measure them."
            )
        mean, variance, count = np.zeros(()), np.zeros(()), 0
        for batch in _batches(data):
            shape = (None, *batch.shape[1:])
            if not self.built:
                self.build(shape)
            self.check_input(shape)
            rest = tuple(k for k in range(batch.ndim) if k not in self._axes(shape))
            added = batch.size  # only its share of all matters
            share = added / max(1, count + added)
            off = batch.mean(axis=rest) - mean  # combined as kernels/batch_norm.py combines runs
            variance = variance * (1 - share) + batch.var(axis=rest) * share
            variance = variance + off * off * share * (1 - share)
            mean, count = mean + off * share, count + added
        if not count:
            raise ValueError(f"{self.title}: adapt() got no inputs.")
        self.mean.assign(mean)
        self.variance.assign(variance)

    def call(self, x: Tensor) -> Tensor:
        mean, deviation = (constant(numbers, x.data) for numbers in self._line(x.shape))
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _line(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Mean and standard deviation, in a shape that broadcasts with x."""
        if self.given_mean is not None:
            given = np.asarray(self.given_mean), np.asarray(self.given_variance)
            mean, variance = (np.broadcast_to(array, self._sizes(shape)) for array in given)
        else:
            if self.mean.data is self._unadapted:
                raise ValueError(
                    f"{self.title} [MC032]: was never adapted, so it would leave its input as it "
                    f"is. Call adapt(x) with the training data first, or give mean= and variance=."
                )
            mean, variance = self.mean.data, self.variance.data
        wide = tuple(n if k in self._axes(shape) else 1 for k, n in enumerate(shape))
        deviation = np.maximum(np.sqrt(variance), EPSILON)
        return mean.reshape(wide).astype(self.dtype), deviation.reshape(wide).astype(self.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        self.check_input(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "invert": self.invert,
            "mean": self.given_mean,
            "variance": self.given_variance,
        }

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        return tuple(sorted(k + len(shape) if k < 0 else k for k in self.axis))

    def _sizes(self, shape: Shape) -> tuple[Any, ...]:
        return tuple(shape[k] for k in self._axes(shape))


def _batches(data: Any) -> Iterator[Array]:
    """The inputs, in float64: all at once, or batch by batch."""
    if hasattr(data, "__array__"):  # an array or a tensor
        data = [data]
    elif not isinstance(data, Iterable):
        raise TypeError(f"Normalization: adapt() wants an array or batches, but got {data!r}.")
    for batch in data:
        array = on_cpu(batch[0] if isinstance(batch, tuple) else batch)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"Normalization: adapt() wants numbers, but got {array.dtype}.")
        for start in range(0, len(array), FEW):
            yield array[start : start + FEW].astype(np.float64)


def _numbers(name: str, value: Any) -> Any:
    """A number, or a list of lists of numbers, as files hold them."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return [_numbers(name, entry) for entry in value]
    return number(name, value, low=-np.inf)


def _fits(shape: tuple[int, ...], sizes: tuple[Any, ...]) -> bool:
    """Whether NumPy's rules stretch an array of this shape to these sizes."""
    pairs = zip(shape[::-1], sizes[::-1], strict=False)
    return len(shape) <= len(sizes) and all(n in (1, size) for n, size in pairs)
