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

from contextvars import ContextVar, Token
from typing import Any

import numpy as np

OPERANDS = ("float32", "bfloat16")


_operands: ContextVar[str] = ContextVar("operands", default="float32")  # of this thread
_tf32 = False


def operands() -> str:
    """What the operands of products of float32 are rounded to now.

    >>> operands()
    'float32'
    """
    return _operands.get()


class rounding_to:
    """All products inside this `with` take operands of this precision, one of OPERANDS.

    >>> with rounding_to("bfloat16"):
    ...     operands()
    'bfloat16'
    """

    __slots__ = ("name", "token")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.token: Token[str] = _operands.set(self.name)

    def __exit__(self, *_: object) -> None:
        _operands.reset(self.token)


def allow_tf32(allowed: bool) -> None:
    """Let GPUs round the operands of float32 products to 11 bits; at first they do not."""
    global _tf32
    _tf32 = bool(allowed)


def allows_tf32() -> bool:
    """Whether GPUs may do so."""
    return _tf32


def defines(dtype: Any) -> dict[str, int]:
    """The macros with which a .cu file is compiled for products of this dtype."""
    if dtype != np.float32:
        return {}
    if operands() == "bfloat16":
        return {"BF16": 1}
    return {"TF32": 1} if allows_tf32() else {}


def rounded(x: Any) -> Any:
    """`x` with as many bits as operands have now; float64 keeps all."""
    return to_bfloat16(x) if operands() == "bfloat16" and x.dtype == np.float32 else x


def to_bfloat16(x: Any) -> Any:
    """The nearest numbers with 8 bits, halves to the even one, still as float32.

    >>> to_bfloat16(np.float32([1, 1.003, 1.004, 3e38])).tolist()
    [1.0, 1.0, 1.0078125, 3.00405527047391e+38]
    """
    bits = x.view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) & 0xFFFF0000
    return np.where(np.isfinite(x), rounded.view(np.float32), x)
