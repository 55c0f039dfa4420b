"""Layers that make one tensor of several: Add, Subtract, Multiply, ..., Concatenate.

They are called with a list: Add()([x, y]); in a functional model add([x, y]) is the same. Tensors
of different sizes are stretched as in NumPy; one with fewer axes gets axes of size 1 behind its
batch axis.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.layers import arguments
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape, is_shape


class Merge(Layer):
    """What these layers share: they combine their inputs two by two, or all at once.

    Args:
        **keywords: see Layer.
    """

    combine: Callable[..., Tensor]  # two tensors of as many axes

    def check_input(self, shape: Any) -> None:
        """Raise a ValueError if these are not the shapes of tensors that can be combined."""
        self._check_list(shape)
        self._stretched(shape)

    def _check_list(self, shapes: Any) -> None:
        if not isinstance(shapes, list | tuple) or is_shape(shapes) or not shapes:
            raise ValueError(
                f"{self.title}: wants a list of tensors, as in {type(self).__name__}()([x, y]), "
                f"but got a single one of shape {shapes}."
            )

    def _stretched(self, shapes: Sequence[Shape]) -> Shape:
        axes = max(map(len, shapes))
        columns = zip(*(_with_axes(shape, axes) for shape in shapes), strict=True)
        sizes = [_common_size(column) for column in columns]
        if -1 in sizes:
            raise ValueError(
                f"{self.title}: cannot combine tensors of the shapes "
                f"{', '.join(map(str, shapes))}: along each axis the sizes must be the same, or 1."
            )
        return tuple(sizes)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        axes = max(x.ndim for x in inputs)
        same = [x if x.ndim == axes else x.reshape(_with_axes(x.shape, axes)) for x in inputs]
        return functools.reduce(type(self).combine, same)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape to which all inputs are stretched."""
        self._check_list(input_shape)
        return self._stretched(input_shape)


def _with_axes(shape: Any, axes: int) -> Any:
    return (*shape[:1], *(1,) * (axes - len(shape)), *shape[1:])


def _common_size(sizes: Sequence[int | None]) -> int | None:
    """The size that these are stretched to; -1 if there is none."""
    known = {size for size in sizes if size not in (None, 1)}
    if len(known) > 1:
        return -1
    if known:
        return known.pop()
    return None if None in sizes else 1


class Add(Merge):
    """Add tensors:  y = a + b + ...

    Args:
        **keywords: see Layer.

    >>> import numpy as np
    >>> Add()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
    Tensor([[11. 22.]])
    """

    combine = staticmethod(ops.add)


class Subtract(Merge):
    """Subtract the second of two tensors from the first:  y = a - b.

    Args:
        **keywords: see Layer.

    >>> import numpy as np
    >>> Subtract()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
    Tensor([[ -9. -18.]])
    """

    combine = staticmethod(ops.subtract)

    def _check_list(self, shapes: Any) -> None:
        super()._check_list(shapes)
        if len(shapes) != 2:
            raise ValueError(f"{self.title}: wants exactly 2 tensors, but got {len(shapes)}.")


class Multiply(Merge):
    """Multiply tensors, number by number:  y = a * b * ...

    Args:
        **keywords: see Layer.

    >>> import numpy as np
    >>> Multiply()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
    Tensor([[10. 40.]])
    """

    combine = staticmethod(ops.multiply)


class Average(Merge):
    """Take the mean of tensors, number by number:  y = (a + b + ...) / their number.

    Args:
        **keywords: see Layer.

    >>> import numpy as np
    >>> Average()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
    Tensor([[ 5.5 11. ]])
    """

    combine = staticmethod(ops.add)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return super().call(inputs) / len(inputs)


class Maximum(Merge):
    """Take the largest of tensors, number by number:  y = max(a, b, ...).

    Args:
        **keywords: see Layer.

    >>> import numpy as np
    >>> Maximum()([np.array([[1.0, 20.0]]), np.array([[10.0, 2.0]])])
    Tensor([[10. 20.]])
    """

    combine = staticmethod(ops.maximum)


class Minimum(Merge):
    """Take the smallest of tensors, number by number:  y = min(a, b, ...).

    Args:
        **keywords: see Layer.

    >>> import numpy as np
    >>> Minimum()([np.array([[1.0, 20.0]]), np.array([[10.0, 2.0]])])
    Tensor([[1. 2.]])
    """

    combine = staticmethod(ops.minimum)


class Concatenate(Merge):
    """Put tensors side by side along an axis.

    Args:
        axis: the axis along which they may differ in size; -1 is that of the channels.
        **keywords: see Layer.

    Raises:
        TypeError: axis is no integer.

    >>> import numpy as np
    >>> Concatenate()([np.array([[1.0, 2.0]]), np.array([[10.0]])])
    Tensor([[ 1.  2. 10.]])
    """

    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = arguments.axis("Concatenate", axis)

    def _stretched(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of all together, along this axis: nothing is stretched."""
        axes = len(shapes[0])
        along = self.axis % axes if -axes <= self.axis < axes else -1
        others = [shape[:along] + shape[along + 1 :] for shape in shapes]
        fits = along >= 0 and all(len(shape) == axes for shape in shapes)
        common = [_one_size(sizes) for sizes in zip(*others, strict=False)] if fits else [-1]
        if -1 in common:
            raise ValueError(
                f"{self.title}: cannot put tensors of the shapes {', '.join(map(str, shapes))} "
                f"side by side along axis {self.axis}: all other sizes must be the same."
            )
        sizes = [shape[along] for shape in shapes]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        return (*common[:along], total, *common[along:])

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return ops.concatenate(inputs, axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "axis": self.axis}


def _one_size(sizes: Sequence[int | None]) -> int | None:
    """The size that all of these are, where known; -1 if they differ."""
    known = {size for size in sizes if size is not None}
    if len(known) > 1:
        return -1
    return known.pop() if known else None


def add(inputs: Sequence[Any], **keywords: Any) -> Any:
    """Add tensors; the same as Add(**keywords)(inputs)."""
    return Add(**keywords)(inputs)


def subtract(inputs: Sequence[Any], **keywords: Any) -> Any:
    """Subtract the second tensor from the first; the same as Subtract(**keywords)(inputs)."""
    return Subtract(**keywords)(inputs)


def multiply(inputs: Sequence[Any], **keywords: Any) -> Any:
    """Multiply tensors; the same as Multiply(**keywords)(inputs)."""
    return Multiply(**keywords)(inputs)


def average(inputs: Sequence[Any], **keywords: Any) -> Any:
    """Take the mean of tensors; the same as Average(**keywords)(inputs)."""
    return Average(**keywords)(inputs)


def maximum(inputs: Sequence[Any], **keywords: Any) -> Any:
    """Take the largest of tensors; the same as Maximum(**keywords)(inputs)."""
    return Maximum(**keywords)(inputs)


def minimum(inputs: Sequence[Any], **keywords: Any) -> Any:
    """Take the smallest of tensors; the same as Minimum(**keywords)(inputs)."""
    return Minimum(**keywords)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **keywords: Any) -> Any:
    """Put tensors side by side; the same as Concatenate(axis, **keywords)(inputs)."""
    return Concatenate(axis, **keywords)(inputs)
