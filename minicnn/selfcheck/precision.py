"""Rounding counted: is a result in low precision as good as its precision allows?

Finite differences are of no use in float32. So a result is compared with the same computation in
float64, and the error is counted in units of what rounding explains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor, Watcher, watch
from minicnn.backend import Array

U = 2.0**-24  # half the distance from 1 to the next number of float32
MOVES = 4
LIMIT = 8.0  # right results stay below; inputs rounded to 10 bits give a hundred and more


def scaled_error(result: Array, reference: Any, *arguments: Any) -> float:
    """The largest error of a result, in units of the rounding of one float.

        r = |result - reference| / (u * sqrt(K) * sqrt(sum over k of t[k]^2))

    where a result is a sum of K products t[k], and u is half the distance from 1 to the next number
    of result's dtype (2^-24 for float32). Two more runs of the reference tell the rest: on squared
    arguments it gives the sum of t[k]^2, on ones it gives K. So the reference must be a sum of
    products, as convolutions, matrix products, sums and average pooling are.

    Measured: correct float32 convolutions have r <= 3.4, inputs rounded to TF32 r >= 97.

    NaN and infinities have no error where the reference has them, too (or a number that is too
    large for the dtype of the result, and so infinite there). Where only one side has them, r is
    infinite.

    Args:
        result: what is judged, float16, float32 or float64.
        reference: computes the same from float64 arrays.
        arguments: what result was computed from; floating point arrays among them are converted.

    Returns:
        r, at most 8 for a correct kernel (LIMIT); never NaN.

    Raises:
        ValueError: result and reference differ in shape.

    >>> x = np.linspace(0, 1, 100, dtype=np.float32)
    >>> bool(scaled_error(x.sum(), np.sum, x) < 8)
    True
    """
    exact = _applied(reference, arguments, lambda a: a)
    squares = _applied(reference, arguments, np.square)
    count = _applied(reference, arguments, np.ones_like)
    result = np.asarray(result)
    if result.shape != exact.shape:
        raise ValueError(
            f"scaled_error: result has shape {result.shape}, but the reference makes {exact.shape} "
            f"of the same arguments. Let both compute the same."
        )
    with np.errstate(all="ignore"):
        scale = np.sqrt(np.abs(squares * count))
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
    error = distance(result, exact) / scale
    return float((error / (np.finfo(result.dtype).eps / 2)).max(initial=0))


def distance(result: Array, exact: Array) -> Array:
    """How far each number of a result is from the exact one, infinitely far if only one is finite.

    A NaN is as it must be where the exact number is NaN, an infinity where the exact number,
    rounded to the dtype of the result, is the same one.

    >>> nan, inf = np.nan, np.inf
    >>> distance(np.array([1.0, nan, nan, -inf, inf]), np.array([1.5, nan, 2.0, -inf, -inf]))
    array([0.5, 0. , inf, 0. , inf])
    """
    with np.errstate(all="ignore"):
        gap = np.abs(result.astype(np.float64) - exact)
        rounded = exact.astype(result.dtype)
    alike = (result == rounded) | (np.isnan(result) & np.isnan(exact))
    return np.where(np.isfinite(gap), gap, np.where(alike, 0.0, np.inf))


def _applied(reference: Any, arguments: tuple[Any, ...], change: Any) -> Array:
    given = [
        change(a.astype(np.float64)) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for a in arguments
    ]
    with np.errstate(all="ignore"):  # what NaN and infinities become is part of the answer
        return np.asarray(reference(*given))


def explained(error: float) -> str:
    """What a scaled error means, in words.

    >>> explained(1200.0)
    'WRONG: inputs look rounded to 10 bits (TF32?)'
    """
    if error <= LIMIT:
        return "ok"
    if not np.isfinite(error):
        return "WRONG: NaN or infinite where a number was wanted, or the other way round"
    if 50 <= error <= 20_000:
        return "WRONG: inputs look rounded to 10 bits (TF32?)"
    return "WRONG"


def sensitivity(
    outputs: Any, arrays: list[Array], exact: list[Array], rng: np.random.Generator
) -> list[Array]:
    """How far rounding moves each result, in units of the rounding: for any function.

    Each input, and what each op makes, is moved by one rounding of float32, up or down at random,
    a few times. (The inputs alone would not do: 1 - y, where y is nearly 1, is all rounding of y.)

    Args:
        outputs: of float64 arrays; returns a list of arrays.
        arrays: the inputs.
        exact: outputs(arrays).
        rng: draws the moves.
    """
    moves = []
    for _ in range(MOVES):
        moved_inputs = [_moved(a, rng) if a.dtype.kind == "f" else a for a in arrays]
        with watch(_Rounding(rng)):
            moved = outputs(moved_inputs)
        moves.append([np.abs(m - e) / U for m, e in zip(moved, exact, strict=True)])
    return [
        np.maximum(np.sqrt(np.mean(np.square(seen), axis=0)), np.abs(e))
        for seen, e in zip(zip(*moves, strict=True), exact, strict=True)
    ]


def _moved(a: Array, rng: np.random.Generator) -> Array:
    return np.asarray(a * (1 + U * rng.choice([-1.0, 1.0], a.shape)))


class _Rounding(Watcher):
    """Moves what each op makes, as rounding it to float32 might."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        y = output.data
        if y.dtype != np.float64 or any(np.may_share_memory(y, x.data) for x in inputs):
            return  # what only looks at the numbers of another one rounds nothing
        was_open = y.flags.writeable
        try:
            y.setflags(write=True)
        except ValueError:
            return  # a view of something that is locked
        y[...] = _moved(y, self.rng)
        y.setflags(write=was_open)
