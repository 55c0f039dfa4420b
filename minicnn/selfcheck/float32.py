"""What a device computes in float32, forward and backward, judged by float64 on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn import random
from minicnn.autograd import Op, Tensor, Watcher, grad, watch
from minicnn.backend import Array, get_device, set_device
from minicnn.gradcheck.point import outputs_of, random_signed
from minicnn.selfcheck.precision import U, distance, explained, sensitivity
from minicnn.selfcheck.table import Row
from minicnn.variable import Variable

NEGLIGIBLE = 0.05  # of the largest number of a tensor: what is smaller may be off by as much


def check_in_float32(
    name: str,
    low: Callable[..., Any],
    arrays: Sequence[Array],
    device: str,
    high: Callable[..., Any] | None = None,
) -> Row:
    """Compare what a function and its gradients are in float32 with what they are in float64.

    The shape and dtype must be right, and NaN and infinities be where float64 has them, too. What
    raises a NotImplementedError was not promised, and is skipped.

    Args:
        name: of the row.
        low: the function of tensors; it is given float32 that lives on `device`.
        arrays: its inputs.
        device: the one that set_device has chosen.
        high: the same function for float64; None: low, which does whatever its inputs are.
    """
    rounded = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    try:
        got = _results(low, rounded, device)
    except NotImplementedError as reason:
        return Row(name, device, "float32", f"skipped: {reason}")
    exact_inputs = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in rounded]

    def outputs(inputs: list[Array]) -> list[Array]:
        return _results(high or low, inputs, "cpu")

    with on_device("cpu"), np.errstate(all="ignore"):
        with watch(sums := _Sums()):
            exact = outputs(exact_inputs)
        problem = _unlike(got, exact)
        if problem:
            return Row(name, device, "float32", f"WRONG: {problem}")
        scales = sensitivity(outputs, exact_inputs, exact, np.random.default_rng(0))
    worst = max(_in_roundings(*three) for three in zip(got, exact, scales, strict=True))
    r = worst / np.sqrt(sums.terms)
    return Row(name, device, "float32", explained(r), r)


@contextmanager
def on_device(name: str) -> Iterator[None]:
    """Within this block, new arrays are born on another device."""
    before = get_device()
    set_device(name)
    try:
        yield
    finally:
        set_device(before)


class _Sums(Watcher):
    """The largest number of terms that could have gone into one number of a result."""

    def __init__(self) -> None:
        self.terms = 1

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.terms = max(self.terms, *(x.size for x in inputs))


def _results(function: Callable[..., Any], arrays: Sequence[Array], device: str) -> list[Array]:
    """The outputs and all gradients, for upstream gradients that depend on the shapes only."""
    given = [Variable(a, device=device) if a.dtype.kind == "f" else a for a in arrays]
    leaves = [x for x in given if isinstance(x, Variable)]
    state = random.state()
    try:
        ys = outputs_of(function(*given))
    finally:
        random.load_state(state)
    rng, dxs = np.random.default_rng(7), []
    for y in ys:
        g = random_signed(rng, y.shape).astype(np.float32).astype(y.dtype)
        dxs += grad(y, leaves, Tensor(g, device=y.device))
    return [t.numpy() for t in (*ys, *dxs)]


def _unlike(got: list[Array], exact: list[Array]) -> str:
    """In what the float32 results are of another kind than they must be; "" if in nothing."""
    for k, (low, high) in enumerate(zip(got, exact, strict=True)):
        if low.dtype != np.float32:
            return f"{_which(k)} is {low.dtype}, but must be float32, as the inputs are"
        if low.shape != high.shape:
            return f"{_which(k)} has shape {low.shape}, in float64 {high.shape}"
    return ""


def _which(k: int) -> str:
    return f"result {k} (counted from 0: outputs, then gradients)"


def _in_roundings(got: Array, exact: Array, scale: Array) -> float:
    """The largest error, in units of what one rounding of each number explains."""
    scale = np.where(np.isfinite(scale), scale, 0.0)
    explicable = U * np.maximum(scale, scale.max(initial=0) * NEGLIGIBLE) + 1e-30
    return float((distance(got, exact) / explicable).max(initial=0))
