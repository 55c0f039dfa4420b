"""The emulator: it runs CUDA kernels, and finds the mistakes that a GPU would punish at random."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minicnn.backend import kernels

emulator = kernels.emulator
pytestmark = pytest.mark.skipif(bool(emulator.why_unavailable()), reason=emulator.why_unavailable())
ORDERS = [("forward", 0), ("reverse", 0), ("shuffle", 1), ("shuffle", 2), ("shuffle", 3)]


def run(code, arguments=(), grid=(1,), block=(32,), **more):
    """Compile a source and launch its kernel k."""
    emulator.RawModule(code=code).get_function("k")(grid, block, arguments, **more)


def results_in_all_orders(code, array, **more):
    """What `array` holds after a launch in each order."""
    results = []
    for order in ORDERS:
        copy = emulator.array(array)
        with emulator.thread_order(*order):
            run(code, (copy,), **more)
        results.append(copy.get())
    return results


TO_THE_LEFT = """extern "C" __global__ void k(float* y) {
    __shared__ float s[65];
    const int t = threadIdx.x;
    s[t] = t;
    if (t == 0) s[64] = 64;
    __syncthreads();      // all are written
    const float next = s[t + 1];
    __syncthreads();      // all are read
    s[t] = next;
    y[t] = s[t];
}"""


def test_barriers_make_all_orders_alike():
    for result in results_in_all_orders(TO_THE_LEFT, np.zeros(64, np.float32), block=(64,)):
        np.testing.assert_array_equal(result, np.arange(1, 65))


@pytest.mark.parametrize("barrier", ["written", "read"])
def test_a_missing_barrier_is_found(barrier):
    code = TO_THE_LEFT.replace(f"__syncthreads();      // all are {barrier}", "")
    assert code != TO_THE_LEFT
    results = results_in_all_orders(code, np.zeros(64, np.float32), block=(64,))
    assert any((result != np.arange(1, 65)).any() for result in results)


def test_blocks_that_depend_on_each_other_are_found():
    code = """extern "C" __global__ void k(int* y) {
        y[blockIdx.x] = y[(blockIdx.x + 1) % 4] + 1;
    }"""
    results = results_in_all_orders(code, np.zeros(4, np.int32), grid=(4,), block=(1,))
    assert any((result != results[0]).any() for result in results)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "if (threadIdx.x < 16) __syncthreads(); else __shfl_xor_sync(~0u, 1.0f, 1);",
            r"deadlock: 16 threads wait at __syncthreads\(\) in line 1, 16 threads wait at __shfl",
        ),
        (
            "if (threadIdx.x < 16) __syncthreads();\nelse\n__syncthreads();",
            r"different places: __syncthreads\(\) in line [13] and __syncthreads\(\) in line [13]",
        ),
        (
            "if (threadIdx.x < 8)\n__shfl_sync(0xffu, 1, 0);\n__syncthreads();",
            "in line 2: mask 0x000000ff leaves out lane 8",
        ),
        ("extern __shared__ float s[]; s[32 + threadIdx.x] = 1;", "behind the end of its dynamic"),
        (
            "extern __shared__ float s[]; s[int(threadIdx.x) - 31] = 1;",
            "before the beginning of its dynamic",
        ),
        (
            "__shared__ volatile int s[32]; volatile int* p = s; p[int(threadIdx.x) - 1] = 1;",
            "before the beginning of its shared arrays",
        ),
        (
            "__shared__ volatile int s[32]; volatile int* p = s; p[threadIdx.x + 1] = 1;",
            "behind the end of its shared arrays",
        ),
        (
            "__shared__ volatile int s[32];\ns[threadIdx.x + 1] = 1;",
            "index 32 is outside its array, in line 2",
        ),
        (
            "int y[4];\nfor (int i = 0; i <= threadIdx.x; ++i)\ny[i] = i;\nassert(y[0] == 0);",
            "index 4 is outside its array, in line 3",
        ),
        ("__trap();", r"k: __trap\(\) in line 1"),
        ("assert(threadIdx.x < 31);", r"k: assert\(threadIdx.x < 31\) in line 1"),
    ],
    ids=[
        *("divergent barrier", "two barriers", "mask", "dynamic shared", "before dynamic shared"),
        *("before shared", "shared"),
        *("index of a shared array", "index of an array of a thread", "trap", "assert"),
    ],
)
def test_a_mistake_is_reported_with_its_line(body, message):
    with pytest.raises(emulator.EmulatorError, match=message):
        run('extern "C" __global__ void k() {' + body + "}", shared_mem=128)
    run('extern "C" __global__ void k() { __syncthreads(); }')  # and the next launch works


def test_behind_shared_arrays_is_nan():
    y = emulator.zeros(33, np.float32)
    code = """extern "C" __global__ void k(float* y) {
        __shared__ float a[16], b[16];
        if (threadIdx.x < 16) a[threadIdx.x] = b[threadIdx.x] = 1;
        __syncthreads();
        float* first = a < b ? a : b;
        y[threadIdx.x] = first[threadIdx.x];
    }"""
    run(code, (y,), block=(33,))
    assert (y[:32] == 1).all() and np.isnan(y[32])


def test_uninitialised_shared_memory_is_nan():
    y = emulator.zeros(32, np.float32)
    code = """extern "C" __global__ void k(float* y) {
        __shared__ float s[32];
        extern __shared__ float dynamic[];
        if (threadIdx.x < 16) s[threadIdx.x] = dynamic[threadIdx.x] = 1;
        __syncthreads();
        y[threadIdx.x] = s[threadIdx.x] + dynamic[threadIdx.x];
    }"""
    run(code, (y,), shared_mem=128)
    assert (y[:16] == 2).all() and np.isnan(y[16:]).all()


def test_a_kernel_may_have_the_name_of_a_function_of_the_c_library():
    y = emulator.zeros(32, np.float32)
    code = 'extern "C" __global__ void step(float* y) { y[threadIdx.x] = 1; }'
    emulator.RawModule(code=code).get_function("step")((1,), (32,), (y,))
    assert (y == 1).all()


def test_an_output_that_nobody_wrote_is_nan():
    y = emulator.empty(40, np.float32)
    run('extern "C" __global__ void k(float* y) { y[threadIdx.x] = 1; }', (y,))
    assert (y[:32] == 1).all() and np.isnan(y[32:]).all()


@pytest.mark.parametrize(("offset", "side"), [(1, "behind"), (-1, "before")])
def test_a_write_out_of_bounds_is_found(offset, side):
    y = emulator.zeros((4, 8), np.float32)
    code = f'extern "C" __global__ void k(float* y) {{ y[int(threadIdx.x) + {offset}] = 1; }}'
    for array in (y, y.reshape(-1)[:]):  # views look into the same memory
        with pytest.raises(
            emulator.EmulatorError, match=rf"k: wrote {side} argument 0 \(float\* y\)"
        ):
            run(code, (array,))
    run('extern "C" __global__ void k(float* y) { y[threadIdx.x] = 1; }', (y,))


def test_a_read_out_of_bounds_is_nan():
    x, y = emulator.zeros(31, np.float32), emulator.zeros(32, np.float32)
    code = """extern "C" __global__ void k(const float* x, float* y) {
        y[threadIdx.x] = x[threadIdx.x];
    }"""
    run(code, (x, y))
    assert (y[:31] == 0).all() and np.isnan(y[31])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", ["y[k] = x[k];", "y[k] = y[k] + 1;", "y[k] *= -2;", "y[k] += 0;"])
def test_what_is_computed_from_numbers_out_of_bounds_is_found_there(text, dtype):
    """They are NaN, and so is the result; yet it is another one."""
    x, y = emulator.zeros(31, dtype), emulator.zeros(31, dtype)
    real = {"float32": "float", "float64": "double"}[dtype]
    code = f"""extern "C" __global__ void k(const {real}* x, {real}* y) {{
        const int k = threadIdx.x;
        {text}
    }}"""
    with pytest.raises(emulator.EmulatorError, match="k: wrote behind argument 1"):
        run(code, (x, y))
    run(code, (x, y), block=(31,))


OUT_OF_BOUNDS = """
import numpy as np
from minicnn.backend import kernels
y = np.zeros(1000, np.float32).view(kernels.emulator.EmulatedArray)
code = 'extern "C" __global__ void k(float* y) { y[blockIdx.x * 256 + threadIdx.x] = 1; }'
kernels.emulator.RawModule(code=code).get_function("k")((GRID,), (256,), (y,))
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("grid", "output"), [(3, "done"), (4, "heap-buffer-overflow")])
def test_the_address_sanitizer_finds_the_line(grid, output):
    find = ["g++", "-print-file-name=libasan.so"]
    library = subprocess.run(find, capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(library):
        pytest.skip("g++ has no address sanitizer")
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "MINICNN_EMULATOR_CXXFLAGS": "-fsanitize=address -g -O1",
    }
    program = [sys.executable, "-c", OUT_OF_BOUNDS.replace("GRID", str(grid))]
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert output in done.stdout + done.stderr


def test_threads_that_have_returned_are_not_waited_for():
    y = emulator.zeros(64, np.int32)
    code = """extern "C" __global__ void k(int* y) {
        if (threadIdx.x >= 40) return;
        __syncthreads();
        y[threadIdx.x] = __popc(__ballot_sync(__activemask(), 1));
    }"""
    run(code, (y,), block=(64,))
    np.testing.assert_array_equal(y.get(), [32] * 32 + [8] * 8 + [0] * 24)


def test_warp_operations_and_atomics():
    y, total = emulator.zeros((6, 64), np.int32), emulator.zeros(1, np.uint32)
    code = """extern "C" __global__ void k(int* y, unsigned* total) {
        const int t = threadIdx.x, lane = t % 32;
        y[t] = __shfl_sync(~0u, t, 3);
        y[64 + t] = __shfl_up_sync(~0u, t, 1);
        y[128 + t] = __shfl_down_sync(~0u, t, 2, 16);
        y[192 + t] = __shfl_xor_sync(~0u, t, 5);
        y[256 + t] = __any_sync(~0u, lane == 7) + 2 * __all_sync(~0u, t < 32);
        y[320 + t] = atomicCAS(&y[320 + t], 0, lane);
        atomicAdd(total, 1);
    }"""
    run(code, (y, total), block=(64,))
    t = np.arange(64)
    lane, first = t % 32, t // 32 * 32
    up, down = np.where(lane == 0, t, t - 1), np.where(lane % 16 < 14, t + 2, t)
    expected = [first + 3, up, down, t ^ 5, np.where(t < 32, 3, 1), 0 * t]
    np.testing.assert_array_equal(y.get(), expected)
    assert total.item() == 64


SCALE = 'extern "C" __global__ void k(const float* x, float* y, int n, float a) {}'


def good_arguments():
    x, y = emulator.zeros((2, 4, 4), np.float32)
    return [x, y, np.int32(4), np.float32(1)]


@pytest.mark.parametrize(
    ("position", "argument", "message"),
    [
        (0, np.zeros(4, np.float32), r"argument 0 \(const float\* x\) got a plain numpy.ndarray"),
        (0, emulator.zeros(4), "wants float32 but got float64"),
        (0, emulator.zeros((4, 4), np.float32).T, "not contiguous"),
        (0, 7, "wants an array but got 7"),
        (2, emulator.zeros(1, np.int32), "wants a number but got EmulatedArray"),
        (2, np.int64(4), r"argument 2 \(int n\) wants np.int32 but got np.int64"),
        (2, 4, r"wants np.int32\(...\) but got the Python int 4"),
        (3, np.float64(1), "wants np.float32 but got np.float64"),
    ],
)
def test_a_wrong_kind_of_argument_is_named(position, argument, message):
    arguments = good_arguments()
    run(SCALE, tuple(arguments))
    arguments[position] = argument
    with pytest.raises(TypeError, match=message):
        run(SCALE, tuple(arguments))


def read_only_output():
    arguments = good_arguments()
    arguments[1].flags.writeable = False
    return tuple(arguments)


@pytest.mark.parametrize(
    ("error", "message", "more"),
    [
        (TypeError, "read-only array, but the parameter", {"arguments": read_only_output()}),
        (TypeError, "3 arguments for 4 parameters", {"arguments": good_arguments()[:3]}),
        (TypeError, "grid must be a tuple", {"grid": 1}),
        (ValueError, "more than 1024 threads", {"block": (64, 32)}),
        (ValueError, r"limits are \(1024, 1024, 64\)", {"block": (1, 1, 128)}),
        (ValueError, "grid .* too large", {"grid": (1, 70000)}),
        (ValueError, "too many blocks for the emulator", {"grid": (2**30,)}),
        (ValueError, "starts no thread", {"grid": (0,)}),
        (ValueError, "max_dynamic_shared_size_bytes", {"shared_mem": 100_000}),
    ],
)
def test_a_launch_that_a_gpu_would_refuse_is_refused(error, message, more):
    with pytest.raises(error, match=message):
        run(SCALE, **{"arguments": good_arguments(), **more})


def test_a_source_says_what_is_wrong_with_it():
    with pytest.raises(emulator.EmulatorError, match="No kernel 'relu' in this module; it has k"):
        emulator.RawModule(code=SCALE).get_function("relu")
    with pytest.raises(emulator.EmulatorError, match='Kernel k is not extern "C"'):
        run(SCALE.replace('extern "C"', ""))
    with pytest.raises(TypeError, match="options must be a tuple, not"):
        emulator.RawModule(code=SCALE, options="-DA=1")


def test_compiled_kernels_are_kept_in_a_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path))
    run(SCALE, tuple(good_arguments()))
    (library,) = (tmp_path / "emulator").iterdir()
    assert library.suffix == ".so" and library.parent.stat().st_mode & 0o077 == 0
    before = library.stat().st_mtime_ns
    run(SCALE, tuple(good_arguments()))
    assert library.stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_cure(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "file"))
    with pytest.raises(emulator.EmulatorError, match="Set MINICNN_HOME to a folder of yours"):
        run(SCALE, tuple(good_arguments()))


def test_the_order_can_come_from_the_environment():
    show = "from minicnn.backend import kernels; print(kernels.emulator.order.current())"

    def shown(value):
        environment = {**os.environ, "MINICNN_EMULATOR_ORDER": value}
        command = [sys.executable, "-c", show]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert shown("shuffle:7").stdout == "(2, 7)\n"
    assert "wants one of forward, reverse, shuffle" in shown("random").stderr
    with pytest.raises(ValueError, match="thread_order: wants one of"):
        emulator.thread_order("random").__enter__()


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[1:],
        lambda x: x[0, 0],
        lambda x: x[x > 0],
        lambda x: x.T,
        lambda x: x.astype(np.float64),
        lambda x: 2 * x,
        lambda x: np.exp(x),
        lambda x: x @ x.T,
        lambda x: x.sum(),
        lambda x: x.argmax(),
        lambda x: x.max(1, keepdims=True),
        lambda x: np.concatenate([x, x]),
        lambda x: np.where(x > 0, x, 0),
        lambda x: np.zeros_like(x),
        lambda x: emulator.stack([x]),
        lambda x: emulator.arange(3, dtype=emulator.float32),
    ],
)
def test_results_stay_on_the_device(make):
    numbers = np.random.default_rng(0).normal(size=(4, 6))
    result = make(emulator.asarray(numbers))
    assert type(result) is emulator.EmulatedArray
    np.testing.assert_array_equal(result.get(), emulator.asnumpy(make(numbers)))


def test_in_place_operations_keep_the_array_and_its_memory():
    x = emulator.ones((4, 6))
    y, address = x, x.__cuda_array_interface__["data"]
    x += 1
    x[0] *= 2
    np.multiply(x, 3, out=x)
    assert x is y and x.__cuda_array_interface__["data"] == address
    assert x[:2, 0].get().tolist() == [12, 6]


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, y: x + y,
        lambda x, y: y + x,
        lambda x, y: np.add(x, x, out=y),
        lambda x, y: np.concatenate([x, y]),
        lambda x, y: x.__setitem__(0, y),
        lambda x, y: x[y > 0],
        lambda x, y: x.__iadd__(y),
    ],
)
def test_a_forgotten_copy_is_refused(mix):
    with pytest.raises(TypeError, match="plain numpy.ndarray meets an EmulatedArray"):
        mix(emulator.ones(3), np.ones(3))


def test_copies_to_and_from_the_device():
    numbers = np.arange(3.0)
    x = emulator.asarray(numbers)
    numbers[0] = 100
    assert x[0] == 0 and emulator.asarray(x) is x
    x.set(numbers)
    np.testing.assert_array_equal(x.get(), numbers)
    with pytest.raises(ValueError, match="set: float64"):
        x.set(np.ones(4))
    with pytest.raises(AttributeError, match="has no attribute 'random'"):
        emulator.random.rand(3)
