"""MC041: the loss or a gradient is NaN or infinite. Where did it begin?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minicnn.anomaly import Anomaly, detect_anomaly, is_finite
from minicnn.autograd import Tensor, grad
from minicnn.callbacks import TerminateOnNaN
from minicnn.models.batches import Batch
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.loop import Loop


def are_finite(loss: float, gradients: list[Tensor]) -> bool:
    """Whether the loss is finite, and the gradients of biases and other vectors are.

    Only these, as they are small: the gradient of a bias sums up all that comes back to its layer.
    """
    return math.isfinite(loss) and all(
        is_finite(gradient.data)
        for gradient in gradients
        if gradient.ndim <= 1
        and type(gradient.data) is np.ndarray  # a GPU would have to be waited for
    )


def explain_nonfinite(loop: Loop, loss: float, batch: Batch, variables: list[Variable]) -> None:
    """Do the step again, op by op, and raise an error that names the op where it begins.

    Does nothing where a TerminateOnNaN is there to end the training.

    Raises:
        Anomaly: always else.
    """
    if any(isinstance(callback, TerminateOnNaN) for callback in loop.callbacks.callbacks):
        return
    optimizer = loop.model.optimizer
    assert optimizer is not None
    what = "a gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
    raise Anomaly(
        f"fit [MC041]: {what} in step {loop.step + 1} of epoch {loop.epoch + 1}, at a learning "
        f"rate of {optimizer.learning_rate:g}. {_beginning(loop, batch, variables)} The weights "
        f"are those from before this step. Scale the inputs, lower the learning rate, or let the "
        f"optimizer clip gradients: clipnorm=1.0."
    )


def _beginning(loop: Loop, batch: Batch, variables: list[Variable]) -> str:
    """What doing the step again, without the update, finds out."""
    for variable in variables:
        if not is_finite(variable.data):
            return f"The step before has made the weight {variable.path!r} NaN or infinite."
    try:
        with detect_anomaly():
            loss = loop.loss_of(batch, loop.model(batch.x, training=True), training=True)
            assert loop.model.optimizer is not None
            grad(loop.model.optimizer.scale_loss(loss), variables)
    except Anomaly as anomaly:
        return f"It begins in the {anomaly}"
    return "Done again, with other random numbers, the step is finite: it happens by chance."
