"""A Kernel is one computation, written once per device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import precision
from .gpu import memory_explained

Array: TypeAlias = npt.NDArray[Any]  # NumPy's on the CPU, CuPy's on the GPU


@dataclass(frozen=True)
class Kernel:
    """One computation in several versions; a call runs the version for the device of its arrays.

    Each version is given contiguous arrays, leaves them as they are, and returns new ones; but for
    the optimizers' kernels, which say that they update in place.

    Args:
        name: file.function, for error messages.
        reference: plain NumPy, slow and obvious; the tests compare with it, training never runs it.
        cpu: the Numba version.
        gpu: launches the CUDA version; None while nobody has written it.
        operands: which arguments are multiplied with one another, and so may be rounded to fewer
            bits; see precision.py.
    """

    name: str
    reference: Callable[..., Any]
    cpu: Callable[..., Any]
    gpu: Callable[..., Any] | None = None
    operands: tuple[int, ...] = ()

    def __call__(self, *args: Any) -> Any:
        given = []
        for x in args:
            if type(x) is np.ndarray:  # as nearly always, and so is this:
                given.append(x if x.flags.carray else _given(x))
            elif is_gpu_array(x):
                return self._on_gpu(args)
            else:
                given.append(_given(x) if isinstance(x, np.ndarray) else x)
        return self.cpu(*self._rounded(given))

    def _on_gpu(self, args: tuple[Any, ...]) -> Any:
        on_gpu = [is_gpu_array(a) for a in args if hasattr(a, "shape")]
        if not all(on_gpu):
            devices = ", ".join("GPU" if gpu else "CPU" for gpu in on_gpu)
            raise TypeError(
                f"{self.name}: its arrays must live on one device, but they are on {devices}. "
                f"Move them with Tensor.to('cpu') or Tensor.to('gpu')."
            )
        if self.gpu is None:
            raise NotImplementedError(
                f"{self.name}: its GPU version is not written yet, but its arrays are on the GPU. "
                f"Move them with Tensor.to('cpu')."
            )
        with memory_explained():
            return self.gpu(*map(_contiguous, args))

    def _rounded(self, args: Sequence[Any]) -> Sequence[Any]:
        """The arguments with operands of the precision that is wanted; a GPU rounds them itself."""
        if not self.operands or precision.operands() == "float32":
            return args
        return [precision.rounded(a) if k in self.operands else a for k, a in enumerate(args)]


def is_gpu_array(x: Any) -> bool:
    """Whether x is a CuPy array, or an emulated one. Asks x, so CuPy need not be installed."""
    return type(x) is not np.ndarray and hasattr(x, "__cuda_array_interface__")


def _contiguous(x: Any) -> Any:
    """`x` in C order: CUDA ignores strides, and Numba would compile anew for each layout."""
    if hasattr(x, "flags") and not x.flags.c_contiguous:
        return x.copy("C")
    return x


def _given(x: Array) -> Array:
    """`x` as Numba wants it, which NumPy calls a carray: in C order and writeable.

    Numba would compile once more for arrays that are read-only because a graph holds them; the
    kernels promise to leave them alone.
    """
    x = _contiguous(x)
    return x if x.flags.writeable else _unlocked(x)


def _unlocked(x: Array) -> Array:
    """The same memory, said to be writeable."""
    if x.flags.owndata:  # a view keeps the flag that x has when it is made
        x.setflags(write=True)
        view = x.view()
        x.setflags(write=False)
        if view.flags.writeable:  # no other thread was quicker
            return view
    view = x.view()
    try:
        view.setflags(write=True)  # if x itself is a view of memory that is
    except ValueError:
        return np.asarray(_Unlocked(x))
    return view


class _Unlocked:
    """The same memory, said to be writeable."""

    def __init__(self, array: Array) -> None:
        self.array = array  # whoever looks into its memory must keep it alive
        address = (array.ctypes.data, False)
        self.__array_interface__ = {**array.__array_interface__, "data": address}
