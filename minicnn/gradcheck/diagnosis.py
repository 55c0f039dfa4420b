"""What does a wrong gradient look like? Each guess is one cheap comparison with the right one.

A guess is made by a function of a Suspect; it returns a sentence, or "" if it does not fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minicnn.backend import Array
from minicnn.gradcheck.other_inputs import other_input, rearranged_input
from minicnn.gradcheck.suspect import Suspect, close
from minicnn.gradcheck.upstream import alone, changes_of_upstream, on


def diagnose(suspect: Suspect) -> list[tuple[str, str]]:
    """All guesses that fit, as (name of the cause, sentence); the most likely first."""
    return list(_guesses(suspect))


def _guesses(suspect: Suspect) -> Iterator[tuple[str, str]]:
    for cause, guess in GUESSES.items():
        with np.errstate(all="ignore"):
            sentence = guess(suspect)
        if sentence:
            yield cause, sentence
            if cause in DECISIVE:
                return


def not_a_number(s: Suspect) -> str:
    """Some elements are NaN or infinite."""
    bad = sum(int((~np.isfinite(w)).sum()) for w in s.wrong[:1])
    return f"{bad} elements are NaN or infinite" if bad else ""


def zeros(s: Suspect) -> str:
    """Nothing flows back at all."""
    return "all zeros: nothing flows back" if not any(np.any(w) for w in s.wrong) else ""


def sign(s: Suspect) -> str:
    """The gradient times -1."""
    return "the sign is wrong: it is minus the gradient" if s.is_made_by(np.negative) else ""


def factor(s: Suspect) -> str:
    """The gradient times a number, which may be a size that is known."""
    right, wrong = np.array(s.right).ravel(), np.array(s.wrong).ravel()
    c = float(wrong @ right / (right @ right)) if right @ right else 0.0
    if abs(c) < 1e-3 or abs(c - 1) < 1e-5 or not s.is_made_by(lambda r: c * r):
        return ""
    return f"a constant factor: {c:.6g} times the gradient{_named_factor(abs(c), s)}"


def _named_factor(c: float, s: Suspect) -> str:
    for inverse, end in (
        (False, "a mean or a sum too few?"),
        (True, "a mean where there should be a sum?"),
    ):
        n = 1 / c if inverse else c
        names = [
            name for name, size in _sizes(s).items() if size > 1 and abs(n - size) < 1e-4 * size
        ]
        if names:
            return f" = {'1 / ' if inverse else ''}{', or '.join(names[:2])}: {end}"
    return {2.0: ": counted twice?", 0.5: ": halved?"}.get(round(c, 4), "")


def _sizes(s: Suspect) -> dict[str, int]:
    """Numbers by which one may have forgotten to multiply or divide; the most likely first."""
    sizes = {}
    for k, y in enumerate(s.outputs):
        if 0 < y.size < s.x.size and s.x.size % y.size == 0 and y.ndim == s.x.ndim > 2:
            n = s.x.size // y.size
            sizes[f"the {n} elements of the input for one of output {k}"] = n
    sizes |= {f"the size {n} of axis {k}": n for k, n in enumerate(s.x.shape)}
    for k, y in enumerate(s.outputs):
        sizes |= {f"the size {n} of axis {a} of output {k}": n for a, n in enumerate(y.shape)}
        sizes[f"the {y.size} elements of output {k}"] = y.size
    sizes[f"the {s.x.size} elements of the input"] = s.x.size
    if s.x.ndim == 4:
        sizes["H * W"] = s.x.shape[1] * s.x.shape[2]
    if s.x.ndim > 1 and s.x.size:
        sizes["the number of rows (all axes but the last)"] = s.x.size // s.x.shape[-1]
    return sizes


def forward_precision(s: Suspect) -> str:
    """The outputs have too few digits for differences."""
    if not s.outputs or any(np.all(y * 1024 == np.round(y * 1024)) for y in s.outputs):
        return ""
    if all(np.array_equal(y, y.astype(np.float32)) for y in s.outputs):
        return "forward keeps 7 digits only: does it compute in float32? Differences need float64"
    return ""


def at_kinks(s: Suspect) -> str:
    """All is right but for kinks, where the slopes left and right differ."""
    if s.wrong_places.any() or not s.kinks.any() or not s.is_finite:
        return ""
    if s.outside.any():
        where = "with x = 0" if not s.x[s.outside].any() else "at kinks"
        return (
            f"only elements {where} differ: a gradient there lies between the slopes of both sides"
        )
    if s.sum_is_wrong:
        return (
            "who of equals gets the gradient? One of them may, or they share it, but the sum is off"
        )
    return ""


def precision(s: Suspect) -> str:
    """The first digits are right, the others are not."""
    wrong, right = np.array(s.wrong), np.array(s.right)
    if not np.all(np.abs(wrong - right) <= 1e-3 * np.abs(right) + 1e-9):
        return ""
    worst = float(np.max(np.abs(wrong - right) / (np.abs(right) + 1e-9)))
    return f"right to {worst:.0e} only: is it computed in a lower precision?"


def upstream_ignored(s: Suspect) -> str:
    """The result is the same for every upstream gradient."""
    if close(*s.wrong) and not close(*s.right):
        ones = " (right for all ones)" if s.is_for(np.ones_like) else ""
        return f"the upstream gradient is not used: it is the same for every one{ones}"
    return ""


def upstream_twice(s: Suspect) -> str:
    """It would be right for the squares or the signs of the upstream gradient."""
    if s.is_for(np.square):
        return "the upstream gradient is squared before it is used"
    if s.is_for(np.sign) and not s.is_for(np.ones_like):
        return "only the sign of the upstream gradient is used"
    return ""


def upstream_misplaced(s: Suspect) -> str:
    """It would be right for the upstream gradient in another order, or for a part of it."""
    if len(s.outputs) == 1 and s.outputs[0].size > 1:
        for name, change in changes_of_upstream(s):
            if not close(change(s.upstream[0]), s.upstream[0]) and s.is_for(change):
                return f"the upstream gradient is {name}"
    return ""


def axes_swapped(s: Suspect) -> str:
    """The right numbers, along other axes."""
    for axes in itertools.permutations(range(s.x.ndim)) if s.x.ndim <= 5 else ():
        if list(axes) == sorted(axes):
            continue
        if s.is_made_by(lambda r, p=axes: np.transpose(r, p)):  # type: ignore[misc]
            return f"axes are swapped: it is the gradient transposed by {axes}"
        if s.is_made_by(lambda r, p=axes: np.transpose(r, p).reshape(r.shape)):  # type: ignore[misc]
            return f"axes are swapped: transposed by {axes}, then reshaped"
    return ""


def moved(s: Suspect) -> str:
    """The right numbers, flipped or shifted along an axis."""
    axes = [a for a, n in enumerate(s.x.shape) if n > 1]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            if s.is_made_by(lambda r, a=some: np.flip(r, a)):  # type: ignore[misc]
                return f"it is flipped along {_axes(some)}"
    for axis in axes:
        for by in (1, -1, 2, -2):
            for name, change in (("", np.roll), (" (zeros move in)", _shifted)):
                if s.is_made_by(lambda r, f=change, b=by, a=axis: f(r, b, a)):  # type: ignore[misc]
                    return f"it is shifted by {by} along axis {axis}{name}: an offset or padding?"
    return ""


def _shifted(r: Array, by: int, axis: int) -> Array:
    kept = np.arange(r.shape[axis]) - by
    inside = (kept >= 0) & (kept < r.shape[axis])
    return np.roll(r, by, axis) * inside.reshape([-1 if a == axis else 1 for a in range(r.ndim)])


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {tuple(axes)}"


def averaged(s: Suspect) -> str:
    """Along some axes there is one number, the mean or the sum of those that should be there."""
    axes = [a for a, n in enumerate(s.x.shape) if n > 1]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            for name, spread in (("averaged", np.mean), ("summed", np.sum)):
                if s.is_made_by(_spread(spread, some)):
                    return f"it is {name} along {_axes(some)}: an axis that should be kept?"
    return ""


def _spread(mean: Callable[..., Array], axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda r: np.broadcast_to(mean(r, axes, keepdims=True), r.shape)


def term_missing(s: Suspect) -> str:
    """The difference is the same all along some axes, or a multiple of x or of the output there."""
    axes = [a for a, n in enumerate(s.x.shape) if n > 1]
    gaps = [w - r for w, r in zip(s.wrong, s.right, strict=True)]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            if all(close(g, np.broadcast_to(g.mean(some, keepdims=True), g.shape)) for g in gaps):
                return (
                    f"a term that is constant along {_axes(some)} is missing or too many: "
                    f"a mean or a sum over {'it' if count == 1 else 'them'}?"
                )
    known = {"the input": s.x} | {
        f"output {k}": y for k, y in enumerate(s.outputs) if y.shape == s.x.shape
    }
    for name, base in known.items():
        for count in range(1, len(axes) + 1):
            for some in itertools.combinations(axes, count):
                number = int(np.prod([s.x.shape[a] for a in some]))
                if number > 2 and all(_is_line_of(g, base, some) for g in gaps):
                    return (
                        f"along {_axes(some)} it is off by a number plus a multiple of {name}: "
                        f"a term with the sum of their product, as in a variance, is missing?"
                    )
    return ""


def wrong_axis(s: Suspect) -> str:
    """The difference is a number for each row plus one for each column, or output times that."""
    gaps = [w - r for w, r in zip(s.wrong, s.right, strict=True)]
    bases = {"": np.ones(s.x.shape)}
    bases |= {f", times output {k}": y for k, y in enumerate(s.outputs) if y.shape == s.x.shape}
    axes = [a for a, n in enumerate(s.x.shape) if n > 2]
    for name, base in bases.items():
        for pair in itertools.combinations(axes, 2):
            if all(close(gap, base * _crossed(gap / base, *pair)) for gap in gaps):
                return (
                    f"it is off by a sum along axis {pair[0]} and one along axis {pair[1]}{name}: "
                    f"is one taken along the wrong axis?"
                )
    return ""


def _crossed(a: Array, one: int, other: int) -> Array:
    """What remains of an array if there is one number for each place along two axes."""
    means = [a.mean(axes, keepdims=True) for axes in (one, other, (one, other))]
    return means[0] + means[1] - means[2]


def _is_line_of(gap: Array, base: Array, axes: tuple[int, ...]) -> bool:
    """Whether gap = p + q * base, with p and q constant along `axes`."""
    centered = base - base.mean(axes, keepdims=True)
    rest = gap - gap.mean(axes, keepdims=True)
    power = (centered**2).sum(axes, keepdims=True)
    q = (rest * centered).sum(axes, keepdims=True) / np.where(power == 0, 1, power)
    return bool(np.any(q)) and close(rest, q * centered)


def missing_sum(s: Suspect) -> str:
    """Only a part of the sum over outputs has come back."""
    if len(s.outputs) != 1 or s.outputs[0].ndim < 1:
        return ""
    shape = s.outputs[0].shape
    for axis, n in enumerate(shape):
        for k in (0, n - 1) if n > 1 else ():
            if s.is_for(on(shape, alone(axis, k))):
                return f"only place {k} of axis {axis} is counted: a sum over that axis is missing"
    return ""


def only_border(s: Suspect) -> str:
    """All is right but for the first or the last places along an axis."""
    bad = s.wrong_places
    if not bad.any() or bad.all():
        return ""
    sides = []
    for axis, n in enumerate(s.x.shape):
        places = np.flatnonzero(bad.any(axis=tuple(a for a in range(bad.ndim) if a != axis)))
        if n > 2 and (
            places.max() < (n + 1) // 2 - (n == 3) or places.min() >= n - n // 2 + (n == 3)
        ):
            side = "first" if places.max() < n // 2 + (n == 3) and places.min() == 0 else "last"
            width = places.max() + 1 if side == "first" else n - places.min()
            sides.append(f"the {side} {width} of axis {axis}")
        elif n == 2 and len(places) == 1:
            sides.append(f"place {places[0]} of axis {axis}")
    zero = " (they are 0)" if not any(w[bad].any() for w in s.wrong) else ""
    return (
        f"only {' and '.join(sides)} differ{zero}: padding, cropping or a last row?"
        if sides
        else ""
    )


def only_where(s: Suspect) -> str:
    """All is right but for elements of one sign, for zeros, or for equals."""
    bad = s.wrong_places
    if not bad.any() or bad.all():
        return ""
    for name, mask in (("x < 0", s.x < 0), ("x > 0", s.x > 0), ("x = 0", s.x == 0)):
        if mask.any() and not np.any(bad & ~mask) and bad.sum() >= 0.5 * mask.sum():
            zero = ", where it is 0" if not any(w[bad].any() for w in s.wrong) else ""
            return f"only elements with {name} differ{zero}: a mask or an inequality?"
    values, counts = np.unique(s.x, return_counts=True)
    tied = np.isin(s.x, values[counts > 1])
    if tied.any() and not np.any(bad & ~tied):
        return "only elements that are equal to others differ: who of equals gets the gradient?"
    return ""


def multiplied(s: Suspect) -> str:
    """The quotient of both is something known, element by element."""
    known = {"the input": s.x, "1 / the input": 1 / s.x, "the square of the input": s.x**2}
    for k, y in enumerate(s.outputs):
        if y.shape == s.x.shape:
            known |= {f"output {k}": y, f"1 / output {k}": 1 / y}
    for name, by in known.items():
        if s.is_made_by(lambda r, b=by: r * b):  # type: ignore[misc]
            return f"it is multiplied by {name} once too often"
    if len(s.outputs) == 1 and s.outputs[0].shape == s.x.shape:
        gs = [g.reshape(s.x.shape) for g in s.upstream]
        if all(close(w, r * g) for w, r, g in zip(s.wrong, s.right, gs, strict=True)):
            return "the upstream gradient is multiplied in twice"
    return ""


def factor_along(s: Suspect) -> str:
    """The quotient is the same for every upstream gradient, but not everywhere."""
    ratio = s.wrong[0] / s.right[0]
    other = s.wrong[1] / s.right[1]
    if s.x.size < 3 or not np.all(np.isfinite(ratio)) or not close(ratio, other):
        return ""
    for axis, n in enumerate(s.x.shape):
        rest = tuple(a for a in range(s.x.ndim) if a != axis)
        if (
            n > 1
            and rest
            and close(ratio, np.broadcast_to(ratio.mean(rest, keepdims=True), ratio.shape))
        ):
            return f"a factor that depends on the place along axis {axis} only"
    return "each element has a wrong factor of its own, the same for every upstream gradient"


def misplaced(s: Suspect) -> str:
    """Sorted by size, the numbers are right."""
    pairs = list(zip(s.wrong, s.right, strict=True))
    if all(close(np.sort(w, axis=None), np.sort(r, axis=None)) for w, r in pairs):
        return "the right numbers in the wrong places"
    return ""


def some_zero(s: Suspect) -> str:
    """All that is wrong is 0."""
    bad = s.wrong_places
    if bad.any() and not bad.all() and not any(w[bad].any() for w in s.wrong):
        count = f"{int(bad.sum())} of {bad.size} elements"
        return f"{count} are 0 and should not be: a mask, or a part that is left out?"
    return ""


def added(s: Suspect) -> str:
    """The difference is the same for every upstream gradient."""
    gaps = [w - r for w, r in zip(s.wrong, s.right, strict=True)]
    return "the same is added whatever the upstream gradient is" if close(*gaps) else ""


DECISIVE = (
    "not a number",
    "at kinks",
    "zeros",
    "sign",
    "factor",
    "forward precision",
    "precision",
)  # nothing else need be tried
GUESSES: dict[str, Callable[[Suspect], str]] = {
    "not a number": not_a_number,
    "at kinks": at_kinks,
    "zeros": zeros,
    "sign": sign,
    "factor": factor,
    "forward precision": forward_precision,
    "precision": precision,
    "upstream twice": upstream_twice,
    "upstream ignored": upstream_ignored,
    "other input": other_input,
    "multiplied": multiplied,
    "axes swapped": axes_swapped,
    "moved": moved,
    "rearranged input": rearranged_input,
    "averaged": averaged,
    "missing sum": missing_sum,
    "upstream misplaced": upstream_misplaced,
    "border": only_border,
    "term missing": term_missing,
    "wrong axis": wrong_axis,
    "mask": only_where,
    "added": added,
    "misplaced": misplaced,
    "some zero": some_zero,
    "factor along": factor_along,
}
