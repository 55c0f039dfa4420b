"""Compare gradients with finite differences: the test for every op, also for a student's own."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from minicnn import ops
from minicnn.autograd import Tensor, grad
from minicnn.backend import Array, on_cpu

Function: TypeAlias = Callable[..., Tensor]


def check_gradient(
    function: Function,
    *arrays: Array,
    order: int = 2,
    seed: int = 0,
    step: float = 1e-6,
    tolerance: float = 1e-6,
) -> None:
    """Raise an error unless `function` has the right derivatives at `arrays`, up to an order.

    Its outputs get random weights u, and one input after the other moves in a random direction v.
    Then the number

        L(e) = sum of u * function(x + e*v)    has at e = 0 the slope    sum of v * dx,

    which is compared with (L(step) - L(-step)) / (2 * step). Why the weights: in a plain sum
    mistakes can cancel, and a softmax with gradient 0 would pass, because its outputs always add up
    to 1. The slope is a function of x as well; the next order puts it in the place of `function`
    and does the same again.

    Args:
        function: makes one tensor from as many tensors as there are arrays.
        arrays: float64, and off the kinks: no zeros for relu, no equals for max_pool2d.
        order: 1 for the gradient, 2 for the gradient's gradient as well, and so on.
        seed: of the random numbers.
        step: how far the inputs move.
        tolerance: the largest relative or absolute difference that passes.

    Raises:
        TypeError: an array is not float64; finite differences need its precision.
        AssertionError: a derivative is wrong.

    >>> check_gradient(ops.multiply, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    """
    if any(a.dtype != np.float64 for a in arrays):
        dtypes = ", ".join(str(a.dtype) for a in arrays)
        raise TypeError(f"check_gradient: wants float64 arrays, but got {dtypes}.")
    rng = np.random.default_rng(seed)
    arrays = tuple(map(on_cpu, arrays))  # where the numbers are made; tensors are born elsewhere
    for k in range(1, order + 1):
        u = _random(rng, _at(arrays, function).shape)
        vs = [_random(rng, a.shape) for a in arrays]
        for i, v in enumerate(vs):
            by_grad = _at(arrays, _slope(function, u, {i: v})).item()
            by_differences = _difference_quotient(function, u, arrays, i, step * v) / step
            if not np.isclose(by_grad, by_differences, rtol=tolerance, atol=tolerance):
                raise AssertionError(
                    f"check_gradient: a derivative of order {k} for input {i} is {by_grad:.10g} by "
                    f"grad(), but {by_differences:.10g} by finite differences."
                )
        function = _slope(function, u, dict(enumerate(vs)))


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers of both signs and different sizes, none of them near 0."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def _at(arrays: Sequence[Array], function: Function) -> Tensor:
    return function(*(Tensor(a, requires_grad=True) for a in arrays))


def _difference_quotient(
    function: Function, u: Array, arrays: Sequence[Array], i: int, move: Array
) -> float:
    """Half the weighted change of the output while array i goes from -move to +move."""
    ahead, behind = list(arrays), list(arrays)
    ahead[i], behind[i] = arrays[i] + move, arrays[i] - move
    # before adding up: less noise
    change = _at(ahead, function).numpy() - _at(behind, function).numpy()
    return float((u * change).sum()) / 2


def _slope(function: Function, u: Array, directions: dict[int, Array]) -> Function:
    """The function (x1, x2, ...) -> sum over i of directions[i] * dxi, where u weights the outputs.

    It can be differentiated in its turn.
    """

    def slope(*xs: Tensor) -> Tensor:
        inputs = [xs[i] for i in directions]
        dxs = grad(function(*xs), inputs, seed=Tensor(u), create_graph=True)
        total = Tensor(np.zeros(()))
        for dx, v in zip(dxs, directions.values(), strict=True):
            total = total + ops.sum(dx * v)
        return total

    return slope
