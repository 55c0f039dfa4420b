"""Convolutions and pooling in ONNX, which wants images as (N, C, H, W)."""

from __future__ import annotations

from typing import Any

from minicnn.backend import Array
from minicnn.export.activations import activated
from minicnn.export.writer import Value, Writer
from minicnn.layers.window import Window


def padding_of(window: Window, x: Value) -> dict[str, Any]:
    """What ONNX is told about padding: zeros before and after, or to find that out by itself."""
    if window.padding == "valid":
        return {}
    before, after = [], []
    for n, k, s in zip(x.shape[1:3], window.spread, window.strides, strict=True):
        if n is None:
            return {"auto_pad": "SAME_UPPER"}
        total = max((-(-n // s) - 1) * s + k - n, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return {"pads": [*before, *after]}


def _counts(window: Window, x: Value, channels: int) -> tuple[Any, ...]:
    return (None, channels, *window.counts(x.shape))


def _convolved(
    writer: Writer, layer: Any, x: Value, kernel: tuple[Any, Array], groups: int, bias: Any
) -> Value:
    """Move a kernel (F, C, P, Q), given with the weight that it comes from, over x."""
    weights = [writer.weight(*kernel)]
    if bias is not None:
        weights.append(writer.weight(bias, bias.numpy()))
    window: Window = layer.window
    y = writer.add(
        "Conv",
        writer.images_first(x),
        *weights,
        shape=_counts(window, x, len(kernel[1])),
        strides=window.strides,
        dilations=window.dilation,
        group=groups,
        **padding_of(window, x),
    )
    return writer.images_last(y)


def conv2d(writer: Writer, layer: Any, x: Value) -> Value:
    """Conv2D."""
    kernel = layer.kernel, layer.kernel.numpy().transpose(3, 2, 0, 1)
    return activated(writer, layer, _convolved(writer, layer, x, kernel, layer.groups, layer.bias))


def _one_per_channel(kernel: Any) -> tuple[Any, Array]:
    P, Q, C, M = kernel.shape
    return kernel, kernel.numpy().transpose(2, 3, 0, 1).reshape(C * M, 1, P, Q)


def depthwise_conv2d(writer: Writer, layer: Any, x: Value) -> Value:
    """DepthwiseConv2D: as many groups as channels."""
    kernel, groups = _one_per_channel(layer.kernel), layer.kernel.shape[2]
    return activated(writer, layer, _convolved(writer, layer, x, kernel, groups, layer.bias))


def separable_conv2d(writer: Writer, layer: Any, x: Value) -> Value:
    """SeparableConv2D: one per channel, then a window of one pixel."""
    kernel, groups = _one_per_channel(layer.depthwise_kernel), layer.depthwise_kernel.shape[2]
    z = writer.images_first(_convolved(writer, layer, x, kernel, groups, None))
    pointwise = layer.pointwise_kernel
    weights = [writer.weight(pointwise, pointwise.numpy().transpose(3, 2, 0, 1))]
    if layer.bias is not None:
        weights.append(writer.weight(layer.bias, layer.bias.numpy()))
    N, _, H, W = z.shape
    y = writer.add("Conv", z, *weights, shape=(N, layer.filters, H, W))
    return activated(writer, layer, writer.images_last(y))


def max_pooling2d(writer: Writer, layer: Any, x: Value) -> Value:
    """MaxPooling2D; padding is never the largest, as in ONNX."""
    return _pooled(writer, layer, x, "MaxPool")


def average_pooling2d(writer: Writer, layer: Any, x: Value) -> Value:
    """AveragePooling2D; padding does not count."""
    return _pooled(writer, layer, x, "AveragePool", count_include_pad=0)


def _pooled(writer: Writer, layer: Any, x: Value, op: str, **attributes: Any) -> Value:
    window: Window = layer.window
    y = writer.add(
        op,
        writer.images_first(x),
        shape=_counts(window, x, x.shape[3] or 0),
        kernel_shape=window.size,
        strides=window.strides,
        **padding_of(window, x),
        **attributes,
    )
    return writer.images_last(y)


def _over_image(writer: Writer, layer: Any, x: Value, op: str) -> Value:
    shape = layer.compute_output_shape(x.shape)
    return writer.add(op, x, writer.integers(1, 2), shape=shape, keepdims=int(layer.keepdims))


def global_average_pooling2d(writer: Writer, layer: Any, x: Value) -> Value:
    """GlobalAveragePooling2D."""
    return _over_image(writer, layer, x, "ReduceMean")


def global_max_pooling2d(writer: Writer, layer: Any, x: Value) -> Value:
    """GlobalMaxPooling2D."""
    return _over_image(writer, layer, x, "ReduceMax")
