"""The calls at the beginning of a model that inference does at once; see linking.py.

It changes no number. The first call that no link can do ends the beginning, and so does an
activation that none applies: then it is what is done last. That of Dense may be softmax.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.layers.activation import ReLU
from minicnn.layers.affine import AffineLayer
from minicnn.layers.core import Activation
from minicnn.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from minicnn.layers.layer import Layer
from minicnn.layers.linking import Linker, Use, in_a_row
from minicnn.layers.normalization import BatchNormalization
from minicnn.variable import Variable

FEWEST = 2  # links: a single one is as fast by itself


class Beginning:
    """What the first calls of a model compute, for inputs of one shape.

    Args:
        uses: all calls of the model, see linking.py; the layers are built.
        x: an input.
        wanted: the numbers of the results that the model gives.
    """

    def __init__(self, uses: Sequence[Use], x: Tensor, wanted: Sequence[int]) -> None:
        self._made_for = [use.layer for use in uses], x.shape[1:], x.dtype
        self._watched = [_settings_of(use.layer) for use in uses]
        self._known = list(self._settings())
        self.count = 0  # calls that belong to the beginning
        self._activation: Any = None  # of the last one, if its link does not apply it
        links: list[Any] = []
        readers = Counter(number for use in uses for number in use.reads)
        readers.update(wanted)
        linker = Linker(x, {number for number, count in readers.items() if count > 1})
        live: set[int] = set()  # results that somebody has still to read; x is at hand anyway
        for count, use in enumerate(uses, start=1):
            if not linker.take(use):
                break
            readers.subtract(use.reads)
            live = {number for number in (*live, count) if readers[number]}
            if live == {count} and linker.givers[count] == len(linker.links) - 1:
                # all that goes on from here is one result, and x: the beginning may end
                self.count, links = count, list(linker.links)
                self._activation = linker.activation
        shape = linker.shapes[self.count]
        if links and links[-1].activation == "sigmoid":  # whose argument the loss wants, too
            links[-1] = links[-1]._replace(activation="linear")
            self._activation = ops.sigmoid
        self._shape = shape[1:]
        # where all probabilities would be 1, the activation has something to say
        self._softmax = (
            self._activation is activations.softmax and len(shape) == 2 and shape[1] != 1
        )
        self._chain = kernels.chain.Chain(links, self._softmax) if len(links) >= FEWEST else None

    @classmethod
    def of_row(cls, layers: Sequence[Layer], x: Tensor) -> Beginning:
        """That of layers each of which reads what the one before it gives."""
        return cls(in_a_row(layers), x, [len(layers)])

    def holds(self, layers: Sequence[Layer], x: Tensor) -> bool:
        """Whether nothing has changed: layers, their weights and settings, the shape of x."""
        data = x.data
        if self._made_for != (layers, data.shape[1:], data.dtype):
            return False
        try:
            return all(map(operator.is_, self._settings(), self._known))
        except AttributeError:  # what was a weight is None
            return False

    def _settings(self) -> Iterator[Any]:
        """Objects of which one is another as soon as a layer has changed; this runs in C."""
        return chain.from_iterable(map(_read, self._watched))

    def __bool__(self) -> bool:
        return self._chain is not None

    def __call__(self, x: Tensor) -> Tensor:
        """What comes out of the last call of the beginning."""
        y, device = kernels.chain.forward(x.data, self._chain), x.device
        if self._softmax:
            probabilities = Tensor(y[1], device=device)
            probabilities.logits = Tensor(y[0], device=device)
            return probabilities
        result = Tensor(y.reshape(len(y), *self._shape), device=device)
        return result if self._activation is None else self._activation(result)


_read = operator.methodcaller("__call__")

_SETTINGS: dict[type[Layer], list[str]] = {
    AffineLayer: ["kernel", "bias", "activation"],
    DepthwiseConv2D: ["kernel", "bias", "activation"],
    SeparableConv2D: ["depthwise_kernel", "pointwise_kernel", "bias", "activation"],
    BatchNormalization: ["moving_mean", "moving_variance", "gamma", "beta", "epsilon"],
    Activation: ["activation"],
    ReLU: ["max_value", "negative_slope", "threshold"],
}


def _settings_of(layer: Layer) -> Callable[[], tuple[Any, ...]]:
    """A function that reads everything in a layer that a link depends on."""
    kind = next((kind for kind in _SETTINGS if isinstance(layer, kind)), None)
    names = ["hooks", "activity_regularizer", *([] if kind is None else _SETTINGS[kind])]
    read = [
        f"{name}.data" if isinstance(getattr(layer, name), Variable) else name for name in names
    ]
    return functools.partial(operator.attrgetter(*read), layer)
