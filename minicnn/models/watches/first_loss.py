"""MC040: a model that knows nothing yet should be as wrong as one that guesses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from minicnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    SparseCategoricalCrossentropy,
)
from minicnn.models.batches import Batch
from minicnn.models.scores import Scores, sole_shape
from minicnn.notices import warn_once, was_warned

if TYPE_CHECKING:
    from minicnn.models.loop import Loop

FAR, MORE = 2.5, 1.0  # times the loss of guessing, and more; usual weights give up to 1.6 times
FEWEST = 8  # samples in a batch; the mean over fewer can be large by chance


def note_unusual_first_loss(loop: Loop, loss: float, batch: Batch) -> None:
    """Say that the loss of the first step is far above that of guessing."""
    model, scores, optimizer = loop.model, loop.scores, loop.model.optimizer
    if optimizer is None or optimizer.iterations or not math.isfinite(loss):
        return
    if not isinstance(scores, Scores) or batch.weight is not None or batch.rows < FEWEST:
        return
    chance = _loss_of_guessing(scores, model.output_shape)
    if chance is None or loss < FAR * chance + MORE or was_warned(model, "MC030"):
        return
    loss -= sum(penalty.item() for penalty in model.losses)
    if loss < FAR * chance + MORE:
        return
    warn_once(
        model,
        "fit",
        "MC040",
        f"note: a model that guesses has a loss of {chance:.2f}, but the first is {loss:.4g}. Are "
        f"the inputs scaled to numbers around 1, and the labels those of these inputs?",
    )


def _loss_of_guessing(scores: Scores, output_shape: object) -> float | None:
    """Ln K for K classes that are equally likely; None for other losses than crossentropy."""
    loss: Loss | None = scores.loss
    if scores.loss_weight is not None or loss is None or loss.reduction != "sum_over_batch_size":
        return None
    if type(loss) is BinaryCrossentropy:
        return math.log(2)
    if type(loss) in (CategoricalCrossentropy, SparseCategoricalCrossentropy):
        classes = sole_shape(output_shape)[-1]
        return math.log(classes) if classes and classes > 1 else None
    return None
