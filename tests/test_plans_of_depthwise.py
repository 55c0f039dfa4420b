"""How depthwise.py cuts up its work; see test_plans.py."""

import numpy as np
import pytest
from planned_layers import (
    F32,
    F64,
    one_cpu,  # noqa: F401  a fixture for every test
    rounded_up,
)

from minicnn.backend import kernels

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool
from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    depthwise,
)


@pytest.mark.parametrize(
    "C, dtype, few, many",
    [
        (1, F32, (1, 1), (1, 1)),
        (3, F32, (2, 1), (2, 1)),
        (7, F32, (4, 1), (4, 1)),
        (8, F32, (8, 1), (8, 1)),
        (15, F32, (8, 1), (8, 1)),
        (16, F32, (8, 1), (8, 2)),
        (17, F32, (8, 1), (8, 1)),
        (32, F32, (8, 1), (8, 2)),
        (5, F64, (4, 1), (4, 1)),
        (8, F64, (4, 1), (4, 2)),
    ],
)
def test_vectors_of_channels_are_no_wider_than_there_are_channels(C, dtype, few, many, monkeypatch):
    """With many registers two vectors lie side by side, where that leaves none alone."""
    assert depthwise._vectors(C, dtype) == few
    monkeypatch.setattr(depthwise, "REGISTERS", 17)
    assert depthwise._vectors(C, dtype) == many


def test_the_last_tile_of_a_row_is_full_if_it_can_be():
    found = [depthwise._pixels(count) for count in range(1, 21)]
    assert found == [1, 2, 3, 4, 5, 6, 7, 8, 5, 5, 6, 6, 7, 7, 5, 8, 6, 6, 5, 5]
    assert [depthwise._pixels(count) for count in (28, 32, 56, 112)] == [7, 8, 7, 7]


@pytest.mark.parametrize(
    "rows, Q, width, fits",
    [
        (3, 3, 1, True),
        (4, 3, 1, True),
        (5, 3, 1, False),
        (1, 7, 1, True),
        (2, 2, 2, True),
        (3, 2, 2, False),
        (2, 3, 2, False),
    ],
)
def test_sums_of_a_window_must_fit_into_the_registers(rows, Q, width, fits):
    assert depthwise._fit(rows, Q, width) == fits


DEPTHWISE = {  # shape of x, window, (strides, padding, dilation)
    "same": ((2, 14, 14, 512), (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1))),
    "strides": ((1, 112, 111, 48), (3, 3), ((2, 2), ((0, 1), (0, 1)), (1, 1))),
    "dilated": ((3, 9, 30, 7), (4, 2), ((1, 1), ((2, 4), (1, 0)), (2, 3))),
    "uneven": ((1, 9, 13, 40), (5, 3), ((3, 2), ((2, 2), (3, 1)), (1, 2))),
    "wide apart": ((2, 20, 9, 12), (3, 1), ((2, 1), ((1, 0), (0, 0)), (4, 1))),
}


def results(x_shape, window, arrangement):
    weight_shape = (*window, 1, x_shape[3])
    _, y_shape = conv2d.geometry(x_shape, weight_shape, (*arrangement, x_shape[3]))
    return y_shape


@pytest.mark.parametrize("name", DEPTHWISE)
def test_rows_of_a_depthwise_window_are_those_in_the_image(name):
    x_shape, (P, Q), arrangement = DEPTHWISE[name]
    (N, H, W, C), ((s, t), ((top, _), (left, _)), (d, e)) = x_shape, arrangement
    y_shape = N, I, J, _ = results(*DEPTHWISE[name])
    plan = depthwise.plan_forward(F32, x_shape, y_shape, (P, Q), arrangement)
    inside = [[p for p in range(P) if 0 <= s * i + d * p - top < H] for i in range(I)]
    expected = [
        (len(met), (s * i + d * met[0] - top) * W * C, met[0] * Q * C)
        for i, met in enumerate(inside)
    ]
    np.testing.assert_array_equal(plan.rows, expected)
    assert plan.numbers == (J, d * W * C, Q * C, -left, W, C)
    lanes, width = depthwise._vectors(C, F32)
    assert plan.tile == (lanes, width, depthwise._pixels(J), 0, Q, t, e, -1)
    assert plan.cuts == (N, min(C // lanes, rounded_up(16, N * I)), lanes, H * W * C)


@pytest.mark.parametrize("name", DEPTHWISE)
def test_rows_of_a_depthwise_gradient_are_those_that_were_met(name):
    dx_shape, (P, Q), arrangement = DEPTHWISE[name]
    (N, H, W, C), ((s, t), ((top, _), (left, _)), (d, e)) = dx_shape, arrangement
    dy_shape = _, I, J, _ = results(*DEPTHWISE[name])
    plan = depthwise._plan_input_grad(F32, dy_shape, dx_shape, (P, Q), arrangement)
    column, x_row, w_row = plan.numbers[3], plan.numbers[1], plan.numbers[2]
    for h, (count, at_x, at_w) in enumerate(plan.rows):
        met = [(p, (h + top - d * p) // s) for p in range(P) if (h + top - d * p) % s == 0]
        met = [(p, i) for p, i in met if 0 <= i < I]
        found = [((at_w + a * w_row) / (Q * C), (at_x + a * x_row) / (J * C)) for a in range(count)]
        assert found == met
    assert (plan.numbers[0], column, *plan.numbers[4:]) == (W, left // t, J, C)
    lanes, width = depthwise._vectors(C, F32)
    pixels = rounded_up(depthwise._pixels(W), t) * t
    assert plan.tile == (lanes, width, pixels, 0, Q, t, e, left % t)
    assert plan.cuts == (N, min(C // lanes, rounded_up(16, N * H)), lanes, I * J * C)


def test_channels_are_shared_where_rows_are_few():
    shapes = (1, 3, 3, 512), (1, 3, 3, 512), (1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert depthwise.plan_forward(F32, *shapes).cuts == (1, 6, 8, 9 * 512)
    empty = (0, 3, 3, 512), (0, 3, 3, 512), *shapes[2:]
    assert depthwise.plan_forward(F32, *empty).cuts == (0, 16, 8, 9 * 512)


@pytest.mark.parametrize(
    "name, tile, cuts, window",
    [
        ("same", (8, 1, 7, 3, 3, 1, 1, -1), (4, 2, 2), (3, 3, 3, 8)),
        ("strides", (8, 1, 5, 3, 3, 2, 1, -1), (1, 1, 32), (3, 3, 3, 8)),
        ("dilated", (4, 1, 7, 4, 2, 1, 3, -1), (2, 3, 3), (4, 2, 4, 4)),
        ("uneven", (8, 1, 7, 1, 3, 2, 2, -1), (5, 1, 1), (5, 3, 1, 8)),
        ("wide apart", (8, 1, 8, 3, 1, 1, 1, -1), (2, 2, 4), (3, 1, 3, 8)),
    ],
)
def test_depthwise_gradients_of_filters_are_cut_into_parts(name, tile, cuts, window):
    """Rules of thumb, see the top.

    The plan: the tile; shares of the channels, of the images and of their rows; P, Q, rows of the
    window and channels at a time.
    """
    (N, H, W, C), _, ((s, _), ((top, _), (left, _)), (d, _)) = DEPTHWISE[name]
    plan = depthwise_parts(name)
    assert (plan.tile, plan.cuts, plan.window) == (tile, cuts, window)
    _, I, J, _ = results(*DEPTHWISE[name])
    assert plan.numbers == (N, I, J, H * W * C, top, left, s, d, H, W, C)
    assert cuts[0] * cuts[1] * cuts[2] >= min(16, C // window[3])


def depthwise_parts(name):
    x_shape, window, arrangement = DEPTHWISE[name]
    y_shape = results(*DEPTHWISE[name])
    return depthwise._plan_weight_grad(F32, x_shape, y_shape, window, arrangement)


@pytest.mark.parametrize(
    "registers, rows, width",
    [(16, 3, 1), (32, 3, 2), (15, 3, 1), (12, 1, 1), (26, 3, 2), (25, 3, 1), (6, 1, 1)],
)
def test_a_depthwise_tile_takes_as_many_rows_as_the_registers_hold(
    registers, rows, width, monkeypatch
):
    monkeypatch.setattr(depthwise, "REGISTERS", registers)
    tile = depthwise_parts("same").tile
    assert (tile.rows, tile.width) == (rows, width)


@pytest.mark.parametrize("N, cuts", [(0, (2, 1, 1)), (2, (2, 1, 1))])
def test_tall_windows_on_narrow_images_have_tiles_of_their_own(N, cuts, monkeypatch):
    shapes = (N, 9, 3, 16), (N, 2, 3, 16), (8, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1))
    plan = depthwise._plan_weight_grad(F32, *shapes)
    assert plan.tile == (8, 1, 3, 8, 1, 1, 1, -1) and plan.cuts == cuts
    monkeypatch.setattr(depthwise, "REGISTERS", 32)
    depthwise._plan_weight_grad.cache_clear()
    assert depthwise._plan_weight_grad(F32, *shapes).tile == (8, 2, 3, 8, 1, 1, 1, -1)
