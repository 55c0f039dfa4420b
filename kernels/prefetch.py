"""Memory that is asked for before it is wanted, so that nobody waits for it.

A CPU that meets a number which is in none of its caches stands still for the time of some hundred
multiply-adds. It notices by itself when somebody walks through memory, and fetches ahead; but not
where a loop reads a piece, works on it for long, and goes on to the next. There the loop says so:
while it works on one piece, it asks for the lines of the next.

To ask is no access: it changes nothing, and may go past the end of an array.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled_part
from .memory import LINE

NEAR = 2  # of LLVM's levels 0 to 3: into the second-level cache, for it is not wanted at once


@intrinsic(prefer_literal=True)
def _ask(typing: Any, x: Any, at: Any, writes: Any) -> Any:
    """Ask for the line in which x[at] is; `writes` is 1 if it is going to be written to."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, value=args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [place, number(writes.literal_value), number(NEAR), number(1)])
        return context.get_dummy_value()

    return types.void(x, types.uint64, writes), codegen


@compiled_part
def _fetch(x, at, count):
    for k in range(np.uint64(0), np.uint64(count), np.uint64(LINE // x.itemsize)):
        _ask(x, np.uint64(at) + k, 0)


@compiled_part
def _claim(x, at, count):
    for k in range(np.uint64(0), np.uint64(count), np.uint64(LINE // x.itemsize)):
        _ask(x, np.uint64(at) + k, 1)


def _not_at_all(x, at, count):
    """In Python, which has other things to wait for."""


# (x, at, count): x[at ...], `count` numbers, are going to be read,
fetch_run = _not_at_all if numba.config.DISABLE_JIT else _fetch
# or written to
claim_run = _not_at_all if numba.config.DISABLE_JIT else _claim
