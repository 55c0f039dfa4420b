"""Loops whose machine code begins where the CPU likes it.

A CPU fetches instructions in blocks of 32 or 64 bytes. Of a loop of some hundred bytes, as the
innermost one of a tile is, it is chance where in a block it begins, and by an unlucky one each
round touches a block more. On an AMD Zen 3, that made tiles much slower than others that differ in
the number of their pixels only.

Numba's compiler, LLVM, aligns loops to 16 bytes, but to more if a loop says so, in metadata of the
branch that leads back to its head: LLVM's name for it is "llvm.loop.align", known to LLVM since 18
(2024). Older ones overlook it.
"""

from llvmlite import ir

BLOCK = 32  # bytes


def align_loop(builder: ir.IRBuilder, branch: ir.Instruction) -> None:
    """Let the loop begin at a block; `branch` is the one at its end."""
    module, number = builder.module, ir.IntType(32)
    wanted = module.add_metadata([ir.MetaDataString(module, "llvm.loop.align"), number(BLOCK)])
    # LLVM knows a loop by a node that begins with itself, which makes it unlike all others
    loop = module.add_metadata([wanted, number(len(module.metadata))])
    loop.operands = (loop, wanted)
    branch.set_metadata("llvm.loop", loop)
