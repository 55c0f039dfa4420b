"""FitWatches: the watches of one fit, and when they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minicnn.autograd import Tensor
from minicnn.models.batches import Batch
from minicnn.models.watches.equal_kernels import warn_of_equal_kernels
from minicnn.models.watches.first_loss import note_unusual_first_loss
from minicnn.models.watches.nonfinite import are_finite, explain_nonfinite
from minicnn.models.watches.trainability import note_changed_trainability
from minicnn.models.watches.zero_gradients import ZeroGradients
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.loop import Loop


class FitWatches:
    """What one fit is watched by.

    Args:
        loop: the loop of the fit.
        variables: the weights that it trains.
    """

    def __init__(self, loop: Loop, variables: list[Variable]) -> None:
        self._loop = loop
        self._variables = variables
        self._zero_gradients = ZeroGradients(loop, variables)
        note_changed_trainability(loop.model)
        warn_of_equal_kernels(loop.model)

    @property
    def are_looking(self) -> bool:
        """Whether these are the first steps, whose gradients are looked at."""
        return self._zero_gradients.is_looking

    def before_update(self, loss: float, gradients: list[Tensor], batch: Batch) -> None:
        """Look at a step whose gradients are known and whose update has not been made.

        Raises:
            Anomaly: the loss or a gradient is not finite, and no callback takes care of that.
        """
        if not are_finite(loss, gradients):
            explain_nonfinite(self._loop, loss, batch, self._variables)
        if self._zero_gradients.is_looking:
            note_unusual_first_loss(self._loop, loss, batch)
            self._zero_gradients.look(gradients, batch)
