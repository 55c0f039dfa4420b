"""What each layer is in ONNX, but for those of the files beside this one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.export import convolutions, image_layers, operators
from minicnn.export.activations import activated
from minicnn.export.writer import Value, Writer
from minicnn.layers.augmentation import ImageAugmentation
from minicnn.layers.noise import Noise


def _dense(writer: Writer, layer: Any, x: Value) -> Value:
    shape = layer.compute_output_shape(x.shape)
    y = writer.add("MatMul", x, writer.weight(layer.kernel, layer.kernel.numpy()), shape=shape)
    if layer.bias is not None:
        y = writer.add("Add", y, writer.weight(layer.bias, layer.bias.numpy()), shape=shape)
    return activated(writer, layer, y)


def _batch_normalization(writer: Writer, layer: Any, x: Value) -> Value:
    """(x - mean) * scale + beta, with scale = gamma / sqrt(variance + epsilon)."""
    scale = 1 / np.sqrt(layer.moving_variance.numpy() + np.asarray(layer.epsilon, x.dtype))
    if layer.gamma is not None:
        scale *= layer.gamma.numpy()
    mean = writer.weight(layer.moving_mean, layer.moving_mean.numpy())
    y = writer.add("Sub", x, mean, shape=x.shape)
    y = writer.add("Mul", y, writer.weight(layer.moving_variance, scale), shape=x.shape)
    if layer.beta is not None:
        y = writer.add("Add", y, writer.weight(layer.beta, layer.beta.numpy()), shape=x.shape)
    return y


def _left_out(writer: Writer, layer: Any, x: Value) -> Value:
    """Layers that do nothing in inference."""
    return x


def _flatten(writer: Writer, layer: Any, x: Value) -> Value:
    return writer.add("Flatten", x, shape=layer.compute_output_shape(x.shape), axis=1)


def _reshape(writer: Writer, layer: Any, x: Value) -> Value:
    sizes = layer.compute_output_shape(x.shape)
    wanted = (0, *layer.target_shape) if None in sizes[1:] else (-1, *sizes[1:])
    return writer.add("Reshape", x, writer.integers(*wanted), shape=sizes)


def _zero_padding2d(writer: Writer, layer: Any, x: Value) -> Value:
    (top, bottom), (left, right) = layer.padding
    pads = writer.integers(0, top, left, 0, 0, bottom, right, 0)
    return writer.add("Pad", x, pads, shape=layer.compute_output_shape(x.shape))


def _activation(writer: Writer, layer: Any, x: Value) -> Value:
    return activated(writer, layer, x)


def _relu(writer: Writer, layer: Any, x: Value) -> Value:
    """Above the threshold x, else slope * (x - threshold); and no more than max_value."""

    def number(value: float) -> Value:
        return writer.constant(np.array(value, x.dtype))

    if layer.threshold == 0:
        y = writer.add("LeakyRelu", x, shape=x.shape, alpha=float(layer.negative_slope))
    else:
        above = writer.add("Greater", x, number(layer.threshold), shape=x.shape)
        low = writer.add("Sub", x, number(layer.threshold), shape=x.shape)
        low = writer.add("Mul", low, number(layer.negative_slope), shape=x.shape)
        y = writer.add("Where", above, x, low, shape=x.shape)
        y = Value(y.name, y.shape, x.dtype)  # and not that of the condition
    if layer.max_value is not None:
        y = writer.add("Min", y, number(layer.max_value), shape=x.shape)
    return y


def _leaky_relu(writer: Writer, layer: Any, x: Value) -> Value:
    return writer.add("LeakyRelu", x, shape=x.shape, alpha=float(layer.negative_slope))


def _elu(writer: Writer, layer: Any, x: Value) -> Value:
    return writer.add("Elu", x, shape=x.shape, alpha=float(layer.alpha))


def _softmax(writer: Writer, layer: Any, x: Value) -> Value:
    return writer.add("Softmax", x, shape=x.shape, axis=layer.axis)


def _merged(op: str) -> Callable[..., Value]:
    """A layer that combines its inputs two by two, after new axes behind the batch, if need be."""

    def convert(writer: Writer, layer: Any, given: list[Value]) -> Value:
        shape = layer.compute_output_shape([x.shape for x in given])
        same = [operators.with_axes(writer, x, len(shape)) for x in given]
        return functools.reduce(lambda x, y: writer.add(op, x, y, shape=shape), same)

    return convert


def _average(writer: Writer, layer: Any, given: list[Value]) -> Value:
    total = _merged("Add")(writer, layer, given)
    count = writer.constant(np.array(len(given), total.dtype))
    return writer.add("Div", total, count, shape=total.shape)


def _concatenate(writer: Writer, layer: Any, given: list[Value]) -> Value:
    shape = layer.compute_output_shape([x.shape for x in given])
    return writer.add("Concat", *given, shape=shape, axis=layer.axis)


CONVERTERS: dict[type, Callable[..., Value]] = {
    layers.Activation: _activation,
    layers.Add: _merged("Add"),
    layers.Average: _average,
    layers.AveragePooling2D: convolutions.average_pooling2d,
    layers.BatchNormalization: _batch_normalization,
    layers.Concatenate: _concatenate,
    layers.Conv2D: convolutions.conv2d,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: convolutions.depthwise_conv2d,
    layers.Dropout: _left_out,
    layers.ELU: _elu,
    layers.Flatten: _flatten,
    layers.GlobalAveragePooling2D: convolutions.global_average_pooling2d,
    layers.GlobalMaxPooling2D: convolutions.global_max_pooling2d,
    ImageAugmentation: _left_out,
    layers.LeakyReLU: _leaky_relu,
    layers.MaxPooling2D: convolutions.max_pooling2d,
    layers.Maximum: _merged("Max"),
    layers.Minimum: _merged("Min"),
    layers.Multiply: _merged("Mul"),
    Noise: _left_out,
    layers.CenterCrop: image_layers.center_crop,
    layers.Conv2DTranspose: image_layers.conv2d_transpose,
    layers.Cropping2D: image_layers.cropping2d,
    layers.GroupNormalization: image_layers.group_normalization,
    layers.LayerNormalization: image_layers.layer_normalization,
    layers.Normalization: image_layers.normalization,
    layers.PReLU: image_layers.prelu,
    layers.Permute: image_layers.permute,
    layers.RandomCrop: image_layers.center_crop,
    layers.RepeatVector: image_layers.repeat_vector,
    layers.Rescaling: image_layers.rescaling,
    layers.Resizing: image_layers.resizing,
    layers.UpSampling2D: image_layers.up_sampling2d,
    layers.ReLU: _relu,
    layers.Reshape: _reshape,
    layers.SeparableConv2D: convolutions.separable_conv2d,
    layers.Softmax: _softmax,
    layers.Subtract: _merged("Sub"),
    layers.ZeroPadding2D: _zero_padding2d,
    **operators.OPERATORS,
}
