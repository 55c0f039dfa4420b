"""The calls at the beginning of a model that inference does at once; see linking.py.

It changes no number. The first call that no link can do ends the beginning, and so does an
activation that none applies: then it is what is done last. That of Dense may be softmax.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.layers.activation import ReLU
from minicnn.layers.affine import AffineLayer
from minicnn.layers.core import Activation
from minicnn.layers.layer import Layer
from minicnn.layers.linking import Linker, Use, in_a_row
from minicnn.layers.normalization import BatchNormalization

FEWEST = 2  # links: a single one is as fast by itself


class Beginning:
    """What the first calls of a model compute, for inputs of one shape.

    Args:
        uses: all calls of the model, see linking.py; the layers are built.
        x: an input.
        wanted: the numbers of the results that the model gives.
    """

    def __init__(self, uses: Sequence[Use], x: Tensor, wanted: Sequence[int]) -> None:
        self.state = _state([use.layer for use in uses], x)
        self.count = 0  # calls that belong to the beginning
        self._activation: Any = None  # of the last one, if its link does not apply it
        links: list[Any] = []
        readers = Counter(number for use in uses for number in use.reads)
        readers.update(wanted)
        linker = Linker(x, {number for number, count in readers.items() if count > 1})
        live = {0}  # results that somebody has still to read
        for count, use in enumerate(uses, start=1):
            if not linker.take(use):
                break
            readers.subtract(use.reads)
            live = {number for number in (*live, count) if readers[number]}
            if live == {count} and linker.givers[count] == len(linker.links) - 1:
                # all that goes on from here is one result: the beginning may end
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
        state = _state(layers, x)
        return len(state) == len(self.state) and all(map(operator.is_, state, self.state))

    def __bool__(self) -> bool:
        return self._chain is not None

    def __call__(self, x: Tensor) -> Tensor:
        """What comes out of the last call of the beginning."""
        with kernels.precision.rounding_to("float32"):
            y = kernels.chain.forward(x.data, self._chain)
        if self._softmax:
            scores, probabilities = (Tensor(part, device=x.device) for part in y)
            probabilities.logits = scores
            return probabilities
        y = y.reshape(len(x.data), *self._shape)
        result = Tensor(y, device=x.device)
        return result if self._activation is None else self._activation(result)


def _state(layers: Sequence[Layer], x: Tensor) -> list[Any]:
    """Objects that are others as soon as a Beginning must be made anew."""
    state: list[Any] = [*map(_known, x.shape[1:]), x.dtype]
    for layer in layers:
        state += (layer, layer.hooks, layer.activity_regularizer)
        if isinstance(layer, AffineLayer):
            bias = None if layer.bias is None else layer.bias.data
            state += (layer.kernel.data, bias, layer.activation)
        elif isinstance(layer, BatchNormalization):
            gamma = None if layer.gamma is None else layer.gamma.data
            beta = None if layer.beta is None else layer.beta.data
            moving = (layer.moving_mean.data, layer.moving_variance.data)
            state += (*moving, gamma, beta, layer.epsilon)
        elif isinstance(layer, Activation):
            state.append(layer.activation)
        elif isinstance(layer, ReLU):
            state += (layer.max_value, layer.negative_slope, layer.threshold)
    return state


@functools.cache
def _known(size: int) -> object:
    """An object that stands for a number: equal numbers need not be one object."""
    return object()
