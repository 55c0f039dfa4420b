"""Derivatives of functions: jacobian, hessian, and their products with vectors.

All of them take a function of tensors and where to evaluate it, as torch.autograd.functional does.
One input may stand alone, several come in a tuple, and the results have the same form:

    f(x) -> y                       jacobian(f, x)       a tensor
    f(a, b) -> y                    jacobian(f, (a, b))  (dy/da, dy/db)
    f(a, b) -> (y, z)               jacobian(f, (a, b))  ((dy/da, dy/db), (dz/da, dz/db))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minicnn import ops
from minicnn.autograd import Tensor, enable_grad, grad
from minicnn.backend import Array, array_module

Function: TypeAlias = Callable[..., Any]


def vjp(f: Function, inputs: Any, v: Any = None, create_graph: bool = False) -> tuple[Any, Any]:
    """Multiply the transposed Jacobian of `f` with a vector: what one backward pass computes.

        y = f(x),    dx[i] = sum over k of  v[k] * dy[k]/dx[i]

    Args:
        f: a function of tensors that returns one, or a tuple of them.
        inputs: where to evaluate it: a tensor or array, or a tuple of them.
        v: one array or tensor per output, of its shape; None means 1 for a single number.
        create_graph: whether the results can be differentiated in their turn.

    Returns:
        f(inputs), and the products, in the form of the inputs.

    Raises:
        TypeError: an input or output is not floating point, or an output is no tensor.
        ValueError: v does not fit the outputs.

    Source: Griewank and Walther 2008, Evaluating Derivatives, chapter 3.

    >>> y, dx = vjp(lambda x: x**2, Tensor([1.0, 2.0, 3.0]), v=[1.0, 0.0, 2.0])
    >>> dx
    Tensor([ 2.  0. 12.])
    """
    point = _Point("vjp", f, inputs, create_graph)
    dxs = grad(_weighted(point.ys, point.at_outputs(v)), point.xs, create_graph=create_graph)
    return point.result(), _like(inputs, dxs)


def jvp(f: Function, inputs: Any, v: Any, create_graph: bool = False) -> tuple[Any, Any]:
    """Multiply the Jacobian of `f` with a vector: how y moves when x moves along v.

        y = f(x),    dy[k] = sum over i of  dy[k]/dx[i] * v[i]

    This is what forward-mode differentiation computes. Two backward passes do it as well: the
    product with the transposed Jacobian, J^T u, is linear in u, and the gradient of <J^T u, v> with
    respect to u is J v, whatever u is.

    Args:
        f: a function of tensors that returns one, or a tuple of them.
        inputs: where to evaluate it: a tensor or array, or a tuple of them.
        v: one array or tensor per input, of its shape.
        create_graph: whether the results can be differentiated in their turn.

    Returns:
        f(inputs), and the products, in the form of the outputs.

    Raises:
        TypeError: an input or output is not floating point, or an output is no tensor.
        ValueError: v does not fit the inputs.

    Source: the double-backward trick is that of Townsend 2017, "A new trick for calculating
    Jacobian vector products".

    >>> y, dy = jvp(lambda x: x**2, Tensor([1.0, 2.0, 3.0]), v=[1.0, 0.0, 2.0])
    >>> dy
    Tensor([ 2.  0. 12.])
    """
    point = _Point("jvp", f, inputs, create_graph)
    vs = point.at_inputs(v)
    us = [Tensor(array_module(y.data).ones_like(y.data), requires_grad=True) for y in point.ys]
    with enable_grad():
        pulled = grad(_weighted(point.ys, us), point.xs, create_graph=True)
        along = _weighted(pulled, vs)
    return point.result(), point.like_outputs(grad(along, us, create_graph=create_graph))


def jacobian(f: Function, inputs: Any, create_graph: bool = False) -> Any:
    """Compute all derivatives of all outputs, by one backward pass for each number in them.

        J[k, i] = dy[k] / dx[i]

    Args:
        f: a function of tensors that returns one, or a tuple of them.
        inputs: where to evaluate it: a tensor or array, or a tuple of them.
        create_graph: whether the results can be differentiated in their turn.

    Returns:
        A tensor of the shape y.shape + x.shape; of several inputs a tuple of these, and of several
        outputs a tuple with an entry for each of them.

    Raises:
        TypeError: an input or output is not floating point, or an output is no tensor.

    >>> jacobian(lambda x: x[:2] * x[2], Tensor([1.0, 2.0, 3.0]))
    Tensor([[3. 0. 1.]
     [0. 3. 2.]])
    """
    point = _Point("jacobian", f, inputs, create_graph)
    rows = [_like(inputs, _rows(y, point.xs, create_graph)) for y in point.ys]
    return point.like_outputs(rows)


def hessian(f: Function, inputs: Any, create_graph: bool = False) -> Any:
    """Compute all second derivatives of a function that returns a single number.

        H[i, j] = d2y / (dx[i] dx[j])

    Args:
        f: a function of tensors that returns a single number.
        inputs: where to evaluate it: a tensor or array, or a tuple of them.
        create_graph: whether the result can be differentiated in its turn.

    Returns:
        A tensor of the shape x.shape + x.shape; of several inputs a tuple of tuples: [i][j] holds
        the derivatives with respect to inputs i and j.

    Raises:
        TypeError: an input or output is not floating point, or the output is no tensor.
        ValueError: the output is not a single number.

    >>> hessian(lambda x: x[0] ** 2 * x[1], Tensor([3.0, 5.0]))
    Tensor([[10.  6.]
     [ 6.  0.]])
    """
    point = _Point("hessian", f, inputs, create_graph)
    dxs = grad(point.only_number(), point.xs, create_graph=True)
    return _like(inputs, [_like(inputs, _rows(dx, point.xs, create_graph)) for dx in dxs])


def hvp(f: Function, inputs: Any, v: Any, create_graph: bool = False) -> tuple[Any, Any]:
    """Multiply the Hessian of `f` with a vector, without computing the Hessian.

        y = f(x),    (H v)[i] = sum over j of  d2y / (dx[i] dx[j]) * v[j] = d <dx, v> / dx[i]

    Args:
        f: a function of tensors that returns a single number.
        inputs: where to evaluate it: a tensor or array, or a tuple of them.
        v: one array or tensor per input, of its shape.
        create_graph: whether the results can be differentiated in their turn.

    Returns:
        f(inputs), and the products, in the form of the inputs.

    Raises:
        TypeError: an input or output is not floating point, or the output is no tensor.
        ValueError: the output is not a single number, or v does not fit the inputs.

    Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian".

    >>> y, Hv = hvp(lambda x: x[0] ** 2 * x[1], Tensor([3.0, 5.0]), v=[1.0, 0.0])
    >>> Hv
    Tensor([10.  6.])
    """
    point = _Point("hvp", f, inputs, create_graph)
    vs = point.at_inputs(v)
    dxs = grad(point.only_number(), point.xs, create_graph=True)
    with enable_grad():
        along = _weighted(dxs, vs)
    return point.result(), _like(inputs, grad(along, point.xs, create_graph=create_graph))


class _Point:
    """A function, evaluated at some inputs.

    Args:
        who: how messages call the function that was asked for.
        f: the function to be differentiated.
        inputs: a tensor or array, or a tuple or list of them.
        connected: whether the inputs stay parts of the graphs that they come from.
    """

    def __init__(self, who: str, f: Function, inputs: Any, connected: bool) -> None:
        self._who, self._connected = who, connected
        given = list(inputs) if _is_many(inputs) else [inputs]
        with enable_grad():
            self.xs = [self._variable(k, x) for k, x in enumerate(given)]
            self._returned = f(*self.xs)
        self.ys: list[Tensor] = (
            list(self._returned) if _is_many(self._returned) else [self._returned]
        )
        for y in self.ys:
            if not isinstance(y, Tensor) or y.dtype.kind != "f":
                kind = f"one of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
                raise TypeError(
                    f"{who}: the function must return a floating point tensor or a tuple of them, "
                    f"but has returned {kind}. Compute with the ops of minicnn."
                )

    def _variable(self, k: int, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.dtype.kind != "f":
            raise TypeError(
                f"{self._who}: input {k} must be floating point, to have a derivative, but is "
                f"{x.dtype}. Convert it, x.astype('float32'), or let the function close over it."
            )
        if self._connected and x.requires_grad:
            return x * 1  # a tensor of its own, as the same one may be given twice
        return Tensor(x.data, requires_grad=True)

    def only_number(self) -> Tensor:
        """The output, a single number."""
        if _is_many(self._returned) or self.ys[0].size != 1:
            shapes = ", ".join(str(y.shape) for y in self.ys)
            raise ValueError(
                f"{self._who}: the function must return a single number, but its output has shape "
                f"{shapes}. Take a sum or mean; or use jacobian."
            )
        return self.ys[0]

    def at_outputs(self, v: Any) -> list[Tensor]:
        """V as a list with a tensor for each output."""
        if v is None:
            v = 1.0 if self.only_number().shape == () else np.ones(self.ys[0].shape)
        return self._fitting(v, self.ys, "output", _is_many(self._returned))

    def at_inputs(self, v: Any) -> list[Tensor]:
        """V as a list with a tensor for each input."""
        return self._fitting(v, self.xs, "input", len(self.xs) > 1 or isinstance(v, tuple))

    def _fitting(self, v: Any, tensors: list[Tensor], what: str, many: bool) -> list[Tensor]:
        vs = list(v) if many else [v]
        if len(vs) != len(tensors):
            raise ValueError(
                f"{self._who}: v must have one entry for each {what}, {len(tensors)}, but has "
                f"{len(vs)}."
            )
        pairs = enumerate(zip(vs, tensors, strict=True))
        return [self._converted(v, tensor, f"{what} {k}") for k, (v, tensor) in pairs]

    def _converted(self, v: Any, tensor: Tensor, what: str) -> Tensor:
        if not isinstance(v, Tensor):
            v = Tensor(array_module(tensor.data).asarray(v, tensor.dtype))
        if v.shape != tensor.shape:
            raise ValueError(
                f"{self._who}: v has shape {v.shape}, but {what} has shape {tensor.shape}; they "
                f"must be equal."
            )
        return v

    def result(self) -> Any:
        """What the function has returned."""
        return self.like_outputs([y if self._connected else y.detach() for y in self.ys])

    def like_outputs(self, found: Sequence[Any]) -> Any:
        """One thing for each output, in the form in which the function returns these."""
        return _like(self._returned, found)


def _is_many(structure: Any) -> bool:
    """Whether these are several tensors, and not one, or the nested lists of one."""
    several = isinstance(structure, tuple | list)
    return several and (
        isinstance(structure, tuple) or any(isinstance(x, Tensor | np.ndarray) for x in structure)
    )


def _like(structure: Any, found: Sequence[Any]) -> Any:
    return tuple(found) if _is_many(structure) else found[0]


def _weighted(tensors: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """The sum of all numbers, each times its weight."""
    with enable_grad():
        products = [ops.sum(x * w) for x, w in zip(tensors, weights, strict=True)]
        total, *others = [product.reshape(()) for product in products]
        for product in others:
            total = total + product
    return total


def _rows(y: Tensor, xs: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    """The derivatives of all numbers in y, for each of xs a tensor: y.shape + x.shape."""
    if not y.size:
        return [Tensor(array_module(x.data).zeros(y.shape + x.shape, x.dtype)) for x in xs]
    rows = [grad(y, xs, Tensor(_unit(y.data, k)), create_graph) for k in range(y.size)]
    columns = zip(*rows, strict=True)
    return [
        ops.stack(column).reshape(*y.shape, *x.shape) for column, x in zip(columns, xs, strict=True)
    ]


def _unit(like: Array, k: int) -> Array:
    """An array of zeros with a single one, at position k counted row by row."""
    unit = array_module(like).zeros(like.size, like.dtype)
    unit[k] = 1
    return unit.reshape(like.shape)
