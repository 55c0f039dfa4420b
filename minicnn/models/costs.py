"""What the layers of a model cost: the columns that summary() adds to Keras' when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import on_cpu
from minicnn.layers import Layer
from minicnn.layers.arguments import whole_number
from minicnn.layers.calling import are_known, without_traces
from minicnn.layers.calls import Call
from minicnn.layers.input_check import size_of_sample
from minicnn.layers.shapes import flat_shapes, mapped_shapes
from minicnn.layers.structure import leaves

RUNS = 5  # of which the median counts
UNKNOWN = "?"


class Costs:
    """The further columns of a table of layers, and the lines below it.

    Args:
        model: the model.
        macs: whether to count multiply-adds.
        memory: whether to count the bytes of the outputs.
        times: seconds by layer, and those of the model itself, or None; see measured_times.
        batch_size: for which the times were measured.
    """

    def __init__(
        self,
        model: Any,
        macs: bool = False,
        memory: bool = False,
        times: dict[Layer, float] | None = None,
        batch_size: int = 0,
    ) -> None:
        self._model, self._times, self._batch_size = model, times, batch_size
        self._counts: dict[str, tuple[Callable[[Call], int], Callable[[int], str]]] = {}
        if macs:
            self._counts["MACs"] = (_multiply_adds, "{:,}".format)
        if memory:
            self._counts["Output Memory"] = (_output_bytes, readable)
        self.header = [*self._counts, *["Time"] * (times is not None)]

    def calls_within(self, layer: Layer, calls: Sequence[Call] | None) -> list[Call] | None:
        """The calls that these calls of `layer` lead to; None if they cannot be known."""
        if not self._counts or calls is None or not layer.built:
            return None
        try:
            return [part for call in calls for part in layer.calls_of_parts(call.input_shape)]
        except (TypeError, ValueError):
            return None  # a size other than that of the batch is not known, or a call needs more

    def calls_of_model(self) -> list[Call] | None:
        """The calls that one call of the model leads to."""
        if not self._model.built:
            return None
        given = self._model.input_shape
        return self.calls_within(self._model, [Call(self._model, given, None)])

    def cells(self, layer: Layer, calls: Sequence[Call] | None) -> dict[str, str]:
        """The entries for a layer, given the calls among which its own are."""
        own = None if calls is None else [call for call in calls if call.layer is layer]
        found = {name: self._counted(name, own) for name in self._counts}
        if self._times is not None:
            found["Time"] = self._time_of(layer)
        return found

    def totals(self, calls: Sequence[Call] | None) -> list[str]:
        """The lines for all layers of the model."""
        words = {"MACs": "MACs", "Output Memory": "output memory"}
        found = {words[name]: self._counted(name, calls) for name in self._counts}
        lines = [f" Total {what}: {total} per sample" for what, total in found.items()]
        if self._times is not None:
            total = self._time_of(self._model)
            lines.append(f" Total time: {total} for a batch of {self._batch_size}")
        return lines

    def _counted(self, name: str, calls: Sequence[Call] | None) -> str:
        count, written = self._counts[name]
        if calls is None or not all(are_known((c.input_shape, c.output_shape)) for c in calls):
            return UNKNOWN
        try:
            return written(sum(map(count, calls)))
        except (TypeError, ValueError):
            return UNKNOWN  # a layer of the user's that zeros cannot be sent through

    def _time_of(self, layer: Layer) -> str:
        if not self._times:
            return UNKNOWN
        seconds = self._times.get(layer)
        return "-" if seconds is None else f"{1e3 * seconds:.3f} ms"  # an Input is not called


def _multiply_adds(call: Call) -> int:
    return call.layer.multiply_adds(call.input_shape)


def _output_bytes(call: Call) -> int:
    shapes = flat_shapes(call.output_shape)
    numbers = sum(size_of_sample(call.layer.title, shape) for shape in shapes)
    return numbers * np.dtype(call.layer.dtype).itemsize


def readable(size: float) -> str:
    """Write a number of bytes in the unit that suits it.

    >>> readable(0), readable(640808), readable(3 << 30)
    ('0.00 B', '625.79 KB', '3.00 GB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"


def measured_times(model: Any, layers: Iterable[Layer], batch_size: int) -> dict[Layer, float]:
    """The seconds that one batch takes in each of the layers, and in the model as a whole.

    The batch is random, and goes through the model in inference: once for nothing, so that all is
    compiled, then 5 times for the model, and 5 times with a clock on each layer. Medians count. A
    layer with a clock is computed by itself, and a model without clocks computes some neighbors
    together, so the layers may take longer than the model.

    Args:
        model: it is built; if not, or if a size is unknown, nothing is measured.
        layers: those that get a clock. One that is called several times takes the sum.
        batch_size: how many samples.

    Raises:
        ValueError: batch_size is below 1.
        TypeError: it is no integer.
    """
    whole_number("summary", "batch_size", batch_size)
    if not model.built or not are_known(model.input_shape):
        return {}
    batch = _random_batch(model, batch_size)
    _seconds_of(model, batch, [])
    whole = [_seconds_of(model, batch, [])[model] for _ in range(RUNS)]
    apart = [_seconds_of(model, batch, layers) for _ in range(RUNS)]
    found = {layer: float(np.median([run[layer] for run in apart])) for layer in apart[0]}
    return {**found, model: float(np.median(whole))}


def _random_batch(model: Any, batch_size: int) -> Any:
    rng = np.random.default_rng(0)

    def tensor(shape: Any) -> Tensor:
        array = rng.random((batch_size, *shape[1:]))
        return Tensor(array.astype(model.dtype), device=model.device)

    return mapped_shapes(tensor, model.input_shape)


def _seconds_of(model: Any, batch: Any, layers: Iterable[Layer]) -> dict[Layer, float]:
    clock = _Clock()
    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_pre_hook(clock.start))
            hooks.enter_context(layer.register_forward_hook(clock.stop))
        clock.start(model, (batch,))
        clock.stop(model, (batch,), without_traces(model, (batch,), {}))
    return clock.seconds


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[Layer, float] = {}
        self._began: list[float] = []  # of the calls that are going on, the innermost last

    def start(self, layer: Layer, inputs: tuple[Any, ...]) -> None:
        self._began.append(time.perf_counter())

    def stop(self, layer: Layer, inputs: tuple[Any, ...], output: Any) -> None:
        for tensor in leaves(output):
            on_cpu(tensor.data.reshape(-1)[:1])  # to read a number waits until a GPU has it
        seconds = time.perf_counter() - self._began.pop()
        self.seconds[layer] = self.seconds.get(layer, 0.0) + seconds
