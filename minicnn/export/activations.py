"""Activations in ONNX: each by its formula, or by the operator of that name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import activations, ops
from minicnn.export.writer import Value, Writer

Converter = Callable[[Writer, Value], Value]


def operator(op: str, **attributes: Any) -> Converter:
    """What ONNX has itself."""
    return lambda writer, x: writer.add(op, x, shape=x.shape, **attributes)


def clipped(low: float, high: float) -> Converter:
    """Cut x off at both ends."""

    def convert(writer: Writer, x: Value) -> Value:
        ends = [writer.constant(np.array(end, x.dtype)) for end in (low, high)]
        return writer.add("Clip", x, *ends, shape=x.shape)

    return convert


def _linear(writer: Writer, x: Value) -> Value:
    return x


def _silu(writer: Writer, x: Value) -> Value:
    return writer.add("Mul", x, writer.add("Sigmoid", x, shape=x.shape), shape=x.shape)


def _log_sigmoid(writer: Writer, x: Value) -> Value:
    above = writer.add("Softplus", writer.add("Neg", x, shape=x.shape), shape=x.shape)
    return writer.add("Neg", above, shape=x.shape)


ACTIVATIONS: dict[Any, Converter] = {
    activations.linear: _linear,
    activations.relu: operator("Relu"),
    activations.relu6: clipped(0, 6),
    ops.leaky_relu: operator("LeakyRelu", alpha=0.2),
    ops.elu: operator("Elu"),
    activations.selu: operator("Selu", alpha=activations.SELU_ALPHA, gamma=activations.SELU_SCALE),
    ops.gelu: operator("Gelu"),
    ops.silu: _silu,
    activations.mish: operator("Mish"),
    activations.celu: operator("Celu"),
    ops.sigmoid: operator("Sigmoid"),
    activations.hard_sigmoid: operator("HardSigmoid", alpha=1 / 6, beta=0.5),
    activations.hard_silu: operator("HardSwish"),
    ops.tanh: operator("Tanh"),
    activations.hard_tanh: clipped(-1, 1),
    ops.softplus: operator("Softplus"),
    activations.softsign: operator("Softsign"),
    activations.exponential: operator("Exp"),
    activations.softmax: operator("Softmax", axis=-1),
    ops.log_softmax: operator("LogSoftmax", axis=-1),
    activations.log_sigmoid: _log_sigmoid,
}


def activated(writer: Writer, layer: Any, x: Value) -> Value:
    """The activation of a layer, applied to x.

    Raises:
        NotImplementedError: it is a function of the user's own.
    """
    if layer.activation not in ACTIVATIONS:
        name = getattr(layer.activation, "__name__", layer.activation)
        raise NotImplementedError(
            f"export: {layer.title} has the activation {name}, which cannot be written as ONNX. "
            f"Those of minicnn.activations can."
        )
    return ACTIVATIONS[layer.activation](writer, x)
