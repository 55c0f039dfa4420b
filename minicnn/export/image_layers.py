"""Layers that resize, cut, scale and normalize images, in ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd import Tensor
from minicnn.backend import Array
from minicnn.export import operators
from minicnn.export.activations import activated
from minicnn.export.writer import Value, Writer

METHODS = {"nearest": "nearest", "bilinear": "linear"}
TO_THE_END = 2**62


def conv2d_transpose(writer: Writer, layer: Any, x: Value) -> Value:
    """Conv2DTranspose; rows that no filter reaches are ONNX's output_padding."""
    kernel = layer.kernel.numpy().transpose(3, 2, 0, 1)  # (C, F, P, Q)
    weights = [writer.weight(layer.kernel, kernel)]
    if layer.bias is not None:
        weights.append(writer.weight(layer.bias, layer.bias.numpy()))
    cuts = [growth.cut(1) for growth in layer.growths]  # how many rows there are plays no part
    N, H, W, F = layer.compute_output_shape(x.shape)
    y = writer.add(
        "ConvTranspose",
        writer.images_first(x),
        *weights,
        shape=(N, F, H, W),
        strides=layer.strides,
        dilations=layer.dilation_rate,
        pads=[before for before, _ in cuts] + [after for _, after in cuts],
        output_padding=[max(growth.size(1) - growth.window, 0) for growth in layer.growths],
    )
    return activated(writer, layer, writer.images_last(y))


def up_sampling2d(writer: Writer, layer: Any, x: Value) -> Value:
    """UpSampling2D: each side so many times as long."""
    scales = writer.constant([1, 1, *layer.size], np.float32)
    N, H, W, C = layer.compute_output_shape(x.shape)
    return _resized(writer, x, [Value("", ()), scales], (N, C, H, W), layer.interpolation)


def _resized(writer: Writer, x: Value, target: list[Value], shape: Any, method: str) -> Value:
    y = writer.add(
        "Resize",
        writer.images_first(x),
        *target,
        shape=shape,
        mode=METHODS[method],
        coordinate_transformation_mode="half_pixel",
        nearest_mode="round_prefer_ceil",
    )
    return writer.images_last(y)


def _to_size(writer: Writer, x: Value, size: tuple[int, int], method: str) -> Value:
    whole = writer.add("Shape", writer.images_first(x), shape=(4,))
    ends = [writer.integers(0), writer.integers(2)]
    before = writer.add("Slice", whole, *ends, shape=(2,))  # the batch, and the channels
    sizes = writer.add("Concat", before, writer.integers(*size), shape=(4,), axis=0)
    target = [Value("", ()), Value("", ()), sizes]
    shape = (x.shape[0], x.shape[3], *size)
    return _resized(writer, x, target, shape, method)


def resizing(writer: Writer, layer: Any, x: Value) -> Value:
    """Resizing, after cutting or padding to the proportions that are wanted."""
    size = layer.height, layer.width
    if layer.crop_to_aspect_ratio:
        x = _cut_to_ratio(writer, layer, x, size)
    if layer.pad_to_aspect_ratio:
        x = _padded_to_ratio(writer, layer, x, size)
    if layer.antialias and layer.interpolation == "bilinear":
        return _smoothly_to_size(writer, layer, x, size)
    return _to_size(writer, x, size, layer.interpolation)


def _smoothly_to_size(writer: Writer, layer: Any, x: Value, size: tuple[int, int]) -> Value:
    """Two products of matrices: ONNX Runtime has another idea of antialiasing."""
    rows, columns = (
        _shares(old, new, x.dtype) for old, new in zip(_known_size(layer, x), size, strict=True)
    )
    y = writer.images_first(x)
    N, C, _, W = y.shape
    y = writer.add("MatMul", writer.constant(rows), y, shape=(N, C, size[0], W))
    y = writer.add("MatMul", y, writer.constant(columns.T), shape=(N, C, *size))
    return writer.images_last(Value(y.name, y.shape, x.dtype))


def _shares(old: int, new: int, dtype: str) -> Array:
    """How much each of the old rows counts in each of the new ones, (new, old)."""
    image = np.eye(old, dtype=dtype).reshape(1, old, old, 1)
    return ops.resize(Tensor(image), (new, old), antialias=True).numpy().reshape(new, old)


def center_crop(writer: Writer, layer: Any, x: Value) -> Value:
    """CenterCrop, and RandomCrop in inference: the middle, enlarged if the image is too small."""
    size = layer.height, layer.width
    H, W = _known_size(layer, x)
    if H < size[0] or W < size[1]:
        return _to_size(writer, _cut_to_ratio(writer, layer, x, size), size, "bilinear")
    return _middle(writer, x, size)


def _known_size(layer: Any, x: Value) -> tuple[int, int]:
    _, H, W, _ = x.shape
    if H is None or W is None:
        raise NotImplementedError(
            f"export: {layer.title} cannot be written as ONNX for images of unknown size, "
            f"{x.shape}. Begin the model with Input((H, W, C))."
        )
    return H, W


def _middle(writer: Writer, x: Value, size: tuple[int, int]) -> Value:
    begins = [((n or 0) - m) // 2 for n, m in zip(x.shape[1:3], size, strict=True)]
    cuts = {axis: (begins[axis - 1], begins[axis - 1] + size[axis - 1], 1) for axis in (1, 2)}
    return operators.sliced(writer, x, cuts)


def _cut_to_ratio(writer: Writer, layer: Any, x: Value, size: tuple[int, int]) -> Value:
    (H, W), (height, width) = _known_size(layer, x), size
    rows, columns = min(H, W * height // width), min(W, H * width // height)
    return _middle(writer, x, (max(1, rows), max(1, columns)))


def _padded_to_ratio(writer: Writer, layer: Any, x: Value, size: tuple[int, int]) -> Value:
    (H, W), (height, width) = _known_size(layer, x), size
    top, left = (max(H, W * height // width) - H) // 2, (max(W, H * width // height) - W) // 2
    pads = writer.integers(0, top, left, 0, 0, top, left, 0)
    shape = (x.shape[0], H + 2 * top, W + 2 * left, x.shape[3])
    return writer.add("Pad", x, pads, writer.constant(layer.fill_value, x.dtype), shape=shape)


def cropping2d(writer: Writer, layer: Any, x: Value) -> Value:
    """Cropping2D; ends are counted from behind, so the size need not be known."""
    begins = writer.integers(*(before for before, _ in layer.cropping))
    ends = writer.integers(*(-after or TO_THE_END for _, after in layer.cropping))
    shape = layer.compute_output_shape(x.shape)
    return writer.add("Slice", x, begins, ends, writer.integers(1, 2), shape=shape)


def rescaling(writer: Writer, layer: Any, x: Value) -> Value:
    """Rescaling."""
    scale, offset = (writer.constant(n, x.dtype) for n in (layer.scale, layer.offset))
    return writer.add("Add", writer.add("Mul", x, scale, shape=x.shape), offset, shape=x.shape)


def normalization(writer: Writer, layer: Any, x: Value) -> Value:
    """Normalization, or its inverse."""
    mean, deviation = (writer.constant(array) for array in layer._line(x.shape))
    if layer.invert:
        y = writer.add("Mul", x, deviation, shape=x.shape)
        return writer.add("Add", y, mean, shape=x.shape)
    y = writer.add("Sub", x, mean, shape=x.shape)
    return writer.add("Div", y, deviation, shape=x.shape)


def layer_normalization(writer: Writer, layer: Any, x: Value) -> Value:
    """LayerNormalization, along any axes."""
    axes = layer._axes(x.shape)
    y = _normalized(writer, x, axes, layer.epsilon)
    sizes = [n if k in axes else 1 for k, n in enumerate(x.shape)]
    return _scaled(writer, layer, y, sizes)


def group_normalization(writer: Writer, layer: Any, x: Value) -> Value:
    """GroupNormalization: (N, all pixels, groups, channels of one) for a moment."""
    channels = x.shape[-1] or 0
    groups = channels if layer.groups == -1 else layer.groups
    sizes = (None, None, groups, channels // groups)
    wanted = writer.integers(0, -1, groups, channels // groups)
    y = writer.add("Reshape", x, wanted, shape=sizes)
    y = _normalized(writer, y, (1, 3), layer.epsilon)
    whole = writer.add("Shape", x, shape=(len(x.shape),))
    return _scaled(writer, layer, writer.add("Reshape", y, whole, shape=x.shape), [channels])


def _normalized(writer: Writer, x: Value, axes: Any, epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon)."""
    along = writer.integers(*axes)
    mean = writer.add("ReduceMean", x, along, shape=x.shape)
    away = writer.add("Sub", x, mean, shape=x.shape)
    squares = writer.add("Mul", away, away, shape=x.shape)
    variance = writer.add("ReduceMean", squares, along, shape=x.shape)
    raised = writer.add("Add", variance, writer.constant(epsilon, x.dtype), shape=x.shape)
    return writer.add("Div", away, writer.add("Sqrt", raised, shape=x.shape), shape=x.shape)


def _scaled(writer: Writer, layer: Any, y: Value, sizes: Any) -> Value:
    """Y * gamma + beta, of which either may be missing."""
    for op, weight in (("Mul", layer.gamma), ("Add", layer.beta)):
        if weight is not None:
            y = writer.add(op, y, writer.constant(weight.numpy().reshape(sizes)), shape=y.shape)
    return y


def prelu(writer: Writer, layer: Any, x: Value) -> Value:
    """PReLU."""
    return writer.add("PRelu", x, writer.weight(layer.alpha, layer.alpha.numpy()), shape=x.shape)


def permute(writer: Writer, layer: Any, x: Value) -> Value:
    """Permute."""
    shape = layer.compute_output_shape(x.shape)
    return writer.add("Transpose", x, shape=shape, perm=(0, *layer.dims))


def repeat_vector(writer: Writer, layer: Any, x: Value) -> Value:
    """RepeatVector."""
    shape = layer.compute_output_shape(x.shape)
    once = writer.add("Unsqueeze", x, writer.integers(1), shape=(shape[0], 1, shape[2]))
    return writer.add("Tile", once, writer.integers(1, layer.n, 1), shape=shape)
