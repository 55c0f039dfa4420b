"""x + y and the like, and slices, in ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minicnn.autograd import Tensor
from minicnn.export.writer import Value, Writer
from minicnn.layers import operators
from minicnn.layers.shapes import Shape


def with_axes(writer: Writer, x: Value, axes: int) -> Value:
    """Give x new axes of size 1 behind the batch, so that it has so many."""
    missing = axes - len(x.shape)
    if not missing:
        return x
    shape = (*x.shape[:1], *(1,) * missing, *x.shape[1:])
    return writer.add("Unsqueeze", x, writer.integers(*range(1, missing + 1)), shape=shape)


def sliced(writer: Writer, x: Value, cuts: Mapping[int, tuple[int, int, int]]) -> Value:
    """Take x[begin : end : step] along some axes whose sizes are known."""
    sizes = list(x.shape)
    for axis, cut in cuts.items():
        sizes[axis] = len(range(*cut))
    columns = zip(*cuts.values(), strict=True)
    begins, ends, steps = (writer.integers(*column) for column in columns)
    return writer.add("Slice", x, begins, ends, writer.integers(*cuts), steps, shape=tuple(sizes))


def _operation(op: str) -> Callable[..., Value]:
    def convert(writer: Writer, layer: Any, *operands: Any) -> Value:
        dtype = next(x.dtype for x in operands if isinstance(x, Value))
        values = [x if isinstance(x, Value) else _number(writer, x, dtype) for x in operands]
        return writer.add(op, *values, shape=_shape(op, [value.shape for value in values]))

    return convert


def _number(writer: Writer, x: Any, dtype: str) -> Value:
    return writer.constant(x.numpy() if isinstance(x, Tensor) else x, dtype)


def _shape(op: str, shapes: list[Shape]) -> Shape:
    """The shape of the result; a size that is not known, that of the batch, wins over 1."""
    if op == "MatMul":
        one, other = shapes
        return (*one[:-1], other[-1])
    axes = max(map(len, shapes))
    columns = zip(*((1,) * (axes - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return tuple(next((n for n in column if n != 1), 1) for column in columns)


def _get_item(writer: Writer, layer: Any, x: Value, index: Any) -> Value:
    """Slices and single numbers; the batch must stay as it is."""
    index = tuple(index) if isinstance(index, list | tuple) else (index,)
    if Ellipsis in index:
        place = index.index(Ellipsis)
        missing = len(x.shape) - len(index) + 1
        index = (*index[:place], *(slice(None),) * missing, *index[place + 1 :])
    cuts, single = {}, []
    for axis, entry in enumerate(index):
        n = x.shape[axis] if axis < len(x.shape) else None
        if entry == slice(None):
            continue
        if n is None or not isinstance(entry, int | slice) or _goes_back(entry):
            raise NotImplementedError(
                f"export: {layer.title} takes x[{entry!r}] along axis {axis} of the shape "
                f"{x.shape}, which cannot be written as ONNX. Use slices, and numbers, of axes "
                f"other than the batch."
            )
        if isinstance(entry, slice):
            cuts[axis] = entry.indices(n)
        else:
            cuts[axis] = (entry % n, entry % n + 1, 1)
            single.append(axis)
    y = sliced(writer, x, cuts) if cuts else x
    if single:
        shape = tuple(n for axis, n in enumerate(y.shape) if axis not in single)
        y = writer.add("Squeeze", y, writer.integers(*single), shape=shape)
    return y


def _goes_back(entry: Any) -> bool:
    return isinstance(entry, slice) and (entry.step or 1) < 1


def _reshape(writer: Writer, layer: Any, x: Value) -> Value:
    sizes = layer.newshape
    shape = (None, *(None if n == -1 else n for n in sizes[1:]))
    return writer.add("Reshape", x, writer.integers(*sizes), shape=shape)


OPERATORS: dict[type, Callable[..., Value]] = {
    operators.Add: _operation("Add"),
    operators.Subtract: _operation("Sub"),
    operators.Multiply: _operation("Mul"),
    operators.TrueDivide: _operation("Div"),
    operators.Power: _operation("Pow"),
    operators.Matmul: _operation("MatMul"),
    operators.Negative: _operation("Neg"),
    operators.Absolute: _operation("Abs"),
    operators.GetItem: _get_item,
    operators.Reshape: _reshape,
}
