"""Well-known layers, and the CPU for which tests/test_plans*.py want them to be planned."""

import numba
import numpy as np
import pytest

from minicnn.backend import kernels
from minicnn.ops.window import place_window

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool
from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    correlate,
    depthwise,
    list_tiles,
    planning,
    registers,
    row_tiles,
    spread,
    sweep,
    winners,
)

F32, F64 = np.dtype("float32"), np.dtype("float64")


REMEMBERED = (
    planning._cut_into_rows,
    sweep.plan,
    correlate._plan,
    spread._plan,
    winners._plan,
    conv_pool._best_cut,
    depthwise.plan_forward,
    depthwise._plan_input_grad,
    depthwise._plan_weight_grad,
)


def forget_plans():
    for function in REMEMBERED:
        function.cache_clear()


def row_tiles_instead(dtype, Q, turned=False):
    return 1000 * turned + 10 * Q + dtype.itemsize


@pytest.fixture(autouse=True)
def one_cpu(monkeypatch):
    """A CPU with 16 registers of 32 bytes, and tiles that nobody compiles or calls."""
    for module in (row_tiles, depthwise):
        monkeypatch.setattr(module, "REGISTERS", 16)
    for module in (registers, sweep):
        monkeypatch.setattr(module, "VECTOR_BYTES", 32)
    monkeypatch.setattr(planning, "MOST", (0, 14, 6, 0, 2))
    monkeypatch.setattr(list_tiles, "MOST_SUMS", 12)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", False)  # plans are those of compiled code
    for module in (sweep, correlate, spread):
        monkeypatch.setattr(module, "tiles", lambda dtype: dtype.itemsize)
    for module in (sweep, correlate):
        monkeypatch.setattr(module, "row_tiles", row_tiles_instead)
    monkeypatch.setattr(winners, "list_tiles", lambda dtype, gives: dtype.itemsize + gives)
    monkeypatch.setattr(depthwise, "tile_for", lambda dtype, tile: tile)
    forget_plans()
    yield
    forget_plans()


def layer(x_shape, window, F, strides=(1, 1), padding="valid", dilation=(1, 1), groups=1):
    """The Geometry of a convolution."""
    if isinstance(padding, str):
        extent = tuple(d * (p - 1) + 1 for d, p in zip(dilation, window, strict=True))
        strides, padding = place_window("test", x_shape, extent, strides, padding)
    weight_shape = (*window, x_shape[3] // groups, F)
    return conv2d.geometry(x_shape, weight_shape, (strides, padding, dilation, groups))[0]


def rounded_up(count, divisor):
    return -(-count // divisor)


def places(first, step, count, distance, length):
    """Where the rows or columns of all windows are."""
    return [first + step * i + distance * p for i in range(count) for p in range(length)]


LAYERS = {
    "tutorial 1": layer((32, 32, 32, 3), (3, 3), 32),
    "tutorial 2": layer((32, 15, 15, 32), (3, 3), 64),
    "tutorial 3": layer((32, 6, 6, 64), (3, 3), 128),
    "ResNet-20, 16": layer((128, 32, 32, 16), (3, 3), 16, padding="same"),
    "ResNet-20, strides": layer((128, 32, 32, 16), (3, 3), 32, (2, 2), "same"),
    "ResNet-20, 64": layer((128, 8, 8, 64), (3, 3), 64, padding="same"),
    "ResNet-50, first": layer((4, 224, 224, 3), (7, 7), 64, (2, 2), ((3, 3), (3, 3))),
    "MobileNet, 1 x 1": layer((8, 14, 14, 512), (1, 1), 512),
    "VGG16, second": layer((2, 224, 224, 64), (3, 3), 64, padding="same"),
    "VGG16, last": layer((2, 14, 14, 512), (3, 3), 512, padding="same"),
    "VGG16, one image": layer((1, 7, 7, 512), (3, 3), 512, padding="same"),
    "groups": layer((4, 14, 14, 128), (3, 3), 128, padding="same", groups=32),
    "dilated": layer((1, 28, 28, 64), (3, 3), 21, padding="same", dilation=(2, 2)),
    "LeNet": layer((64, 28, 28, 1), (5, 5), 6, padding="same"),
    "few filters": layer((16, 30, 30, 24), (3, 3), 8),
    "two columns": layer((5, 9, 40, 7), (5, 2), 3, (2, 1)),
    "dense": layer((1, 1, 256, 1000), (1, 1), 10),
}


def table(plans):
    """Parameters (name of a layer, workers, plan) from {name: {workers: plan}}."""
    rows = [
        (name, workers, plan) for name, found in plans.items() for workers, plan in found.items()
    ]
    return pytest.mark.parametrize("name, workers, plan", rows)
