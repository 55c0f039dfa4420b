"""The layers at the beginning of a model that inference computes in one call; see kernels/chain.py.

It changes no number. A layer belongs to the beginning if a link of a chain does what it does:
convolutions and Dense, without activation or with relu, sigmoid or tanh; max and average pooling;
Dropout and Flatten, which have nothing to compute then. The first layer that is none of these ends
it; with its other activation, if it is a convolution or Dense, and that of Dense may be softmax.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.layers.affine import AffineLayer
from minicnn.layers.convolution import Conv2D
from minicnn.layers.core import Dense
from minicnn.layers.fusion import go_together
from minicnn.layers.layer import Layer
from minicnn.layers.pooling import AveragePooling2D, MaxPooling2D, Pooling2D
from minicnn.layers.regularization import Dropout
from minicnn.layers.reshaping import Flatten
from minicnn.layers.shapes import Shape
from minicnn.layers.window import Window
from minicnn.ops.window import place_window

FEWEST = 2  # links: a single one is as fast by itself


class Beginning:
    """What the first layers of a model compute, for inputs of one shape.

    Args:
        layers: all layers of the model; they are built.
        x: an input.
    """

    def __init__(self, layers: Sequence[Layer], x: Tensor) -> None:
        self.state = _state(layers, x)
        self.count = 0  # layers that belong to the beginning
        self._activation: Any = None  # of the last one, if its link does not apply it
        links: list[Any] = []
        shape: Shape = x.shape
        while self._activation is None:
            link, count = _next_link(layers[self.count : self.count + 2], shape, x)
            if not count:
                break
            for layer in layers[self.count : self.count + count]:
                shape = layer.compute_output_shape(shape)
            first = layers[self.count]
            if link is not None:
                links.append(link)
                if isinstance(first, AffineLayer) and _name(first.activation) is None:
                    self._activation = first.activation
            self.count += count
        if links and links[-1].activation == "sigmoid":  # whose argument the loss wants, too
            links[-1] = links[-1]._replace(activation="linear")
            self._activation = ops.sigmoid
        self._shape = shape[1:]
        # where all probabilities would be 1, the activation has something to say
        self._softmax = (
            self._activation is activations.softmax and len(shape) == 2 and shape[1] != 1
        )
        self._chain = kernels.chain.Chain(links, self._softmax) if len(links) >= FEWEST else None

    def holds(self, layers: Sequence[Layer], x: Tensor) -> bool:
        """Whether nothing has changed: layers, their weights and settings, the shape of x."""
        state = _state(layers, x)
        return len(state) == len(self.state) and all(map(operator.is_, state, self.state))

    def __bool__(self) -> bool:
        return self._chain is not None

    def __call__(self, x: Tensor) -> Tensor:
        """What comes out of the last layer of the beginning."""
        with kernels.precision.rounding_to("float32"):
            y = kernels.chain.forward(x.data, self._chain)
        if self._softmax:
            scores, probabilities = (Tensor(part, device=x.device) for part in y)
            probabilities.logits = scores
            return probabilities
        y = y.reshape(len(x.data), *self._shape)
        result = Tensor(y, device=x.device)
        return result if self._activation is None else self._activation(result)


_NAMES = [
    (activations.linear, "linear"),
    (activations.relu, "relu"),
    (ops.sigmoid, "sigmoid"),
    (ops.tanh, "tanh"),
]


def _name(activation: Any) -> str | None:
    """The name of an activation that a link applies."""
    return next((name for known, name in _NAMES if activation is known), None)


def _state(layers: Sequence[Layer], x: Tensor) -> list[Any]:
    """Objects that are others as soon as a Beginning must be made anew."""
    state: list[Any] = [*map(_known, x.shape[1:]), x.dtype]
    for layer in layers:
        state += (layer, layer.hooks)
        if isinstance(layer, AffineLayer):
            bias = None if layer.bias is None else layer.bias.data
            state += (layer.kernel.data, bias, layer.activation, layer.activity_regularizer)
    return state


@functools.cache
def _known(size: int) -> object:
    """An object that stands for a number: equal numbers need not be one object."""
    return object()


def _next_link(layers: Sequence[Layer], shape: Shape, x: Tensor) -> tuple[Any, int]:
    """The link for the first of these layers, and how many of them it does; (None, 0): no link.

    A layer that has nothing to compute has no link either, but is done: (None, 1).
    """
    layer, following = (*layers, None, None)[:2]
    if layer is None or layer.hooks is not None:
        return None, 0
    if layer.activity_regularizer is not None or layer.dtype != x.dtype:
        return None, 0
    if type(layer) in (Dropout, Flatten):
        return None, 1
    if type(layer) in (AveragePooling2D, MaxPooling2D) and len(shape) == 4:
        assert isinstance(layer, Pooling2D)
        pooling = (layer.pool_size, *_placed(layer.window, shape))
        averages = type(layer) is AveragePooling2D
        return kernels.chain.Link(None, pooling=pooling, averages=averages), 1
    if layer.operands != "float32" or not isinstance(layer, AffineLayer) or not _in_order(layer):
        return None, 0
    if type(layer) is Dense and len(shape) == 2:
        return _link(layer), 1
    if type(layer) is Conv2D and layer.groups == 1 and len(shape) == 4:
        conv_shape = layer.compute_output_shape(shape)
        arrangement = (*_placed(layer.window, shape), layer.dilation_rate, 1)
        if not go_together(layer, following, x):
            return _link(layer, arrangement), 1
        assert isinstance(following, MaxPooling2D)
        pooling = (following.pool_size, *_placed(following.window, conv_shape))
        return _link(layer, arrangement, pooling), 2
    return None, 0


def _in_order(layer: AffineLayer) -> bool:
    """Whether the weights lie in memory as a chain reads them, which sees only their addresses."""
    weights = (layer.kernel, layer.bias)
    return all(weight is None or weight.data.flags.c_contiguous for weight in weights)


def _placed(window: Window, shape: Shape) -> Any:
    """Strides and padding, in numbers."""
    known = tuple(size or 0 for size in shape)  # all are known, for they are those of an input
    return place_window("Sequential", known, window.spread, window.strides, window.padding)


def _link(layer: AffineLayer, *settings: Any) -> Any:
    bias = None if layer.bias is None else layer.bias.data
    name = _name(layer.activation) or "linear"  # another one is applied behind the chain
    return kernels.chain.Link(layer.kernel.data, bias, name, *settings)
