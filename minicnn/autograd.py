"""Reverse-mode differentiation: Tensor, Op and grad(). No particular op is named here.

An op's `forward` computes numbers; its `backward` writes a formula. Formulas are made of ops again,
so that a gradient can itself be differentiated, to any order.
"""

from __future__ import annotations

import inspect
import itertools
import operator
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from typing import Any, TypeAlias

import numpy as np

from minicnn import backend
from minicnn.backend import Array, array_module, floatx, kernels
from minicnn.describing import described
from minicnn.hooking import Handle, Hook, register
from minicnn.locking import hold, release

Axis: TypeAlias = "int | tuple[int, ...] | None"

_THERE = "there"  # the device of what was computed: that of what it was computed from
_recording = True
_births = itertools.count()
_watchers: list[Watcher] = []


class _Record(ContextDecorator):
    """A block, or a function, in which ops are recorded or not."""

    def __init__(self, on: bool) -> None:
        self._on = on
        self._before: list[bool] = []  # a block can be entered again within itself

    def __enter__(self) -> None:
        global _recording
        self._before.append(_recording)
        _recording = self._on

    def __exit__(self, *_: object) -> None:
        global _recording
        _recording = self._before.pop()


def is_observed() -> bool:
    """Whether ops must run one by one: because they are recorded, or because somebody watches."""
    return _recording or bool(_watchers)


def is_watched() -> bool:
    """Whether somebody watches ops; see watch()."""
    return bool(_watchers)


def no_grad() -> AbstractContextManager[None]:
    """Open a block whose results remember no ops: they take less memory, but have no gradient.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> with no_grad():
    ...     print((x * x).requires_grad)
    False
    """
    return _Record(False)


def enable_grad() -> AbstractContextManager[None]:
    """Open a block whose results remember their ops, also inside no_grad()."""
    return _Record(True)


def is_grad_enabled() -> bool:
    """Whether results remember their ops: True but inside no_grad(), and inside backward."""
    return _recording


class Watcher:
    """Sees every op go forward and backward. Override what you need; see watch()."""

    def before_forward(self, op: Op, inputs: tuple[Tensor, ...]) -> None:
        """`op` is about to compute its output from `inputs`."""

    def after_forward(self, op: Op, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """`op` has computed `output`."""

    def before_backward(self, op: Op, dy: Tensor) -> None:
        """`op` is about to compute the gradients for its inputs from that for its output."""

    def after_backward(self, op: Op, dy: Tensor, dxs: tuple[Any, ...]) -> None:
        """`op` has returned `dxs`, one gradient (or None) for each of its inputs."""


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Open a block in which `watcher` is told of every op.

    >>> class Names(Watcher):
    ...     def after_forward(self, op, inputs, output):
    ...         print(type(op).__name__)
    >>> with watch(Names()):
    ...     y = Tensor(2.0) * Tensor(3.0)
    Multiply
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class Tensor:
    """An array that remembers the op that made it.

    A tensor is == to nothing but itself, so that tensors can be the keys of a dict. Comparisons
    with < and > give plain arrays of truth values, which have no gradient.

    Args:
        data: an array, which keeps its dtype; or a number or nested lists, whose floating point
            numbers become floatx(), float32 unless that was changed.
        requires_grad: whether a gradient for this tensor is wanted. The result of an op wants one
            as soon as one of its inputs does.
        device: where to put the numbers: "cpu", "gpu" or "emulator". None: where set_device says;
            arrays that are on a GPU stay there.

    Raises:
        TypeError: a gradient is wanted, but data is not floating point.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2. 4.])
    """

    __slots__ = ("__weakref__", "born", "data", "grad", "hooks", "logits", "op", "requires_grad")
    __array_ufunc__ = None  # so that `array * tensor` calls Tensor.__rmul__

    def __init__(self, data: Any, requires_grad: bool = False, device: str | None = None) -> None:
        array = data if type(data) is np.ndarray else _as_array(data)
        if device != _THERE:
            array = backend.born(array) if device is None else backend.placed(array, device)
        self.data: Array = array
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"Tensor: only floating point numbers have gradients, but data is "
                f"{self.data.dtype}. Convert it first: data.astype('float32')."
            )
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self.op: Op | None = None  # None for a leaf, which was given and not computed
        self.born = next(_births)
        self.logits: Tensor | None = None  # what a softmax or sigmoid was given; see losses.py
        self.hooks: dict[int, Hook] | None = None  # None while there are none; see register_hook

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.data.dtype

    @property
    def T(self) -> Tensor:
        """This tensor with its axes in reverse order."""
        return ops.transpose(self)

    def __repr__(self) -> str:
        return described(self.data, self.requires_grad)

    def __len__(self) -> int:
        return len(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())  # a TypeError for floating point numbers

    def __bool__(self) -> bool:
        return bool(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype, copy=copy)

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.data.item()

    def numpy(self) -> Array:
        """The data as a NumPy array; not a copy, if it lives on the CPU."""
        return backend.on_cpu(self.data)

    @property
    def device(self) -> str:
        """Where the data lives: "cpu", "gpu" or "emulator"."""
        return backend.device_of(self.data)

    def detach(self) -> Tensor:
        """A tensor of the same data that remembers no op and requires no gradient."""
        return Tensor(self.data, device=_THERE)

    def to(self, device: str) -> Tensor:
        """A tensor of the same numbers on `device`, detached from this one.

        Raises:
            ValueError: device is none of "cpu", "gpu" and "emulator".
            RuntimeError: the device cannot be had; the message says why, and how to mend it.
        """
        backend.check_device("Tensor.to", device)
        return Tensor(self.data, self.requires_grad, device)

    def backward(self, seed: Tensor | None = None) -> None:
        """Add the gradient of this tensor to the `.grad` of every leaf it was computed from.

        Args:
            seed: the gradient for this tensor, of its shape; 1 where it is a single number.

        Raises:
            ValueError: this tensor requires no gradient, or the seed is missing or does not fit.
        """
        if not self.requires_grad:
            raise ValueError(
                "Tensor.backward: nothing that this tensor was computed from requires a gradient. "
                "Make a leaf with Tensor(data, requires_grad=True), outside of no_grad()."
            )
        leaves = [tensor for tensor in _history(self) if tensor.op is None]
        for leaf, dleaf in zip(leaves, grad(self, leaves, seed), strict=True):
            leaf.grad = dleaf if leaf.grad is None else leaf.grad + dleaf

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Let hook(dy) be called when the gradient for this tensor is known, as in PyTorch.

        That is in each backward pass from something that was computed from this tensor, once all
        gradients that add up to dy are there, and before dy goes on to what this tensor was
        computed from. Hooks are called in the order of registration, each with what the one before
        it has made of dy.

        Args:
            hook: what it returns takes the place of dy, unless it is None: a tensor of its shape
                and dtype. It is made of dy by ops, at least where the gradient shall have a
                gradient itself, that is with create_graph=True. The data of dy must not be changed.

        Returns:
            A handle: handle.remove() takes the hook away, and so does the end of a `with` block.

        Raises:
            ValueError: the tensor requires no gradient.

        In the backward pass, what the hook returns raises a TypeError if it is no tensor; a
        ValueError if it does not fit; a NotImplementedError if it shall have a gradient, but has
        none.

        >>> x = Tensor([3.0, 4.0], requires_grad=True)
        >>> y = x * x
        >>> handle = y.register_hook(lambda dy: dy * 10)
        >>> grad(y.sum(), [x])
        [Tensor([60. 80.])]
        >>> handle.remove()
        >>> grad(y.sum(), [x])
        [Tensor([6. 8.])]
        """
        if not self.requires_grad:
            raise ValueError(
                "Tensor.register_hook: the tensor requires no gradient, so that the hook would "
                "never be called. Make it, or what it is computed from, with requires_grad=True."
            )
        if self.hooks is None:
            self.hooks = {}
        return register(self.hooks, hook, _nothing)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __add__(self, other: Operand) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, exponent: Operand) -> Tensor:
        return ops.power(self, exponent)

    def __rpow__(self, base: Operand) -> Tensor:
        return ops.power(base, self)

    def __matmul__(self, other: Tensor | Array) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Array) -> Tensor:
        return ops.matmul(other, self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __lt__(self, other: Operand) -> Array:
        return self.data < _data(other)

    def __le__(self, other: Operand) -> Array:
        return self.data <= _data(other)

    def __gt__(self, other: Operand) -> Array:
        return self.data > _data(other)

    def __ge__(self, other: Operand) -> Array:
        return self.data >= _data(other)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Add up along `axis`; see ops.sum."""
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Average along `axis`; see ops.mean."""
        return ops.mean(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Keep the largest along `axis`; see ops.max."""
        return ops.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Keep the smallest along `axis`; see ops.min."""
        return ops.min(self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean squared distance from the mean along `axis`; see ops.variance."""
        return ops.variance(self, axis, keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """The same numbers in another shape, given as one tuple or as several numbers."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes, given as one tuple or as several numbers; none reverses them."""
        return ops.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: Any) -> Tensor:
        """The same numbers in another floating point type; see ops.cast."""
        return ops.cast(self, dtype)


Operand: TypeAlias = "Tensor | Array | float"
Gradients: TypeAlias = "Tensor | tuple[Tensor | None, ...]"


def _as_array(data: Any) -> Array:
    if hasattr(data, "dtype"):  # an array of NumPy or CuPy, or a NumPy number
        return data if kernels.is_gpu_array(data) else np.asarray(data)
    array = np.asarray(data)
    return array.astype(floatx()) if array.dtype == np.float64 else array


def _data(x: Operand) -> Any:
    return x.data if isinstance(x, Tensor) else x


class Op:
    """One step of a computation: `forward` computes numbers, `backward` writes a formula.

    forward(*arrays) makes one array out of the arrays of the inputs. backward(dy) returns the
    gradients for the inputs, a tuple if there are several, computed from dy, the gradient for the
    output, and from `self.inputs` and `self.output`: tensors all of them, combined by ops. It may
    return None for an input that requires no gradient.

    What has a gradient is an argument of the call; all else is a setting of the constructor. An op
    object serves one call. The arrays it was given and has returned are read-only while it lives.

    An output that was used several times gets several gradients. Usually they are added up before
    backward is called; an op with adds_up = True may be given two, backward(dy, more), because it
    can add them up on the way.
    """

    adds_up = False
    forward: Callable[..., Array]
    inputs: tuple[Tensor, ...] = ()
    _held: tuple[Array, ...] = ()
    _operands = "float32"

    def backward(self, dy: Tensor, /) -> Gradients:
        raise NotImplementedError(f"{type(self).__name__} has no gradient: it defines no backward.")

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self.inputs:
            name = type(self).__name__
            raise RuntimeError(f"{name}: this object was called before. Make a new one per call.")
        for x in inputs:
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: wants tensors, but got {type(x).__name__}: "
                    f"wrap it in Tensor(...)."
                )
        for watcher in _watchers:
            watcher.before_forward(self, inputs)
        output = Tensor(self.forward(*[x.data for x in inputs]), False, _THERE)
        if _recording and any([x.requires_grad for x in inputs]):
            self._remember(inputs, output)
        for watcher in _watchers:
            watcher.after_forward(self, inputs, output)
        return output

    def _remember(self, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.requires_grad, output.op = True, self
        self.inputs = inputs
        self._operands = kernels.precision.operands()
        self._output = weakref.ref(output)  # weak: output -> op -> output would be a cycle
        self._held = (*[x.data for x in inputs], output.data)
        for array in self._held:
            hold(array)

    def __del__(self) -> None:
        for array in self._held:
            release(array)

    @property
    def output(self) -> Tensor:
        """The tensor that the call returned; alive as long as something computed from it is."""
        output = self._output()
        assert output is not None
        return output


def grad(
    output: Tensor,
    inputs: Sequence[Tensor],
    seed: Tensor | None = None,
    create_graph: bool = False,
) -> list[Tensor]:
    """Compute the gradient of `output` with respect to each of `inputs`.

    Args:
        output: usually the loss.
        inputs: tensors that require a gradient.
        seed: the gradient for `output` itself, of its shape; 1 where `output` is a single number.
        create_graph: whether to record this computation, so that the gradients have gradients too.

    Returns:
        One tensor per input, of its shape; zeros for an input that `output` does not depend on.

    Raises:
        ValueError: an input requires no gradient, or the seed is missing or of the wrong shape.
        RuntimeError: a tensor was given new data after an op had used it.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> (dx,) = grad(x**3, [x], create_graph=True)
    >>> dx.item(), grad(dx, [x])[0].item()
    (27.0, 18.0)
    """
    xp = array_module(output.data)
    for k, x in enumerate(inputs):
        if not x.requires_grad:
            raise ValueError(
                f"grad: input {k} requires no gradient. Make it a Tensor(data, requires_grad=True)."
            )
    if seed is None and output.data.size != 1:
        raise ValueError(
            f"grad [MC057]: output has shape {output.shape}, but a gradient is taken of a single "
            f"number. Take the mean of output, or give a seed of its shape."
        )
    dy = Tensor(xp.ones_like(output.data), device=_THERE) if seed is None else seed
    if dy.shape != output.shape:
        raise ValueError(f"grad: seed has shape {dy.shape}, but output has shape {output.shape}.")
    if create_graph and not dy.requires_grad:
        dy = Tensor(dy.data, True, _THERE)  # then all gradients require one; see _checked

    wanted, found = set(inputs), {}
    growing: dict[Tensor, tuple[Tensor, ...]] = {output: (dy,)}  # one or two, to be added up
    with _Record(create_graph):
        for tensor in _history(output):
            dys = growing.pop(tensor)  # complete, because all uses of the tensor came before it
            alone = tensor in wanted or _watchers or tensor.hooks
            if alone or not (tensor.op and tensor.op.adds_up):
                dys = _added_up(dys)
            if tensor.hooks:
                dys = (_after_hooks(tensor, dys[0]),)
            if tensor in wanted:
                found[tensor] = dys[0]
            if tensor.op:
                for x, dx in _gradients(tensor.op, dys):
                    growing[x] = (*_added_up(growing.get(x, ())), dx)
    return [
        found[x] if x in found else Tensor(xp.zeros_like(x.data), device=_THERE) for x in inputs
    ]


def _added_up(dys: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (dys[0] + dys[1],) if len(dys) == 2 else dys


def _after_hooks(tensor: Tensor, dy: Tensor) -> Tensor:
    """What the hooks of `tensor` make of the gradient for it."""
    for hook in list((tensor.hooks or {}).values()):
        changed = hook(dy)
        if changed is not None:
            _check_changed(changed, tensor)
            dy = changed
    return dy


def _check_changed(dy: Any, tensor: Tensor) -> None:
    error: type[Exception] = ValueError
    if not isinstance(dy, Tensor):
        error, problem = TypeError, f"must be a Tensor or None, but is {type(dy).__name__}"
    elif dy.shape != tensor.shape:
        problem = f"has shape {dy.shape}, the tensor has {tensor.shape}"
    elif dy.dtype != tensor.dtype:
        problem = f"is {dy.dtype}, the tensor is {tensor.dtype}: convert it by astype"
    elif _recording and not dy.requires_grad:
        error = NotImplementedError
        problem = "has no gradient itself; make it of dy with ops on tensors, not with arrays"
    else:
        return
    raise error(f"grad: what a hook has returned as the gradient for a tensor {problem}.")


def _nothing() -> None:
    """There is nothing to forget when a hook of a tensor is removed."""


def _history(output: Tensor) -> list[Tensor]:
    """`output` and all it was computed from that requires a gradient, the latest born first.

    A result is born after its inputs, so every tensor comes after all the results it was used for.
    This is a loop and not a recursion, because a deep network would exceed Python's limit.
    """
    seen, todo = {output}, [output]
    while todo:
        op = todo.pop().op
        for x in op.inputs if op else ():
            if x.requires_grad and x not in seen:
                seen.add(x)
                todo.append(x)
    return sorted(seen, key=lambda tensor: tensor.born, reverse=True)


def _gradients(op: Op, dys: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each input of `op` that requires a gradient, with what op.backward(*dys) returned for it."""
    for k, (x, array) in enumerate(zip(op.inputs, op._held, strict=False)):
        if x.data is not array:
            raise RuntimeError(
                f"{type(op).__name__}.backward [MC057]: {input_name(op, k)} was given new data "
                f"after the op had used it, so its gradient would be wrong. Compute the output "
                f"anew."
            )
    for watcher in _watchers:
        watcher.before_backward(op, dys[0])
    with kernels.precision.rounding_to(op._operands):  # as when it went forward
        dxs = op.backward(*dys)
    if isinstance(dxs, list):
        raise TypeError(
            f"{type(op).__name__}.backward: returned a list, but several gradients must be a "
            f"tuple: return dx, dw."
        )
    dxs = dxs if isinstance(dxs, tuple) else (dxs,)
    for watcher in _watchers:
        watcher.after_backward(op, dys[0], dxs)
    if len(dxs) != len(op.inputs):
        raise ValueError(
            f"{type(op).__name__}.backward: returned {len(dxs)} gradients, but the op has "
            f"{len(op.inputs)} inputs."
        )
    for k, (x, dx) in enumerate(zip(op.inputs, dxs, strict=True)):
        if x.requires_grad:
            yield x, _checked(dx, op, k)


def _checked(dx: Any, op: Op, k: int) -> Tensor:
    """`dx` itself, if it can be the gradient for input number k of `op`."""
    error: type[Exception] = NotImplementedError
    if dx is None:
        problem = "is missing"
    elif not isinstance(dx, Tensor):
        error, problem = TypeError, f"must be a Tensor, but is {type(dx).__name__}"
    elif dx.shape != op.inputs[k].shape:
        error, problem = ValueError, f"has shape {dx.shape}, the input has {op.inputs[k].shape}"
    elif _recording and not dx.requires_grad:
        problem = "has no gradient itself; write it with ops on tensors, not with arrays"
    else:
        return dx
    raise error(f"{type(op).__name__}.backward: the gradient for {input_name(op, k)}, {problem}.")


def input_name(op: Op, k: int) -> str:
    """How messages speak of input number k of `op`: "input 0, x"."""
    names = list(inspect.signature(op.forward).parameters)
    return f"input {k}, {names[min(k, len(names) - 1)]}"  # forward(self, *xs): one name for all


from minicnn import ops  # noqa: E402  at the bottom: Tensor needs ops, and every op needs Tensor
