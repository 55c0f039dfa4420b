"""The CPU kernels of convolution, with so little to do that every loop and branch is entered.

All numbers are whole, and so few that no sum of them is rounded: results must be equal.
"""

import importlib
from functools import partial
from typing import NamedTuple

import numba
import numpy as np
import pytest

from minicnn.backend import kernels

conv2d, conv_pool, max_pool2d = kernels.conv2d, kernels.conv_pool, kernels.max_pool2d
NAMES = "correlate depthwise geometry packing registers simd spread sweep winners"
correlate, depthwise, geometry, packing, registers, simd, spread, sweep, winners = (
    importlib.import_module(f"minicnn.kernels.{name}") for name in NAMES.split()
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
    "dilation": Case((2, 6, 8, 3), (2, 3), 5, (1, 1), ((0, 1), (2, 0)), (3, 2)),
    "dilation of groups": Case((1, 5, 6, 4), (2, 2), 6, (2, 1), ((1, 1), (1, 1)), (2, 3), 2),
    "a tall window": Case((1, 4, 3, 3), (4, 2), LANES, padding=((2, 1), (0, 0))),
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


def by_definition(case, dy=None):
    """y, dx and dw, product by product; those of a group of channels at a time."""
    x, weight, any_dy = operands(case)
    dy, (s, t), ((top, _), (left, _)) = any_dy if dy is None else dy, case.strides, case.padding
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
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else -1, dtype)


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
    bias, where = whole(4, case.F) / 2, case.arrangement
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
    "pixels": (3, 1, 1, 1, 1, 1, 2, 4),
    "images": (2, 1, 1, 1, 1, 2, 9, 2),
    "channels": (1, 2, 4, 1, 1, 9, 9, 1),
    "channels, two at a time": (1, 1, 3, 2, 1, 9, 9, 2),
    "filters": (1, 1, 1, 1, 2, 9, 9, 1),
    "everything": (2, 2, 3, 1, 3, 1, 1, 1),
}


def cuts_of(wanted, copies, packs, g, *_):
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
    g = case.geometry
    for settings in {(True, True), (g.hangs_over, g.F % LANES > 0)}:
        plan = partial(cuts_of, CUTS[cuts], *settings)
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
        g, chosen = cuts_of((*CUTS[cuts][:-1], 1), True, True, g)
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
@pytest.mark.parametrize(
    "name, width, steps",
    [
        ("groups", 1, 1),
        ("groups", 1, 3),
        ("strides", 1, 12),
        ("dilation", 1, 7),
        ("dilation", 1, 2),
        ("a tall window", 1, 12),
        (INSIDE, 1, 5),
        ("one pixel", 4, 20),
    ],
)
def test_sums_in_stretches(name, width, steps, bands, monkeypatch):
    bands(2, 2, width)
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


@as_python
@pytest.mark.parametrize("name", ["nowhere", "groups", "below and on the left"])
def test_a_task_fills_its_rows_with_its_filters(name, bands):
    bands(2, 3, 1)
    case, (x, weight, _), y = CASES[name], operands(CASES[name]), RESULTS[name][0]
    g, filters, _ = conv2d.described(x.shape, weight, case.arrangement)
    g, job = sweep.prepare(filters, None, False, g)
    assert sweep.scratch_size(g, job) == job.spill + (g.band_size(g.band) if g.hangs_over else 0)
    assert not job.passes
    times = np.zeros((g.N, g.I, g.J, g.groups, g.F))
    for task in range(job.shares * sweep.tasks_per_share(g)):
        n, first, rows, mine = sweep.place_of(task, g)
        memory, found = unwritten(sweep.scratch_size(g, job), float), unwritten(y.shape, float)
        target = found.reshape(-1), (n * g.I + first) * g.J * case.F, memory[: job.spill]
        where = n, first, rows, mine
        sweep.sweep_rows(x.reshape(-1), target, memory[job.spill :], where, g, job)
        begin, end = packing.filters_of(mine, job.shares, job.blocks, g.F, g.width, LANES)
        filled = np.zeros_like(times)
        filled[n, first : first + rows, ..., begin:end] = 1
        np.testing.assert_array_equal(found, np.where(filled.reshape(y.shape), y, np.nan))
        times += filled
    np.testing.assert_array_equal(times, 1)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("h", range(-5, 6))
def test_rows_of_a_window_outside_are_left_out(h, d):
    g = Case((1, 4, 9, 1), (3, 1), 1, dilation=(d, 1)).geometry
    inside = [a for a in range(3) if 0 <= h + d * a < 4]
    expected = (inside[0], inside[-1] + 1) if inside else (0, 1)
    assert sweep._window_rows(h, 3, g) == expected


@as_python
def test_rows_of_zeros_are_not_added_up(bands, calls):
    bands(2, 1, 4)
    check_sweep("a tall window")  # twice
    assert [call[-1][0] for call in calls["tile"]] == [2, 3, 4, 3] * 2


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


@pytest.fixture
def calls(monkeypatch):
    """The arguments of all calls of some functions of sweep.py, in their order."""
    noted = {name: [] for name in ("tile", "store_fence", "fetch_run", "claim_run")}

    def call(name, function, *args):
        noted[name].append(args)
        function(*args)

    for name in noted:
        monkeypatch.setattr(sweep, name, partial(call, name, getattr(sweep, name)))
    return noted


def lined_up(shape):
    """An array of NaN that begins where vectors like it."""
    wide = unwritten(np.prod(shape) + 8, float)
    begin = -wide.ctypes.data % 64 // 8
    return wide[begin : begin + np.prod(shape)].reshape(shape)


@as_python
@pytest.mark.parametrize(
    "cached, stretch, modes, fences",
    [
        (0, 1 << 18, {sweep.PASS_CACHES}, 3),
        (0, 5 * LANES * 8, {sweep.ADD, sweep.REPLACE}, 3),
        (1 << 24, 1 << 18, {sweep.REPLACE}, 0),
    ],
)
def test_large_results_pass_the_caches(cached, stretch, modes, fences, bands, calls, monkeypatch):
    bands(2, 2, 1, asks=cached == 0)
    monkeypatch.setattr(sweep, "CACHED_BYTES", cached)
    monkeypatch.setattr(sweep, "STRETCH_BYTES", stretch)
    case, y = CASES["nowhere"], lined_up(RESULTS["nowhere"][0].shape)
    x, weight, _ = operands(case)
    g, filters, _ = conv2d.described(x.shape, weight, case.arrangement)
    sweep.sweep(x, filters, None, False, y, g)
    np.testing.assert_array_equal(y, RESULTS["nowhere"][0])
    assert {call[10] for call in calls["tile"]} == modes
    assert len(calls["store_fence"]) == fences
    assert not calls["claim_run"] and not calls["fetch_run"]


@as_python
@pytest.mark.parametrize("stretch", [1 << 18, 5 * LANES * 8])
@pytest.mark.parametrize("name", ["nowhere", "groups of whole vectors", "strides", INSIDE])
def test_memory_is_asked_for_once(name, stretch, bands, calls, monkeypatch):
    bands(2, 3, 1, asks=True)
    monkeypatch.setattr(sweep, "STRETCH_BYTES", stretch)
    case, (x, weight, _), y = CASES[name], operands(CASES[name]), RESULTS[name][0].copy()
    g, filters, _ = conv2d.described(x.shape, weight, case.arrangement)
    sweep.sweep(x, filters, None, False, y, g)
    row, x_rows = g.J * case.F, g.s * g.W * g.C
    claims = [(k + 1) * row + group * g.F for k in range(g.N * g.I) for group in range(g.groups)]
    assert sorted(call[1:] for call in calls["claim_run"]) == [(at, row) for at in claims]
    fetches = [
        n * g.H * g.W * g.C + (min(first + 2, g.I) + i) * x_rows
        for n in range(g.N)
        for first in range(0, g.I, 2)
        for i in range(min(2, g.I - first))
        for _ in range(g.groups)
    ]
    assert sorted(call[1:] for call in calls["fetch_run"]) == [(at, x_rows) for at in fetches]


def under(case, n, h, w, channels):
    """Some channels of a pixel of the image; outside of it 0."""
    _, H, W, _ = case.x_shape
    x = operands(case)[0]
    return (
        x[n, h, w, channels] if 0 <= h < H and 0 <= w < W else np.zeros_like(x[0, 0, 0, channels])
    )


@pytest.mark.parametrize("first, rows", [(0, 1), (1, 2)])
@pytest.mark.parametrize("name", CASES)
def test_a_band_is_what_lies_under_rows_of_windows(name, first, rows):
    case, g = CASES[name], CASES[name].geometry
    n, x = g.N - 1, operands(case)[0].reshape(-1)
    first, rows = min(first, g.I - 1), min(rows, g.I - first)
    across, down = geometry.columns_under(g), geometry.rows_under(g, rows)
    assert across == g.t * (g.J - 1) + g.e * (g.Q - 1) + 1
    assert down == g.s * (rows - 1) + g.d * (g.P - 1) + 1
    assert g.band_size(rows) == across * down * g.C
    for k, k_end in ((0, g.C), (g.C // 3, g.C - g.C // 3)):
        expected = [
            under(case, n, g.s * first + r - g.top, c - g.left, slice(k, k_end))
            for r, c in np.ndindex(down, across)
        ]
        size = across * down * (k_end - k)
        band = unwritten(size + 5, float)
        geometry.copy_band(x, (n, first, rows), (k, k_end - k), g, band, 3)
        np.testing.assert_array_equal(band[3:-2], np.ravel(expected))
        assert np.isnan(band[:3]).all() and np.isnan(band[-2:]).all()


@pytest.mark.parametrize("name", CASES)
def test_a_band_is_pasted_where_windows_reach(name):
    case, g = CASES[name], CASES[name].geometry
    across, down = geometry.columns_under(g), geometry.rows_under(g, g.I)
    band, x = whole(5, down, across, g.C), unwritten(case.x_shape, float)
    at = np.concatenate([unwritten(3, float), band.reshape(-1)])
    geometry.paste_band(at, 3, x.reshape(-1), g.N - 1, g)
    assert np.isnan(x[:-1]).all()
    for h, w in np.ndindex(g.H, g.W):
        r, c = h + g.top, w + g.left
        inside = 0 <= r < down and 0 <= c < across
        np.testing.assert_array_equal(x[-1, h, w], band[r, c] if inside else 0)


def test_windows_hang_over_if_one_of_their_rows_or_columns_is_outside():
    for i, p, s, d, top in np.ndindex(4, 3, 2, 3, 5):
        places = np.add.outer((s + 1) * np.arange(i + 1), d * np.arange(p + 1)) - (top - 2)
        outside = places.min() < 0 or places.max() >= 5
        down = (1, 5, 1, 1, p + 1, 1, 1, 1, i + 1, 1, s + 1, 1, d, 1, top - 2, 0)
        across = (1, 1, 5, 1, 1, p + 1, 1, 1, 1, i + 1, 1, s + 1, 1, d, 0, top - 2)
        assert geometry.Geometry(*down).hangs_over == outside
        assert geometry.Geometry(*across).hangs_over == outside


@pytest.mark.parametrize(
    "dilation, groups, across, loops",
    [
        ((3, 1), 1, 0, (2, 1, 5 * 6, 3 * 70, 0, 1)),
        ((3, 1), 1, 8, (2, 5, 6, 3 * 70, 6, 1)),
        ((3, 1), 2, 0, (2, 5, 3, 3 * 70, 6, 1)),
        ((3, 2), 1, 0, (2, 5, 6, 3 * 70, 2 * 6, 1)),
    ],
)
def test_columns_without_gaps_are_one_run(dilation, groups, across, loops):
    g = Case((1, 9, 12, 6), (2, 5), 4, dilation=dilation, groups=groups).geometry
    assert geometry.three_loops(g._replace(across=across), 70) == loops


@pytest.mark.parametrize("workers", [1, 3, 5, 20])
def test_each_task_is_one_workers_and_none_has_two_more_than_another(workers):
    shares = [geometry.share_of(worker, workers, 14) for worker in range(workers)]
    assert [task for share in shares for task in share] == [*range(14)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def blocks_of(F, width):
    """(begin, end) of the blocks of filters of one group, in whole vectors."""
    begin, end, found = 0, -(-F // LANES) * LANES, []
    while begin < end:
        while width * LANES > end - begin:
            width //= 2
        found.append((begin, begin + width * LANES))
        begin += width * LANES
    return found


def packed_by_definition(filters, width):
    F = filters.shape[4]
    filled = np.pad(filters, [(0, 0)] * 4 + [(0, -F % LANES)])
    return np.concatenate(
        [group[..., f:end].ravel() for group in filled for f, end in blocks_of(F, width)]
    )


FILTERS = [(1, 2, 3, 5, 7 * LANES + 1), (2, 3, 1, 7, LANES - 1), (3, 1, 2, 1, 5 * LANES)]


def check_packing(shape, width, order):
    filters = whole(6, *(shape[k] for k in order)).transpose(np.argsort(order))
    expected = packed_by_definition(filters, width)
    np.testing.assert_array_equal(packing.pack(filters, width), expected)
    assert packing.block_count(shape[4], width, LANES) == len(blocks_of(shape[4], width))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("shape", FILTERS, ids=str)
def test_filters_are_packed(shape, width, workers, monkeypatch):
    use_unwritten_memory(monkeypatch, packing)
    monkeypatch.setattr(packing, "thread_count", lambda: workers)
    monkeypatch.setattr(packing, "ALONE", 0)
    for order in ((0, 1, 2, 3, 4), (1, 2, 3, 0, 4), (0, 1, 2, 4, 3), (1, 2, 4, 0, 3)):
        check_packing(shape, width, order)


@as_python
@pytest.mark.parametrize("steps", [1, 2, 4, 5])
@pytest.mark.parametrize("shape", FILTERS, ids=str)
def test_filters_are_packed_a_few_steps_at_a_time(shape, steps, monkeypatch):
    use_unwritten_memory(monkeypatch, packing)
    monkeypatch.setattr(packing, "STEPS", steps)
    for order in ((0, 1, 2, 3, 4), (0, 1, 2, 4, 3)):
        check_packing(shape, 2, order)
    _, P, Q, K, _ = shape
    assert packing.piece_count(P, Q, K) == P * Q * -(-K // steps)


@pytest.mark.parametrize("shares", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("F", [3 * LANES, 7 * LANES - 1, 11 * LANES + 1])
def test_shares_are_made_of_neighbouring_blocks(F, width, shares):
    blocks = blocks_of(F, width)
    shares = min(shares, len(blocks))
    for share in range(shares):
        mine = [b for n, b in enumerate(blocks) if n * shares // len(blocks) == share]
        expected = mine[0][0], min(mine[-1][1], F)
        assert packing.filters_of(share, shares, len(blocks), F, width, LANES) == expected


@pytest.fixture
def gifts(monkeypatch):
    """A function that lets `spread` be cut so, and by three workers."""

    def cut_up(band, shares, width):
        def plan(g, dtype, workers):
            blocks = packing.block_count(g.F, width, LANES)
            fields = {"band": min(band, g.H), "width": width, "tiles": simd.tiles(dtype)}
            shared = 1 if spread._are_runs(g) else min(shares, blocks)
            return g._replace(**fields), (shared, blocks)

        use_unwritten_memory(monkeypatch, spread, packing, conv2d)
        monkeypatch.setattr(spread, "_plan", plan)
        monkeypatch.setattr(spread, "thread_count", lambda: 3)
        monkeypatch.setattr(conv2d, "sweep", None)
        monkeypatch.setattr(conv2d, "GIVING", -(10**9))

    return cut_up


@pytest.mark.parametrize("cut", BANDS)
@pytest.mark.parametrize("name", CASES)
def test_windows_give_back(name, cut, gifts):
    gifts(*BANDS[cut])
    case, (x, weight, dy) = CASES[name], operands(CASES[name])
    dx = conv2d.input_grad.cpu(dy, weight, x.shape, *case.arrangement)
    np.testing.assert_array_equal(dx, RESULTS[name][1])


@as_python  # because compiled ones are tested by others
@pytest.mark.parametrize("name", ["above and on the right", "strides", "dilation of groups"])
def test_a_convolution_is_what_its_parts_make_of_it(name, monkeypatch):
    """With the plans that are made for it."""
    use_unwritten_memory(monkeypatch, conv2d)
    monkeypatch.setattr(conv2d, "depthwise", None)
    case, (x, weight, dy), (y, dx, dw) = CASES[name], operands(CASES[name]), RESULTS[name]
    bias, where = whole(4, case.F), case.arrangement
    found = conv2d.forward.cpu(x, weight, bias, True, *where)
    np.testing.assert_array_equal(found, np.maximum(y + bias, 0))
    np.testing.assert_array_equal(conv2d.input_grad.cpu(dy, weight, x.shape, *where), dx)
    np.testing.assert_array_equal(conv2d.weight_grad.cpu(x, dy, weight.shape, *where), dw)


@pytest.mark.parametrize(
    "groups, weight_shape, alone",
    [
        (1, (3, 3, 1, 4), False),
        (2, (3, 3, 1, 4), True),
        (3, (2, 2, 1, 3), True),
        (2, (1, 1, 2, 4), False),
        (2, (3, 3, 2, 1), False),
        (1, (3, 3, 2, 1), False),
    ],
)
def test_filters_are_depthwise_that_see_one_of_several_channels(groups, weight_shape, alone):
    assert conv2d.one_by_one(groups, weight_shape) == alone


@pytest.mark.parametrize("cut", BANDS)
def test_wide_windows_on_wide_images_of_few_channels_give_back(cut, gifts):
    """Their runs are as wide as the widest tile, and a row is cut into several tiles of a size."""
    gifts(*BANDS[cut])
    case = Case((1, 2, simd.MOST_PIXELS + 10, LANES - 1), (1, 9), 2)
    x, weight, dy = operands(case)
    dx = conv2d.input_grad.cpu(dy, weight, x.shape, *case.arrangement)
    np.testing.assert_array_equal(dx, by_definition(case)[1])


@as_python
def test_a_task_fills_its_rows_with_its_channels(gifts):
    gifts(2, 3, 1)
    case = Case((2, 5, 3, 2 * (3 * LANES + 1)), (2, 2), 4, padding=((0, 1), (0, 0)), groups=2)
    (_, weight, dy), dx = operands(case), by_definition(case)[1]
    filters = weight.reshape(2, 2, -1, 2, 2).transpose(3, 0, 1, 4, 2)
    g = case.geometry._replace(K=2, F=3 * LANES + 1)
    g, (shares, blocks) = spread._plan(g, dy.dtype, 3)
    flat = dy.reshape(-1), packing.pack(filters, g.width)
    tasks = shares * g.N * -(-g.H // g.band)
    spills, times = unwritten((tasks, simd.MOST_PIXELS * LANES), float), np.zeros(dx.shape)
    for task in range(tasks):
        found = unwritten(dx.shape, float)
        arrays = *flat, found.reshape(-1), simd.zero_vectors(dy.dtype)
        spread._spread_tasks(task, tasks, arrays, g, (shares, blocks), LANES, spills)
        filled = ~np.isnan(found)
        assert filled.any() and not filled.all()
        np.testing.assert_array_equal(found[filled], dx[filled])
        times += filled
    np.testing.assert_array_equal(times, 1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("offset", range(-4, 8))
def test_rows_that_meet(offset, stride):
    for begin, end in ((0, 1), (0, 4), (2, 7)):
        expected = [k for k in range(3) if begin <= stride * k + offset < end]
        assert [*range(*spread._meeting(begin, end, offset, stride, 3))] == expected


@pytest.mark.parametrize("cut", BANDS)
@pytest.mark.parametrize("name", ["above and on the right", "groups", "dilation", "one column"])
def test_pixels_take_from_the_windows_around_them(name, cut, bands, monkeypatch):
    bands(*BANDS[cut])
    for constant, value in {"spread": None, "GIVING": 10**9, "lanes": lambda dtype: 1}.items():
        monkeypatch.setattr(conv2d, constant, value)
    case, (x, weight, dy) = CASES[name], operands(CASES[name])
    dx = conv2d.input_grad.cpu(dy, weight, x.shape, *case.arrangement)
    np.testing.assert_array_equal(dx, RESULTS[name][1])


# window, strides and padding
POOLINGS = [((2, 2), (2, 2), NO_PADDING), ((3, 2), (1, 2), ((2, 1), (0, 1)))]


@pytest.mark.parametrize("cut", [(9, 1, 4), (1, 2, 1), (2, 3, 1)], ids=str)
@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
@pytest.mark.parametrize("name", ["nowhere", "groups", "below and on the left", "dilation"])
def test_sweeps_that_are_pooled(name, pooling, cut, bands, monkeypatch):
    bands(*cut)
    rows, shares, _ = cut
    use_unwritten_memory(monkeypatch, conv_pool)
    monkeypatch.setattr(conv_pool, "thread_count", lambda: 3)

    def best_cut(g, lanes, blocks, placement, *_):
        return min(rows, placement[6]), min(shares, blocks)

    monkeypatch.setattr(conv_pool, "_best_cut", best_cut)
    case, (x, weight, _), (window, *placement) = CASES[name], operands(CASES[name]), pooling
    args = x, weight, whole(4, case.F), case.arrangement, window, placement
    for found, expected in zip(
        conv_pool.forward.cpu(*args), conv_pool.forward.reference(*args), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


WINNERS = {
    "copied": Case((3, 5, 6, LANES + 1), (3, 2), 7, padding=((1, 0), (0, 1))),
    "as they are": Case((3, 6, 6, LANES), (2, 3), 5),
    "strides": Case((2, 7, 6, LANES), (3, 2), LANES + 1, (2, 1), ((1, 1), (1, 0))),
    "dilation": Case((2, 7, 6, LANES), (2, 2), 2, dilation=(2, 1)),
    "wide rows": Case((2, 7, 5, 3 * LANES), (5, 3), 2),  # of which tiles take 2 or 3 at once
}


@pytest.fixture(params=[0, 3000, 1 << 15])
def units(request, monkeypatch):
    """Units of one image, of a few and of all, for three workers."""
    use_unwritten_memory(monkeypatch, winners)
    monkeypatch.setattr(winners, "thread_count", lambda: 3)
    monkeypatch.setattr(winners, "UNIT_BYTES", request.param)
    winners._plan.cache_clear()
    yield
    winners._plan.cache_clear()


def check_winners(case):
    x, weight, _ = operands(case)
    z, *_ = by_definition(case)
    y, where = max_pool2d.forward.reference(z, (2, 2), (1, 2), NO_PADDING)
    dy = whole(7, *y.shape) * (whole(8, *y.shape) > 0)
    _, dx, dw = by_definition(case, max_pool2d.scatter.reference(dy, where, z.shape))
    found = unwritten(dw.shape, float)
    winners.weight_grad(x, dy, where, found, case.geometry)
    np.testing.assert_array_equal(found, dw)
    if case.geometry.Q * case.geometry.K % LANES == 0:
        found = unwritten(dx.shape, float)
        winners.input_grad(dy, where, weight, found, case.geometry)
        np.testing.assert_array_equal(found, dx)


@pytest.mark.parametrize("name", WINNERS)
def test_gradients_of_winners(name, units):
    check_winners(WINNERS[name])


@as_python
@pytest.mark.parametrize("at_once", [1, 5])
@pytest.mark.parametrize("name", ["copied", "strides"])
def test_winners_are_listed_a_few_at_a_time(name, at_once, units, monkeypatch):
    monkeypatch.setattr(winners, "AT_ONCE", at_once)
    check_winners(WINNERS[name])


ONE_BY_ONE = {
    "over the border": Case((2, 5, 6, 5), (3, 2), 5, (1, 1), ((1, 0), (0, 1)), (1, 1), 5),
    "strides": Case((2, 7, 9, 3), (4, 2), 3, (2, 3), ((0, 1), (2, 0)), (1, 1), 3),
    "dilation": Case((1, 6, 8, 4), (2, 2), 4, (1, 1), ((1, 1), (0, 2)), (2, 3), 4),
    "strides and dilation": Case((1, 9, 8, 2), (3, 2), 2, (2, 2), ((2, 2), (1, 1)), (3, 2), 2),
    "six filters and columns": Case((2, 4, 6, 3), (2, 3), 6, padding=((1, 1), (1, 1)), groups=3),
    "some vectors": Case((1, 3, 11, 3 * LANES + 1), (2, 2), 3 * LANES + 1, groups=3 * LANES + 1),
    "a tall column": Case((1, 8, 2, 2 * LANES), (2, 1), 2 * LANES, groups=2 * LANES),
}


@pytest.fixture
def fresh_plans(monkeypatch):
    """Plans are made anew, as the settings of a test want them."""
    use_unwritten_memory(monkeypatch, depthwise, conv2d)
    plans = depthwise.plan_forward, depthwise._plan_input_grad, depthwise._plan_weight_grad
    for plan in plans:
        plan.cache_clear()
    yield
    for plan in plans:
        plan.cache_clear()


@pytest.fixture
def one_by_one(fresh_plans, monkeypatch):
    """Nobody but depthwise.py may do it."""
    for other in ("sweep", "spread", "correlate"):
        monkeypatch.setattr(conv2d, other, None)


@as_python  # because a tile is compiled for each
@pytest.mark.parametrize("tasks, part", [(1, 1), (5, 1), (16, 20)])
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_filters_of_one_channel(name, tasks, part, one_by_one, monkeypatch):
    monkeypatch.setattr(depthwise, "TASKS", tasks)
    monkeypatch.setattr(depthwise, "PART", part)
    check_one_by_one(ONE_BY_ONE[name])


@as_python
@pytest.mark.parametrize("name", ["strides", "strides and dilation", "a tall column"])
def test_with_few_registers_a_window_is_taken_in_several_pieces(name, one_by_one, monkeypatch):
    monkeypatch.setattr(depthwise, "REGISTERS", 7)
    check_one_by_one(ONE_BY_ONE[name])


def check_one_by_one(case):
    where = case.arrangement
    (x, weight, dy), (y, dx, dw), bias = operands(case), by_definition(case), whole(4, case.F)
    found = conv2d.forward.cpu(x, weight, None, False, *where)
    np.testing.assert_array_equal(found, y)
    found = conv2d.forward.cpu(x, weight, bias, True, *where)
    np.testing.assert_array_equal(found, np.maximum(y + bias, 0))
    found = conv2d.input_grad.cpu(dy, weight, x.shape, *where)
    np.testing.assert_array_equal(found, dx)
    found = conv2d.weight_grad.cpu(x, dy, weight.shape, *where)
    np.testing.assert_array_equal(found, dw)


@as_python
@pytest.mark.parametrize("name", ["over the border", "some vectors", "a tall column"])
def test_a_task_fills_some_channels_of_a_row(name, one_by_one):
    """The channels are shared by as many tasks as there can be."""
    case, (x, weight, _), y = (
        ONE_BY_ONE[name],
        operands(ONE_BY_ONE[name]),
        by_definition(ONE_BY_ONE[name])[0],
    )
    plan = depthwise.plan_forward(x.dtype, x.shape, y.shape, case.window, case.arrangement[:3])
    (N, shares, _, _), (_, _, J, C), times = plan.cuts, y.shape, np.zeros(y.shape)
    for task in range(shares * N * len(plan.rows)):
        found, filled = unwritten(y.shape, float), np.zeros((y.size // (J * C), J, C), bool)
        arrays = x.reshape(-1), weight.reshape(-1), found.reshape(-1), np.zeros(C)
        at_y, (c, end) = depthwise.fill_row(task, plan.tile, arrays, *plan[1:], 0)
        filled[at_y // (J * C), :, c:end] = True
        filled = filled.reshape(y.shape)
        np.testing.assert_array_equal(found, np.where(filled, y, np.nan))
        times += filled
    np.testing.assert_array_equal(times, 1)


@as_python
def test_every_row_of_every_image_is_a_task_of_every_share(monkeypatch):
    images, rows, shares, begun = 2, 5, 3, []
    monkeypatch.setattr(depthwise, "fill_row", lambda task, *_: begun.append(task))
    depthwise._fill_rows(None, None, np.zeros((rows, 3)), (images, shares, 7, 11), None, 0)
    assert sorted(begun) == [*range(images * rows * shares)]


@as_python
@pytest.mark.parametrize("registers", [7, 16])
@pytest.mark.parametrize("tasks", [1, 16])
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_no_part_of_a_gradient_is_computed_twice(name, tasks, registers, one_by_one, monkeypatch):
    """But for the channels that the last block repeats, because it must not be narrower."""
    case, (x, _, dy), calls = ONE_BY_ONE[name], operands(ONE_BY_ONE[name]), []
    call = depthwise.call_tile
    monkeypatch.setattr(depthwise, "TASKS", tasks)
    monkeypatch.setattr(depthwise, "REGISTERS", registers)
    monkeypatch.setattr(depthwise, "call_tile", lambda *args: calls.append(args[2]) or call(*args))
    conv2d.weight_grad.cpu(x, dy, case.weight_shape, *case.arrangement)
    begins = [at_dw for _, _, at_dw in calls]
    assert len(set(begins)) == len(begins)


def test_no_image_is_swept_by_nobody(monkeypatch):
    monkeypatch.setattr(sweep, "prepare", None)
    g = Case((0, 5, 5, 3), (2, 2), 4).geometry
    sweep.sweep(np.ones((0, 5, 5, 3)), None, None, False, np.ones((0, 4, 4, 4)), g)


def test_what_the_caches_hold_does_not_pass_them(monkeypatch):
    y = lined_up((3, LANES))
    for cached, passes in {y.nbytes: False, y.nbytes - 1: True}.items():
        monkeypatch.setattr(sweep, "CACHED_BYTES", cached)
        assert sweep._passes_caches(y, LANES, LANES) == passes
