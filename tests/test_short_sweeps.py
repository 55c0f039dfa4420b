"""The CPU kernels of convolution, with so little to do that every loop and branch is entered.

All numbers are whole, and so few that no sum of them is rounded: results must be equal.
"""

import importlib
from typing import NamedTuple

import numba
import numpy as np
import pytest

from minicnn.backend import kernels

conv2d = kernels.conv2d
correlate, packing, registers, simd, spread, sweep = (
    importlib.import_module(f"minicnn.kernels.{name}")
    for name in ("correlate", "packing", "registers", "simd", "spread", "sweep")
)
LANES = registers.lanes(np.float64)
NO_PADDING = ((0, 0), (0, 0))
as_python = pytest.mark.skipif(
    not numba.config.DISABLE_JIT, reason="compiled functions do not ask again what they call"
)


class Case(NamedTuple):
    """A convolution."""

    x_shape: tuple
    window: tuple
    F: int  # filters of all groups
    strides: tuple = (1, 1)
    padding: tuple = NO_PADDING
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def arrangement(self):
        return self[3:]

    @property
    def weight_shape(self):
        return (*self.window, self.x_shape[3] // self.groups, self.F)

    @property
    def geometry(self):
        return conv2d.geometry(self.x_shape, self.weight_shape, self.arrangement)[0]


CASES = {
    "above and on the right": Case((2, 4, 5, 5), (2, 3), 5, padding=((1, 0), (0, 2))),
    "below and on the left": Case((2, 4, 3, 3), (3, 2), 27, padding=((0, 2), (1, 0))),
    "nowhere": Case((3, 4, 6, 3), (2, 3), 3 * LANES),
    "groups": Case((2, 3, 4, 6), (2, 2), 26, padding=((1, 1), (0, 0)), groups=2),
    "groups of whole vectors": Case((2, 3, 4, 4), (2, 2), 2 * LANES, groups=2),
    "strides": Case((2, 6, 4, 3), (3, 2), 13, (2, 1), ((1, 0), (0, 1))),
    "wide strides": Case((2, 7, 8, 2), (2, 1), LANES, (3, 4)),
    "dilation": Case((2, 6, 8, 3), (2, 3), 5, (1, 1), ((0, 1), (2, 0)), (2, 3)),
    "dilation of groups": Case((1, 5, 6, 4), (2, 2), 6, (2, 1), ((1, 1), (1, 1)), (3, 2), 2),
    "one row": Case((3, 1, 7, 4), (1, 3), 9, padding=((0, 0), (1, 1))),
    "one column": Case((2, 6, 1, 5), (2, 1), 7, padding=((1, 1), (0, 0))),
    "one pixel": Case((2, 3, 5, 17), (1, 1), 4 * LANES + 3),
    "one pixel of a few": Case((2, 3, 5, 4), (1, 1), LANES, (2, 2)),
    "far outside": Case((1, 2, 3, 2), (2, 2), 3, padding=((4, 3), (3, 4))),
    "one number": Case((1, 1, 1, 1), (1, 1), 1),
}


def whole(seed, *shape):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def operands(case):
    """x, weight and dy."""
    g = case.geometry
    return whole(1, *case.x_shape), whole(2, *case.weight_shape), whole(3, g.N, g.I, g.J, case.F)


def by_definition(case):
    """y, dx and dw, product by product; those of a group of channels at a time."""
    (x, weight, dy), (s, t), ((top, _), (left, _)) = operands(case), case.strides, case.padding
    (d, e), (P, Q, K, _), F = case.dilation, weight.shape, case.F // case.groups
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(weight)
    for n, i, j, p, q, group in np.ndindex(*dy.shape[:3], P, Q, case.groups):
        h, w = s * i + d * p - top, t * j + e * q - left
        if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
            k, f = slice(group * K, (group + 1) * K), slice(group * F, (group + 1) * F)
            y[n, i, j, f] += x[n, h, w, k] @ weight[p, q, :, f]
            dx[n, h, w, k] += weight[p, q, :, f] @ dy[n, i, j, f]
            dw[p, q, :, f] += np.outer(x[n, h, w, k], dy[n, i, j, f])
    return y, dx, dw


INSIDE = "begins inside"  # which no layer asks for, and NumPy's padding cannot say
CASES[INSIDE] = Case((2, 5, 7, 3), (2, 2), LANES, (1, 2), ((-1, 0), (-2, 0)))
RESULTS = {name: by_definition(case) for name, case in CASES.items()}


def unwritten(shape, dtype):
    return np.full(shape, np.nan, dtype)


def use_unwritten_memory(monkeypatch, *modules):
    """Let memory be NaN until it is written, and no longer than was asked for."""
    for module in modules:
        if hasattr(module, "empty"):
            monkeypatch.setattr(module, "empty", unwritten)
        if hasattr(module, "scratch"):
            monkeypatch.setattr(module, "scratch", lambda n, m, dtype: unwritten((n, m), dtype))


@pytest.mark.parametrize("name", [name for name in CASES if name != INSIDE])
def test_the_references_are_the_formulas(name):
    case, (x, weight, dy), (y, dx, dw) = CASES[name], operands(CASES[name]), RESULTS[name]
    bias, where = whole(4, case.F), case.arrangement
    forward = conv2d.forward.reference
    np.testing.assert_array_equal(forward(x, weight, None, False, *where), y)
    np.testing.assert_array_equal(forward(x, weight, bias, True, *where), np.maximum(y + bias, 0))
    found = conv2d.input_grad.reference(dy, weight, x.shape, *where)
    np.testing.assert_array_equal(found, dx)
    found = conv2d.weight_grad.reference(x, dy, weight.shape, *where)
    np.testing.assert_array_equal(found, dw)


# parts, pieces, slices, batch, shares, images, rows, width
CUTS = {
    "all at once": (1, 1, 1, 1, 1, 9, 9, 4),
    "pixels": (3, 1, 1, 1, 1, 1, 2, 1),
    "images": (2, 1, 1, 1, 1, 2, 9, 2),
    "channels": (1, 2, 4, 1, 1, 9, 9, 1),
    "channels, two at a time": (1, 1, 3, 2, 1, 9, 9, 2),
    "filters": (1, 1, 1, 1, 2, 9, 9, 1),
    "everything": (2, 2, 3, 1, 3, 1, 1, 1),
}


def cuts_of(g, wanted, copies, packs):
    """The Geometry with all fields and the Cuts, but no more than there is to be cut."""
    parts, pieces, slices, batch, shares, images, rows, width = wanted
    pieces, slices = min(pieces, g.K), min(slices, g.K)
    images, rows = min(images, g.N), min(rows, g.I)
    slices = max(pieces, slices) if copies else pieces
    units, blocks = -(-g.N // images) * -(-g.I // rows), correlate.block_count(g.F, width, LANES)
    in_slice = images * g.band_size(rows) // g.C * -(-g.K // slices)
    in_columns = images * rows * g.J * -(-g.F // LANES) * LANES
    return g._replace(tiles=correlate.tiles(np.dtype(float)), width=width), correlate.Cuts(
        min(parts, units),
        pieces,
        slices,
        batch,
        min(shares, blocks),
        blocks,
        units,
        images,
        rows,
        copies,
        packs,
        in_slice,
        in_slice * min(batch, -(-slices // pieces)) if copies else 0,
        in_columns if packs else 0,
    )


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_filters(name, cuts, monkeypatch):
    case, (x, _, dy) = CASES[name], operands(CASES[name])
    use_unwritten_memory(monkeypatch, correlate)
    monkeypatch.setattr(correlate, "thread_count", lambda: 3)
    must_copy, must_pack = case.geometry.hangs_over, case.geometry.F % LANES > 0
    for copies, packs in {(True, True), (must_copy, must_pack)}:
        def plan(g, dtype, workers):
            return cuts_of(g, CUTS[cuts], copies, packs)

        monkeypatch.setattr(correlate, "_plan", plan)
        dw = unwritten(case.weight_shape, float)
        correlate.correlate(x, dy, dw, case.geometry)
        np.testing.assert_array_equal(dw, RESULTS[name][2])


@as_python
@pytest.mark.parametrize("cuts", ["all at once", "pixels", "channels"])
@pytest.mark.parametrize("padding", [NO_PADDING, ((1, 0), (0, 1))], ids=str)
def test_tiles_may_go_through_the_columns_of_a_window(padding, cuts, monkeypatch):
    case = Case((2, 5, 4, 5), (2, 3), 2, (2, 1), padding)
    (x, _, dy), expected = operands(case), by_definition(case)[2]

    def turned_tile(_, shape, x, at_x, dy, at_dy, start, __, y, at_y, add, floor, loops):
        images, rows, J, image, row, column, _, apart, y_pixel = loops
        for k, q in np.ndindex(shape[0] * shape[1], case.window[1]):
            total = start[:LANES].copy()
            for n, i, j in np.ndindex(images, rows, J):
                number = x[at_x + n * image + i * row + (j + q) * column + k]
                total += number * dy[at_dy + ((n * rows + i) * J + j) * apart :][:LANES]
            cell = y[at_y + (q * column + k) * y_pixel :][:LANES]
            cell[:] = cell + total if add else total

    def plan(g, dtype, workers):
        g, chosen = cuts_of(g, (*CUTS[cuts][:-1], 1), True, True)
        return g._replace(across=2), chosen

    monkeypatch.setattr(correlate, "tile", turned_tile)
    monkeypatch.setattr(correlate, "_plan", plan)
    use_unwritten_memory(monkeypatch, correlate)
    dw = unwritten(case.weight_shape, float)
    correlate.correlate(x, dy, dw, case.geometry)
    np.testing.assert_array_equal(dw, expected)


def test_no_image_has_no_gradient_of_filters():
    dw, g = unwritten((2, 2, 3, 4), float), Case((0, 5, 5, 3), (2, 2), 4).geometry
    correlate.correlate(np.ones((0, 5, 5, 3)), np.ones((0, 4, 4, 4)), dw, g)
    np.testing.assert_array_equal(dw, 0)


# rows of y in a task, shares of the filters, vectors in a tile
BANDS = {
    "whole images": (9, 1, 4),
    "rows": (1, 1, 1),
    "two rows": (2, 2, 2),
    "a vector each": (3, 3, 1),
}


@pytest.fixture
def bands(monkeypatch):
    """A function that lets sweeps be cut so, and by three workers."""

    def cut_up(band, shares, width, across=0, asks=False):
        def plan(g, dtype, workers):
            blocks = packing.block_count(g.F, width, LANES)
            spill = simd.MOST_PIXELS * width * LANES
            cut = sweep.Cut(g.hangs_over, asks, min(shares, blocks), blocks, LANES, spill)
            fields = {"band": min(band, g.I), "width": width, "across": across}
            return g._replace(tiles=simd.tiles(dtype), **fields), cut

        use_unwritten_memory(monkeypatch, sweep, packing)
        monkeypatch.setattr(sweep, "plan", plan)
        for module in (sweep, packing):
            monkeypatch.setattr(module, "thread_count", lambda: 3)
        monkeypatch.setattr(packing, "ALONE", 0)

    return cut_up


def check_sweep(name):
    """With and without a bias, and relu."""
    case, (x, weight, _), (y, *_) = CASES[name], operands(CASES[name]), RESULTS[name]
    g, filters, shape = conv2d.described(x.shape, weight, case.arrangement)
    bias, found = whole(4, case.F), unwritten(shape, float)
    sweep.sweep(x, filters, None, False, found, g)
    np.testing.assert_array_equal(found, y)
    found.fill(np.nan)
    sweep.sweep(x, filters, bias, True, found, g)
    np.testing.assert_array_equal(found, np.maximum(y + bias, 0))


@pytest.mark.parametrize("cut", BANDS)
@pytest.mark.parametrize("name", CASES)
def test_sweeps(name, cut, bands):
    bands(*BANDS[cut])
    check_sweep(name)


@as_python
@pytest.mark.parametrize("steps", [1, 2, 5, 7, 12])
@pytest.mark.parametrize("name", ["groups", "nowhere", "dilation", INSIDE])
def test_sums_in_stretches(name, steps, bands, monkeypatch):
    bands(2, 2, 1)
    monkeypatch.setattr(sweep, "STRETCH_BYTES", steps * LANES * 8)
    check_sweep(name)


@as_python
@pytest.mark.parametrize("name", ["above and on the right", "strides", "one row"])
def test_tiles_of_a_row(name, bands):
    case = CASES[name]
    assert case.strides[1] == case.dilation[1] == 1
    bands(2, 2, 1, across=3)
    check_sweep(name)


@pytest.mark.parametrize("name", ["nowhere", "groups of whole vectors", "wide strides", INSIDE])
def test_filters_that_are_read_as_they_are(name, bands, monkeypatch):
    bands(2, 2, 2)
    monkeypatch.setattr(sweep, "step_in_place", lambda g, cut: g.groups * g.F)
    monkeypatch.setattr(sweep, "pack", None)
    check_sweep(name)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("h", range(-5, 6))
def test_rows_of_a_window_outside_are_left_out(h, d):
    g = Case((1, 4, 9, 1), (3, 1), 1, dilation=(d, 1)).geometry
    inside = [a for a in range(3) if 0 <= h + d * a < 4]
    expected = (inside[0], inside[-1] + 1) if inside else (0, 1)
    assert sweep._window_rows(h, 3, g) == expected


@pytest.mark.parametrize(
    "loops, most, expected",
    [
        ((3, 2, 5), 30, (3, 2, 1)),
        ((3, 2, 5), 60, (3, 2, 1)),
        ((3, 2, 5), 29, (2, 2, 1)),
        ((3, 2, 5), 10, (1, 2, 1)),
        ((3, 2, 5), 9, (1, 1, 1)),
        ((3, 2, 5), 5, (1, 1, 1)),
        ((3, 2, 5), 4, (1, 1, 2)),
        ((3, 2, 5), 2, (1, 1, 3)),
        ((3, 2, 5), 1, (1, 1, 5)),
    ],
)
def test_a_stretch_has_no_more_steps_than_wanted(loops, most, expected):
    assert sweep._stretch(*loops, most) == expected
