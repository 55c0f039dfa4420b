"""The vector registers of the CPU: how many there are, and how many numbers fit into one."""

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir


def _vector_registers():
    """(bytes in a vector register, number of registers), as the compiler sees this CPU.

    Asking for its features by name would miss NUMBA_CPU_NAME and the compiler's own preferences, so
    we let it translate a sum of 64-byte vectors and look which registers it took.
    """
    host, asked = llvm.get_host_cpu_name(), numba.config.CPU_NAME
    cpu = host if asked in (None, "", "host") else asked
    features = numba.config.CPU_FEATURES
    if features is None:
        features = llvm.get_host_cpu_features().flatten() if cpu == host else ""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features)

    vector = ir.VectorType(ir.FloatType(), 16)
    module = ir.Module()
    module.triple = llvm.get_default_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [vector.as_pointer()]), "probe")
    builder = ir.IRBuilder(function.append_basic_block())
    value = builder.load(function.args[0])
    builder.store(builder.fadd(value, value), function.args[0])
    builder.ret_void()

    assembly = machine.emit_assembly(llvm.parse_assembly(str(module)))
    for register, size, count in (("zmm", 64, 32), ("ymm", 32, 16), ("xmm", 16, 16)):
        if register in assembly:
            return size, count
    return 16, 32  # NEON


VECTOR_BYTES, REGISTERS = _vector_registers()


def lanes(dtype):
    """How many numbers of `dtype` fit into one vector register."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize
