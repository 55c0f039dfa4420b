"""The CUDA versions of convolution, matrix product, pooling and chain, run by the emulator.

Each is compared with its reference in float64, in three orders of the threads. The unit of errors
is that of test_kernels.py: what rounding explains.
"""

import importlib.util
import shutil

import numpy as np
import pytest
import test_kernels as tables

from minicnn.backend import kernels
from minicnn.kernels import cuda, precision

emulator = pytest.importorskip("minicnn.kernels.emulator")
conv2d, max_pool2d = kernels.conv2d, kernels.max_pool2d

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="the emulator needs g++")

ORDERS = ["forward", "reverse", "shuffle"]


@pytest.fixture(params=ORDERS)
def order(request):
    """The order in which the emulator runs threads and blocks."""
    with emulator.thread_order(request.param, seed=1):
        yield request.param


def there(argument):
    """The argument, on the emulator if it is an array."""
    return emulator.asarray(argument) if isinstance(argument, np.ndarray) else argument


def run(kernel, args):
    """What the GPU version makes of arrays of NumPy, as a tuple of arrays of NumPy."""
    results = kernel(*map(there, args))
    results = results if isinstance(results, tuple) else (results,)
    assert all(isinstance(array, emulator.EmulatedArray) for array in results)
    return tuple(array.get() for array in results)


def check_sums(kernel, args, dtype):
    given = tables.in_dtype(args, dtype)
    (result,) = run(kernel, given)
    assert result.dtype == dtype
    assert result.shape == kernel.reference(*args).shape
    assert tables.rounding_errors(result, kernel, given, dtype) < 8


# small, because a thread takes the emulator as long as a warp takes a GPU; at, below and above
# the 64 rows and columns of a tile and its 16 terms
SMALL = {
    "smallest": tables.convolution((1, 1, 1, 1), (1, 1), 1),
    "one tile": tables.convolution((1, 8, 8, 16), (1, 1), 64),
    "more than a tile": tables.convolution((1, 9, 8, 17), (1, 1), 65),
    "images of three channels": tables.convolution((2, 8, 7, 3), (3, 3), 10),
    "same": tables.convolution((2, 5, 7, 5), (3, 3), 17, padding="same"),
    "same, even window": tables.convolution((2, 6, 5, 4), (4, 2), 8, padding="same"),
    "strides": tables.convolution((2, 11, 9, 3), (3, 3), 10, strides=(2, 3)),
    "strides, same": tables.convolution((1, 8, 8, 6), (3, 3), 16, strides=(2, 2), padding="same"),
    "strides larger than the window": tables.convolution((2, 10, 11, 4), (2, 1), 3, (3, 4)),
    "dilation": tables.convolution((1, 9, 11, 3), (3, 2), 9, dilation=(2, 3)),
    "groups": tables.convolution((2, 5, 6, 6), (3, 3), 9, padding="same", groups=3),
    "groups with strides": tables.convolution((1, 7, 7, 8), (3, 3), 8, (2, 2), groups=2),
    "wide padding": tables.convolution((2, 4, 5, 3), (2, 2), 5, padding=((3, 4), (5, 2))),
    "sums in pieces": tables.convolution((1, 2, 2, 600), (1, 1), 3),
    "sums over pixels in pieces": tables.convolution((3, 14, 14, 2), (1, 1), 3),
    "depthwise": tables.convolution((2, 6, 5, 11), (3, 3), 11, padding="same", groups=11),
    "depthwise with strides": tables.convolution(
        (2, 7, 8, 33), (3, 3), 33, strides=(2, 2), padding="same", groups=33
    ),
    "depthwise, dilation": tables.convolution(
        (1, 8, 7, 5), (3, 2), 5, padding="same", dilation=(2, 3), groups=5
    ),
    "depthwise, several filters": tables.convolution((2, 5, 6, 6), (3, 2), 18, groups=6),
    "depthwise, sums in pieces": tables.convolution((3, 20, 20, 3), (2, 1), 3, groups=3),
}
MAPS = ["forward", "input_grad", "weight_grad"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SMALL)
def test_convolution_agrees_with_the_reference(name, dtype, order):
    for kernel in MAPS:
        check_sums(getattr(conv2d, kernel), SMALL[name][kernel], dtype)
