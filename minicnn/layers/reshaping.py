"""Layers that move numbers, and compute none: Flatten, Reshape, Permute, RepeatVector."""

import math
from typing import Any

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape


class Flatten(Layer):
    """Write each input of the batch as one row: (N, H, W, C) becomes (N, H * W * C).

    Args:
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.

    >>> import numpy as np
    >>> Flatten()(np.ones((8, 4, 4, 64))).shape
    (8, 1024)
    """

    def __init__(self, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.data_format = arguments.channels_last("Flatten", data_format)

    def call(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, ...) becomes (batch, product of all other sizes)."""
        return (input_shape[0], _product(input_shape[1:]))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """Give each input of the batch another shape; its numbers keep their order.

    Args:
        target_shape: the new shape, without the batch axis; one size may be -1 and is worked out.
        **keywords: see Layer.

    Raises:
        ValueError: more than one size is -1, or a size is below 1.
        TypeError: the shape is no tuple of integers.

    >>> import numpy as np
    >>> Reshape((4, -1))(np.ones((8, 12))).shape
    (8, 4, 3)
    """

    def __init__(self, target_shape: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        if not isinstance(target_shape, tuple | list):
            raise TypeError(
                f"Reshape: target_shape must be a tuple of integers, as (7, 7, 64), but is "
                f"{target_shape!r}."
            )
        self.target_shape = tuple(
            -1 if size == -1 else arguments.whole_number("Reshape", "each size", size)
            for size in target_shape
        )
        if self.target_shape.count(-1) > 1:
            raise ValueError(
                f"Reshape: only one size of target_shape may be -1, but it is {self.target_shape}."
            )

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` does not hold as many numbers as the target shape."""
        count, wanted = _product(shape[1:]), math.prod(self._given_sizes())
        open_size = -1 in self.target_shape
        if count is None or count == wanted or (open_size and count % wanted == 0):
            return
        raise ValueError(
            f"{self.title}: cannot write inputs of shape {shape}, {count} numbers each, in the "
            f"shape {self.target_shape}, which holds {'a multiple of ' * open_size}{wanted}."
        )

    def call(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self._sizes(x.shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, ...) becomes (batch, *target_shape)."""
        self.check_input(input_shape)
        return (input_shape[0], *self._sizes(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "target_shape": self.target_shape}

    def _given_sizes(self) -> list[int]:
        return [size for size in self.target_shape if size != -1]

    def _sizes(self, input_shape: Shape) -> Shape:
        """The target shape, with -1 worked out; None where that is not possible yet."""
        count = _product(input_shape[1:])
        rest = None if count is None else count // math.prod(self._given_sizes())
        return tuple(rest if size == -1 else size for size in self.target_shape)


class Permute(Layer):
    """Put the axes of each input into another order.

    Args:
        dims: the axes of the input in their new order, counted from 1; the batch stays in front.
        **keywords: see Layer.

    Raises:
        ValueError: dims does not name each axis once.
        TypeError: dims is no tuple of integers.

    >>> import numpy as np
    >>> Permute((3, 1, 2))(np.ones((8, 4, 5, 6))).shape
    (8, 6, 4, 5)
    """

    def __init__(self, dims: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        if not isinstance(dims, tuple | list):
            raise TypeError(f"Permute: dims must be a tuple, as (2, 1), but is {dims!r}.")
        self.dims = tuple(arguments.whole_number("Permute", "each axis", axis) for axis in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: dims must name each axis from 1 to {len(self.dims)} once, but is "
                f"{self.dims}."
            )

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if inputs of `shape` have more or fewer axes."""
        if len(shape) != len(self.dims) + 1:
            raise ValueError(
                f"{self.title}: dims={self.dims} are {len(self.dims)} axes, but inputs of shape "
                f"{shape} have {len(shape) - 1} beside that of the batch."
            )

    def call(self, x: Tensor) -> Tensor:
        return ops.transpose(x, (0, *self.dims))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sizes of the input in their new order."""
        self.check_input(input_shape)
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Write each input several times, one below the other: (N, C) becomes (N, n, C).

    Args:
        n: how many times.
        **keywords: see Layer.

    Raises:
        ValueError: n is below 1.
        TypeError: n is no integer.

    >>> import numpy as np
    >>> RepeatVector(3)(np.ones((8, 5))).shape
    (8, 3, 5)
    """

    def __init__(self, n: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.n = arguments.whole_number("RepeatVector", "n", n)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not (batch, C)."""
        if len(shape) != 2:
            raise ValueError(
                f"{self.title}: wants inputs of two axes, (batch, features), but got shape "
                f"{shape}. Put Flatten() before this layer."
            )

    def call(self, x: Tensor) -> Tensor:
        N, C = x.shape
        return ops.broadcast_to(x.reshape(N, 1, C), (N, self.n, C))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, C) becomes (batch, n, C)."""
        self.check_input(input_shape)
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "n": self.n}


def _product(sizes: Shape) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
