"""Layers that move numbers, and compute none: Flatten, Reshape, ZeroPadding2D."""

import math
from typing import Any

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.input_check import check_images
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Pair, Shape


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


class ZeroPadding2D(Layer):
    """Put zeros around images: y[n, h + top, w + left, c] = x[n,h,w,c], and 0 elsewhere.

    Args:
        padding: pixels to add: one number for all sides, (rows, columns), each on both sides, or
            ((top, bottom), (left, right)).
        data_format: only "channels_last": images are (N, H, W, C).
        **keywords: see Layer.

    Raises:
        ValueError: a setting is not possible.
        TypeError: a number is no integer.

    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (2, 2)))(np.ones((8, 4, 4, 3))).shape
    (8, 5, 8, 3)
    """

    def __init__(
        self,
        padding: int | Pair | tuple[Pair, Pair] = (1, 1),
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.padding = arguments.border("ZeroPadding2D", "padding", padding)
        self.data_format = arguments.channels_last("ZeroPadding2D", data_format)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not that of images."""
        check_images(self.title, shape)

    def call(self, x: Tensor) -> Tensor:
        return ops.pad(x, ((0, 0), *self.padding, (0, 0)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, H, W, C) becomes (batch, top + H + bottom, left + W + right, C)."""
        self.check_input(input_shape)
        batch, H, W, channels = input_shape
        rows, columns = (sum(border) for border in self.padding)
        return (batch, H and H + rows, W and W + columns, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {
            **super().get_config(),
            "padding": self.padding,
            "data_format": self.data_format,
        }


def _product(sizes: Shape) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
