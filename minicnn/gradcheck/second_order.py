"""The check of second order: is the gradient of what the backwards have written right as well?"""

from __future__ import annotations

from typing import Any

from minicnn.autograd import Tensor, grad, watch
from minicnn.gradcheck.arguments import upstream_gradients
from minicnn.gradcheck.blame import Last, Step, guilty, guilty_twice, source_of, steps_of
from minicnn.gradcheck.checker import Checker
from minicnn.gradcheck.point import Function, Point
from minicnn.gradcheck.structure import OF_SECOND_ORDER, Bench, failures


def check_second_order(first: Checker) -> None:
    """Do the same for the function (inputs, g) -> dx, and write it into the same report.

    Args:
        first: a checker that has found nothing wrong at first order.
    """
    point, report = _point_of_slopes(first), first.report
    second = Checker(point, report, first.h, first.tol, first.max_checks, first.kinks, 1)
    try:
        with watch(last := Last()):
            run = point.run()
            shapes = [y.shape for y in run.outputs]
            second.upstream = upstream_gradients(shapes, "random", first.rng)
            claims = [run.gradients(g) for g in second.upstream]
    except Exception as error:
        first.raised("order 2", error, last.backward)
        return
    with first.few_threads():
        compared = [
            second.compared(i, [claim[k] for claim in claims]) for k, i in enumerate(point.wrt)
        ]
    report.inputs += compared
    report.vacuous += [c.name for c in compared if not c.checked.any()]
    report.structural["order 2"] = ""
    if not all(c.ok for c in compared):
        report.structural["order 2"] = "the gradient of the gradient is wrong; see above"
        report.cause = "order 2"
        _blame(first, guilty(steps_of(run, second.upstream[0])))
        return
    bench = Bench(point, second.upstream, first.h)
    problems = [problem for _, problem in failures(bench, OF_SECOND_ORDER) if problem]
    if problems:
        report.structural["order 2"] = problems[0]
        report.cause = "order 2"
        report.hints.append(f"right once, wrong the second time: {problems[0]}")


def _point_of_slopes(first: Checker) -> Point:
    """Where the gradients are looked at as a function of the inputs and upstream gradients."""
    point, gs, count = first.point, first.upstream[0], len(first.point.inputs)
    names = [f"{n} of dx" for n in point.names] + [f"upstream {k}" for k in range(len(gs))]
    wrt = [*point.wrt, *range(count, count + len(gs))]
    return Point(_slopes(point), [*point.inputs, *gs], wrt, names, point.patterns)


def _slopes(point: Point) -> Function:
    def slope(*arguments: Any) -> tuple[Tensor, ...]:
        count = len(point.inputs)
        result = point.function(*arguments[:count])
        ys = [y for y in (result if isinstance(result, tuple | list) else [result])]
        ys = [y for y in ys if isinstance(y, Tensor) and y.dtype.kind == "f"]
        xs = [arguments[i] for i in point.wrt]
        totals: list[Tensor] = []
        for y, g in zip(ys, arguments[count:], strict=True):
            if not y.requires_grad:
                continue
            dxs = grad(y, xs, g, create_graph=True)
            totals = [t + dx for t, dx in zip(totals, dxs, strict=True)] if totals else dxs
        return tuple(totals)

    return slope


def _blame(first: Checker, step: Step | None) -> None:
    """Say which op has a wrong second gradient: one that a backward has called, or its own."""
    if step is not None:
        hint = f"{step.kind.__name__}, which a backward is made of, has a wrong gradient itself"
    else:
        step = guilty_twice(steps_of(first.point.run(), first.upstream[0]))
        hint = "is something in backward taken for a constant?"
    first.report.hints.append(f"right once, wrong the second time: {hint}")
    if step is not None:
        first.show_source(*source_of(step.kind))
