"""The CPU kernels of pooling, alone and behind a convolution, on images of a few pixels.

The formulas are those of the docstrings, pixel by pixel. Numbers are whole and few, so that there
are many equal ones, and no sum of them is rounded.
"""

import ctypes
import itertools
from typing import NamedTuple

import numba
import numpy as np
import pytest
from test_short_sweeps import (
    CASES,
    LANES,
    NO_PADDING,
    WINNERS,
    Case,
    as_python,
    bands,  # noqa: F401  a fixture
    by_definition,
    operands,
    unwritten,
    use_unwritten_memory,
    whole,
)

from minicnn.backend import kernels

conv_pool, max_pool2d, average_pool2d = (
    kernels.conv_pool,
    kernels.max_pool2d,
    kernels.average_pool2d,
)
from minicnn.kernels import largest, registers, winners  # noqa: E402  conv_pool has imported them


class Pooling(NamedTuple):
    """Where the windows of a pooling are."""

    x_shape: tuple
    window: tuple
    strides: tuple = (2, 2)
    padding: tuple = NO_PADDING

    @property
    def shape(self):
        """The shape of y."""
        (N, H, W, C), (P, Q), (s, t), (rows, columns) = self
        return N, (sum(rows) + H - P) // s + 1, (sum(columns) + W - Q) // t + 1, C

    @property
    def plan(self):
        """(P, Q, s, t, top, left, I, J), as kernels want it."""
        (top, _), (left, _) = self.padding
        return *self.window, *self.strides, top, left, *self.shape[1:3]

    def pixels(self, i, j):
        """Those in window i, j, in their order."""
        P, Q, s, t, top, left, _, _ = self.plan
        under = itertools.product(
            range(s * i - top, s * i - top + P), range(t * j - left, t * j - left + Q)
        )
        return [(h, w) for h, w in under if 0 <= h < self.x_shape[1] and 0 <= w < self.x_shape[2]]


POOLINGS = {
    "side by side": Pooling((2, 4, 6, 2 * LANES + 1), (2, 2)),
    "a row and a column left over": Pooling((3, 5, 7, LANES), (2, 2)),
    "over every border": Pooling((2, 4, 5, LANES + 2), (2, 2), (1, 1), ((1, 1), (1, 1))),
    "3 x 3, at the corners 2 x 2": Pooling((1, 3, 4, 3), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "more below and on the right": Pooling((2, 4, 5, 3), (3, 2), (2, 3), ((0, 1), (0, 1))),
    "tall, with steps between": Pooling((2, 7, 5, LANES - 1), (3, 1), (4, 2)),
    "wide": Pooling((2, 2, 6, 3 * LANES), (1, 3), (1, 2), ((0, 0), (2, 1))),
    "2 x 3": Pooling((2, 4, 6, LANES + 1), (2, 3), (1, 2)),
    "hundreds of channels": Pooling((1, 2, 3, 64 * LANES), (2, 2)),
    "one pixel": Pooling((2, 3, 4, 2), (1, 1), (2, 3)),
    "all pixels": Pooling((3, 3, 2, LANES + 1), (3, 2), (5, 7)),
    "one number": Pooling((1, 1, 1, 1), (1, 1), (1, 1)),
    "no channels": Pooling((2, 4, 4, 0), (2, 2)),
    "no images": Pooling((0, 4, 4, 3), (2, 2)),
}
FULL = [name for name, case in POOLINGS.items() if np.prod(case.x_shape)]


def images(case):
    """Whole numbers, of which many are equal; some are NaN or infinite."""
    x, rare = whole(1, *case.x_shape), np.random.default_rng(2).random(case.x_shape)
    x[rare < 0.1], x[rare > 0.6] = np.nan, -np.inf
    return x


def winner(values):
    """The place of the largest: the first of equals, but of the first NaN if there is one."""
    best = 0
    for k, value in enumerate(values):
        if not np.isnan(values[best]) and (np.isnan(value) or value > values[best]):
            best = k
    return best


def largest_by_definition(case, x):
    """What is to be in y and where."""
    y, where = np.empty(case.shape), np.empty(case.shape, np.int32)
    for n, i, j, c in np.ndindex(case.shape):
        pixels = case.pixels(i, j)
        h, w = pixels[winner([x[n, h, w, c] for h, w in pixels])]
        y[n, i, j, c], where[n, i, j, c] = x[n, h, w, c], h * case.x_shape[2] + w
    return y, where


def scattered_by_definition(dy, where, x_shape):
    dx = np.zeros(x_shape)
    for n, i, j, c in np.ndindex(dy.shape):
        h, w = divmod(where[n, i, j, c], x_shape[2])
        dx[n, h, w, c] += dy[n, i, j, c]
    return dx


VERSIONS = pytest.mark.parametrize(
    "name, version",
    [(name, "cpu") for name in POOLINGS] + [(name, "reference") for name in FULL],
)


@VERSIONS
def test_the_first_of_the_largest_numbers_wins(name, version, monkeypatch):
    use_unwritten_memory(monkeypatch, max_pool2d)
    case, x = POOLINGS[name], images(POOLINGS[name])
    forward = getattr(max_pool2d.forward, version)
    y, where = forward(x, *case[1:])
    expected, places = largest_by_definition(case, x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(where, places)
    assert where.dtype == np.int32


@VERSIONS
def test_what_has_won_is_read_and_written_to(name, version, monkeypatch):
    use_unwritten_memory(monkeypatch, max_pool2d)
    case, x = POOLINGS[name], images(POOLINGS[name])
    y, where = largest_by_definition(case, x)
    gather = getattr(max_pool2d.gather, version)
    np.testing.assert_array_equal(gather(x, where), y)
    dy = whole(3, *case.shape)
    dx = getattr(max_pool2d.scatter, version)(dy, where, x.shape)
    np.testing.assert_array_equal(dx, scattered_by_definition(dy, where, x.shape))


@VERSIONS
def test_means_and_their_gradients(name, version, monkeypatch):
    use_unwritten_memory(monkeypatch, average_pool2d)
    case, x, dy = POOLINGS[name], whole(1, *POOLINGS[name].x_shape), whole(3, *POOLINGS[name].shape)
    expected, gradient = np.empty(case.shape), np.zeros(case.x_shape)
    for i, j in np.ndindex(case.shape[1:3]):
        pixels = case.pixels(i, j)
        expected[:, i, j] = sum(x[:, h, w] for h, w in pixels) / len(pixels)
        for h, w in pixels:
            gradient[:, h, w] += dy[:, i, j] / len(pixels)
    y = getattr(average_pool2d.forward, version)(x, *case[1:])
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    dx = getattr(average_pool2d.spread, version)(dy, x.shape, *case[1:])
    np.testing.assert_allclose(dx, gradient, rtol=1e-14, atol=1e-14)


def amid_nan(array):
    """Its numbers, flat, with NaN or -1 before and behind them; and where they begin."""
    frame = unwritten(100, array.dtype)
    return np.concatenate([frame, array.reshape(-1), frame]), 100


@as_python
@pytest.mark.parametrize("name", FULL)
def test_a_row_of_means_reads_and_writes_nothing_else(name):
    case, x = POOLINGS[name], whole(1, *POOLINGS[name].x_shape)
    expected = average_pool2d.forward.reference(x, *case[1:])
    N, I, J, C = case.shape  # noqa: E741  the letters of the kernels
    flat, begin = amid_nan(x)
    for n, i in np.ndindex(N, I):
        y, at = amid_nan(unwritten(J * C, float))
        place = begin + n * x[0].size
        average_pool2d.average_row(flat, place, y, at, i, case.x_shape[1:], case.plan)
        np.testing.assert_allclose(y[at:-at], expected[n, i].ravel(), rtol=1e-14)
        assert np.isnan(y[:at]).all() and np.isnan(y[-at:]).all()


@as_python
@pytest.mark.parametrize("own", [(0, 1), (0.2, 0.7), (0.5, 1)], ids=str)
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("name", FULL)
def test_a_row_of_winners_reads_and_writes_nothing_else(name, asks, own):
    """Of some of the channels; and their numbers are those of an image with wider rows."""
    case, x = POOLINGS[name], whole(1, *POOLINGS[name].x_shape)
    (N, H, W, C), (_, I, J, _) = case.x_shape, case.shape  # noqa: E741
    expected, places = largest_by_definition(case, x)
    places += places // W * 3
    channels = slice(*(int(C * part) for part in own))
    flat, begin = amid_nan(x)
    for n, i in np.ndindex(N, I):
        (y, at), (where, _) = (amid_nan(unwritten(J * C, kind)) for kind in (float, np.int32))
        place, size = begin + n * x[0].size, (H, W, C, W + 3)
        own = channels.start, channels.stop
        given = flat, place, y, where if asks else None, at, i, 1.0, size, case.plan, own
        max_pool2d.pool_row(*given)
        for found, wanted in ((y, np.maximum(expected, 1)), (where, places)):
            filled = unwritten((J, C), found.dtype)
            if asks or found is y:
                filled[:, channels] = wanted[n, i, :, channels]
            np.testing.assert_array_equal(found, amid_nan(filled)[0])


SHAPES = [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)]  # of windows


@pytest.fixture(params=["float32", "float64"])
def search(request, monkeypatch):
    """The compiled search for the largest pixel, as a function of x, y, where and more."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", False)
    number, size = getattr(numba, request.param), numba.int64
    numbers, places = numba.types.CPointer(number), numba.types.CPointer(numba.int32)
    kinds = numbers, numbers, places, size, size, size, size, size, size, number

    @numba.cfunc(numba.void(*kinds))
    def run(x, y, where, rows, columns, W, C, down, first, floor):
        x, y, where = numba.carray(x, 900), numba.carray(y, 900), numba.carray(where, 900)
        window, size = (rows, columns), (W, C, down)
        largest._largest_in_llvm(x, 100, window, size, first, y, where, 120, floor, False)
        largest._largest_in_llvm(x, 101, window, size, first, y, where, 220, floor, True)
        largest._largest_in_llvm(x, 102, window, size, first, y, None, 320, floor, False)

    def call(*args):
        pointers = [
            ctypes.cast(a.ctypes.data, kind)
            for a, kind in zip(args[:3], run.ctypes.argtypes[:3], strict=True)
        ]
        run.ctypes(*pointers, *args[3:])

    call.dtype = np.dtype(request.param)
    return call


def test_the_compiled_search_for_the_largest_pixel_is_that_in_python(search):
    """Of a vector of channels, and of one; around the window is NaN, which would beat all."""
    W, C, down, first, floor = 5, registers.lanes(search.dtype) + 2, 9, 7, 1.0
    for rows, columns in SHAPES:
        pixels, x = np.full((rows + 1, W, C), np.nan), np.full(900, np.nan, search.dtype)
        pixels[:rows, :columns] = whole(5, rows, columns, C)
        pixels[0, 0, 1], pixels[0, 0, 3], pixels[rows - 1, columns - 1, 2] = -np.inf, np.nan, np.nan
        x[100 : 100 + pixels.size] = pixels.ravel()
        y, expected = unwritten((2, 900), search.dtype)
        where, places = unwritten((2, 900), np.int32)
        search(x, y, where, rows, columns, W, C, down, first, floor)
        for k, (numbers, single) in enumerate([(places, False), (places, True), (None, False)]):
            given = x, 100 + k, (rows, columns), (W, C, down), first
            to = expected, numbers, 120 + 100 * k
            largest._largest_in_python(*given, *to, floor, single)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(where, places)


# a case of test_short_sweeps, and how it is pooled
POOLED = {
    "side by side": ("nowhere", (2, 2), (2, 2), NO_PADDING),
    "over the border": ("below and on the left", (3, 2), (1, 2), ((2, 1), (0, 1))),
    "rows between": ("dilation of groups", (1, 2), (2, 1), ((0, 0), (1, 0))),
    "all rows": ("groups", (4, 3), (1, 1), NO_PADDING),
    "wide steps": ("one row", (1, 2), (1, 3), ((0, 0), (0, 1))),
}


def pooled(name):
    """Arguments of conv_pool.forward, and the Pooling."""
    convolution, window, *placement = POOLED[name]
    case, (x, weight, dy) = CASES[convolution], operands(CASES[convolution])
    args = x, weight / 64, whole(4, case.F) / 4, case.arrangement, window, placement
    return args, Pooling(dy.shape, window, *placement)


@pytest.mark.parametrize("version", ["reference", "cpu"])
@pytest.mark.parametrize("name", POOLED)
def test_a_convolution_is_pooled_and_cut_off_at_0(name, version, monkeypatch):
    use_unwritten_memory(monkeypatch, conv_pool, max_pool2d)
    args, pooling = pooled(name)
    z = by_definition(CASES[POOLED[name][0]])[0] / 64 + args[2]
    expected, places = largest_by_definition(pooling, z)
    y, where = getattr(conv_pool.forward, version)(*args)
    np.testing.assert_array_equal(y, np.maximum(expected, 0))
    np.testing.assert_array_equal(where, places)
    assert ((0 < y) & (y < 1)).any()


@pytest.mark.parametrize("x_shape, F", [((0, 4, 4, 3), 5), ((2, 4, 4, 3), 0)], ids=str)
def test_without_images_or_filters_nothing_is_pooled(x_shape, F):
    x, weight = np.ones(x_shape), np.ones((2, 2, 3, F))
    y, where = conv_pool.forward.cpu(
        x, weight, None, Case(x_shape, (2, 2), F).arrangement, (2, 2), ((1, 1), NO_PADDING)
    )
    assert y.shape == where.shape == (x_shape[0], 2, 2, F)
    assert (y.dtype, where.dtype) == (float, np.int32)


@as_python
@pytest.mark.parametrize("rows, shares", [(1, 1), (2, 1), (3, 2), (1, 2)])
@pytest.mark.parametrize("name", POOLED)
def test_tasks_sweep_the_rows_that_their_windows_see(name, rows, shares, bands, monkeypatch):  # noqa: F811
    bands(1, 1, 1)
    args, pooling = pooled(name)
    swept, sweep_rows, (_, I, _, _) = [], conv_pool.sweep_rows, pooling.shape  # noqa: E741
    shares = min(shares, -(-args[1].shape[3] // CASES[POOLED[name][0]].groups // LANES))
    rows = min(rows, I)

    def note_and_sweep(x, target, band, where, g, job):
        swept.append(where)
        sweep_rows(x, target, band, where, g, job)

    monkeypatch.setattr(conv_pool, "thread_count", lambda: 3)
    monkeypatch.setattr(conv_pool, "sweep_rows", note_and_sweep)
    monkeypatch.setattr(conv_pool, "_best_cut", lambda *_: (rows, shares))
    conv_pool.forward.cpu(*args)
    expected = []
    for n, begin, share in np.ndindex(pooling.x_shape[0], -(-I // rows), shares):
        seen = [
            h
            for i in range(begin * rows, min(I, (begin + 1) * rows))
            for j in range(pooling.shape[2])
            for h, _ in pooling.pixels(i, j)
        ]
        expected.append((n, min(seen), max(seen) - min(seen) + 1, share))
    assert sorted(swept) == sorted(expected)


# whether the winners are listed for dx and for dw
WAYS_BACK = {
    "columns without gaps": (WINNERS["strides"], True, True),
    "dilated rows": (WINNERS["dilation"], True, True),
    "no whole vectors": (WINNERS["copied"], False, True),
    "few channels": (Case((2, 5, 5, 1), (2, 2), 3), False, False),
    "groups": (Case((2, 5, 6, 4 * LANES), (2, 2), 4, groups=2), False, False),
    "dilated columns": (Case((2, 5, 7, 2 * LANES), (2, 2), 3, dilation=(1, 2)), False, False),
}


@pytest.mark.parametrize("version", ["reference", "cpu"])
@pytest.mark.parametrize("name", WAYS_BACK)
def test_the_way_back_through_a_pooling_and_a_convolution(name, version, monkeypatch):
    use_unwritten_memory(monkeypatch, conv_pool, max_pool2d, winners)
    listed = []
    for function in (winners.input_grad, winners.weight_grad):

        def note_and_call(*args, function=function):
            listed.append(function)
            function(*args)

        monkeypatch.setattr(winners, function.__name__, note_and_call)
    case, lists_dx, lists_dw = WAYS_BACK[name]
    (x, weight, _), (z, _, _) = operands(case), by_definition(case)
    y, where = largest_by_definition(Pooling(z.shape, (2, 2), (1, 2)), z)
    dy = whole(7, *y.shape)
    _, dx, dw = by_definition(case, scattered_by_definition(dy, where, z.shape))
    found = getattr(conv_pool.input_grad, version)(dy, where, weight, x.shape, case.arrangement)
    np.testing.assert_array_equal(found, dx)
    assert bool(listed) == (lists_dx and version == "cpu")
    listed.clear()
    found = getattr(conv_pool.weight_grad, version)(x, dy, where, weight.shape, case.arrangement)
    np.testing.assert_array_equal(found, dw)
    assert bool(listed) == (lists_dw and version == "cpu")
