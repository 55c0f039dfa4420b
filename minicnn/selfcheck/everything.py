"""gradcheck_all: every op and every layer of the library, and the user's own, on every device."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, grad, watch
from minicnn.backend import Array, get_device, set_device
from minicnn.gradcheck import GradReport, gradcheck
from minicnn.gradcheck.check import check_point
from minicnn.gradcheck.point import random_signed
from minicnn.models.gradient_check import weights_as_inputs
from minicnn.selfcheck.layer_examples import LAYER_EXAMPLES
from minicnn.selfcheck.op_examples import OP_EXAMPLES
from minicnn.selfcheck.precision import LIMIT, explained, sensitivity
from minicnn.suggest import lookup

DEVICES = ("cpu", "emulator", "gpu")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: of the op or layer, as in the tables of examples.
        device: where it was computed.
        dtype: in which precision.
        verdict: "ok", "WRONG ..." or "skipped: ..." with the reason.
        worst: of float64 the largest error relative to the largest element; otherwise r.
        report: of float64 the whole report.
    """

    name: str
    device: str
    dtype: str
    verdict: str
    worst: float = 0.0
    report: GradReport | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; what was skipped is not wrong."""
        return not self.verdict.startswith("WRONG")


@dataclass(frozen=True)
class Table:
    """All lines; it is true if nothing is wrong."""

    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{'op or layer':46}{'device':10}{'dtype':9}{'worst':>9}  verdict"]
        for row in self.rows:
            lines.append(line(row))
        wrong = sum(not row.ok for row in self.rows)
        skipped = sum(row.verdict.startswith("skipped") for row in self.rows)
        checked = len(self.rows) - skipped
        return "\n".join([*lines, f"{checked} checked, {wrong} wrong, {skipped} skipped"])


def line(row: Row) -> str:
    """A row as text."""
    worst = "" if row.verdict.startswith("skipped") else f"{row.worst:9.1e}"
    return f"{row.name:46}{row.device:10}{row.dtype:9}{worst:>9}  {row.verdict}"


def gradcheck_all(
    devices: Sequence[str] = DEVICES, ops: Sequence[str] | None = None, seed: int = 0
) -> Table:
    """Check the gradients of every op and layer, on every device that can be had.

    On the CPU, gradcheck compares with finite differences in float64, to second order for ops.
    Every device then computes the ops in float32, forward and backward, which is compared with
    float64: r counts the error in units of what rounding the inputs to float32 explains; it may
    be 8 times the root of the number of terms in a sum. An op of the user's own is checked if its
    class has an `example`: a tuple of arrays for its inputs.

    Args:
        devices: "cpu", "emulator", "gpu"; one that cannot be had is reported as skipped.
        ops: names of examples, as "conv2d" (which stands for "conv2d, same" as well); None: all.
        seed: of all random numbers.

    Returns:
        A Table; print it.

    Raises:
        ValueError: a name is not known.

    >>> bool(gradcheck_all(["cpu"], ops=["softmax"]))
    True
    """
    return Table(list(rows(devices, ops, seed)))


def rows(devices: Sequence[str], ops: Sequence[str] | None, seed: int) -> Iterator[Row]:
    """The lines of gradcheck_all, one after the other."""
    known = {name.partition(",")[0]: name for name in (*OP_EXAMPLES, *LAYER_EXAMPLES)}
    known |= {op.__name__: op.__name__ for op in own_ops()}
    for name in ops or ():
        lookup("op", name, known)
    wanted = [name.partition(",")[0] for name in known.values()] if ops is None else list(ops)
    for device in devices:
        before = get_device()
        try:
            set_device(device)
        except (RuntimeError, NotImplementedError) as reason:
            yield Row("all", device, "float32", f"skipped: {reason}")
            continue
        try:
            yield from _on_device(device, wanted, seed)
        finally:
            set_device(before)


def _on_device(device: str, wanted: list[str], seed: int) -> Iterator[Row]:
    if device == "cpu":
        for name, example in OP_EXAMPLES.items():
            if name.partition(",")[0] in wanted:
                yield _compared(name, example[0], example[1:], seed, order=2)
        for op in own_ops():
            if op.__name__ in wanted:
                yield _own_op(op, seed)
        for name in LAYER_EXAMPLES:
            if name.partition(",")[0] in wanted:
                yield check_layer(name, seed)
    for name, (function, *arrays) in OP_EXAMPLES.items():
        if name.partition(",")[0] in wanted and not name.startswith("cast"):
            yield _in_float32(name, function, arrays, device)


def own_ops() -> list[type[Op]]:
    """The subclasses of Op that do not belong to minicnn itself."""
    found, todo = [], list(Op.__subclasses__())
    while todo:
        op = todo.pop()
        todo += op.__subclasses__()
        if not op.__module__.startswith("minicnn.") and not inspect.isabstract(op):
            found.append(op)
    return sorted(set(found), key=lambda op: op.__name__)


def _compared(name: str, function: Any, arrays: Sequence[Array], seed: int, order: int) -> Row:
    with np.errstate(all="ignore"):
        report = gradcheck(function, *arrays, seed=seed, order=order, raise_on_fail=False)
    return _row(name, report)


def _row(name: str, report: GradReport) -> Row:
    worst = max((float(i.errors.max(initial=0)) for i in report.inputs), default=0.0)
    problem = next(iter(report.hints), None) or next(filter(None, report.structural.values()), "")
    return Row(name, "cpu", "float64", "ok" if report else f"WRONG: {problem}", worst, report)


def _own_op(op: type[Op], seed: int) -> Row:
    arrays = getattr(op, "example", None)
    if arrays is None:
        return Row(
            op.__name__, "cpu", "float64", "skipped: the class has no `example`, a tuple of arrays"
        )
    return _compared(op.__name__, lambda *xs: op()(*xs), arrays, seed, order=1)


def check_layer(name: str, seed: int = 0) -> Row:
    """Check a layer by its input and all its weights, on random numbers."""
    example = LAYER_EXAMPLES[name]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    xs = [1.3 * rng.normal(size=shape) for shape in example.inputs]
    layer = example.make()
    shapes = [x.shape for x in xs]
    layer.ensure_built(shapes[0] if len(xs) == 1 else shapes)  # type: ignore[arg-type]
    weights = layer.trainable_weights
    for weight in weights:
        weight.data = rng.normal(size=weight.shape)

    def call(*given: Tensor) -> Tensor:
        return layer(given[0] if len(given) == 1 else list(given), training=example.training)

    point = weights_as_inputs(layer, weights, call, list(xs))
    report = GradReport(name, h=1e-5, seed=seed)
    with np.errstate(all="ignore"):
        check_point(point, report, max_checks=60)
    return _row(name, report)


class _Sums(Watcher):
    """The largest number of terms that could have gone into one number of a result."""

    def __init__(self) -> None:
        self.terms = 1

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.terms = max(self.terms, *(x.size for x in inputs))


def _in_float32(name: str, function: Any, arrays: Sequence[Array], device: str) -> Row:
    """Forward and backward of an op in float32 on a device, judged by float64 on the CPU."""
    rounded = [a.astype(np.float32) for a in arrays]
    rng = np.random.default_rng(0)
    try:
        got = _results(function, [Tensor(a).to(device) for a in rounded], np.float32)
    except (NotImplementedError, ValueError) as reason:
        return Row(name, device, "float32", f"skipped: {reason}")
    exact_inputs = [a.astype(np.float64) for a in rounded]

    def outputs(inputs: list[Array]) -> list[Array]:
        return _results(function, [Tensor(a) for a in inputs], np.float64)

    before = get_device()
    set_device("cpu")
    try:
        with watch(sums := _Sums()):
            exact = outputs(exact_inputs)
        scales = sensitivity(outputs, exact_inputs, exact, rng)
    finally:
        set_device(before)
    u = 2.0**-24
    worst = max(
        float((np.abs(g - e) / (u * np.maximum(s, s.max(initial=0) * 0.05) + 1e-30)).max(initial=0))
        for g, e, s in zip(got, exact, scales, strict=True)
    )
    r = worst / np.sqrt(sums.terms)
    return Row(name, device, "float32", explained(r) if r > LIMIT else "ok", r)


def _results(function: Any, inputs: list[Tensor], dtype: Any) -> list[Array]:
    """The output and all gradients, for one upstream gradient that depends on the shape only."""
    leaves = [Tensor(x.data, requires_grad=True) for x in inputs]
    y = function(*leaves)
    g = random_signed(np.random.default_rng(7), y.shape).astype(np.float32).astype(dtype)
    seed = Tensor(g) if isinstance(y.data, np.ndarray) else Tensor(g).to("gpu")
    dxs = grad(y, leaves, seed)
    return [t.numpy().astype(np.float64) for t in (y, *dxs)]
