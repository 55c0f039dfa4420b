"""Work that the threads share: each of them calls one function, which takes its share of the tasks.

    @compiled
    def _fill(worker, workers, y):
        for k in share_of(worker, workers, y.size):
            y[k] = 1

    @compiled
    def _fill_shared(threads, workers, y):
        share(threads, workers, _fill, (y,))

    _fill_shared(threads(), thread_count(), y)

A `prange` says the same in one function, and suits small kernels. But Numba compiles its body
twice, and looks through it for loops to run side by side; for the largest kernels that takes longer
than all the rest. So they share one `prange`, which is compiled once, and is called by its address
with a function and with what that function is to be given.
"""

import functools

import numba
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled_for_address

BYTES = ir.IntType(8).as_pointer()
INT = ir.IntType(64)
TASK = ir.FunctionType(ir.VoidType(), [BYTES, INT, INT])  # arguments, worker, workers
THREADS = ir.FunctionType(ir.VoidType(), [INT, INT, INT])  # task, arguments, workers


@functools.cache
def threads():
    """The address of the compiled `prange`."""
    if numba.config.DISABLE_JIT:
        return 0
    signature = types.void(types.int64, types.int64, types.int64)
    return compiled_for_address(signature, _all_workers, parallel=True).address


def _all_workers(task, arguments, workers):
    if workers == 1:  # other threads than the main one may not enter a prange
        _call_task(task, arguments, 0, 1)
        return
    for worker in prange(workers):
        _call_task(task, arguments, worker, workers)


@intrinsic
def _call_task(typing, task, arguments, worker, workers):
    """Call the task at an address."""

    def codegen(context, builder, signature, args):
        task, arguments, *numbers = args
        given = [builder.inttoptr(arguments, BYTES), *numbers]
        builder.call(builder.inttoptr(task, TASK.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


def _share_in_python(threads, workers, function, arguments):
    """Call function(worker, workers, *arguments) for all workers.

    threads: what threads() says; not used in Python.
    """
    for worker in range(workers):
        function(worker, workers, *arguments)


@intrinsic
def _share_in_llvm(typing, threads, workers, function, arguments):
    """The same, at a time; the arguments travel by way of the caller's stack."""
    wanted = (types.int64, types.int64, *arguments)
    chosen = typing.resolve_function_type(function, wanted, {}).args

    def codegen(context, builder, signature, args):
        threads, workers, _, values = args
        compiled = function.dispatcher.overloads[chosen]
        context.add_linking_libs([compiled.library])
        task = _task(context, builder.module, compiled.fndesc, signature.args[3], values.type)
        place = cgutils.alloca_once_value(builder, values)
        given = [builder.ptrtoint(task, INT), builder.ptrtoint(place, INT), workers]
        builder.call(builder.inttoptr(threads, THREADS.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, function, arguments), codegen


def _task(context, module, described, kind, llvm_kind):
    """The function that unpacks arguments, a tuple, and calls the one described with them.

    Whether that one raised an exception is not looked at: kernels do not.
    """
    function = ir.Function(module, TASK, module.get_unique_name("minicnn.task"))
    function.linkage = "internal"
    arguments, *numbers = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    values = builder.load(builder.bitcast(arguments, llvm_kind.as_pointer()))
    values = _borrowed(context, builder, kind, values)
    given = [*numbers, *cgutils.unpack_tuple(builder, values)]
    callee = context.declare_function(module, described)
    context.call_conv.call_function(builder, callee, described.restype, described.argtypes, given)
    builder.ret_void()
    return function


def _borrowed(context, builder, kind, value):
    """The value with arrays that nobody counts the references to.

    Who waits for all workers keeps the arrays; and threads that count at the same place are slow.
    """
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value=value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        for k, inner in enumerate(kind.types):
            part = _borrowed(context, builder, inner, builder.extract_value(value, k))
            value = builder.insert_value(value, part, k)
    return value


share = _share_in_python if numba.config.DISABLE_JIT else _share_in_llvm
