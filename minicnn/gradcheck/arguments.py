"""What gradcheck is given, looked at before anything is computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array
from minicnn.gradcheck.blame import fresh
from minicnn.gradcheck.point import Function, Point, random_signed

KINKS = ("classify", "fail", "skip")


def function_of(f: Any) -> Function:
    """`f` itself; or, as an op object serves one call only, a function that renews an op each time.

    Raises:
        TypeError: f is a class of ops that wants settings.
    """
    if isinstance(f, type) and issubclass(f, Op):
        try:
            f = f()
        except TypeError as error:
            raise TypeError(
                f"gradcheck: {f.__name__} cannot be made without settings: {error}. Give an op "
                f"with its settings: gradcheck({f.__name__}(...), x)."
            ) from error
    return _renewing(f) if isinstance(f, Op) else f


def _renewing(op: Op) -> Function:
    @functools.wraps(op.forward)  # for the names of the inputs
    def renewed(*xs: Any) -> Tensor:
        return fresh(type(op), vars(op))(*xs)

    renewed.__name__ = type(op).__name__
    return renewed


def check_settings(h: float, max_checks: int, kinks: str, order: int) -> None:
    """Refuse settings with which nothing could be compared.

    Raises:
        ValueError: a setting is none of those that gradcheck knows.
    """
    if not 0 < h < np.inf:
        raise ValueError(
            f"gradcheck: h is a step, so it must be positive, but is {h!r}. 1e-5 serves most."
        )
    if max_checks < 1:
        raise ValueError(
            f"gradcheck: max_checks must be at least 1, but is {max_checks!r}: no element would be "
            f"compared."
        )
    if kinks not in KINKS:
        raise ValueError(f"gradcheck: kinks must be one of {', '.join(KINKS)}, but is {kinks!r}.")
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order must be 1 or 2, but is {order!r}.")


def check_inputs(point: Point) -> None:
    """Refuse a point without any input to differentiate by: every backward would pass there.

    Raises:
        ValueError: there is none.
    """
    if not point.wrt:
        kinds = ", ".join(map(_kind, point.inputs)) or "none"
        raise ValueError(
            f"gradcheck: no input is floating point, so there is no gradient to check. The inputs "
            f"are: {kinds}. Write 1.0 for 1, or array.astype(float); and let wrt name an input."
        )


def _kind(x: Any) -> str:
    return f"{type(x).__name__} of {x.dtype}" if hasattr(x, "dtype") else type(x).__name__


def title_of(f: Callable[..., Any], point: Point) -> str:
    """How a report calls the function: its name and those of its inputs."""
    name = getattr(f, "__name__", type(f).__name__).strip("<>")
    return f"{name}({', '.join(point.names)})"


def name_of_upstream(cotangent: Any) -> str:
    """How a report calls the upstream gradient."""
    if _is_seed(cotangent):
        return f"random (seed {cotangent})"
    return cotangent if isinstance(cotangent, str) else "given"


def _is_seed(cotangent: Any) -> bool:
    return isinstance(cotangent, int | np.integer) and not isinstance(cotangent, bool)


def upstream_gradients(
    shapes: Sequence[tuple[int, ...]], cotangent: Any, rng: np.random.Generator
) -> list[list[Array]]:
    """Two upstream gradients, each with an array for every output.

    Raises:
        ValueError: those given do not fit.
    """
    if _is_seed(cotangent):
        if cotangent < 0:
            raise ValueError(
                f"gradcheck: cotangent={cotangent} is a whole number, so it is a seed, which must "
                f"not be negative. Write {cotangent}.0 for the gradient of a single output."
            )
        cotangent, rng = "random", np.random.default_rng(cotangent)
    if isinstance(cotangent, str):
        if cotangent not in ("random", "ones"):
            raise ValueError(
                f"gradcheck: cotangent must be 'random', 'ones', a seed or arrays, but is "
                f"{cotangent!r}."
            )
        draws = [[random_signed(rng, shape) for shape in shapes] for _ in range(2)]
        return draws if cotangent == "random" else [[np.ones(s) for s in shapes]] * 2
    arrays = cotangent if isinstance(cotangent, list | tuple) else [cotangent]
    given = [np.asarray(a.numpy() if isinstance(a, Tensor) else a, np.float64) for a in arrays]
    if [a.shape for a in given] != list(shapes):
        raise ValueError(
            f"gradcheck: cotangent has shapes {[a.shape for a in given]}, but the outputs have "
            f"{list(shapes)}."
        )
    return [given, [2 * a for a in given]]
