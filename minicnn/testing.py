"""For the tests of people who write ops and layers with minicnn."""

from typing import Any

from minicnn.gradcheck import gradcheck

__all__ = ["assert_grads"]


def assert_grads(f: Any, *inputs: Any, **settings: Any) -> None:
    """Fail, with the whole report as message, unless the gradients of `f` are right.

    Args:
        f: see minicnn.gradcheck, as for the rest.
        inputs: what f is called with.
        settings: the keywords of minicnn.gradcheck.

    Raises:
        GradientError: an AssertionError: a gradient is wrong.

    >>> import numpy as np
    >>> from minicnn import ops
    >>> assert_grads(ops.tanh, np.array([0.3, -0.7]))
    """
    __tracebackhide__ = True  # pytest then points to the line of the test
    gradcheck(f, *inputs, **{**settings, "raise_on_fail": True})
