"""For the tests of people who write ops and layers with minicnn."""

from typing import Any

from minicnn.gradcheck import GradientError, gradcheck
from minicnn.notices import warn_user

__all__ = ["assert_grads"]


def assert_grads(f: Any, *inputs: Any, **settings: Any) -> None:
    """Fail, with the whole report as message, unless the gradients of `f` are right.

    A check that has proved nothing about an input, as its gradient is 0 everywhere, passes with a
    warning.

    Args:
        f: see minicnn.gradcheck, as for the rest.
        inputs: what f is called with.
        settings: the keywords of minicnn.gradcheck.

    Raises:
        GradientError: an AssertionError: a gradient is wrong.
        ValueError: there is nothing to check, as no input is floating point; or see gradcheck.

    >>> import numpy as np
    >>> from minicnn import ops
    >>> assert_grads(ops.tanh, np.array([0.3, -0.7]))
    """
    __tracebackhide__ = True  # pytest then points to the line of the test
    report = gradcheck(f, *inputs, **{**settings, "raise_on_fail": False})
    if not report.ok:
        raise GradientError(report)
    for sentence in report.proved_nothing:
        warn_user(
            f"assert_grads [MC058]: {sentence}. A wrong backward would pass, too: give inputs at "
            f"which the outputs change, or leave the input out with wrt."
        )
