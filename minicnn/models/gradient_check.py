"""model.gradcheck: the gradients of a whole model's loss, compared with finite differences."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import floatx, set_floatx
from minicnn.gradcheck.check import check_point
from minicnn.gradcheck.point import Point
from minicnn.gradcheck.report import GradientError, GradReport
from minicnn.layers.layer import Layer
from minicnn.layers.substitution import same_random_numbers, substituted, turn_into_float64
from minicnn.models.batches import Batch
from minicnn.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from minicnn.models.training import Trainer


def check_model(model: Trainer, batch: Batch, per_param: int, **settings: Any) -> GradReport:
    """Check the gradients of the loss of one batch for every weight; see Model.gradcheck."""
    twin = copy.deepcopy(model)
    raise_on_fail = settings.pop("raise_on_fail", True)
    report = GradReport(f"loss of {model.name}", h=1e-5, seed=settings.pop("seed", 0))
    point = weights_as_inputs(twin, twin.trainable_weights, lambda: _loss(twin, batch), [])
    check_point(point, report, max_checks=per_param, **settings)
    if raise_on_fail and not report.ok:
        raise GradientError(report)
    return report


def weights_as_inputs(
    layer: Layer, weights: list[Variable], call: Callable[..., Any], inputs: list[Any]
) -> Point:
    """A layer in float64 as a function of its inputs and weights; random layers always draw alike.

    Args:
        layer: it is built, and is turned into float64.
        weights: those to differentiate by.
        call: of the inputs; computes something with the layer.
        inputs: come before the weights.
    """
    turn_into_float64(layer)
    first = len(inputs)

    def function(*arguments: Any) -> Any:
        others = dict(zip(weights, arguments[first:], strict=True))
        with _computing_in_float64(), same_random_numbers(layer), substituted(layer, others):
            return call(*arguments[:first])

    names = [f"x{k}" if first > 1 else "x" for k in range(first)] + [w.path for w in weights]
    arrays = [np.array(w.data, np.float64) for w in weights]
    patterns = {first + k: w for k, w in enumerate(weights)}
    return Point(function, [*inputs, *arrays], None, names, patterns)


@contextmanager
def _computing_in_float64() -> Iterator[None]:
    before = floatx()
    set_floatx("float64")
    try:
        yield
    finally:
        set_floatx(before)


def _loss(model: Trainer, batch: Batch) -> Tensor:
    y_pred = model(batch.x, training=True)
    return model.compute_loss(batch.x, batch.y, y_pred, batch.weight)
