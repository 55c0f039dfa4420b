"""Plants wrong gradients into every op, and counts what gradcheck finds, and how it explains it.

    python tests/planted_gradients.py                           prints the table, in 10 minutes
    python tests/planted_gradients.py --seeds 100 --one-in 50   each op and mistake with 2 seeds

A mistake is made by a transformation that is wrapped around the backward of any op; nothing here
knows what an op computes. A mistake that leaves the gradient of an example as it was is no mistake
there, and not counted. The second table counts false alarms: correct ops, with data on kinks and
ties as well. The exit code is 1 if anything was missed or accused.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import itertools
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from cases import CASES

from minicnn.autograd import Op, Tensor, Watcher, grad, watch
from minicnn.gradcheck import GradReport, gradcheck

# Kinks behind kinks: relu(x) - relu(-x) is x, but its gradient at 0, made by the chain rule, is 0.
# So what is right at each kink of a network need not lie between its slopes where several meet.
NETWORKS = {"little_cnn"}
OPS = [op for op in Op.__subclasses__() if op.__module__.startswith("minicnn.ops")]


class Mistake(NamedTuple):
    """A way to be wrong.

    change: of (dx, what is known of the call) -> wrong dx; None: `upstream` is used.
    upstream: of (dy, what is known) -> what backward is given instead of dy.
    causes: names of diagnoses that explain it; see minicnn/gradcheck/diagnosis.py.
    """

    category: int
    causes: tuple[str, ...]
    change: Callable[..., Any] | None = None
    upstream: Callable[..., Any] | None = None
    stateful: bool = False  # wrong from the second call on


class Call(NamedTuple):
    """What a mistake may look at: the op, the number of the input, all gradients, a memory."""

    op: Op
    k: int
    dy: np.ndarray
    dxs: tuple[Any, ...]
    memory: dict[str, np.ndarray]

    @property
    def x(self):
        return self.op.inputs[self.k].data


def random_like(a):
    return np.random.default_rng(a.size).normal(size=a.shape)


def edge(a, axis, k):
    """`a` with place k of an axis set to 0."""
    a = a.copy()
    a[(slice(None),) * axis + (k,)] = 0
    return a


def shifted(a, axis):
    """`a`, moved by one along an axis; a zero moves in."""
    return edge(np.roll(a, 1, axis), axis, 0)


def along(a, f):
    """Apply f along the first axis that has more than one place; `a` itself if there is none."""
    axes = [k for k, n in enumerate(a.shape) if n > 1]
    return f(a, axes[0]) if axes else a


def along_last(a, f):
    axes = [k for k, n in enumerate(a.shape) if n > 1]
    return f(a, axes[-1]) if axes else a


def another_input(dx, call):
    others = [d.data for k, d in enumerate(call.dxs) if k != call.k and d is not None]
    same = [d for d in others if d.shape == dx.shape]
    return same[0] if same else dx


def transposed(a, _=None):
    return a.transpose(np.roll(range(a.ndim), 1)).reshape(a.shape)


def stale(dx, call):
    before = call.memory.get(dx.shape, dx)
    call.memory[dx.shape] = dx
    return before


def scribbled(dx, call):
    held = call.op.inputs[call.k].data
    held.setflags(write=True)
    held.ravel()[:1] += 1e-3
    held.setflags(write=False)
    return dx


def unwritten(dx, call):
    """The last cell is whatever the memory held."""
    rng = call.memory.setdefault("rng", np.random.default_rng(0))
    wrong = dx.copy()
    wrong.reshape(-1)[-1:] = rng.normal()
    return wrong


UPSTREAM = ("averaged", "upstream ignored", "upstream misplaced", "linear", "upstream twice")
PLACED = ("axes swapped", "moved", "misplaced", "upstream misplaced")
PARTS = ("border", "missing sum", "mask", "some zero", "upstream misplaced", "moved")
TERMS = ("term missing", "averaged", "upstream misplaced")
N = lambda call: max(call.op.inputs[0].shape[:1] or (1,))  # noqa: E731

MISTAKES = {
    "zeros": Mistake(1, ("zeros",), lambda dx, c: dx * 0),
    "ones": Mistake(1, ("upstream ignored", "linear"), lambda dx, c: dx * 0 + 1),
    "sign": Mistake(1, ("sign",), lambda dx, c: -dx),
    "times the batch": Mistake(1, ("factor",), lambda dx, c: dx * N(c)),
    "divided by the batch": Mistake(1, ("factor",), lambda dx, c: dx / N(c)),
    "times 1.001": Mistake(1, ("factor",), lambda dx, c: dx * 1.001),
    "random": Mistake(1, ("upstream ignored", "linear"), lambda dx, c: random_like(dx)),
    "of another input": Mistake(1, ("other input",), another_input),
    "none": Mistake(1, ("raised",), lambda dx, c: None),
    "upstream ignored": Mistake(2, UPSTREAM, None, lambda dy, c: dy * 0 + 1),
    "upstream averaged": Mistake(2, UPSTREAM, None, lambda dy, c: dy * 0 + dy.mean()),
    "upstream sorted": Mistake(
        2, UPSTREAM, None, lambda dy, c: np.sort(dy, axis=None).reshape(dy.shape)
    ),
    "upstream reversed": Mistake(2, (*UPSTREAM, "moved"), None, lambda dy, c: np.flip(dy)),
    "upstream of the first row": Mistake(
        2, (*UPSTREAM, *TERMS), None, lambda dy, c: along(dy, lambda a, k: a * 0 + a.take([0], k))
    ),
    "upstream squared": Mistake(2, UPSTREAM, None, lambda dy, c: dy * dy),
    "upstream twice": Mistake(
        2,
        (*UPSTREAM, "multiplied"),
        lambda dx, c: dx * c.dy if dx.shape == c.dy.shape else dx * np.abs(c.dy).mean(),
    ),
    "transposed": Mistake(3, PLACED, transposed),
    "flipped": Mistake(3, PLACED, lambda dx, c: along_last(dx, np.flip)),
    "rolled": Mistake(3, PLACED, lambda dx, c: along(dx, lambda a, k: np.roll(a, 1, k))),
    "channels permuted": Mistake(
        3, PLACED, lambda dx, c: along_last(dx, lambda a, k: np.roll(a, 1, k))
    ),
    "upstream transposed": Mistake(3, (*PLACED, *UPSTREAM), None, transposed),
    "sum over the batch missing": Mistake(
        4, (*PARTS, "zeros"), None, lambda dy, c: along(dy, lambda a, k: a - edge(a, k, 0))
    ),
    "broadcast not undone": Mistake(
        4, TERMS, lambda dx, c: along(dx, lambda a, k: a * 0 + a.mean(k, keepdims=True))
    ),
    "shifted, zeros move in": Mistake(5, ("moved", "border"), lambda dx, c: along(dx, shifted)),
    "last row skipped": Mistake(
        5, (*PARTS, "zeros"), lambda dx, c: along(dx, lambda a, k: edge(a, k, -1))
    ),
    "last channel skipped": Mistake(
        5, (*PARTS, "zeros"), lambda dx, c: along_last(dx, lambda a, k: edge(a, k, -1))
    ),
    "0 where x < 0": Mistake(6, (*PARTS, "zeros"), lambda dx, c: dx * (c.x >= 0)),
    "twice where x > 0": Mistake(
        6, ("mask", "border", "factor", "factor along"), lambda dx, c: dx * (1 + (c.x > 0))
    ),
    "mean taken away": Mistake(
        7,
        (*TERMS, "zeros"),
        lambda dx, c: along(dx, lambda a, k: a - a.mean(k, keepdims=True)),
    ),
    "constant term too many": Mistake(
        7,
        (*TERMS, "factor"),
        lambda dx, c: along_last(dx, lambda a, k: a + a.sum(k, keepdims=True)),
    ),
    "times x": Mistake(
        7, ("multiplied", "factor along", "factor", "zeros"), lambda dx, c: dx * c.x
    ),
    "float32": Mistake(8, ("precision", "dtypes"), lambda dx, c: dx.astype(np.float32)),
    "rounded": Mistake(8, ("precision",), lambda dx, c: dx.astype(np.float16).astype(np.float64)),
    "not a number": Mistake(8, ("not a number",), lambda dx, c: dx * np.nan),
    "stale": Mistake(9, ("repeatable",), stale, stateful=True),
    "writes into an input": Mistake(
        9, ("inputs untouched", "repeatable"), scribbled, stateful=True
    ),
    "a cell unwritten": Mistake(9, ("repeatable",), unwritten, stateful=True),
}


@contextmanager
def planted(op: type[Op], k: int, mistake: Mistake):
    """Within this block, `op` makes the mistake in the gradient for its input number k."""
    right, memory = op.backward, {}

    def wrong(self, *dys):
        given = dys
        if mistake.upstream:
            call = Call(self, k, dys[0].data, (), memory)
            changed = np.ascontiguousarray(mistake.upstream(dys[0].data, call))
            given = (Tensor(changed), *[Tensor(d.data * 0) for d in dys[1:]])
        result = right(self, *given)
        dxs = result if isinstance(result, tuple) else (result,)
        if k >= len(dxs) or dxs[k] is None:
            return result
        honest = right(self, *dys) if mistake.upstream else result
        honest = honest if isinstance(honest, tuple) else (honest,)
        if mistake.upstream:
            dx = dxs[k]
        else:
            changed = mistake.change(dxs[k].data, Call(self, k, dys[0].data, dxs, memory))
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


def gradients(name, arrays):
    """The gradients of an example for fixed upstream gradients, as one list of arrays."""
    function = CASES[name][0]
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    y = function(*xs)
    g = np.random.default_rng(5).normal(size=y.shape)
    return [dx.data for dx in grad(y, xs, Tensor(g))]


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


@functools.cache
def hosts() -> dict[type[Op], tuple[str, int]]:
    """For each op an example in which it goes backward, the one with the fewest ops; its inputs."""
    found: dict[type[Op], tuple[int, str, int]] = {}
    for name in CASES:
        with watch(seen := _Seen()):
            gradients(name, CASES[name][1:])
        for op, inputs in seen.ops:
            if op in OPS and (op not in found or len(seen.ops) < found[op][0]):
                found[op] = (len(seen.ops), name, inputs)
    return {op: (name, inputs) for op, (_, name, inputs) in found.items()}


def changes(name: str, arrays, op, k, mistake) -> bool:
    """Whether the mistake changes the gradients of an example.

    Those that come with time or chance count wherever the gradient plays a part at all.
    """
    if mistake.stateful:
        return changes(name, arrays, op, k, MISTAKES["sign"])
    right = gradients(name, arrays)
    try:
        with planted(op, k, mistake), np.errstate(all="ignore"):
            wrong = gradients(name, arrays)
    except NotImplementedError:
        return True
    for a, b in zip(right, wrong, strict=True):
        scale = max(np.abs(a).max(initial=0), 1e-30)
        if not np.abs(a - b).max(initial=0) <= 3e-6 * scale:
            return True
        if mistake.category == 8 and np.any(a != b):
            return True
    return False


def check(name: str, arrays, seed: int, **settings: Any) -> GradReport:
    with np.errstate(all="ignore"):
        return gradcheck(CASES[name][0], *arrays, seed=seed, raise_on_fail=False, **settings)


class Outcome(NamedTuple):
    """What became of a planted mistake."""

    op: str
    k: int
    mistake: str
    caught: bool
    explained: bool
    cause: str


def outcomes(seed: int, ops=None, mistakes=MISTAKES, sparse: int = 1):
    """Plant every mistake into every op, one at a time; of `sparse` pairs one, by seed another."""
    pairs = (
        (op, name, k, title)
        for op, (name, inputs) in hosts().items()
        if ops is None or op in ops
        for k, title in itertools.product(range(inputs), mistakes)
    )
    for op, name, k, title in itertools.islice(pairs, seed % sparse, None, sparse):
        arrays, mistake = varied(name, seed), MISTAKES[title]
        if changes(name, arrays, op, k, mistake):
            with planted(op, k, mistake):
                report = check(name, arrays, seed)
            explained = not report.ok and report.cause in mistake.causes
            yield Outcome(op.__name__, k, title, not report.ok, explained, report.cause)


def false_alarms(seed: int, names=CASES, sparse: int = 1):
    """The correct examples that are accused, each with its report; of `sparse` examples one."""
    for name in itertools.islice(names, seed % sparse, None, sparse):
        points = (
            [varied(name, seed)] if name in NETWORKS else [varied(name, seed), on_kinks(name, seed)]
        )
        for arrays in points:
            if is_defined(name, arrays):
                report = check(name, arrays, seed)
                if not report.ok:
                    yield name, report


def main() -> int:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--one-in", type=int, default=1, help="of so many pairs for each seed one")
    parser.add_argument("--details", action="store_true", help="print what was not explained")
    settings = parser.parse_args()
    planted_count, caught, explained = Counter(), Counter(), Counter()
    alarms, checks = [], 0
    for seed in range(settings.seeds):
        for o in outcomes(seed, sparse=settings.one_in):
            planted_count[o.mistake] += 1
            caught[o.mistake] += o.caught
            explained[o.mistake] += o.explained
            if settings.details and not (o.caught and o.explained):
                print(f"  {o.op}, input {o.k}, {o.mistake}: caught {o.caught}, said {o.cause!r}")
        accused = false_alarms(seed, sparse=settings.one_in)
        alarms += [f"{name} with seed {seed}" for name, _ in accused]
        examples = list(itertools.islice(CASES, seed % settings.one_in, None, settings.one_in))
        checks += 2 * len(examples) - len(NETWORKS.intersection(examples))
    print(f"{'mistake':30}{'category':>9}{'planted':>9}{'caught':>9}{'explained':>11}")
    for title, mistake in MISTAKES.items():
        counts = planted_count[title], caught[title], explained[title]
        print(f"{title:30}{mistake.category:9}{counts[0]:9}{counts[1]:9}{counts[2]:11}")
    total, found, right = (sum(c.values()) for c in (planted_count, caught, explained))
    print(f"{'all':39}{total:9}{found:9}{right:11}")
    print(f"caught {found} of {total}, explained {right / total:.1%}")
    print(f"false alarms: {len(alarms)} of {checks} checks of correct ops")
    for alarm in alarms[:20]:
        print("  " + alarm)
    return int(found < total or bool(alarms))


if __name__ == "__main__":
    sys.exit(main())
