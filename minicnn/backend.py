"""The one door from the framework down to its kernels, and the device that new arrays are born on.

setup.py installs the folder kernels/ as the package minicnn.kernels, because a top-level package
"kernels" would overwrite the PyPI project of that name. In a checkout that was never installed,
nothing has made that link, so this file makes it; under the same name, because Numba's cache
remembers the names of modules. Everybody writes `from minicnn.backend import kernels`.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np


def _kernels_of_this_checkout() -> ModuleType:
    source = Path(__file__).parents[1] / "kernels" / "__init__.py"
    spec = importlib.util.spec_from_file_location("minicnn.kernels", source)
    assert spec and spec.loader
    module = sys.modules["minicnn.kernels"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["minicnn"].__dict__["kernels"] = module  # as import does with a submodule
    return module


if TYPE_CHECKING:
    import kernels as kernels  # what editors follow: go to definition lands in kernels/
elif importlib.util.find_spec("minicnn.kernels"):
    from minicnn import kernels  # installed
else:
    kernels = _kernels_of_this_checkout()

Array = kernels.Array

DEVICES = ("auto", "cpu", "gpu", "emulator")
_device = "cpu"
_floatx = "float32"
POLICIES = ("float32", "float64", "mixed_bfloat16")
_policy: str | None = None  # None: floatx()


def array_module(x: Array) -> Any:
    """The library that x belongs to, for the arithmetic that needs no kernel: numpy or cupy.

    For an emulated array it is the emulator, which has cupy's functions.
    """
    return kernels.cuda.module(x) if kernels.is_gpu_array(x) else np


def device_of(x: Array) -> str:
    """Where x lives: "cpu", "gpu" or "emulator".

    >>> device_of(np.zeros(3))
    'cpu'
    """
    if not kernels.is_gpu_array(x):
        return "cpu"
    return "emulator" if isinstance(x, np.ndarray) else "gpu"


def placed(x: Array, device: str) -> Array:
    """`x` on a device; itself, if it is there already.

    Raises:
        MemoryError: the GPU has no memory left; the message says what to do.
    """
    here = device_of(x)
    if here == device:
        return x
    x = on_cpu(x)
    if device == "cpu":
        return x
    kernels.graphs.refuse_copy(x)
    return _copied_to_gpu(x) if device == "gpu" else kernels.emulator.asarray(x)


def born(x: Array) -> Array:
    """A NumPy array on the device that set_device has chosen; arrays on a GPU stay where they are.

    >>> born(np.zeros(3))
    array([0., 0., 0.])
    """
    return x if _device == "cpu" or kernels.is_gpu_array(x) else placed(x, _device)


def beside(x: Array, like: Array) -> Array:
    """`x` on the device of `like`, so that one kernel can take both."""
    return placed(x, device_of(like))


def fed(make: Callable[[], Array], shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """Numbers that the CPU makes anew in each step, as random ones.

    While a step is captured as a CUDA graph, they are an array on the GPU, and `make` is called
    before each launch to fill it; see kernels/graphs.py.

    Args:
        make: returns a NumPy array.
        shape: that of the array.
        dtype: its type.
        like: an array on the device where they are needed.

    >>> fed(lambda: np.zeros(2), (2,), "float32", like=np.ones(1))
    array([0., 0.], dtype=float32)
    """
    if kernels.graphs.is_capturing() and kernels.is_gpu_array(like):
        return kernels.graphs.fed(make, shape, dtype, like)
    return make().astype(dtype, copy=False)


def constant(numbers: Array, like: Array) -> Array:
    """An array of the CPU that is the same in each step, as a table, on the device of `like`."""
    if not kernels.is_gpu_array(like) or kernels.is_gpu_array(numbers):
        return numbers
    with kernels.gpu.memory_explained():
        return kernels.graphs.constant(numbers, like)


def kept_on_device(x: Array) -> Array:
    """`x`, all samples of a data set, where new arrays are born, if a quarter of the room will do.

    Without room it stays where it is, and its batches are copied one by one.
    """
    if _device == "gpu" and x.nbytes > kernels.gpu.free_bytes() // 4:
        return x
    return born(x)


def on_cpu(x: Any) -> Array:
    """`x` as a NumPy array; not a copy, if it is one. CuPy refuses np.asarray(x)."""
    return x.get() if kernels.is_gpu_array(x) else np.asarray(x)


def filled(shape: tuple[int, ...], value: Any, like: Array) -> Array:
    """An array full of `value`, of the dtype and on the device of `like`.

    On the CPU it is made in memory that may have served before; see kernels/memory.py.
    """
    if kernels.is_gpu_array(like):
        return array_module(like).full(shape, value, like.dtype)
    array = kernels.empty(shape, like.dtype)
    array.fill(value)
    return array


def repeated(number: Any, shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """A number at every place of an array, on the device of `like`; it is in memory only once.

    >>> repeated(3, (2, 2), "float32", like=np.zeros(1))
    array([[3., 3.],
           [3., 3.]], dtype=float32)
    """
    if kernels.is_gpu_array(like):  # it would have to bring an array from the CPU
        xp = array_module(like)
        return xp.broadcast_to(xp.full((), number, dtype), shape)
    once: Any = np.full((), number, dtype)
    return np.ndarray(shape, dtype, once, strides=(0,) * len(shape))


def joined(xs: Sequence[Array], axis: int) -> Array:
    """All arrays one after the other along an axis.

    >>> joined([np.ones((2, 1)), np.zeros((2, 2))], axis=1)
    array([[1., 0., 0.],
           [1., 0., 0.]])
    """
    return (
        kernels.cuda.joined(xs, axis) if kernels.graphs.is_capturing() else np.concatenate(xs, axis)
    )


def set_device(name: str) -> None:
    """Choose where new arrays are born.

    Args:
        name: "cpu"; "gpu"; "auto", the GPU if there is one; or "emulator", where the kernels for
            the GPU run on the CPU, very slowly, to learn about them and to test them.

    Raises:
        ValueError: the name is none of these.
        RuntimeError: a device was asked for and cannot be had; the message says why.

    >>> set_device("cpu"); get_device()
    'cpu'
    """
    global _device
    if name not in DEVICES:
        raise ValueError(f"set_device: wants one of {', '.join(DEVICES)}, but got {name!r}.")
    if name == "auto":
        name = "cpu" if kernels.gpu.why_no_gpu() else "gpu"
    elif name != "cpu":
        check_device("set_device", name)
    _device = name


def check_device(who: str, name: str) -> None:
    """Raise an error unless arrays can be put on this device.

    Raises:
        ValueError: there is no device of this name.
        RuntimeError: it cannot be had; the message says why, and how to mend it.
    """
    if name == "gpu" and (reason := kernels.gpu.why_no_gpu()):
        raise RuntimeError(f"{who}: no GPU can be used, because {reason}.")
    if name == "emulator" and (reason := kernels.emulator.why_unavailable()):
        raise RuntimeError(f"{who}: the emulator cannot be used, because {reason}.")
    if name not in DEVICES[1:]:
        raise ValueError(f"{who}: wants one of {', '.join(DEVICES[1:])}, but got {name!r}.")


def get_device() -> str:
    """Where new arrays are born: "cpu", "gpu" or "emulator"."""
    return _device


def _copied_to_gpu(x: Array) -> Array:
    import cupy

    with kernels.gpu.memory_explained():
        return cupy.asarray(x)


def floatx() -> str:
    """The dtype of weights and inputs where nobody says otherwise: "float32"."""
    return _floatx


def set_floatx(dtype: str) -> None:
    """Change what floatx() returns.

    Raises:
        ValueError: dtype is neither "float32" nor "float64".
    """
    global _floatx
    if dtype not in ("float32", "float64"):
        raise ValueError(f"set_floatx: wants 'float32' or 'float64', but got {dtype!r}.")
    _floatx = dtype


def dtype_policy() -> str:
    """The policy of layers that are made without a dtype: floatx(), unless that was changed."""
    return _policy or _floatx


def set_dtype_policy(policy: str | None) -> None:
    """Choose the dtype policy of all layers that are made from here on.

    With "mixed_bfloat16", what convolutions, dense layers and other products of two matrices
    multiply is rounded to bfloat16, the 8 leading bits, and added up in float32, going forward and
    backward. Tensor cores of a GPU do that many times as fast. All else is float32: weights, what
    layers return, statistics, the loss, the optimizer. A CPU computes the same numbers but is a
    little slower for it, as it has to round the operands; products of whole batches of matrices
    (ops.matmul) are not rounded on either.

    Args:
        policy: "float32", "float64" or "mixed_bfloat16"; None goes back to floatx().

    Raises:
        ValueError: it is none of these.

    Differs from Keras: there layers return bfloat16, too, which halves their memory.

    >>> set_dtype_policy("mixed_bfloat16"); dtype_policy()
    'mixed_bfloat16'
    >>> set_dtype_policy(None); dtype_policy()
    'float32'
    """
    global _policy
    if policy is not None and policy not in POLICIES:
        raise ValueError(
            f"set_dtype_policy: wants one of {', '.join(POLICIES)}, but got {policy!r}."
        )
    _policy = policy


def allow_tf32(allowed: bool) -> None:
    """Let GPUs round what float32 convolutions and products multiply to TF32, 11 bits, for speed.

    At first they do not, as in PyTorch. On a CPU it changes nothing.

    >>> allow_tf32(True); allow_tf32(False)
    """
    kernels.precision.allow_tf32(allowed)
