"""What every backward must fulfil, whatever it computes; no finite differences are needed for most.

Each test returns "" or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, grad, watch
from minicnn.backend import Array, kernels
from minicnn.gradcheck.kinks import STEPS, is_rounding, slopes
from minicnn.gradcheck.numeric import Stencil, most_rounding
from minicnn.gradcheck.point import Point, Run, flat

SAME = 1e-9  # relative; two ways to compute one gradient may round differently


class Bench:
    """What the tests share: a run of a function, two upstream gradients, and what came of one."""

    def __init__(self, point: Point, upstream: Sequence[list[Array]], h: float) -> None:
        self.point, self.h = point, h
        self.g, self.other_g = upstream[:2]
        self.run: Run = point.run()
        self.dxs = self.run.gradients(self.g)

    def differing(self, wanted: Sequence[Array], got: Sequence[Array]) -> list[str]:
        """The names of the inputs whose gradients are not the same."""
        names = [self.point.names[i] for i in self.point.wrt]
        return [name for name, a, b in zip(names, wanted, got, strict=True) if not _same(a, b)]


def _same(a: Array, b: Array) -> bool:
    """Whether b is a wherever that is a number; of NaN and infinity no rule can be asked."""
    finite = np.isfinite(a)
    a, b = a[finite], b[finite]
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), 1e-30)
    return bool(np.all(np.abs(a - b) <= SAME * scale + 1e-12))


def not_finite(point: Point, run: Run) -> str:
    """Where an input or an output is NaN or infinite: gradients mean nothing there."""
    given = [(point.names[i], point.array(i)) for i in point.wrt]
    made = [(f"output {k}", y.data) for k, y in enumerate(run.outputs)]
    for name, array in [*given, *made]:
        for index in np.argwhere(~np.isfinite(array))[:1]:
            place = str(index.tolist()) if array.ndim else ""
            causes = [
                f", where {x}{place} is {a[tuple(index)]:.6g}"
                for x, a in given
                if a is not array and a.shape == array.shape
            ]
            return (
                f"{name}{place} is {array[tuple(index)]}{''.join(causes)}: nothing can be "
                f"compared. Give inputs where all is finite."
            )
    return ""


def _equal_bits(a: Array, b: Array) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def _times(factor: float, arrays: Sequence[Array]) -> list[Array]:
    return [factor * a for a in arrays]


def _plus(these: Sequence[Array], those: Sequence[Array]) -> list[Array]:
    return [a + b for a, b in zip(these, those, strict=True)]


def linearity(bench: Bench) -> str:
    """b(2g) = 2 b(g), b(0) = 0 and b(g + g') = b(g) + b(g')."""
    dxs, doubled = bench.dxs, bench.run.gradients(_times(2, bench.g))
    wrong = bench.differing(_times(2, dxs), doubled)
    if wrong and not bench.differing(dxs, doubled):
        return f"d{wrong[0]} does not change when the upstream gradient is doubled: it is not used"
    if wrong and not bench.differing(_times(4, dxs), doubled):
        return f"d{wrong[0]} grows 4 times when the upstream gradient is doubled: it is used twice"
    if wrong:
        return f"d{wrong[0]} does not double when the upstream gradient does"
    wrong = bench.differing(_times(0, dxs), bench.run.gradients(_times(0, bench.g)))
    if wrong:
        return f"d{wrong[0]} is not 0 where the upstream gradient is 0: something is added to it"
    summed = bench.run.gradients(_plus(bench.g, bench.other_g))
    wrong = bench.differing(_plus(dxs, bench.run.gradients(bench.other_g)), summed)
    return f"d{wrong[0]} of a sum is not the sum of two d{wrong[0]}" if wrong else ""


class _Types(Watcher):
    def __init__(self) -> None:
        self.wrong: list[str] = []

    def after_backward(self, op: Op, dy: Tensor, dxs: tuple[Any, ...]) -> None:
        for k, (x, dx) in enumerate(zip(op.inputs, dxs, strict=False)):
            if x.requires_grad and isinstance(dx, Tensor) and dx.dtype != x.dtype:
                self.wrong.append(
                    f"{type(op).__name__}.backward returns {dx.dtype} for input {k}, a {x.dtype}"
                )


def types(bench: Bench) -> str:
    """Each op's gradient has the dtype of the op's input; the engine itself looks at the shapes."""
    with watch(watcher := _Types()):
        bench.run.gradients(bench.g)
    return watcher.wrong[0] if watcher.wrong else ""


class _Snapshots(Watcher):
    """Copies of all that the ops of a run hold: what they were given, returned, and keep."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Array, Array]] = []

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        name = type(op).__name__
        for k, x in enumerate(inputs):
            self.keep(f"input {k} of {name}", x.data)
        self.keep(f"the output of {name}", output.data)
        for key, value in vars(op).items():
            if not key.startswith("_") and isinstance(value, np.ndarray):
                self.keep(f"what {name} keeps as self.{key}", value)

    def keep(self, name: str, array: Array) -> None:
        self.seen.append((name, array, array.copy()))

    def changed(self) -> list[str]:
        return [name for name, now, then in self.seen if not _equal_bits(now, then)]


def untouched(bench: Bench) -> str:
    """Inputs, saved arrays and the upstream gradient keep their bits."""
    given = {i: bench.point.array(i).copy() for i in bench.point.wrt}
    g = [a.copy() for a in bench.g]
    with watch(watcher := _Snapshots()):
        run = bench.point.run(given)
    for i, x in given.items():
        if not _equal_bits(x, bench.point.array(i)):
            return f"forward changes its input {bench.point.names[i]}"
    run.gradients(g)
    if not all(map(_equal_bits, g, bench.g)):
        return "backward writes into the upstream gradient"
    changed = watcher.changed()
    return f"backward changes {changed[0]}" if changed else ""


def repeatable(bench: Bench) -> str:
    """Backward gives the same bits again: at once, after other data, in memory full of NaN."""
    first = [dx.copy() for dx in bench.dxs]
    if not all(map(_equal_bits, first, bench.run.gradients(bench.g))):
        return "two runs of backward on the same graph differ"
    rng = np.random.default_rng(0)
    point = bench.point
    others = {
        i: rng.permuted(point.array(i).ravel()).reshape(point.array(i).shape) for i in point.wrt
    }
    point.run(others).gradients(bench.other_g)
    run = point.run()
    _litter([x.shape for x in run.leaves] + [y.shape for y in run.outputs])
    again = run.gradients(bench.g)
    if any(np.isnan(dx).any() for dx in again) and not any(np.isnan(dx).any() for dx in first):
        return "some cells of a gradient are never written: they hold what the memory held before"
    if not all(map(_equal_bits, first, again)):
        return "the gradient depends on what was computed before: a stale buffer?"
    return ""


def _litter(shapes: list[tuple[int, ...]]) -> None:
    """Leave memory full of NaN behind, where the next arrays of these shapes are likely to lie."""
    for make in (np.empty, kernels.empty):
        held = [make(shape, np.float64) for shape in shapes for _ in range(3)]
        for array in held:
            array.fill(np.nan)


def layouts(bench: Bench) -> str:
    """Arrays in Fortran order, or with gaps between their elements, give the same gradients."""
    for name, arrange in (("Fortran order", _in_fortran_order), ("gaps", _with_gaps)):
        arranged = {i: arrange(bench.point.array(i)) for i in bench.point.wrt}
        run = bench.point.run(arranged)
        if not _same(run.values(), bench.run.values()):
            return f"the output is another one for inputs in {name}"
        wrong = bench.differing(bench.dxs, run.gradients([arrange(g) for g in bench.g]))
        if wrong:
            return f"d{wrong[0]} is another one for arrays in {name}"
    return ""


def _in_fortran_order(a: Array) -> Array:
    return a.copy("F")  # np.asfortranarray would give a single number an axis


def _with_gaps(a: Array) -> Array:
    wide = np.zeros((*a.shape, 2))
    wide[..., 0] = a
    return wide[..., 0]


def fan_out(bench: Bench) -> str:
    """An input, or an output, that is used several times receives the sum."""
    run = bench.run
    for k, (y, g) in enumerate(zip(run.outputs, bench.g, strict=True)):
        if not y.requires_grad:
            continue
        once = [dx.data for dx in grad(y, run.leaves, Tensor(g))]
        thrice = [dx.data for dx in grad(y + y * 2.0, run.leaves, Tensor(g))]
        wrong = bench.differing(_times(3, once), thrice)
        if wrong:
            return f"d{wrong[0]} is wrong when output {k} is used twice"
    twice = bench.point.run(uses=2)
    wrong = bench.differing(_times(2, bench.dxs), twice.gradients([*bench.g, *bench.g]))
    return f"d{wrong[0]} is wrong when the inputs are used twice" if wrong else ""


def conservation(bench: Bench) -> str:
    """Moving all of an input together changes the outputs by what the gradient adds up to.

    Where the input has kinks, single elements leave room for several answers; the whole often does
    not: to raise all pixels by 1 raises the maximum by 1, whoever of equals has won it. Likewise
    for all inputs together, as those of `maximum`.
    """
    point, dxs = bench.point, dict(zip(bench.point.wrt, bench.dxs, strict=True))
    together = [{i: dx} for i, dx in dxs.items()] + ([dxs] if len(dxs) > 1 else [])
    for moved in together:
        if gap := _gap_of_sums(bench, moved):
            names = " and ".join(f"d{point.names[i]}" for i in moved)
            return f"the sum of {names} should be {gap[0]:.4g}, is {gap[1]:.4g}"
    return ""


def _gap_of_sums(bench: Bench, dxs: Mapping[int, Array]) -> tuple[float, float] | None:
    """What the gradients for some inputs should add up to, and what they do; None if they agree."""
    point, here, g = bench.point, bench.run.values(), flat(bench.g)
    ones = {i: np.ones(dx.shape) for i, dx in dxs.items()}
    seen = Stencil(point, ones, bench.h / 10, here)
    if not (seen.is_finite and all(np.isfinite(dx).all() for dx in dxs.values())):
        return None  # the function ends here
    left, right = g * seen.left, g * seen.right
    wanted, claimed = float((left + right).sum() / 2), sum(float(dx.sum()) for dx in dxs.values())
    noise = 20 * float(np.sqrt(np.square(g * seen.noise).sum()))
    size = sum(float(np.abs(dx).sum()) for dx in dxs.values()) + abs(wanted)
    low, high = np.minimum(left, right).sum(), np.maximum(left, right).sum()
    room = 1e-6 * size + noise + 1e-8
    if low - room <= claimed <= high + room:
        return None
    steps = [slopes(Stencil(point, ones, h, here), g, h) for h in STEPS]
    return None if is_rounding(claimed, steps, most_rounding(point)) else (wanted, claimed)


TESTS: dict[str, Callable[[Bench], str]] = {
    "linear": linearity,
    "dtypes": types,
    "inputs untouched": untouched,
    "repeatable": repeatable,
    "layouts": layouts,
    "fan-out": fan_out,
    "conservation": conservation,
}


OF_SECOND_ORDER = ("dtypes", "inputs untouched")  # what comparing the numbers would not show


def failures(bench: Bench, names: Iterable[str] = tuple(TESTS)) -> Iterator[tuple[str, str]]:
    """Run the tests of these names, by default all; each name with what is wrong, or ""."""
    for name in names:
        try:
            yield name, TESTS[name](bench)
        except Exception as error:
            yield name, f"{type(error).__name__}: {error}"
