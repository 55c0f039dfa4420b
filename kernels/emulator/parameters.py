"""What the parameters of a kernel take: a GPU would misread a wrong argument without a word."""

import ctypes
from typing import Any, NamedTuple

import numpy as np

from .arrays import EmulatedArray

_DTYPES: dict[str, tuple[str, ...]] = {  # C type: the dtypes whose bytes it can hold
    "bool": ("bool",),
    "char": ("int8",),
    "signed char": ("int8",),
    "unsigned char": ("uint8", "bool"),
    "short": ("int16",),
    "unsigned short": ("uint16", "float16", "bfloat16"),
    "int": ("int32",),
    "unsigned": ("uint32",),
    "unsigned int": ("uint32",),
    "long long": ("int64",),
    "unsigned long long": ("uint64",),
    "size_t": ("uint64",),
    "float": ("float32",),
    "double": ("float64",),
}
_SIZED = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES |= {f"{name}_t": (name,) for name in _SIZED}


class Parameter(NamedTuple):
    """One parameter of a kernel."""

    text: str  # as in the source, for messages
    is_pointer: bool
    is_const: bool
    dtypes: tuple[str, ...]  # those that it takes; empty: a type that is not known here

    @classmethod
    def parse(cls, text: str) -> "Parameter":
        """The parameter of a declaration as `const float* x`."""
        without = text.replace("*", " * ").split()
        skipped = ("__restrict__", "__restrict", "volatile")
        words = [word for word in without if word not in skipped]
        kind = " ".join(word for word in words[:-1] if word not in ("const", "*"))
        return cls(text, "*" in words, "const" in words, _DTYPES.get(kind, ()))

    def error(self, argument: Any) -> str:
        """What is wrong with `argument`, or ""."""
        if self.is_pointer:
            return self._array_error(argument)
        return self._number_error(argument)

    def _array_error(self, argument: Any) -> str:
        if isinstance(argument, np.uintp) and argument == 0:
            return ""  # a null pointer
        if not isinstance(argument, np.ndarray):
            return f"wants an array but got {argument!r}."
        if not isinstance(argument, EmulatedArray):
            return "got a plain numpy.ndarray; copy it to the GPU by xp.asarray(x)."
        if self.dtypes and argument.dtype.name not in self.dtypes:
            return f"wants {' or '.join(self.dtypes)} but got {argument.dtype.name}."
        if not argument.flags.c_contiguous:
            return (
                f"got a view of shape {argument.shape} that is not contiguous. A kernel sees only "
                f"its first address: use xp.ascontiguousarray(x)."
            )
        if not argument.flags.writeable and not self.is_const:
            return "got a read-only array, but the parameter is not const."
        return ""

    def _number_error(self, argument: Any) -> str:
        if isinstance(argument, np.ndarray):
            return f"wants a number but got {type(argument).__name__}."
        if not isinstance(argument, np.generic):
            wanted = f"np.{self.dtypes[0]}(...)" if self.dtypes else "a NumPy scalar"
            return f"wants {wanted} but got the Python {type(argument).__name__} {argument!r}."
        if self.dtypes and argument.dtype.name not in self.dtypes:
            return f"wants np.{self.dtypes[0]} but got np.{argument.dtype.name}."
        return ""


def bytes_of(argument: Any) -> Any:
    """The bytes of one argument, where the kernel can be pointed to."""
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.__array_interface__["data"][0])
    return ctypes.create_string_buffer(argument.tobytes())
