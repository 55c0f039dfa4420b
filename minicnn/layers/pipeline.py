"""Layers one behind the other, computed together where that is faster and changes no number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from minicnn.autograd import Tensor, is_observed
from minicnn.layers.beginning import Beginning
from minicnn.layers.fusion import call_together, go_together
from minicnn.layers.layer import Layer


class Pipeline:
    """Layers each of which reads what the one before it gives, and nobody else does.

    A Sequential is one. In a functional model there is one wherever the graph does not branch.

    Args:
        layers: the layers; a list may change later.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._beginning: Beginning | None = None  # as it was when inference last used it

    def __call__(self, x: Tensor, training: bool | None) -> Tensor:
        """What comes out of the last layer."""
        rest = self.layers
        if not training and not is_observed():
            beginning = self._beginning_for(x)
            if beginning:
                x, rest = beginning(x), self.layers[beginning.count :]
        layers = pairwise([*rest, None])
        for layer, following in layers:
            assert layer is not None  # None stands only behind the last one
            if go_together(layer, following, x):
                x = call_together(layer, following, x, bool(training))
                next(layers)  # the following one is done, too
            else:
                x = layer(x, training=training)
        return x

    def _beginning_for(self, x: Tensor) -> Beginning:
        if self._beginning is None or not self._beginning.holds(self.layers, x):
            self._beginning = Beginning.of_row(self.layers, x)
        return self._beginning
