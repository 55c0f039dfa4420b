"""Modules and kernels with the interface of CuPy's RawModule and RawKernel."""

import ctypes
import math
import operator
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import order
from .arrays import damaged
from .compiler import compiled
from .errors import EmulatorError
from .graphs import note
from .parameters import Parameter, bytes_of

MOST_BLOCKS = (2**31 - 1, 65535, 65535)
MOST_THREADS = (1024, 1024, 64)
MOST_SHARED_BYTES = 227 * 1024


class Kernel:
    """One kernel of a module; called as CuPy's: kernel(grid, block, arguments, shared_mem=0)."""

    def __init__(self, name: str, function: Any, parameters: list[Parameter]) -> None:
        self.name = name
        self.max_dynamic_shared_size_bytes = 48 * 1024  # more must be asked for, as in CuPy
        self._function = function
        self._parameters = parameters

    def __call__(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: Sequence[Any],
        shared_mem: int = 0,
    ) -> None:
        sizes = self._sizes("grid", grid, MOST_BLOCKS) + self._sizes("block", block, MOST_THREADS)
        if math.prod(sizes[3:]) > 1024:
            raise ValueError(f"{self.name}: block {block} has more than 1024 threads.")
        if math.prod(sizes[:3]) > 10**8:
            raise ValueError(f"{self.name}: grid {grid} has too many blocks for the emulator.")
        if not 0 <= shared_mem <= min(self.max_dynamic_shared_size_bytes, MOST_SHARED_BYTES):
            raise ValueError(
                f"{self.name}: {shared_mem} bytes of dynamic shared memory; allowed are "
                f"{self.max_dynamic_shared_size_bytes}. Ask for more, up to 227 KB, by "
                f"kernel.max_dynamic_shared_size_bytes = bytes."
            )
        self._check(args)
        if not note(lambda: self._run(sizes, shared_mem, args)):
            self._run(sizes, shared_mem, args)

    def _sizes(self, what: str, sizes: Any, limits: tuple[int, ...]) -> list[int]:
        if not isinstance(sizes, tuple) or not 1 <= len(sizes) <= 3:
            raise TypeError(
                f"{self.name}: the {what} must be a tuple of 1 to 3 integers, not {sizes!r}."
            )
        numbers = [operator.index(size) for size in sizes] + [1] * (3 - len(sizes))
        if any(number > limit for number, limit in zip(numbers, limits, strict=True)):
            raise ValueError(f"{self.name}: {what} {sizes} is too large; the limits are {limits}.")
        if min(numbers) < 1:
            raise ValueError(
                f"{self.name}: {what} {sizes} starts no thread, yet CuPy would make it 1. "
                f"Return before the launch if an array is empty."
            )
        return numbers

    def _check(self, args: Sequence[Any]) -> None:
        if len(args) != len(self._parameters):
            raise TypeError(
                f"{self.name}: {len(args)} arguments for {len(self._parameters)} parameters "
                f"({', '.join(parameter.text for parameter in self._parameters)})."
            )
        for k, (parameter, argument) in enumerate(zip(self._parameters, args, strict=True)):
            if message := parameter.error(argument):
                raise TypeError(f"{self.name}: argument {k} ({parameter.text}) {message}")

    def _run(self, sizes: list[int], shared_bytes: int, args: Sequence[Any]) -> None:
        values = [bytes_of(argument) for argument in args]
        addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        error = self._function(
            (ctypes.c_uint * 6)(*sizes), shared_bytes, *order.current(), addresses
        )
        if error is not None:
            raise EmulatorError(f"{self.name}: {error.decode()}")
        self._check_guards(args)

    def _check_guards(self, args: Sequence[Any]) -> None:
        for k, (parameter, argument) in enumerate(zip(self._parameters, args, strict=True)):
            if isinstance(argument, np.ndarray) and (sides := damaged(argument)):
                raise EmulatorError(
                    f"{self.name}: wrote {sides} argument {k} ({parameter.text}), an array of "
                    f"shape {argument.shape}. Compare the index with the size before writing."
                )


class RawModule:
    """All kernels of one CUDA source. It is compiled when the first kernel is asked for.

    Args:
        code: the CUDA source; kernels must be extern "C".
        options: those for NVRTC; of these -D, -U and -I are used.
    """

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        if not isinstance(options, tuple):
            raise TypeError(f"RawModule: options must be a tuple, not {options!r}.")
        self.code = code
        self.options = options
        self._kernels: dict[str, Kernel] = {}

    def get_function(self, name: str) -> Kernel:
        """The kernel of this name.

        Raises:
            EmulatorError: the source does not compile, or has no such kernel.
        """
        if not self._kernels:
            self._load()
        if name not in self._kernels:
            raise EmulatorError(
                f"No kernel {name!r} in this module; it has {', '.join(self._kernels) or 'none'}."
            )
        return self._kernels[name]

    def _load(self) -> None:
        # PyDLL keeps Python's lock during a launch: the library has only one set of fibers
        library = ctypes.PyDLL(str(compiled(self.code, self.options)))
        listing = ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(library, "kernel_list")))
        for name, text in re.findall(r"(\w+)\((.*)\)", listing.decode()):
            function = getattr(library, "launch_" + name)
            function.restype = ctypes.c_char_p
            function.argtypes = (
                ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
            )  # fmt: skip
            parameters = [Parameter.parse(part.strip()) for part in text.split(",") if part.strip()]
            self._kernels[name] = Kernel(name, function, parameters)
