"""NumPy arrays that pass for arrays on a GPU, in memory that notices who writes past its ends.

The memory of a new array lies between two guard zones. All of it, the guards too, reads as NaN,
so a kernel that reads what nobody wrote, or past an end, shows it in its results. After a launch
`damaged` looks whether the guards are as they were.

While a stream captures, what would be computed is noted for the graph instead; see graphs.py.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .graphs import done, is_capturing, note, refuse

GUARD = 256  # bytes before and behind each array, and what its memory is a multiple of, as in CUDA
ONES = 0xFF  # a byte; floats made of such bytes are NaN
SIGNALLING = {"f4": (np.uint32, 0x7FA00000), "f8": (np.uint64, 0x7FF4000000000000)}

_MIXTURE = (
    "a plain numpy.ndarray meets an EmulatedArray. On a GPU this fails: copy it there by "
    "xp.asarray(x), or bring the other one back by x.get()."
)


class EmulatedArray(np.ndarray):
    """A NumPy array that passes for one on a GPU.

    It carries `__cuda_array_interface__`, so code that asks an array where it lives takes the GPU
    branch. Slices, reshapes and the results of NumPy functions are EmulatedArrays again. Like
    CuPy it refuses to be mixed with plain NumPy arrays: on a GPU that is a forgotten copy. Unlike
    CuPy it cannot refuse `np.asarray(x)`.

    Only for machines without a GPU: a library that takes the interface at its word would read
    the address as one of GPU memory.
    """

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.__array_interface__["data"][0], not self.flags.writeable),
            "strides": None if self.flags.c_contiguous else self.strides,
            "version": 3,
        }

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        result = done(getattr(ufunc, method), _plain(inputs), _plain(kwargs))
        out = kwargs.get("out")
        if out is None:
            return emulated(result)
        return out[0] if len(out) == 1 else out  # `x += 1` must give x back, not a view of it

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return emulated(done(function, _plain(args), _plain(kwargs)))

    def __getitem__(self, index: Any) -> Any:
        # x[0, 0] has 0 dimensions, as in CuPy
        return emulated(done(np.ndarray.__getitem__, (_plain(self), _plain(index)), {}))

    def __setitem__(self, index: Any, value: Any) -> None:
        place, index, value = _plain(self), _plain(index), _plain(value)
        if not note(lambda: place.__setitem__(index, value)):
            place[index] = value

    def fill(self, value: Any) -> None:
        """Set all numbers to `value`."""
        place = _plain(self)
        if not note(lambda: place.fill(value)):
            place.fill(value)

    def get(self, stream: Any = None) -> np.ndarray:
        """Copy it into a plain NumPy array: what brings the numbers back from a GPU."""
        refuse("an array was copied to the CPU")
        return np.array(self, subok=False)

    def set(self, array: np.ndarray, stream: Any = None) -> None:
        """Copy a plain NumPy array of the same shape and dtype into this one."""
        refuse("an array was copied from the CPU")
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(f"set: {array.dtype} {array.shape} into {self.dtype} {self.shape}.")
        self.view(np.ndarray)[...] = array


def _on_device(name: str) -> Callable[..., Any]:
    """A method of NumPy's arrays whose result is emulated; a single number is a 0-d array."""
    method = getattr(np.ndarray, name)

    def call(self: EmulatedArray, *args: Any, **kwargs: Any) -> Any:
        """As NumPy's."""
        if not is_capturing():
            return emulated(method(self, *args, **kwargs))
        return emulated(done(method, (_plain(self), *_plain(args)), _plain(kwargs)))

    return call


def _on_cpu(name: str) -> Callable[..., Any]:
    """A method of NumPy's arrays that must know the numbers at once."""
    method = getattr(np.ndarray, name)

    def call(self: EmulatedArray, *args: Any) -> Any:
        """As NumPy's, but not while a stream captures."""
        refuse(f"a number of an array was asked for ({name})")
        return method(self, *args)

    return call


for _name in ("argmax", "argmin", "astype", "copy", "flatten", "ravel", "reshape", "take"):
    setattr(EmulatedArray, _name, _on_device(_name))
for _name in ("__bool__", "__float__", "__index__", "__int__", "item", "tolist"):
    setattr(EmulatedArray, _name, _on_cpu(_name))


class _Guarded(np.ndarray):
    """The bytes of an array with the guard zones around them, and what stands in each zone."""

    guard: np.ndarray


_arrays = itertools.count()


def _guard(dtype: np.dtype[Any]) -> np.ndarray:
    """Bytes that change when a kernel computes with them, or copies those of another array there.

    NaN plus a number is the very same NaN. But a signalling NaN becomes a quiet one: one bit
    differs (IEEE 754-2019, 6.2). And each array has a NaN of its own.
    """
    if dtype.str[1:] not in SIGNALLING:
        return np.full(GUARD, ONES, np.uint8)
    bits, nan = SIGNALLING[dtype.str[1:]]
    number = next(_arrays) % 2**20
    return np.full(GUARD // dtype.itemsize, nan + number, bits).view(np.uint8)


def damaged(array: np.ndarray) -> str:
    """Who of "before" and "behind" was written to next to the memory that `array` looks into."""
    memory: Any = array
    while not isinstance(memory, _Guarded):
        memory = memory.base
        if not isinstance(memory, np.ndarray):
            return ""  # made by NumPy, without guards
    zones = {"before": memory[:GUARD], "behind": memory[-GUARD:]}
    found = [side for side, zone in zones.items() if (zone != memory.guard).any()]
    for side in found:
        zones[side][...] = memory.guard  # told once is enough
    return " and ".join(found)


def empty(shape: Any, dtype: Any = float, order: Any = "C") -> EmulatedArray:
    """Make an array that reads as NaN until it is written, between two guard zones."""
    dtype, shape = np.dtype(dtype), (shape,) if np.ndim(shape) == 0 else tuple(shape)
    memory = _Guarded(math.prod(shape) * dtype.itemsize + 2 * GUARD, np.uint8)
    memory.fill(ONES)
    memory.guard = memory[:GUARD] = memory[-GUARD:] = _guard(dtype)
    return EmulatedArray(shape, dtype, memory, GUARD, order=order)


def full(shape: Any, value: Any, dtype: Any = None, order: Any = "C") -> EmulatedArray:
    """Make an array full of `value`."""
    new = empty(shape, np.asarray(value).dtype if dtype is None else dtype, order)
    new.fill(value)
    return new


def zeros(shape: Any, dtype: Any = float, order: Any = "C") -> EmulatedArray:
    """Make an array of zeros."""
    return full(shape, 0, dtype, order)


def ones(shape: Any, dtype: Any = float, order: Any = "C") -> EmulatedArray:
    """Make an array of ones."""
    return full(shape, 1, dtype, order)


def empty_like(x: Any, dtype: Any = None) -> EmulatedArray:
    """Make an array of the shape and dtype of `x` that reads as NaN until it is written."""
    return empty(x.shape, x.dtype if dtype is None else dtype)


def full_like(x: Any, value: Any, dtype: Any = None) -> EmulatedArray:
    """Make an array of the shape and dtype of `x` full of `value`."""
    return full(x.shape, value, x.dtype if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None) -> EmulatedArray:
    """Make an array of the shape and dtype of `x` full of zeros."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> EmulatedArray:
    """Make an array of the shape and dtype of `x` full of ones."""
    return full_like(x, 1, dtype)


def array(values: Any, dtype: Any = None, order: Any = "C") -> EmulatedArray:
    """Make a new array with these values."""
    if isinstance(values, EmulatedArray):
        values = _plain(values)
    else:
        refuse("an array was copied from the CPU")
        values = np.asarray(values, dtype)
    new = empty(values.shape, values.dtype if dtype is None else dtype, order)
    new[...] = emulated(values)
    return new


def asarray(values: Any, dtype: Any = None) -> EmulatedArray:
    """Return the EmulatedArray itself, or a copy of whatever else: to a GPU all is copied."""
    if isinstance(values, EmulatedArray) and dtype in (None, values.dtype):
        return values
    return array(values, dtype)


def ascontiguousarray(values: Any, dtype: Any = None) -> EmulatedArray:
    """As asarray, but with the numbers in C order without gaps."""
    values = asarray(values, dtype)
    return values if values.flags.c_contiguous else array(values)


def asnumpy(values: Any) -> np.ndarray:
    """Return a plain NumPy array with these values; a copy if they were emulated."""
    return values.get() if isinstance(values, EmulatedArray) else np.asarray(values)


def _plain(value: Any) -> Any:
    """`value`, with all EmulatedArrays in it as NumPy arrays of the same memory."""
    if isinstance(value, EmulatedArray):
        return value.view(np.ndarray)
    if isinstance(value, np.ndarray):
        raise TypeError(_MIXTURE)
    if type(value) in (tuple, list):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def emulated(value: Any) -> Any:
    """`value`, with all arrays in it as EmulatedArrays; NumPy's scalars become 0-d arrays."""
    if isinstance(value, EmulatedArray):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(EmulatedArray)
    if isinstance(value, (tuple, list)):
        items = [emulated(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
