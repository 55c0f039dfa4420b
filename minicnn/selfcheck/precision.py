"""Rounding counted: is a result in low precision as good as its precision allows?

Finite differences are of no use in float32. So a result is compared with the same computation in
float64, and the error is counted in units of what rounding explains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.backend import Array

LIMIT = 8.0  # right results stay below; inputs rounded to 10 bits give a hundred and more


def scaled_error(result: Array, reference: Any, *arguments: Any) -> float:
    """The largest error of a result, in units of the rounding of one float.

        r = |result - reference| / (u * sqrt(K) * sqrt(sum over k of t[k]^2))

    where a result is a sum of K products t[k], and u is half the distance from 1 to the next number
    of result's dtype (2^-24 for float32). Two more runs of the reference tell the rest: on squared
    arguments it gives the sum of t[k]^2, on ones it gives K. So the reference must be a sum of
    products, as convolutions, matrix products, sums and average pooling are.

    Measured: correct float32 convolutions have r <= 3.4, inputs rounded to TF32 r >= 97.

    Args:
        result: what is judged, float16, float32 or float64.
        reference: computes the same from float64 arrays.
        arguments: what result was computed from; floating point arrays among them are converted.

    Returns:
        r, at most 8 for a correct kernel (LIMIT).

    >>> x = np.linspace(0, 1, 100, dtype=np.float32)
    >>> bool(scaled_error(x.sum(), np.sum, x) < 8)
    True
    """
    exact = _applied(reference, arguments, lambda a: a)
    squares = _applied(reference, arguments, np.square)
    count = _applied(reference, arguments, np.ones_like)
    result = np.asarray(result)
    scale = np.sqrt(np.abs(squares * count))
    error = np.abs(result.astype(np.float64) - exact) / np.where(scale == 0, 1, scale)
    return float((error / (np.finfo(result.dtype).eps / 2)).max(initial=0))


def _applied(reference: Any, arguments: tuple[Any, ...], change: Any) -> Array:
    given = [
        change(a.astype(np.float64)) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for a in arguments
    ]
    return np.asarray(reference(*given))


def explained(error: float) -> str:
    """What a scaled error means, in words.

    >>> explained(1200.0)
    'WRONG: inputs look rounded to 10 bits (TF32?)'
    """
    if error <= LIMIT:
        return "ok"
    if 50 <= error <= 20_000:
        return "WRONG: inputs look rounded to 10 bits (TF32?)"
    return "WRONG"


def sensitivity(
    outputs: Any, arrays: list[Array], exact: list[Array], rng: np.random.Generator
) -> list[Array]:
    """How far rounding of the inputs moves each result, in units of the rounding: for any function.

    Each input is moved by one rounding of float32, up or down at random, a few times.

    Args:
        outputs: of float64 arrays; returns a list of arrays.
        arrays: the inputs.
        exact: outputs(arrays).
        rng: draws the moves.
    """
    u = 2.0**-24
    moves = []
    for _ in range(4):
        moved = outputs([a * (1 + u * rng.choice([-1.0, 1.0], a.shape)) for a in arrays])
        moves.append([np.abs(m - e) / u for m, e in zip(moved, exact, strict=True)])
    return [
        np.maximum(np.sqrt(np.mean(np.square(seen), axis=0)), np.abs(e))
        for seen, e in zip(zip(*moves, strict=True), exact, strict=True)
    ]
