"""Ways to be wrong: what planted_gradients.py wraps around the backward of any op.

Nothing here knows what an op computes. A mistake that leaves the gradient of an example as it was
is no mistake there, and not counted.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn.autograd import Op, Tensor, enable_grad


class Mistake(NamedTuple):
    """A way to be wrong.

    change: of (dx, what is known of the call) -> wrong dx; None: `upstream` is used.
    upstream: of (dy, what is known) -> what backward is given instead of dy.
    backward: of (the right backward, op, dys) -> what takes its place, where arrays cannot tell.
    causes: names of diagnoses that explain it; see minicnn/gradcheck/diagnosis.py.
    """

    category: int
    causes: tuple[str, ...]
    change: Callable[..., Any] | None = None
    upstream: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None
    stateful: bool = False  # wrong from the second call on


class Call(NamedTuple):
    """What a mistake may look at: the op, the number of the input, all gradients, a memory ..."""

    op: Op
    k: int
    dy: np.ndarray
    dxs: tuple[Any, ...]
    memory: dict[str, np.ndarray]
    right: Callable[..., Any]  # the backward of the op

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


def to_all_winners(dx, call):
    """For each element the largest gradient that it gets when the ties are decided otherwise."""
    rng = np.random.default_rng(dx.size)
    for _ in range(24):
        twin = copy.copy(call.op)
        twin.inputs = ()
        with enable_grad():
            xs = [Tensor(x.data + 1e-9 * rng.normal(size=x.shape), True) for x in call.op.inputs]
            y = twin(*xs)  # whoever holds the output may go backward
        dxs = call.right(twin, Tensor(call.dy))
        decided = (dxs if isinstance(dxs, tuple) else (dxs,))[call.k].data
        dx = np.where(np.abs(decided) > np.abs(dx), decided, dx)
        del y
    return dx


def with_constants(right, op, dys):
    """The right numbers, but they do not move with the inputs and the output of the op."""
    inputs, output = op.inputs, op.output
    constant = Tensor(output.data, requires_grad=True)  # it seems to be what it was
    op.inputs = tuple(Tensor(x.data, x.requires_grad) for x in inputs)
    op._output = weakref.ref(constant)
    try:
        return right(op, *dys)
    finally:
        op.inputs, op._output = inputs, weakref.ref(output)


def from_arrays(right, op, dys):
    """The right numbers, and nothing that remembers where they come from."""
    dxs = right(op, *dys)
    return tuple(
        None if dx is None else dx.detach() for dx in (dxs if isinstance(dxs, tuple) else (dxs,))
    )


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

# For ops that choose: each of several equal numbers is given the gradient of the only winner.
TIES = {"ties given to all": Mistake(6, ("conservation", "mask"), to_all_winners)}

# Right once, wrong the second time.
FORGOTTEN = {
    "inputs taken for constants": Mistake(2, (), backward=with_constants),
    "made of arrays": Mistake(2, (), backward=from_arrays),
}
