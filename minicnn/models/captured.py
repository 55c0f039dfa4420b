"""Steps of training as CUDA graphs: on a GPU, all kernels of a step are launched at once.

Forward, backward and the gathering of the gradients are captured (see kernels/graphs.py). The
optimizer's update is not: it is one launch for all weights, whose numbers, as the learning rate,
change from step to step; and between the two the loss is looked at, so that one which is not finite
never gets to the weights.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.autograd import Tensor, is_watched
from minicnn.backend import Array, array_module, beside, device_of, kernels, on_cpu
from minicnn.layers.nesting import layers_within
from minicnn.layers.structure import leaves, mapped
from minicnn.losses import FunctionLoss
from minicnn.models.backup import streams_of
from minicnn.models.batches import Batch
from minicnn.notices import warn_once
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.loop import Loop
    from minicnn.models.steps import Steps

PLAIN = (int, float, str, type(None))
Passed = tuple[float, Any, list[Tensor]]  # loss, outputs on the CPU, gradients


class StepGraph:
    """Forward and backward of a training step, with batches of one shape.

    Args:
        loop: the loop that goes with the model through batches.
        batch: any batch of the shapes that all of them will have.
        variables: the weights that are trained.

    Raises:
        Exception: something in the step cannot be captured. The model is as it was.
    """

    def __init__(self, loop: Loop, batch: Batch, variables: list[Variable]) -> None:
        optimizer = loop.model.optimizer
        assert optimizer is not None
        self._optimizer, self._variables = optimizer, variables
        self._signature = _signature(loop, batch, variables)
        like = variables[0].data
        self._batch = Batch(*(mapped(lambda x: _copied(x, like), part) for part in batch))
        optimizer.adopt(variables)
        self._arrays = optimizer.arrays()
        trained = set(variables)
        kept = [variable for variable in loop.model.variables if variable not in trained]
        self._kept = {variable: variable.data for variable in kept}
        self._graph = kernels.graphs.Graph(like)
        streams = [(stream, stream.bit_generator.state) for stream in streams_of(loop.model)]
        try:
            captured = self._graph.capture(lambda: self._passes(loop))
        except Exception:
            for stream, state in streams:  # some layers may have drawn numbers
                stream.bit_generator.state = state
            raise
        finally:
            self._put_back()
        self._loss, self._outputs, self._gradients = captured
        self._part_losses = loop.scores.part_losses

    def _passes(self, loop: Loop) -> tuple[Array, Any, list[Tensor]]:
        loss, y_pred, gradients = loop.passes(self._batch, self._variables)
        for variable, array in self._kept.items():  # as the moving means of batch normalisation
            if variable.data is not array:
                array[...] = variable.data
        loop.model.forget_losses()  # which hold on to all that they were computed from
        gathered = self._optimizer.gather(gradients, self._variables)
        return loss.data, mapped(lambda y: y.data, y_pred), gathered

    def fits(self, loop: Loop, batch: Batch, variables: list[Variable]) -> bool:
        """Whether it does what a step with this batch would do now, with the same memory."""
        if self._signature != _signature(loop, batch, variables):
            return False
        arrays = self._optimizer.arrays()
        return len(arrays) == len(self._arrays) and all(map(operator.is_, arrays, self._arrays))

    def run(self, loop: Loop, batch: Batch) -> Passed:
        """Go forward and backward: the loss, the outputs and the gradients of a batch.

        Raises:
            ValueError: the loss cannot take its labels, which a graph does not look at.
        """
        loop.scores.check_labels(batch.y, mapped(np.shape, self._outputs), "fit")
        for place, numbers in zip(leaves(self._batch[:3]), leaves(batch[:3]), strict=True):
            if place is not None:
                _fill(place, numbers)
        self._optimizer.adopt(self._variables)
        for variable, array in self._kept.items():
            if variable.data is not array:  # somebody has set it
                array[...] = variable.data
        self._graph.launch()
        self._put_back()
        loop.scores.part_losses = self._part_losses
        return self._loss.item(), mapped(on_cpu, self._outputs), self._gradients

    def _put_back(self) -> None:
        """Let the weights that are not trained lie where the graph has them."""
        for variable, array in self._kept.items():
            self._kept[variable] = variable.data = array.view()


class StepGraphs:
    """Decides which steps run as a graph; the others run op by op, as on a CPU.

    A graph is captured at the second of two steps of equal shapes: the first has compiled whatever
    there is to compile. Batches of other shapes, as the last one of an epoch, run op by op.

    Args:
        wanted: True; False; or "auto", which is True on a GPU for models all of whose layers and
            losses are minicnn's own: others may compute something on the CPU that a graph would not
            repeat, as a check of labels.

    Raises:
        ValueError: wanted is none of these.
    """

    def __init__(self, wanted: bool | str | None) -> None:
        if wanted not in (True, False, None, "auto"):
            raise ValueError(
                f"compile: jit_compile must be True, False or 'auto', but is {wanted!r}."
            )
        self.wanted = wanted
        self.why_not = ""  # the reason why steps run op by op, where graphs were wanted
        self.graph: StepGraph | None = None
        self._last: Any = None  # signature of the step before

    def graph_for(self, loop: Loop, batch: Batch, variables: list[Variable]) -> StepGraph | None:
        """The graph that does this step, or None."""
        if not self.wanted or self.why_not or not variables:
            return None
        device = device_of(variables[0].data)
        if device == "cpu" or (device == "emulator" and self.wanted == "auto"):
            return None
        if is_watched() or _has_hooks(loop.model) or loop.is_watched_closely:
            return None
        if self.graph is not None and self.graph.fits(loop, batch, variables):
            return self.graph
        before, self._last = self._last, _signature(loop, batch, variables)
        return self._captured(loop, batch, variables) if self._last == before else None

    def _captured(self, loop: Loop, batch: Batch, variables: list[Variable]) -> StepGraph | None:
        self.graph = None  # and with it its memory
        self.why_not = _reason(loop) if self.wanted == "auto" else ""
        if not self.why_not:
            try:
                self.graph = StepGraph(loop, batch, variables)
            except Exception as error:  # whatever a library raises when it cannot be captured
                self.why_not = str(error).rstrip(".")
        if self.why_not:
            warn_once(
                loop.model,
                "fit",
                "MC060",
                f"note: each step launches its kernels one by one, because {self.why_not}. As one "
                f"CUDA graph they would be launched at once.",
            )
        return self.graph


def _fill(place: Any, numbers: Array) -> None:
    """Copy numbers, from the CPU or on the GPU, to a place on the GPU."""
    if kernels.is_gpu_array(numbers):
        place[...] = numbers
    else:
        place.set(np.ascontiguousarray(numbers))


def _copied(x: Array | None, like: Array) -> Array | None:
    """A copy of x on the device of `like`, if there is an x."""
    return None if x is None else array_module(like).array(beside(x, like))


def _signature(loop: Loop, batch: Batch, variables: list[Variable]) -> Any:
    """What a graph has frozen: sizes, dtypes, and what can be switched between two steps."""
    arrays = [None if x is None else (x.shape, x.dtype) for x in leaves(batch[:3])]
    optimizer, precision = loop.model.optimizer, kernels.precision
    assert optimizer is not None
    switches = precision.operands(), precision.allows_tf32(), optimizer.loss_scale_factor
    parts = [*layers_within(loop.model), *loop.scores.losses]
    settings = [(part, _plain_attributes(part)) for part in parts]
    return arrays, settings, variables, optimizer, device_of(variables[0].data), switches


def _plain_attributes(part: Any) -> list[Any]:
    """Numbers and words that a layer or loss may have as settings, as the rate of a Dropout."""
    return [value for value in vars(part).values() if isinstance(value, PLAIN)]


def _has_hooks(model: Steps) -> bool:
    return any(layer.hooks for layer in layers_within(model))


def _reason(loop: Loop) -> str:
    """Why a model's steps are not captured unless somebody says so, or ""."""
    own = [layer for layer in layers_within(loop.model) if not _is_ours(layer)]
    if own:
        return (
            f"the layer {own[0].name!r} is not one of minicnn's own, and what it computes on the "
            f"CPU would not be repeated: compile(jit_compile=True) if there is nothing"
        )
    for loss in loop.scores.losses:
        if isinstance(loss, FunctionLoss) or not _is_ours(loss):
            return (
                f"the loss {loss.name!r} is not one of minicnn's own, and its labels would not be "
                f"checked: compile(jit_compile=True) if they need not be"
            )
    return ""


def _is_ours(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "minicnn"
