"""gradcheck: is the gradient of a function right, and if not, what is wrong with it?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.gradcheck.arguments import (
    check_inputs,
    check_settings,
    function_of,
    name_of_upstream,
    title_of,
)
from minicnn.gradcheck.checker import Checker
from minicnn.gradcheck.point import Function, Point
from minicnn.gradcheck.report import GradientError, GradReport
from minicnn.gradcheck.second_order import check_second_order


def gradcheck(
    f: Function,
    *inputs: Any,
    wrt: int | str | Sequence[int | str] | None = None,
    h: float = 1e-5,
    tol: float = 1e-6,
    cotangent: Any = "random",
    max_checks: int = 200,
    seed: int = 0,
    kinks: str = "classify",
    order: int = 1,
    raise_on_fail: bool = True,
    names: Sequence[str] | None = None,
) -> GradReport:
    """Compare the gradients of a function with finite differences, and say what is wrong with them.

    The outputs y of f get random weights g of both signs. Then for each element k of an input

        dx[k] = sum over o of g[o] * dy[o]/dx[k]     should be
        n[k]  = sum over o of g[o] * (y[o](x + h e[k]) - y[o](x - h e[k])) / (2 h)

    It is done with two draws of g. Why random: with g = 1, as in y.sum().backward(), a softmax with
    gradient 0 would pass, and so would each backward that uses g in the wrong order. With s the
    largest element of the tensor, dx[k] passes if

        |dx[k] - n[k]| <= tol * s  and  |dx[k] - n[k]| <= 1e-5 * |n[k]|    (where |n[k]| > 1e-4 s)

    An element that does not pass may lie at a kink, as 0 does for relu. There the slopes left and
    right stay different however small h is, and any number between them is a gradient. (Where kinks
    of several ops meet, as at the 0 of relu(x) - relu(-x), the chain rule may leave that range. So
    give networks inputs without zeros and equals.)

    Nothing can be compared where f is NaN or infinite: if it is so at x itself, the check fails and
    says that; an element is left out if the step leads there. It is left out, too, if f loses more
    digits than the gradient needs, as behind a large offset.

    Then come tests that need no differences (see structure.py): dx must be linear in g, have the
    dtype of x, leave inputs and saved arrays alone, be the same in each run and for every layout of
    memory, and add up what comes back when a tensor is used several times.

    Args:
        f: a function of as many arguments as there are inputs; returns a tensor or a tuple. An Op,
            or a class of ops that needs no settings, is made anew for each call.
        inputs: arrays, tensors or other things; floating point ones are copied to float64 and
            become tensors, all others reach f as they are.
        wrt: numbers or names of the inputs to check, or one of them; None: all floating point ones.
        h: the step, times max(1, |x[k]|).
        tol: the largest error that passes, relative to the largest element of the gradient.
        cotangent: the upstream gradient g: "random"; "ones", which hides mistakes, and says so; an
            array of the shape of the only output; a list of arrays, one for each output; or a whole
            number: the seed of random ones.
        max_checks: elements to compare for each input; of larger ones, corners, edges, the first
            and last channels, and others at random.
        seed: of g and of the choice.
        kinks: "classify" tells them from mistakes; "fail" and "skip" do not, and are for teaching.
        order: 2 checks the gradient of the gradient as well.
        raise_on_fail: whether a wrong gradient is an error.
        names: what to call the inputs; None: as f does.

    Returns:
        A GradReport, which is true if all is well. Print it, or look at it in a notebook.

    Raises:
        GradientError: an AssertionError: a gradient is wrong, or nothing can be compared, as f is
            not finite or not deterministic; its text is the report.
        ValueError: an argument is none of those above, or no input is floating point.
        TypeError: f returns no tensor.

    Source: the rule for kinks is asked for in BVLC/caffe#1334.

    >>> from minicnn import ops
    >>> bool(gradcheck(ops.softmax, np.array([[1.0, 2.0, 4.0]])))
    True
    """
    __tracebackhide__ = True  # pytest then points to the line of the test
    check_settings(h, max_checks, kinks, order)
    f = function_of(f)
    point = Point(f, inputs, wrt, names)
    check_inputs(point)
    report = GradReport(title_of(f, point), h, seed, name_of_upstream(cotangent))
    check_point(point, report, cotangent, tol=tol, max_checks=max_checks, kinks=kinks, order=order)
    if raise_on_fail and not report.ok:
        raise GradientError(report)
    return report


def check_point(
    point: Point,
    report: GradReport,
    cotangent: Any = "random",
    tol: float = 1e-6,
    max_checks: int = 200,
    kinks: str = "classify",
    order: int = 1,
) -> None:
    """Do what gradcheck does, and write it into a report."""
    start = time.perf_counter()
    checker = Checker(point, report, report.h, tol, max_checks, kinks, report.seed)
    with np.errstate(all="ignore"):  # the report tells what is not finite
        checker.check_all(cotangent)
        if order == 2 and report.ok:
            check_second_order(checker)
    report.seconds = time.perf_counter() - start
