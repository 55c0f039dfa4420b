"""The CUDA kernels: on a GPU where there is one, and on the emulator in three orders of threads.

One text for both. Kernels are compared with their references, in float32 and in float64.
"""

import numpy as np
import pytest
import test_kernels
import test_op_kernels
import test_optimizers

from minicnn.backend import kernels

KERNELS = kernels.all_kernels()

from minicnn.kernels import cuda, emulator  # noqa: E402  backend has found the package

CALLS = {name: (KERNELS[name], args) for name, args in test_kernels.EVERY.items()}
CALLS |= test_op_kernels.CALLS
ELSEWHERE = (
    "chain.forward",  # test_gpu_convolution.py
    *("adam.step", "rmsprop.step", "sgd.step"),  # below
)


@pytest.fixture(
    params=["forward", "reverse", "shuffle", pytest.param("gpu", marks=pytest.mark.gpu)]
)
def xp(request):
    """The module that arrays come from: CuPy, or the emulator with one of its orders of threads."""
    if request.param == "gpu":
        cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
        if not cupy.cuda.is_available():
            pytest.skip("CuPy finds no GPU")
        yield cupy
    elif reason := emulator.why_unavailable():
        pytest.skip(f"the emulator cannot be used: {reason}")
    else:
        with emulator.thread_order(request.param, seed=1):
            yield emulator


def on_device(xp, args):
    return [xp.asarray(a) if isinstance(a, np.ndarray) else a for a in args]


def check(results, expected, dtype):
    """As near as rounding allows, in relation to the largest number."""
    for one, other in zip(results, expected, strict=True):
        assert kernels.is_gpu_array(one)
        atol = 100 * np.finfo(dtype).eps * np.abs(other[np.isfinite(other)]).max(initial=0)
        np.testing.assert_allclose(one.get(), other, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_the_gpu_version_agrees_with_the_reference(name, dtype, xp):
    kernel, args = CALLS[name]
    args = test_kernels.in_dtype(args, dtype)
    given = on_device(xp, args)
    results = test_kernels.outputs(kernel, given)
    exact = test_kernels.in_dtype(args, "float64")
    check(results, test_kernels.outputs(kernel.reference, exact), dtype)
    for one, other in zip(results, test_kernels.outputs(kernel, args), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)  # those of the CPU version
    for now, then in zip(given, args, strict=True):
        if isinstance(then, np.ndarray):
            np.testing.assert_array_equal(now.get(), then)  # inputs stay as they were


@pytest.mark.parametrize("n", [1, 512, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gpu_versions_of_optimizers_update_in_place_as_their_references_do(dtype, n, xp):
    for kernel, arrays, settings in test_optimizers.kernel_cases(np.dtype(dtype).type, n):
        given, expected = on_device(xp, arrays), [a.copy() for a in arrays]
        kernel(*given, *settings)
        kernel.reference(*expected, *settings)
        check(given, expected, dtype)
        np.testing.assert_array_equal(given[1].get(), arrays[1], err_msg="the gradient has changed")


@pytest.mark.parametrize("name", CALLS)
def test_the_gpu_version_takes_views(name, xp):
    kernel, args = CALLS[name]
    turned = [a.T.copy().T if isinstance(a, np.ndarray) else a for a in on_device(xp, args)]
    for one, other in zip(
        test_kernels.outputs(kernel, turned),
        test_kernels.outputs(kernel, on_device(xp, args)),
        strict=True,
    ):
        np.testing.assert_array_equal(one.get(), other.get())


def test_relu_of_nothing_is_no_launch(xp):
    assert kernels.relu.forward(xp.zeros((0, 3), np.float32)).shape == (0, 3)


def test_softmax_of_no_classes_is_no_launch(xp, monkeypatch):
    monkeypatch.setattr(cuda, "launch", None)
    assert kernels.softmax.forward(xp.zeros((3, 0), np.float32)).shape == (3, 0)


def test_numbers_become_what_cuda_calls_int_and_real(xp):
    x = xp.ones(3, np.float64)
    cuda.launch("relu", "forward", 1, 32, x, x, True)
    with pytest.raises(OverflowError, match=r"relu\.forward: argument 2 is 2147483648, too large"):
        cuda.launch("relu", "forward", 1, 32, x, x, 2**31)


def test_an_array_in_which_an_int_cannot_count_is_refused(xp, monkeypatch):
    x = xp.ones((2, 3), np.float32)
    monkeypatch.setattr(cuda, "MOST", 6)
    assert kernels.relu.forward(x).shape == (2, 3)
    monkeypatch.setattr(cuda, "MOST", 5)
    with pytest.raises(OverflowError, match=r"relu\.forward: .* \(2, 3\) has 6 numbers, .* to 5\."):
        kernels.relu.forward(x)
    rows = kernels.rows.gather(x, xp.asarray([1]), "float32")
    np.testing.assert_array_equal(rows.get(), np.ones((1, 3)))
    dx = kernels.rows.scatter(x, xp.asarray([1, 1]), 2)
    np.testing.assert_array_equal(dx.get(), [[0, 0, 0], [2, 2, 2]])


def test_a_launch_wants_contiguous_arrays_of_a_gpu(xp):
    x = xp.ones((3, 4), np.float32)
    with pytest.raises(TypeError, match=r"relu\.forward: argument 0, of shape \(4, 3\), is not co"):
        cuda.launch("relu", "forward", 1, 32, x.T, x, 12)
    with pytest.raises(TypeError, match=r"relu\.forward: wants arrays of a GPU, but got none"):
        cuda.launch("relu", "forward", 1, 32, np.ones(3), np.ones(3), 12)


def test_a_source_that_does_not_compile_is_shown_with_file_and_line(xp, monkeypatch, tmp_path):
    (tmp_path / "wrong.cu").write_text('\nextern "C" __global__ void k(REAL* x) { nonsense(); }')
    monkeypatch.setattr(cuda, "FOLDER", tmp_path)
    with pytest.raises(Exception, match=r"wrong\.cu[:(]2.*nonsense"):
        cuda.launch("wrong", "k", 1, 32, xp.ones(3, np.float32))
