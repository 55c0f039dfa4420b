"""What a Kernel does when it is called: which version it chooses, and what it hands to that.

The kernels are toys, whose versions note what they are given.
"""

import numpy as np
import pytest

from minicnn.backend import kernels

kernels.relu  # noqa: B018  imports the folder of kernels
from minicnn.kernels import precision  # noqa: E402
from minicnn.kernels.kernel import Kernel, is_gpu_array  # noqa: E402


class OnTheGPU:
    """Looks like a CuPy array to a Kernel: with flags, and a copy in C order."""

    __cuda_array_interface__: dict[str, object] = {}
    shape = (2, 3)

    def __init__(self, in_c_order=True):
        self.flags = np.zeros((2, 3), order="C" if in_c_order else "F").flags

    def copy(self, order):
        assert order == "C"
        return OnTheGPU()


class Apart(np.ndarray):
    """An array of a type of its own, as np.memmap is one."""


def reference(*args):
    raise AssertionError("nobody asked for the reference")


def on_cpu(*args):
    return "CPU", *args


def on_gpu(*args):
    return "GPU", *args


toy = Kernel("toy.forward", reference, on_cpu, on_gpu)
multiply = Kernel("toy.multiply", reference, on_cpu, on_gpu, operands=(0, 2))


def handed(x):
    """What the CPU's version is given for x."""
    device, given = toy(x)
    assert device == "CPU"
    return given


@pytest.mark.parametrize("kind", [np.ndarray, Apart])
def test_arrays_in_order_are_handed_on_as_they_are(kind):
    x = np.arange(6.0).reshape(2, 3).view(kind)
    assert handed(x) is x


@pytest.mark.parametrize("kind", [np.ndarray, Apart])
def test_arrays_in_another_order_are_copied(kind):
    x = np.arange(6.0).reshape(2, 3).T.view(kind)
    given = handed(x)
    assert given.flags.carray and given is not x
    np.testing.assert_array_equal(given, x)


@pytest.mark.parametrize("kind", [np.ndarray, Apart])
def test_a_protected_view_of_memory_that_is_not_is_unlocked(kind):
    memory = np.arange(6.0).reshape(2, 3)
    x = memory.view(kind)
    x.flags.writeable = False
    given = handed(x)
    assert given.flags.carray and not x.flags.writeable
    assert np.shares_memory(given, memory)
    np.testing.assert_array_equal(given, memory)


def test_a_protected_array_that_owns_its_memory_is_unlocked_and_stays_protected():
    x = np.zeros((2, 3))
    x.flags.writeable = False
    given = handed(x)
    assert given.flags.carray and given.base is x and not x.flags.writeable
    assert given.flags.carray  # still


class Raced(np.ndarray):
    """An array that another thread protects again as soon as it is unlocked."""

    def setflags(self, write, *others):
        super().setflags(write and not self.flags.owndata, *others)


def test_an_array_that_another_thread_protects_meanwhile_is_unlocked_all_the_same():
    x = Raced((2, 3))
    x.fill(4)
    x.flags.writeable = False
    assert x.flags.owndata
    given = handed(x)
    assert given.flags.carray and not x.flags.writeable
    assert np.shares_memory(given, x)


def test_protected_memory_is_unlocked_and_kept_while_it_is_seen():
    x = np.frombuffer(np.arange(6.0).tobytes()).reshape(2, 3)  # bytes never change
    given = handed(x)
    assert given.flags.carray and not x.flags.writeable
    assert np.shares_memory(given, x)
    assert given.base.array is x
    np.testing.assert_array_equal(given, [[0, 1, 2], [3, 4, 5]])


def test_what_is_no_array_is_handed_on():
    given = toy(3, None, (1, 2), np.float32(4), np.ones(1), "x")
    assert given == ("CPU", 3, None, (1, 2), np.float32(4), np.ones(1), "x")


def test_arrays_of_a_gpu_get_its_version():
    x, y = OnTheGPU(), OnTheGPU(in_c_order=False)
    device, number, one, nothing, other = toy(2, x, None, y)
    assert (device, number, one, nothing) == ("GPU", 2, x, None)
    assert other is not y and other.flags.c_contiguous


def test_what_lives_on_a_gpu_says_so():
    assert is_gpu_array(OnTheGPU())
    assert not any(map(is_gpu_array, (np.ones(2), np.float32(1), 3, None, "x")))


def test_arrays_of_two_devices_are_named_in_their_order():
    x, there = np.ones((2, 3)), OnTheGPU()
    with pytest.raises(TypeError, match=r"toy\.forward: .* are on CPU, GPU, CPU\. Move"):
        toy(x, there, 5, x)


def test_a_version_that_is_not_written_yet_is_named():
    with pytest.raises(NotImplementedError, match=r"toy\.forward: its GPU version is not"):
        Kernel("toy.forward", reference, on_cpu)(OnTheGPU())


FINE = np.float32([1 + 2**-20])  # which bfloat16 has not


def test_operands_are_rounded_where_that_is_wanted():
    assert multiply(FINE, FINE, FINE)[1:] == (FINE, FINE, FINE)
    with precision.rounding_to("bfloat16"):
        assert multiply(FINE, FINE, FINE)[1:] == (1, FINE, 1)
        assert toy(FINE, FINE)[1:] == (FINE, FINE)
        assert multiply(FINE.astype(float), 2, FINE)[1:] == (FINE, 2, 1)
        x = np.broadcast_to(FINE, (2, 3)).T
        assert all(a.flags.carray for a in multiply(x, x, x)[1:])


def test_a_gpu_rounds_operands_itself():
    x = OnTheGPU()
    with precision.rounding_to("bfloat16"):
        assert multiply(x, x, x) == ("GPU", x, x, x)
