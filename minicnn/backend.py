"""The one door from the framework down to its kernels, and the device that new arrays are born on.

setup.py installs the folder kernels/ as the package minicnn.kernels, because a top-level package
"kernels" would overwrite the PyPI project of that name. In a checkout that was never installed,
nothing has made that link, so this file makes it; under the same name, because Numba's cache
remembers the names of modules. Everybody writes `from minicnn.backend import kernels`.
"""

import importlib.util
import sys
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


def array_module(x: Array) -> Any:
    """The library that x belongs to, numpy or cupy, for the arithmetic that needs no kernel."""
    if kernels.is_gpu_array(x):
        import cupy

        return cupy
    return np


def filled(shape: tuple[int, ...], value: Any, like: Array) -> Array:
    """An array full of `value`, of the dtype and on the device of `like`.

    On the CPU it is made in memory that may have served before; see kernels/memory.py.
    """
    if kernels.is_gpu_array(like):
        return array_module(like).full(shape, value, like.dtype)
    array = kernels.empty(shape, like.dtype)
    array.fill(value)
    return array


def set_device(name: str) -> None:
    """Choose where new arrays are born: "cpu", "gpu", or "auto", the GPU if there is one.

    Raises:
        ValueError: the name is none of these.
        RuntimeError: a GPU was asked for and cannot be had; the message says why.
        NotImplementedError: the emulator, which is not written yet.

    >>> set_device("cpu"); get_device()
    'cpu'
    """
    global _device
    if name not in DEVICES:
        raise ValueError(f"set_device: wants one of {', '.join(DEVICES)}, but got {name!r}.")
    if name == "emulator":
        raise NotImplementedError("set_device: the emulator is not written yet. Use 'cpu'.")
    if name != "cpu":
        reason = why_no_gpu()
        if name == "gpu" and reason:
            raise RuntimeError(f"set_device: no GPU can be used, because {reason}.")
        name = "cpu" if reason else "gpu"
    _device = name


def get_device() -> str:
    """Where new arrays are born: "cpu" or "gpu"."""
    return _device


def why_no_gpu() -> str:
    """The reason why training on a GPU is not possible here, or "" if it is."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install '.[cuda13]' in minicnn's folder"
    import cupy

    if not cupy.cuda.is_available():
        return "CuPy finds no GPU, or the NVIDIA driver is missing or too old"
    missing = kernels.without_gpu_version()
    if missing:
        return f"the CUDA versions of {len(missing)} kernels are not written yet"
    return ""


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
