"""Which calls of layers a chain can do in one call, and by which links; see kernels/chain.py.

A link does what a convolution or Dense does, or a pooling; and at once what follows it and is read
by nobody else: batch normalization, a shortcut that is added, and an activation that is relu, with
or without a largest value, sigmoid or tanh. Dropout and Flatten have nothing to compute in
inference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.layers.activation import ReLU
from minicnn.layers.affine import AffineLayer
from minicnn.layers.convolution import Conv2D
from minicnn.layers.core import Activation, Dense
from minicnn.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from minicnn.layers.fusion import is_relu
from minicnn.layers.layer import Layer
from minicnn.layers.merging import Add
from minicnn.layers.normalization import BatchNormalization
from minicnn.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    MaxPooling2D,
    Pooling2D,
)
from minicnn.layers.regularization import Dropout
from minicnn.layers.reshaping import Flatten
from minicnn.layers.shapes import Shape
from minicnn.layers.window import Window
from minicnn.ops.window import place_window
from minicnn.variable import Variable


class Use(NamedTuple):
    """A call of a layer, and what it reads: results by their numbers, see Linker."""

    layer: Layer
    reads: tuple[int, ...]
    special: bool = False  # whether it was given more than these, or gives several results


def in_a_row(layers: Sequence[Layer]) -> list[Use]:
    """The calls of layers each of which reads what the one before it gives."""
    return [Use(layer, (k,)) for k, layer in enumerate(layers)]


class Linker:
    """Makes links of calls, one call after the other.

    The result of call k has the number k + 1; x, which goes into the first one, the number 0.

    Args:
        x: an input.
        shared: the numbers of results that several calls read.
    """

    def __init__(self, x: Tensor, shared: set[int]) -> None:
        self.links: list[Any] = []
        self.activation: Any = None  # what is left to be done behind the last link
        self.shapes: list[Shape] = [x.shape]  # of the results
        self.givers: list[int] = [kernels.chain.X]  # the links that give the results
        self._dtype, self._shared = x.dtype, shared
        self._closed = {kernels.chain.X}  # givers whose results are wanted as they are

    def take(self, use: Use) -> bool:
        """Link one call more, if it can be done; returns whether it is."""
        layer, reads = use.layer, use.reads
        if use.special or self.activation is not None or not self._is_bare(layer):
            return False
        shapes = [self.shapes[number] for number in reads]
        given = [self.givers[number] for number in reads]
        shape: Any = shapes  # of what goes into the layer
        giver = None
        if type(layer) is Add:
            giver = self._add(shapes, given)
        elif len(reads) == 1:
            (shape,), (source,) = shapes, given
            giver = self._link(layer, shape, source)
        if giver is None:
            return False
        if len(self.shapes) in self._shared:
            self._closed.add(giver)
        self.givers.append(giver)
        self.shapes.append(layer.compute_output_shape(shape))
        return True

    def _is_bare(self, layer: Layer) -> bool:
        """Whether a call does nothing but compute, with numbers of the dtype of x."""
        return (
            layer.hooks is None
            and layer.activity_regularizer is None
            and layer.dtype == self._dtype
        )

    def _link(self, layer: Layer, shape: Shape, given: int) -> int | None:
        """The link that does this layer; None: there is none."""
        if type(layer) in (Dropout, Flatten):
            return given
        rectifier = _rectifier(layer)
        if rectifier is not None:
            return self._rectify(rectifier, given)
        if type(layer) is BatchNormalization:
            return self._normalize(layer, given)
        if type(layer) is GlobalAveragePooling2D:
            pooling = (shape[1:3], shape[1:3], ((0, 0), (0, 0)))
            return self._new(given, weight=None, pooling=pooling, averages=True)
        if type(layer) in (AveragePooling2D, MaxPooling2D) and len(shape) == 4:
            assert isinstance(layer, Pooling2D)
            return self._pool(layer, shape, given)
        if layer.operands == "float32":
            if isinstance(layer, AffineLayer):
                return self._weigh(layer, shape, given)
            return self._weigh_channels(layer, shape, given)
        return None

    def _new(self, source: int, **settings: Any) -> int:
        self.links.append(kernels.chain.Link(source=source, **settings))
        return len(self.links) - 1

    def _more(self, link: int, **settings: Any) -> int:
        """Let a link do more."""
        self.links[link] = self.links[link]._replace(**settings)
        return link

    def _is_open(self, link: int) -> bool:
        """Whether what follows may be done by the link before it."""
        if link in self._closed:
            return False
        return self.links[link].pooling is None and self.links[link].activation == "linear"

    def _rectify(self, rectifier: dict[str, Any], given: int) -> int:
        if self._is_open(given):
            return self._more(given, **rectifier)
        return self._new(given, weight=None, **rectifier)

    def _normalize(self, layer: BatchNormalization, given: int) -> int | None:
        moving = (layer.moving_mean.data, layer.moving_variance.data)
        learned = (_array(layer.gamma), _array(layer.beta))
        if not _in_order((*moving, *learned)):
            return None
        line = kernels.chain.Line(*moving, *learned, layer.epsilon)
        if self._is_open(given):
            link = self.links[given]
            if link.weight is not None and link.line is None and link.shortcut is None:
                return self._more(given, line=line)
        return self._new(given, weight=None, line=line)

    def _add(self, shapes: Sequence[Shape], given: Sequence[int]) -> int | None:
        if len(given) != 2 or shapes[0] != shapes[1]:
            return None
        first, last = sorted(given)
        if first != last and self._is_open(last) and self.links[last].shortcut is None:
            return self._more(last, shortcut=first)
        return self._new(last, weight=None, shortcut=first)

    def _pool(self, layer: Pooling2D, shape: Shape, given: int) -> int:
        pooling = (layer.pool_size, *_placed(layer.window, shape))
        averages = type(layer) is AveragePooling2D
        link = None if given in self._closed else self.links[given]
        if link is None or averages or not _is_convolution_with_relu(link):
            return self._new(given, weight=None, pooling=pooling, averages=averages)
        return self._more(given, pooling=pooling)

    def _weigh(self, layer: AffineLayer, shape: Shape, given: int) -> int | None:
        weight, bias = layer.kernel.data, _array(layer.bias)
        settings: dict[str, Any] = {"weight": weight, "bias": bias}
        if type(layer) is Conv2D and layer.groups == 1 and len(shape) == 4:
            settings["arrangement"] = (*_placed(layer.window, shape), layer.dilation_rate, 1)
        elif type(layer) is not Dense or len(shape) != 2:
            return None
        if not _in_order((weight, bias)):
            return None
        return self._new(given, **settings, **self._activated(layer.activation))

    def _weigh_channels(self, layer: Layer, shape: Shape, given: int) -> int | None:
        """One link, or two: SeparableConv2D mixes the channels, too."""
        mixing: Any = None
        if type(layer) is DepthwiseConv2D:
            filters = layer.kernel.data
        elif type(layer) is SeparableConv2D:
            filters, mixing = layer.depthwise_kernel.data, layer.pointwise_kernel.data
        else:
            return None
        bias = _array(layer.bias)
        *window, C, multiplier = filters.shape
        if multiplier != 1 or not _in_order((filters, mixing, bias)):
            return None
        arrangement = (*_placed(layer.window, shape), layer.dilation_rate, C)
        settings: dict[str, Any] = {
            "weight": filters.reshape(*window, 1, C),
            "arrangement": arrangement,
        }
        if mixing is not None:
            given, settings = self._new(given, **settings), {"weight": mixing}
        return self._new(given, **settings, bias=bias, **self._activated(layer.activation))

    def _activated(self, activation: Any) -> dict[str, Any]:
        """The settings of a link that applies an activation, if one can; else it is left over."""
        if activation is activations.relu6:
            return {"activation": "relu", "ceiling": 6.0}
        name = next((name for known, name in _NAMES if activation is known), None)
        if name is None:
            self.activation = activation
        return {"activation": name or "linear"}


_NAMES = [
    (activations.linear, "linear"),
    (activations.relu, "relu"),
    (ops.sigmoid, "sigmoid"),
    (ops.tanh, "tanh"),
]


def _rectifier(layer: Layer) -> dict[str, Any] | None:
    """The settings of a link that does what this layer does, which is some relu; or None."""
    ceiling: float | None = None
    if is_relu(layer):
        ceiling = math.inf
    elif type(layer) is Activation and layer.activation is activations.relu6:
        ceiling = 6.0
    elif type(layer) is ReLU and (layer.negative_slope, layer.threshold) == (0, 0):
        ceiling = layer.max_value
    return None if ceiling is None else {"activation": "relu", "ceiling": ceiling}


def _array(weight: Variable | None) -> Any:
    return None if weight is None else weight.data


def _in_order(arrays: Sequence[Any]) -> bool:
    """Whether arrays lie in memory as a chain reads them, which sees only their addresses."""
    return all(array is None or array.flags.c_contiguous for array in arrays)


def _is_convolution_with_relu(link: Any) -> bool:
    """Only relu keeps the order of numbers, and so may wait until after a pooling."""
    if link.weight is None or link.weight.ndim != 4 or link.arrangement[3] != 1:
        return False
    plain = link.pooling is None and link.line is None and link.shortcut is None
    return plain and link.activation == "relu" and link.ceiling == math.inf


def _placed(window: Window, shape: Shape) -> Any:
    """Strides and padding, in numbers."""
    known = tuple(size for size in shape if size is not None)  # of an input, so all are known
    return place_window("Sequential", known, window.spread, window.strides, window.padding)
