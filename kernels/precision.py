"""How many bits the operands of convolutions and matrix products have; sums always keep all.

    "float32"    all 24 that they are given with
    "bfloat16"   8: operands are rounded to the nearest such number, sums are those of float32

In a mixed precision (Micikevicius et al. 2018, arXiv:1710.03740) the weights and all that is added
up stay in float32, and only what is multiplied is rounded: on a GPU, tensor cores do that many
times as fast. A CPU rounds the operands, too, so that both devices compute the same, but it is no
faster for it. Float64 is never rounded.

TF32 is another way to use tensor cores for float32: 11 bits. GPUs use it where `allow_tf32` says
so; a CPU has nothing like it and goes on with 24.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .kernel import Array

OPERANDS = ("float32", "bfloat16")


class _Setting:
    operands = "float32"
    tf32 = False


_setting = _Setting()


def operands() -> str:
    """What the operands of products of float32 are rounded to now.

    >>> operands()
    'float32'
    """
    return _setting.operands


@contextlib.contextmanager
def rounding_to(name: str) -> Iterator[None]:
    """All products inside this `with` take operands of this precision, one of OPERANDS.

    >>> with rounding_to("bfloat16"):
    ...     operands()
    'bfloat16'
    """
    before, _setting.operands = _setting.operands, name
    try:
        yield
    finally:
        _setting.operands = before


def allow_tf32(allowed: bool) -> None:
    """Let GPUs round the operands of float32 products to 11 bits; at first they do not."""
    _setting.tf32 = bool(allowed)


def allows_tf32() -> bool:
    """Whether GPUs may do so."""
    return _setting.tf32


def defines(dtype: Any) -> dict[str, int]:
    """The macros with which a .cu file is compiled for products of this dtype."""
    if dtype != np.float32:
        return {}
    if operands() == "bfloat16":
        return {"BF16": 1}
    return {"TF32": 1} if allows_tf32() else {}


def to_bfloat16(x: Array) -> Array:
    """The nearest numbers with 8 bits, halves to the even one, still as float32.

    >>> to_bfloat16(np.float32([1, 1.003, 1.004, 3e38])).tolist()
    [1.0, 1.0, 1.0078125, 2.9973850689230475e+38]
    """
    bits = x.view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) & 0xFFFF0000
    return np.where(np.isfinite(x), rounded.view(np.float32), x)
