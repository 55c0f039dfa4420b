"""Plants wrong gradients into every op, and counts what gradcheck finds, and how it explains it.

    python tests/planted_gradients.py                           prints the table, in half an hour
    python tests/planted_gradients.py --seeds 100 --one-in 50   each op and mistake with 2 seeds
    python tests/planted_gradients.py --parts ties layers       of the parts of the table, these

A mistake is made by a transformation that is wrapped around the backward of any op; see
planted_mistakes.py. Ops that go backward only where a gradient is differentiated, as the gradient
of a convolution by its filters, are checked to the second order. The last lines count false alarms:
correct ops and layers, with data on kinks and ties as well. The exit code is 1 if anything was
missed or accused.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import itertools
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from cases import CASES
from planted_mistakes import FORGOTTEN, MISTAKES, TIES, Call, Mistake

from minicnn import ops as operations
from minicnn.autograd import Op, Tensor, Watcher, grad, watch
from minicnn.gradcheck import GradReport, gradcheck
from minicnn.gradcheck.point import random_signed
from minicnn.ops.max_pool2d import TakeLargest
from minicnn.ops.selection import TakeLarger, TakeSmaller
from minicnn.selfcheck.layer_examples import LAYER_EXAMPLES
from minicnn.selfcheck.subjects import LayerSubject

# Kinks behind kinks: relu(x) - relu(-x) is x, but its gradient at 0, made by the chain rule, is 0.
# So what is right at each kink of a network need not lie between its slopes where several meet.
NETWORKS = {"little_cnn"}
OPS = [op for op in Op.__subclasses__() if op.__module__.startswith("minicnn.ops")]
CHOOSING = (TakeLargest, TakeLarger, TakeSmaller)


@contextmanager
def planted(op: type[Op], k: int, mistake: Mistake):
    """Within this block, `op` makes the mistake in the gradient for its input number k."""
    right, memory = op.backward, {}

    def wrong(self, *dys):
        given = dys
        if mistake.upstream:
            call = Call(self, k, dys[0].data, (), memory, right)
            changed = np.ascontiguousarray(mistake.upstream(dys[0].data, call))
            given = (Tensor(changed), *[Tensor(d.data * 0) for d in dys[1:]])
        result = mistake.backward(right, self, dys) if mistake.backward else right(self, *given)
        dxs = result if isinstance(result, tuple) else (result,)
        if k >= len(dxs) or dxs[k] is None:
            return result
        honest = right(self, *dys) if mistake.upstream or mistake.backward else result
        honest = honest if isinstance(honest, tuple) else (honest,)
        if mistake.upstream or mistake.backward:
            dx = dxs[k]
        else:
            changed = mistake.change(dxs[k].data, Call(self, k, dys[0].data, dxs, memory, right))
            dx = None if changed is None else Tensor(np.array(changed))
        return tuple(dx if i == k else d for i, d in enumerate(honest))

    op.backward = wrong
    try:
        yield
    finally:
        op.backward = right


class _Seen(Watcher):
    def __init__(self):
        self.ops = set()

    def before_backward(self, op, dy):
        self.ops.add((type(op), len(op.inputs)))


def upstream(name, arrays):
    """An upstream gradient for an example, always the same."""
    y = CASES[name][0](*(Tensor(a, requires_grad=True) for a in arrays))
    return random_signed(np.random.default_rng(5), y.shape)


def gradients(name, arrays, order=1):
    """The gradients of an example for that upstream gradient, as one list of arrays.

    Order 2: those of a weighted sum of the gradients, by the inputs and the upstream gradient.
    """
    rng = np.random.default_rng(6)
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    g = Tensor(upstream(name, arrays), requires_grad=True)
    dxs = grad(CASES[name][0](*xs), xs, g, create_graph=order == 2)
    if order == 2:
        weighted = [operations.sum(dx * Tensor(rng.normal(size=dx.shape))) for dx in dxs]
        dxs = grad(sum(weighted, start=Tensor(0.0)), [*xs, g])
    return [dx.data for dx in dxs]


def varied(name: str, seed: int) -> list[np.ndarray]:
    """The inputs of an example, a little larger or smaller; signs and order of size stay."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if seed == 0:
        return list(CASES[name][1:])
    return [a * rng.uniform(0.85, 1.15, a.shape) for a in CASES[name][1:]]


def on_kinks(name: str, seed: int) -> list[np.ndarray]:
    """Inputs in steps of 1: many zeros and equals; what is positive stays positive."""
    return [np.trunc(a) + 0.0 if np.any(a < 0) else np.ceil(a) for a in varied(name, seed)]


def is_defined(name: str, arrays) -> bool:
    """Whether the example has a finite value there, which 1 / x has not at 0."""
    with np.errstate(all="ignore"):
        y = CASES[name][0](*(Tensor(a, requires_grad=True) for a in arrays))
        return bool(np.isfinite(y.data).all())


Hosts = dict[type[Op], tuple[str, int]]


@functools.cache
def hosts(order: int = 1) -> Hosts:
    """For each op an example in which it goes backward, the one with the fewest ops; its inputs.

    Order 2: only ops that go backward where a gradient is differentiated, and not before.
    """
    found: dict[type[Op], tuple[int, str, int]] = {}
    for name in CASES:
        with watch(seen := _Seen()):
            gradients(name, CASES[name][1:], order)
        for op, inputs in seen.ops:
            if op in OPS and (op not in found or len(seen.ops) < found[op][0]):
                found[op] = (len(seen.ops), name, inputs)
    known = hosts() if order == 2 else {}
    return {op: (name, inputs) for op, (_, name, inputs) in found.items() if op not in known}


def hosts_that_choose() -> Hosts:
    return {op: host for op, host in hosts().items() if op in CHOOSING}


class Part(NamedTuple):
    """A part of the table: which mistakes are planted where, and what they are checked with."""

    hosts: Callable[[], Hosts]
    mistakes: dict[str, Mistake]
    inputs: Callable[[str, int], list[np.ndarray]] = varied
    order: int = 1


PARTS = {
    "gradients": Part(hosts, MISTAKES),
    "ties": Part(hosts_that_choose, TIES, on_kinks),
    "second": Part(functools.partial(hosts, 2), MISTAKES, order=2),
    "forgotten": Part(hosts, FORGOTTEN, order=2),
}
CORRECT = ("ops", "layers")


def changes(name: str, arrays, op, k, mistake, order=1) -> bool:
    """Whether the mistake changes the gradients of an example.

    Those that come with time or chance count wherever the gradient plays a part at all.
    """
    if mistake.stateful:
        return changes(name, arrays, op, k, MISTAKES["sign"], order)
    right = gradients(name, arrays, order)
    try:
        with planted(op, k, mistake), np.errstate(all="ignore"):
            wrong = gradients(name, arrays, order)
    except NotImplementedError:
        return True
    for a, b in zip(right, wrong, strict=True):
        scale = max(np.abs(a).max(initial=0), 1e-30)
        if not np.abs(a - b).max(initial=0) <= 3e-6 * scale:
            return True
        if mistake.category == 8 and np.any(a != b):
            return True
    return False


def check(name: str, arrays, seed: int, order: int = 1) -> GradReport:
    """The second order at the very place where `changes` has looked, of which g is a part."""
    g = upstream(name, arrays) if order == 2 else "random"
    function, settings = CASES[name][0], {"seed": seed, "order": order, "cotangent": g}
    with np.errstate(all="ignore"):
        return gradcheck(function, *arrays, raise_on_fail=False, **settings)


class Outcome(NamedTuple):
    """What became of a planted mistake."""

    op: str
    k: int
    mistake: str
    caught: bool
    explained: bool
    cause: str


def outcomes(
    seed: int, ops=None, mistakes=None, sparse: int = 1, part: str = "gradients"
) -> Iterator[Outcome]:
    """Plant every mistake into every op, one at a time; of `sparse` pairs one, by seed another."""
    where = PARTS[part]
    pairs = (
        (op, name, k, title)
        for op, (name, inputs) in where.hosts().items()
        if ops is None or op in ops
        for k, title in itertools.product(range(inputs), mistakes or where.mistakes)
    )
    for op, name, k, title in itertools.islice(pairs, seed % sparse, None, sparse):
        arrays, mistake = where.inputs(name, seed), where.mistakes[title]
        if changes(name, arrays, op, k, mistake, where.order):
            with planted(op, k, mistake):
                report = check(name, arrays, seed, where.order)
            explained = not report.ok and is_explained(report, mistake, where.order)
            yield Outcome(op.__name__, k, title, not report.ok, explained, report.cause)


def is_explained(report: GradReport, mistake: Mistake, order: int) -> bool:
    """Whether the report names what is wrong; of the second order, that it is the second order."""
    return report.cause in mistake.causes if order == 1 else bool(report.structural.get("order 2"))


def false_alarms(seed: int, names=CASES, sparse: int = 1):
    """The correct examples that are accused, each with its report; of `sparse` examples one."""
    for name in itertools.islice(names, seed % sparse, None, sparse):
        for arrays in points_of(name, seed):
            if is_defined(name, arrays):
                report = check(name, arrays, seed)
                if not report.ok:
                    yield name, report


def false_alarms_of_layers(seed: int, names=LAYER_EXAMPLES, sparse: int = 1):
    """The layers that are accused, each with its report: with random numbers, and on kinks."""
    for name in itertools.islice(names, seed % sparse, None, sparse):
        example = LAYER_EXAMPLES[name]
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        whole = [np.round(1.3 * rng.normal(size=shape)) for shape in example.inputs]
        for inputs in (None, whole):
            (row,) = LayerSubject(name, example, inputs).in_float64(seed)
            if not row.ok:
                yield name, row.report


def points_of(name: str, seed: int) -> list[list[np.ndarray]]:
    """Where a correct op is looked at."""
    smooth = varied(name, seed)
    return [smooth] if name in NETWORKS else [smooth, on_kinks(name, seed)]


def print_mistakes(part: str, seeds: int, sparse: int, details: bool) -> bool:
    """Plant the mistakes of a part of the table and print it; whether all were caught."""
    planted_count, caught, explained = Counter(), Counter(), Counter()
    for o in itertools.chain(*(outcomes(s, sparse=sparse, part=part) for s in range(seeds))):
        planted_count[o.mistake] += 1
        caught[o.mistake] += o.caught
        explained[o.mistake] += o.explained
        if details and not (o.caught and o.explained):
            print(f"  {o.op}, input {o.k}, {o.mistake}: caught {o.caught}, said {o.cause!r}")
    print(f"{part + ':':30}{'category':>9}{'planted':>9}{'caught':>9}{'explained':>11}")
    for title, mistake in PARTS[part].mistakes.items():
        counts = planted_count[title], caught[title], explained[title]
        print(f"{title:30}{mistake.category:9}{counts[0]:9}{counts[1]:9}{counts[2]:11}")
    total, found, right = (c.total() for c in (planted_count, caught, explained))
    print(f"caught {found} of {total}, explained {right / max(total, 1):.1%}", flush=True)
    return found == total


def print_false_alarms(part: str, seeds: int, sparse: int) -> bool:
    """Check what is correct and print who was accused; whether nobody was."""
    accusing = false_alarms if part == "ops" else false_alarms_of_layers
    accused = [
        f"{name} with seed {s}" for s in range(seeds) for name, _ in accusing(s, sparse=sparse)
    ]
    checks = sum(number_of_checks(part, s, sparse) for s in range(seeds))
    print(f"false alarms: {len(accused)} of {checks} checks of correct {part}", flush=True)
    for alarm in accused[:20]:
        print("  " + alarm)
    return not accused


def number_of_checks(part: str, seed: int, sparse: int) -> int:
    names = list(CASES if part == "ops" else LAYER_EXAMPLES)[seed % sparse :: sparse]
    if part == "layers":
        return 2 * len(names)
    return sum(is_defined(n, arrays) for n in names for arrays in points_of(n, seed))


def main() -> int:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--one-in", type=int, default=1, help="of so many pairs for each seed one")
    parser.add_argument(
        "--parts", nargs="*", choices=(*PARTS, *CORRECT), default=[*PARTS, *CORRECT]
    )
    parser.add_argument("--details", action="store_true", help="print what was not explained")
    settings = parser.parse_args()
    seeds, sparse = settings.seeds, settings.one_in
    well = [
        print_mistakes(part, seeds, sparse, settings.details)
        if part in PARTS
        else print_false_alarms(part, seeds, sparse)
        for part in settings.parts
    ]
    return int(not all(well))


if __name__ == "__main__":
    sys.exit(main())
