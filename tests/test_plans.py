"""How the kernels of convolution cut up their work: what the planning functions decide.

No plan makes a result wrong, so nobody but these tests would notice a bad one. The plans are those
for a CPU with 16 registers of 32 bytes, whatever this one has. Where a decision is a rule of thumb,
the tests pin what it says of well-known layers: such a plan may be changed on purpose, by somebody
who has measured that the new one is faster.
"""

import itertools

import numba
import numpy as np
import pytest

from minicnn.backend import kernels
from minicnn.ops.window import place_window

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool

from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    chain_plan,
    correlate,
    depthwise,
    geometry,
    list_tiles,
    packing,
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
    monkeypatch.setattr(
        numba.config, "DISABLE_JIT", False
    )  # plans are to be those of compiled code
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


# planning.py: rows, widths, tasks


@pytest.mark.parametrize(
    "pixels, as_given, rows, columns",
    [
        (32 * 49, 7, 14, 112),  # tiles of 14 pixels, all of them full
        (8 * 49, 7, 4, 98),
        (49, 7, 1, 49),  # 3 full tiles and one of 7
        (49, 49, 1, 49),
        (16, 4, 1, 16),  # two tiles of 8 are as full as one, and the longer row is taken
        (2 * 127, 127, 2, 127),  # as given, where there is no better one
        (3 * 126, 126, 3, 126),  # as given, though longer than we would choose
        (113, 113, 1, 113),
        (4 * 113, 4, 113, 4),  # longer rows would fill the tiles, but could hardly be shared out
        (224 * 224, 224, 224, 224),
        (224 * 127, 127, 254, 112),
        (1, 1, 1, 1),
        (42, 1, 1, 42),
        (200, 5, 5, 40),
    ],
)
def test_rows_of_single_pixels_fill_the_tiles(pixels, as_given, rows, columns):
    assert planning._cut_into_rows(pixels, as_given) == (rows, columns)


def test_windows_of_one_pixel_take_the_pixels_of_all_images_as_rows():
    g = layer((8, 7, 7, 512), (1, 1), 64)
    flat = g._replace(N=1, H=4, W=98, I=4, J=98)
    assert planning.flattened(g) == flat
    assert planning.flattened(layer((3, 2, 7, 4), (1, 1), 2)) == g._replace(
        N=1, H=1, W=42, I=1, J=42, C=4, K=4, F=2
    )
    wide = layer((1, 3, 126, 4), (1, 1), 2)
    assert planning.flattened(wide) == wide


@pytest.mark.parametrize(
    "changed",
    [
        *({name: 2} for name in ("P", "Q", "s", "t")),
        *({name: 0} for name in ("P", "Q", "s", "t")),
        *({name: size} for name in ("top", "left") for size in (1, -1)),
        {"H": 8},
        {"W": 8},
    ],
    ids=str,
)
def test_other_windows_leave_the_pixels_as_they_are(changed):
    g = layer((8, 7, 7, 512), (1, 1), 64)._replace(**changed)
    assert planning.flattened(g) == g


PIXELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 28, 30, 32, 56)


@pytest.mark.parametrize(
    "vectors, narrowest, widest",
    [
        (0, "111111111111111111", "111111111111111111"),
        (1, "111111111111111111", "111111111111111111"),
        (2, "222222122212222222", "222222222222222222"),
        (3, "222222122212222222", "222222222222222222"),
        (4, "442222122212222222", "444422442222222222"),
        (9, "442222122212222222", "444422442222222222"),
    ],
)
def test_tiles_have_a_width_that_keeps_the_cpu_busy(vectors, narrowest, widest):
    """A rule of thumb, see the top: wide tiles for few pixels, narrow ones where these suffice."""
    assert "".join(str(planning.best_width(vectors, n)) for n in PIXELS) == narrowest
    assert "".join(str(planning.best_width(vectors, n, widest=True)) for n in PIXELS) == widest


@pytest.mark.parametrize(
    "vectors, narrowest, widest",
    [
        (2, "222222222222222222", "222222222222222222"),
        (4, "444422222222222222", "444444444444444444"),
    ],
)
def test_twice_as_many_registers_allow_wider_tiles(vectors, narrowest, widest, monkeypatch):
    monkeypatch.setattr(planning, "MOST", (0, 14, 14, 0, 6))
    test_tiles_have_a_width_that_keeps_the_cpu_busy(vectors, narrowest, widest)


def test_the_fastest_tiles_are_good_enough(monkeypatch):
    monkeypatch.setattr(planning, "ABOUT_EQUAL", 1)
    assert planning.best_width(4, 6) == planning.best_width(4, 6, widest=True) == 2


def finished(choice, images, rows, blocks, workers, cycles):
    """When the busiest worker is done."""
    band, shares = choice
    tasks = images * len(range(0, rows, band)) * shares
    largest_share = max(
        len(range(n * blocks // shares, (n + 1) * blocks // shares)) for n in range(shares)
    )
    return rounded_up(tasks, workers) * cycles(band, largest_share)


CUTS = list(
    itertools.product((1, 2, 3, 8), (1, 5, 7, 32), (0, 1, 4, 40), (1, 2, 3, 9), (1, 2, 3), (0, 50))
)


@pytest.mark.parametrize("step", [0, 1])
def test_no_other_cut_is_done_sooner(step):
    for images, rows, fitting, blocks, workers, begin in CUTS:

        def cycles(rows, blocks, begin=begin):
            return begin + rows * blocks + step * blocks

        found = planning.cut(images, rows, fitting, blocks, workers, cycles)
        bands = [n for n in range(1, rows + 1) if n <= max(1, fitting)]
        others = itertools.product(bands, range(1, min(blocks, 4 * workers) + 1))
        times = {c: finished(c, images, rows, blocks, workers, cycles) for c in others}
        assert times[found] == min(times.values())
        best = [(shares, -band) for (band, shares), time in times.items() if time == times[found]]
        assert (found[1], -found[0]) == min(best)


# geometry.py: windows, bands, runs of tiles


def places(first, step, count, distance, length):
    """Where the rows or columns of all windows are."""
    return [first + step * i + distance * p for i in range(count) for p in range(length)]


WINDOWS = list(itertools.product((-1, 0, 1), (1, 2, 3), (1, 2, 4), (1, 2), (1, 2, 3)))


@pytest.mark.parametrize("axis", ["down", "across"])
def test_windows_that_hang_over_are_found(axis):
    inside = layer((1, 9, 9, 1), (1, 1), 1)
    names = ("top", "s", "I", "d", "P") if axis == "down" else ("left", "t", "J", "e", "Q")
    for border, *sizes in WINDOWS:
        g = inside._replace(**dict(zip(names, (border, *sizes), strict=True)))
        under = places(-border, *sizes)
        assert g.hangs_over == (min(under) < 0 or max(under) >= 9)


def test_what_lies_under_windows_is_counted():
    for (_, s, I, d, P), (_, t, J, e, Q) in itertools.product(WINDOWS[::5], WINDOWS[::7]):
        g = layer((1, 9, 9, 5), (1, 1), 1)._replace(s=s, I=I, d=d, P=P, t=t, J=J, e=e, Q=Q)
        rows, columns = places(0, s, I, d, P), places(0, t, J, e, Q)
        assert geometry.rows_under(g, I) == max(rows) + 1
        assert geometry.columns_under(g) == max(columns) + 1
        assert g.band_size(I) == (max(rows) + 1) * (max(columns) + 1) * 5


@pytest.mark.parametrize("room", [0, 1, 100, 500, 519, 520, 999, 10_000])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 2)], ids=str)
def test_as_many_rows_are_taken_as_fit_into_the_cache(room, strides, monkeypatch):
    g = layer((1, 20, 9, 4), (3, 2), 1, strides)
    monkeypatch.setattr(geometry, "BAND_BYTES", 8 * room + 7)
    fitting = [n for n in range(1, g.I + 1) if g.band_size(n) <= room]
    assert g.fitting_rows(8) == max(fitting, default=1)


@pytest.mark.parametrize("room, rows", [(2, 1), (5, 1), (6, 2), (8, 4), (100, 16)])
def test_as_many_rows_of_one_number_are_taken_as_fit(room, rows, monkeypatch):
    monkeypatch.setattr(geometry, "BAND_BYTES", 8 * room)
    assert layer((1, 20, 1, 1), (5, 1), 1).fitting_rows(8) == rows


def test_any_number_of_rows_without_channels_fits_into_the_cache():
    assert layer((1, 20, 9, 0), (3, 2), 1).fitting_rows(8) == 18


@pytest.mark.parametrize("across", [0, 4])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2)], ids=str)
def test_three_loops_lead_to_every_number_under_a_window_in_order(dilation, groups, across):
    g = layer((1, 9, 9, 6), (3, 2), 4, dilation=dilation, groups=groups)._replace(across=across)
    A, B, K, x_a, x_b, x_k = geometry.three_loops(g, 54)
    met = [a * x_a + b * x_b + k * x_k for a, b, k in np.ndindex(A, B, K)]
    (d, e), cells = dilation, np.ndindex(3, 2, 6 // groups)
    assert met == [p * d * 54 + q * e * 6 + k for p, q, k in cells]
    one_run = e == 1 and groups == 1 and not across  # the longest loop is the fastest
    assert (A, B, K) == ((3, 1, 12) if one_run else (3, 2, 6 // groups))


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
@pytest.mark.parametrize("tasks", [0, 1, 2, 5, 16, 33])
def test_workers_share_tasks_evenly(workers, tasks):
    shares = [geometry.share_of(worker, workers, tasks) for worker in range(workers)]
    assert [task for share in shares for task in share] == list(range(tasks))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("most", [1, 2, 6, 14])
def test_tiles_of_a_row_take_every_pixel_once(most, together):
    assert geometry.runs_of_tiles(0, most, together) == 0
    for count in range(40):
        runs = range(geometry.runs_of_tiles(count, most, together))
        sizes, at = [], 0
        for run in runs:
            first, tiles, size = geometry.run_of_tiles(run, count, most, together)
            assert first == at and (together or tiles == 1)
            at += tiles * size
            sizes += [size] * tiles
        assert sum(sizes) == count and len(sizes) == rounded_up(count, most)
        assert not count or max(sizes) <= most
        assert not count or (sizes == sorted(sizes) and sizes[-1] - sizes[0] <= 1)
        assert not together or len(runs) == len(set(sizes))


# packing.py: blocks of filters


FILTERS = (1, 7, 8, 9, 16, 24, 40, 56, 64, 100, 128)


def blocks_of(F, width):
    """The blocks of F filters: (first filter, one past the last, vectors)."""
    blocks, f = [], 0
    for _ in range(packing.block_count(F, width, 8)):
        vectors = packing.block_width(F, f, width, 8)
        blocks.append((f, min(F, f + 8 * vectors), vectors))
        f += 8 * vectors
    return blocks


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("F", FILTERS)
def test_blocks_of_filters_leave_few_lanes_idle(F, width):
    widths = [vectors for _, _, vectors in blocks_of(F, width)]
    assert 8 * sum(widths) == packing.padded(F, 8) == 8 * rounded_up(F, 8)
    narrower = widths[widths.count(width) :]  # powers of two, each once
    assert widths == [width] * (rounded_up(F, 8) // width) + narrower
    assert narrower == sorted(set(narrower) & {1, 2}, reverse=True)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("F", FILTERS)
def test_every_filter_belongs_to_the_share_that_computes_it(F, width):
    blocks = blocks_of(F, width)
    for shares in range(1, len(blocks) + 1):
        for mine in range(shares):
            own = [b for n, b in enumerate(blocks) if n * shares // len(blocks) == mine]
            found = packing.filters_of(mine, shares, len(blocks), F, width, 8)
            assert found == (own[0][0], own[-1][1])


@pytest.mark.parametrize("K, pieces", [(0, 0), (1, 6), (64, 6), (65, 12), (128, 12), (129, 18)])
def test_filters_are_packed_in_pieces_of_64_steps(K, pieces):
    assert packing.piece_count(2, 3, K) == pieces


# correlate.py, sweep.py: well-known layers


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


@table(
    {
        "tutorial 1": {
            2: (2, 0, 32, 1, 1, 42, 1, 2, 128, 1, 8, True, False, 960, 960, 0),
            8: (2, 0, 32, 1, 1, 42, 1, 2, 128, 1, 8, True, False, 960, 960, 0),
        },
        "tutorial 2": {
            2: (2, 0, 2, 1, 1, 4, 1, 4, 32, 1, 13, True, True, 7200, 7200, 10816),
            8: (2, 0, 2, 1, 1, 4, 4, 4, 32, 1, 13, True, True, 7200, 7200, 2704),
        },
        "tutorial 3": {
            2: (2, 0, 1, 1, 2, 4, 2, 8, 2, 16, 4, True, True, 18432, 36864, 16384),
            8: (2, 0, 1, 2, 2, 4, 4, 8, 2, 16, 4, True, True, 18432, 18432, 8192),
        },
        "ResNet-20, 16": {
            2: (2, 0, 32, 1, 1, 8, 1, 1, 512, 1, 8, True, False, 5440, 5440, 0),
            8: (2, 0, 32, 1, 1, 8, 1, 1, 512, 1, 8, True, False, 5440, 5440, 0),
        },
        "ResNet-20, strides": {
            2: (2, 0, 32, 1, 1, 8, 1, 2, 128, 1, 16, True, True, 17424, 17424, 8192),
            8: (2, 0, 32, 1, 1, 8, 1, 2, 128, 1, 16, True, True, 17424, 17424, 8192),
        },
        "ResNet-20, 64": {
            2: (2, 0, 2, 1, 2, 4, 1, 4, 32, 4, 8, True, True, 12800, 25600, 16384),
            8: (2, 0, 2, 2, 2, 4, 2, 4, 32, 4, 8, True, True, 12800, 12800, 8192),
        },
        "ResNet-50, first": {
            2: (2, 0, 32, 1, 1, 42, 1, 4, 224, 1, 2, True, True, 6183, 6183, 14336),
            8: (2, 0, 32, 1, 1, 42, 1, 4, 224, 1, 2, True, True, 6183, 6183, 14336),
        },
        "MobileNet, 1 x 1": {
            2: (2, 0, 1, 1, 16, 4, 2, 32, 7, 1, 2, True, True, 7168, 28672, 57344),
            8: (2, 0, 1, 2, 16, 4, 4, 32, 7, 1, 2, True, True, 7168, 28672, 28672),
        },
        "VGG16, second": {
            2: (2, 0, 32, 1, 2, 4, 1, 4, 448, 1, 1, True, True, 21696, 43392, 14336),
            8: (2, 0, 32, 1, 2, 4, 1, 4, 448, 1, 1, True, True, 21696, 43392, 14336),
        },
        "VGG16, last": {
            2: (2, 0, 1, 4, 16, 4, 8, 32, 2, 1, 14, True, True, 8192, 32768, 12544),
            8: (2, 0, 1, 4, 16, 4, 8, 32, 2, 1, 14, True, True, 8192, 32768, 12544),
        },
        "VGG16, one image": {
            2: (2, 0, 1, 9, 9, 2, 2, 32, 1, 1, 7, True, True, 4617, 4617, 12544),
            8: (2, 0, 1, 3, 15, 3, 8, 32, 1, 1, 7, True, True, 2835, 8505, 3136),
        },
        "groups": {
            2: (1, 0, 4, 1, 1, 32, 1, 1, 4, 1, 14, True, True, 1024, 1024, 1568),
            8: (1, 0, 4, 1, 1, 32, 1, 1, 4, 1, 14, True, True, 1024, 1024, 1568),
        },
        "dilated": {
            2: (2, 0, 2, 1, 2, 4, 1, 2, 4, 1, 7, True, True, 11264, 22528, 6272),
            8: (2, 0, 2, 2, 2, 4, 2, 2, 4, 1, 7, True, True, 11264, 11264, 3136),
        },
        "LeNet": {
            2: (1, 0, 32, 1, 1, 128, 1, 1, 256, 1, 7, True, True, 352, 352, 1568),
            8: (1, 0, 32, 1, 1, 128, 1, 1, 256, 1, 7, True, True, 352, 352, 1568),
        },
        "few filters": {
            2: (1, 3, 32, 1, 1, 5, 1, 1, 64, 1, 7, True, False, 6480, 6480, 0),
            8: (1, 3, 32, 1, 1, 5, 1, 1, 64, 1, 7, True, False, 6480, 6480, 0),
        },
        "two columns": {
            2: (1, 4, 3, 1, 1, 18, 1, 1, 3, 2, 3, True, True, 5040, 5040, 1872),
            8: (1, 4, 3, 1, 1, 18, 1, 1, 3, 2, 3, True, True, 5040, 5040, 1872),
        },
        "dense": {
            2: (2, 0, 1, 2, 2, 1, 1, 1, 1, 1, 1, False, True, 128000, 0, 4096),
            8: (2, 0, 1, 8, 8, 1, 1, 1, 1, 1, 1, False, True, 32000, 0, 4096),
        },
    }
)
def test_gradients_of_filters_are_cut_for_all_workers(name, workers, plan):
    """Rules of thumb, see the top.

    The plan: vectors in a tile, its channels if it takes all columns; (parts, pieces, slices,
    batch), (shares, blocks), (units, images, rows), copies and packs, numbers of scratch memory.
    """
    g, cuts = correlate._plan(planning.flattened(LAYERS[name]), F32, workers)
    found = (g.width, g.across), tuple(cuts)
    assert (*found[0], *found[1]) == plan
    assert cuts.parts * cuts.pieces * cuts.shares >= min(workers, 3)
    assert cuts.units % cuts.parts == 0  # all parts have the same number of units
    assert cuts.units == rounded_up(g.N, cuts.images) * rounded_up(g.I, cuts.rows)


SMALL_LAYERS = {
    "four blocks": layer((8, 28, 28, 128), (1, 1), 64),
    "three blocks": layer((8, 28, 28, 128), (1, 1), 48),
    "two columns of few": layer((4, 12, 12, 16), (1, 2), 24),
    "four channels": layer((1, 40, 40, 4), (3, 3), 16),
    "groups of single pixels": layer((2, 20, 20, 64), (1, 1), 64, groups=8),
    "strides": layer((2, 40, 40, 64), (3, 3), 32, (3, 1)),
    "many filters": layer((1, 14, 14, 8), (1, 1), 512),
    "filters in shares": layer((1, 14, 14, 64), (1, 1), 2048),
    "filters of no whole vector": layer((4, 20, 20, 16), (3, 3), 12, groups=2),
    "a tall image": layer((3, 64, 5, 24), (3, 3), 40),
    "six images": layer((6, 30, 11, 20), (2, 2), 17),
    "small images": layer((48, 5, 7, 40), (2, 2), 16),
    "a batch of 100 channels": layer((5, 7, 40, 100), (1, 2), 12, padding="same"),
    "two groups of 100": layer((3, 40, 5, 200), (3, 1), 200, padding="same", groups=2),
    "eight groups of 15": layer((2, 14, 8, 120), (3, 3), 32, padding="same", groups=8),
    "eight groups of 300": layer((1, 5, 7, 2400), (2, 2), 96, (3, 1), groups=8),
    "groups of 500 filters": layer((5, 7, 40, 72), (5, 5), 4000, (2, 2), "same", groups=8),
    "groups of 500 filters, strides": layer((8, 64, 20, 128), (3, 3), 4000, (1, 2), groups=8),
    "six channels": layer((2, 8, 40, 6), (3, 1), 100),
    "strides of two": layer((1, 5, 11, 300), (2, 2), 64, (2, 2)),
}


@table(
    {
        "four blocks": {
            2: (2, 0, 16, 1, 4, 4, 1, 4, 28, 1, 2, True, True, 7168, 28672, 14336),
            3: (2, 0, 16, 2, 4, 4, 1, 4, 28, 1, 2, True, False, 7168, 14336, 0),
            8: (2, 0, 16, 1, 4, 4, 1, 4, 28, 1, 2, True, True, 7168, 28672, 14336),
        },
        "three blocks": {
            2: (2, 0, 16, 1, 1, 1, 1, 3, 28, 1, 2, False, True, 28672, 0, 10752),
            3: (2, 0, 16, 2, 2, 2, 1, 3, 28, 1, 2, False, False, 14336, 0, 0),
            8: (2, 0, 16, 1, 1, 1, 1, 3, 28, 1, 2, False, True, 28672, 0, 10752),
        },
        "two columns of few": {
            2: (2, 0, 4, 1, 1, 8, 1, 2, 4, 1, 12, True, False, 2304, 2304, 0),
            3: (2, 0, 4, 1, 1, 8, 2, 2, 4, 1, 12, True, False, 2304, 2304, 0),
            8: (2, 0, 4, 1, 1, 8, 2, 2, 4, 1, 12, True, False, 2304, 2304, 0),
        },
        "four channels": {
            2: (2, 0, 8, 1, 1, 32, 1, 1, 8, 1, 5, True, False, 1120, 1120, 0),
            3: (2, 0, 8, 1, 1, 32, 1, 1, 8, 1, 5, True, False, 1120, 1120, 0),
            8: (2, 0, 8, 1, 1, 32, 1, 1, 8, 1, 5, True, False, 1120, 1120, 0),
        },
        "groups of single pixels": {
            2: (1, 0, 4, 1, 1, 16, 1, 1, 4, 1, 3, False, False, 1920, 0, 0),
            3: (1, 0, 4, 1, 1, 16, 1, 1, 4, 1, 3, False, False, 1920, 0, 0),
            8: (1, 0, 4, 1, 1, 16, 1, 1, 4, 1, 3, False, False, 1920, 0, 0),
        },
        "strides": {
            2: (2, 0, 2, 1, 2, 4, 1, 2, 6, 1, 5, True, True, 19200, 38400, 6080),
            3: (2, 0, 2, 3, 3, 6, 1, 2, 6, 1, 5, True, True, 13200, 13200, 6080),
            8: (2, 0, 2, 4, 4, 8, 1, 2, 6, 1, 5, True, True, 9600, 9600, 6080),
        },
        "many filters": {
            2: (4, 0, 1, 1, 1, 16, 2, 16, 1, 1, 2, True, True, 1568, 1568, 50176),
            3: (4, 0, 1, 1, 1, 16, 3, 16, 1, 1, 2, True, True, 1568, 1568, 37632),
            8: (4, 0, 1, 1, 1, 16, 8, 16, 1, 1, 2, False, True, 1568, 0, 12544),
        },
        "filters in shares": {
            2: (2, 0, 1, 1, 2, 4, 2, 128, 1, 1, 2, True, True, 6272, 12544, 200704),
            3: (2, 0, 1, 1, 2, 4, 3, 128, 1, 1, 2, True, True, 6272, 12544, 134848),
            8: (2, 0, 1, 1, 2, 4, 8, 128, 1, 1, 2, True, True, 6272, 12544, 50176),
        },
        "filters of no whole vector": {
            2: (1, 0, 8, 1, 1, 16, 1, 1, 8, 1, 9, True, True, 1760, 1760, 1296),
            3: (1, 0, 8, 1, 1, 16, 1, 1, 8, 1, 9, True, True, 1760, 1760, 1296),
            8: (1, 0, 8, 1, 1, 16, 1, 1, 8, 1, 9, True, True, 1760, 1760, 1296),
        },
        "a tall image": {
            2: (2, 0, 4, 1, 1, 5, 1, 3, 12, 1, 16, True, True, 2160, 2160, 2304),
            3: (2, 0, 4, 1, 1, 5, 3, 3, 12, 1, 16, True, True, 2160, 2160, 768),
            8: (2, 0, 4, 2, 2, 10, 1, 3, 12, 1, 16, True, True, 1080, 1080, 2304),
        },
        "six images": {
            2: (2, 0, 8, 1, 1, 6, 1, 2, 24, 1, 8, True, True, 1980, 1980, 2560),
            3: (2, 0, 8, 1, 1, 6, 1, 2, 24, 1, 8, True, True, 1980, 1980, 2560),
            8: (2, 0, 8, 1, 1, 6, 1, 2, 24, 1, 8, True, True, 1980, 1980, 2560),
        },
        "small images": {
            2: (2, 0, 4, 1, 1, 3, 1, 1, 8, 6, 4, True, False, 8400, 8400, 0),
            3: (2, 0, 4, 3, 3, 9, 1, 1, 8, 6, 4, True, False, 2940, 2940, 0),
            8: (2, 0, 4, 2, 2, 6, 1, 1, 8, 6, 4, True, False, 4200, 4200, 0),
        },
        "a batch of 100 channels": {
            2: (2, 0, 4, 1, 3, 3, 1, 1, 20, 1, 2, True, True, 2788, 8364, 1280),
        },
        "two groups of 100": {
            3: (2, 0, 4, 1, 3, 3, 7, 7, 12, 1, 10, True, True, 2040, 6120, 800),
        },
        "eight groups of 15": {
            4: (1, 0, 1, 1, 1, 8, 1, 1, 1, 2, 14, True, True, 4800, 4800, 1792),
        },
        "eight groups of 300": {
            2: (2, 0, 1, 1, 9, 3, 1, 1, 1, 1, 2, True, True, 1190, 3570, 192),
        },
        "groups of 500 filters": {
            3: (2, 0, 1, 1, 1, 14, 8, 32, 5, 1, 4, True, True, 4257, 4257, 5120),
        },
        "groups of 500 filters, strides": {
            3: (2, 0, 2, 1, 1, 8, 16, 32, 24, 1, 21, True, True, 6992, 6992, 6048),
        },
        "six channels": {
            3: (2, 0, 2, 1, 1, 21, 7, 7, 2, 1, 6, True, True, 1920, 1920, 3840),
        },
        "strides of two": {
            8: (2, 0, 1, 8, 8, 3, 1, 4, 1, 1, 2, True, True, 1520, 1520, 640),
        },
    }
)
def test_gradients_of_filters_of_small_layers_are_cut(name, workers, plan):
    """Layers at the borders of the rules of thumb; a plan has the numbers that it has above."""
    g, cuts = correlate._plan(planning.flattened(SMALL_LAYERS[name]), F32, workers)
    assert (g.width, g.across, *cuts) == plan


@table(
    {
        "tutorial 1": {
            2: ((30, 2, 0), (1, 2), (False, False)),
            8: ((30, 2, 0), (1, 2), (False, False)),
        },
        "tutorial 2": {
            2: ((13, 1, 0), (1, 8), (False, False)),
            8: ((13, 1, 0), (1, 8), (False, False)),
        },
        "tutorial 3": {
            2: ((4, 2, 0), (1, 8), (False, False)),
            8: ((4, 2, 0), (1, 8), (False, False)),
        },
        "ResNet-20, 16": {
            2: ((32, 2, 0), (1, 1), (True, True)),
            8: ((32, 2, 0), (1, 1), (True, True)),
        },
        "ResNet-20, strides": {
            2: ((16, 2, 0), (1, 2), (True, True)),
            8: ((16, 2, 0), (1, 2), (True, True)),
        },
        "ResNet-20, 64": {
            2: ((8, 2, 0), (1, 4), (True, False)),
            8: ((8, 2, 0), (1, 4), (True, False)),
        },
        "ResNet-50, first": {
            2: ((56, 2, 0), (1, 4), (True, True)),
            8: ((56, 2, 0), (1, 4), (True, True)),
        },
        "MobileNet, 1 x 1": {
            2: ((2, 2, 0), (2, 32), (False, True)),
            8: ((2, 2, 0), (8, 32), (False, True)),
        },
        "VGG16, second": {
            2: ((7, 2, 0), (1, 4), (True, True)),
            8: ((7, 2, 0), (1, 4), (True, True)),
        },
        "VGG16, last": {
            2: ((14, 2, 0), (1, 32), (True, False)),
            8: ((14, 2, 0), (4, 32), (True, False)),
        },
        "VGG16, one image": {
            2: ((7, 1, 0), (2, 64), (True, False)),
            8: ((7, 1, 0), (8, 64), (True, False)),
        },
        "groups": {2: ((14, 1, 7), (1, 1), (True, False)), 8: ((7, 1, 7), (1, 1), (True, False))},
        "dilated": {2: ((14, 2, 0), (1, 2), (True, False)), 8: ((7, 2, 0), (2, 2), (True, False))},
        "LeNet": {2: ((28, 1, 10), (1, 1), (True, False)), 8: ((28, 1, 10), (1, 1), (True, False))},
        "few filters": {
            2: ((28, 1, 10), (1, 1), (False, False)),
            8: ((28, 1, 10), (1, 1), (False, False)),
        },
        "two columns": {
            2: ((3, 1, 13), (1, 1), (False, False)),
            8: ((1, 1, 13), (1, 1), (False, False)),
        },
        "dense": {2: ((1, 2, 0), (1, 1), (False, False)), 8: ((1, 2, 0), (1, 1), (False, False))},
    }
)
def test_sweeps_are_cut_for_all_workers(name, workers, plan):
    """Rules of thumb, see the top.

    The plan: (rows of a task, vectors in a tile, its pixels if it takes all columns), shares and
    blocks of the filters; whether bands are copied, and whether memory is asked for ahead.
    """
    g, cut = sweep.plan(planning.flattened(LAYERS[name]), F32, workers)
    found = (g.band, g.width, g.across), (cut.shares, cut.blocks), (cut.copies, cut.asks)
    assert found == plan
    tasks = g.N * rounded_up(g.I, g.band) * cut.shares
    assert tasks >= workers or name == "dense"  # one row of 256 pixels, one block of filters
    assert (cut.lanes, cut.spill) == (8, 14 * 4 * 8)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_plans_name_the_tiles_that_suit_them(dtype):
    size = dtype.itemsize
    assert sweep.plan(LAYERS["tutorial 1"], dtype, 2)[0].tiles == size
    assert sweep.plan(LAYERS["LeNet"], dtype, 2)[0].tiles == (50 + size if size == 4 else size)
    assert correlate._plan(LAYERS["tutorial 1"], dtype, 2)[0].tiles == size
    assert spread._plan(LAYERS["tutorial 1"], dtype, 2)[0].tiles == size


@pytest.mark.parametrize(
    "changed, suits",
    [
        ({}, True),
        ({"F": 9}, False),
        ({"J": 1}, True),
        ({"t": 2}, False),
        ({"e": 2}, False),
        ({"Q": 1}, False),
        ({"Q": 8}, False),  # too many filters for the registers
        ({"Q": 2, "K": 4096}, True),  # a row of the window is as long as a stretch
        ({"Q": 2, "K": 4097}, False),
        ({"Q": 7, "K": 1171}, False),
    ],
    ids=str,
)
def test_row_tiles_want_few_filters_and_neighbouring_columns(changed, suits):
    g = layer((1, 20, 20, 4), (3, 3), 8)._replace(**changed)
    assert sweep._suits_row_tiles(g, F32) == suits


@pytest.mark.parametrize(
    "x_shape, F, groups, asks",
    [
        ((4, 512, 512, 1), 1, 1, False),  # 4 MiB of x alone, and 4 of y, but few steps
        ((1, 128, 128, 64), 1, 1, True),
        ((1, 128, 128, 63), 8, 1, False),  # so few steps
        ((1, 64, 128, 64), 64, 1, False),  # 4 MiB
        ((1, 64, 129, 64), 64, 1, True),
        ((1, 128, 128, 128), 2, 2, True),
        ((1, 64, 64, 128), 128, 2, False),
        ((1, 64, 64, 128), 130, 2, True),
    ],
    ids=str,
)
def test_memory_that_comes_from_afar_is_asked_for_ahead(x_shape, F, groups, asks):
    assert sweep.plan(layer(x_shape, (1, 1), F, groups=groups), F32, 2)[1].asks == asks


def test_the_cycles_of_a_task_are_counted():
    g = LAYERS["tutorial 2"]._replace(width=2)  # 13 columns, 9 * 32 steps
    steps = 2 * 9 * 32 * 2
    assert sweep.task_cycles(g, 8, 3, 2) == 1000 + 3 * 13 * steps / 2 + 2 * steps
    bordered = LAYERS["groups"]._replace(width=1)  # 14 columns, 9 * 4 steps, copies of 16 columns
    steps, copied = 32 * 9 * 4, 5 * 16 * 128 // 8
    expected = 1000 + 3 * 14 * steps / 2 + 2 * (steps + copied)
    assert sweep.task_cycles(bordered, 8, 3, 1) == expected


@pytest.mark.parametrize(
    "x_shape, window, F, groups, step",
    [
        ((1, 16, 16, 512), (1, 1), 256, 1, 256),  # 256 pixels, 2^17 weights
        ((1, 16, 16, 513), (1, 1), 256, 1, 0),
        ((1, 1, 257, 512), (1, 1), 256, 1, 0),
        ((2, 9, 9, 1024), (2, 2), 64, 2, 64),
        ((2, 9, 10, 32), (2, 2), 16, 1, 16),  # 2^11 weights
        ((20, 9, 10, 32), (2, 2), 16, 1, 16),
        ((20, 9, 10, 33), (2, 2), 16, 1, 0),
        ((20, 9, 10, 32), (2, 2), 15, 1, 0),  # vectors that are not full
        ((2, 3, 5, 512), (2, 2), 4096, 1, 4096),  # 16 pixels
        ((1, 2, 18, 512), (2, 2), 4096, 1, 0),
        ((2, 3, 5, 512), (2, 2), 4092, 1, 0),
        ((2, 3, 5, 512), (2, 2), 12, 2, 0),  # groups of 6
        ((100, 40, 40, 1024), (3, 3), 64, 8, 0),
    ],
    ids=str,
)
def test_filters_are_read_as_they_are_where_packing_does_not_pay(x_shape, window, F, groups, step):
    g, cut = sweep.plan(layer(x_shape, window, F, groups=groups), F32, 2)
    assert sweep.step_in_place(g, cut) == step


def test_a_worker_has_memory_for_a_tile_and_for_what_it_copies():
    g, cut = sweep.plan(LAYERS["VGG16, second"], F32, 2)
    assert sweep.scratch_size(g, cut) == 448 + 9 * 226 * 64
    g, cut = sweep.plan(LAYERS["tutorial 2"], F32, 2)
    assert sweep.scratch_size(g, cut) == 448


@pytest.mark.parametrize(
    "count, F, at, passes",
    [(24, 8, 0, True), (24, 16, 0, True), (16, 8, 0, False), (24, 12, 0, False), (24, 8, 4, False)],
)
def test_large_results_in_whole_lines_pass_the_caches(count, F, at, passes, monkeypatch):
    monkeypatch.setattr(sweep, "CACHED_BYTES", 64)
    memory = np.zeros(256, np.uint8)
    first = -memory.ctypes.data % 32 + at
    y = memory[first : first + 4 * count].view(F32)
    assert sweep._passes_caches(y, F, 8) == passes


@pytest.mark.parametrize("relu, floor", [(True, 0), (False, -np.inf)])
@pytest.mark.parametrize("step", [0, 16])
def test_a_sweep_is_given_filters_and_where_its_sums_begin(step, relu, floor, monkeypatch):
    monkeypatch.setattr(sweep, "pack", lambda filters, width: (filters, width))
    g = layer((9, 9, 9, 4), (3, 2), 16, groups=2)
    weight = np.arange(3 * 2 * 2 * 16, dtype=F32).reshape(3, 2, 2, 2, 8)
    filters = weight.transpose(3, 0, 1, 2, 4)
    filters = filters if step else filters.copy()
    planned, job = sweep.prepare(filters, np.arange(1, 17, dtype=F32), relu, g)
    assert (planned, sweep.Cut(*job[6:])) == sweep.plan(g, F32, sweep.thread_count())
    assert (job.step, job.floor, job.passes) == (step, floor, False)
    assert job.floor.dtype == job.start.dtype == job.zeros.dtype == F32
    np.testing.assert_array_equal(job.start, [*range(1, 17), *[0] * 8])
    assert not job.zeros.any() and not sweep.prepare(filters, None, relu, g)[1].start.any()
    if step:
        np.testing.assert_array_equal(job.filters, weight.reshape(-1))
    else:
        assert job.filters == (filters, planned.width)


@pytest.mark.parametrize(
    "changed, suits",
    [
        ({}, True),
        ({"Q": 1}, False),
        ({"Q": 4}, True),
        ({"Q": 5}, False),  # the registers hold one channel
        ({"J": 3}, True),
        ({"J": 2}, False),
        ({"F": 9}, False),
        ({"t": 2}, False),
        ({"e": 2}, False),
        ({"groups": 2}, False),
    ],
    ids=str,
)
def test_turned_tiles_want_few_filters_and_neighbouring_columns(changed, suits):
    g = layer((1, 20, 20, 4), (3, 3), 8)._replace(**changed)
    assert correlate._suits_turned_tiles(g, 8) == suits
    assert correlate._plan(g, F32, 2)[0].tiles == (1000 + 10 * g.Q + 4 if suits else 4)


@pytest.mark.parametrize(
    "F, width, cells, packs",
    [
        (256, 32, 1, True),  # 2^10 bytes from pixel to pixel
        (248, 32, 1, False),
        (16, 1, 96, True),
        (16, 1, 95, False),
        (8, 1, 1000, False),  # the filters of a block are neighbours
        (12, 2, 1, True),  # vectors that are not full
    ],
)
def test_gradients_are_copied_where_they_are_slow_to_reach(F, width, cells, packs):
    g = layer((1, 20, 20, 4), (3, 3), F)._replace(width=width)
    assert correlate._packs(g, 8, 4, cells) == packs


@pytest.mark.parametrize(
    "sizes, parts, unit",
    [
        ((5, 4, 4, 8), 1, (5, 4)),
        ((5, 4, 4, 8), 5, (1, 4)),
        ((16, 16, 16, 8), 4, (1, 16)),
        ((17, 8, 8, 8), 4, (3, 8)),  # 8 units, of which 4 images at most would be one
        ((64, 8, 16, 8), 4, (2, 8)),
        ((2, 4, 4, 8), 4, (1, 2)),
        ((3, 32, 32, 8), 2, (1, 8)),
        ((6, 32, 32, 8), 4, (1, 8)),
        ((4, 9, 300, 8), 4, (1, 1)),  # a row that is too long
        ((4, 1, 300, 8), 2, (1, 1)),
    ],
)
def test_a_unit_is_as_many_pixels_as_fit(sizes, parts, unit):
    g = layer(sizes, (1, 1), 8)
    assert correlate._unit(g, parts, 4) == unit


@pytest.mark.parametrize(
    "g, unit",
    [
        (layer((5, 16, 16, 256), (1, 1), 8, groups=2), (1, 16)),  # 2^18 bytes
        (layer((5, 16, 16, 258), (1, 1), 8, groups=2), (1, 16)),  # the same, of 129 channels
        (layer((5, 16, 16, 384), (1, 1), 9, groups=3), (1, 8)),
        (layer((6, 9, 9, 128), (3, 3), 8), (3, 7)),
        (layer((6, 17, 17, 128), (3, 3), 8, (2, 2)), (1, 8)),
        (layer((1, 40, 20, 128), (5, 5), 8, (2, 1)), (1, 9)),
    ],
)
def test_what_lies_under_a_unit_fits_into_the_cache(g, unit):
    assert correlate._unit(g, 1, 4) == unit


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("groups", [1, 2])
def test_channels_and_filters_are_cut_into_enough_tasks(groups, workers):
    g = layer((8, 16, 16, 128), (3, 3), 256, groups=groups)._replace(width=2)
    pieces, shares = correlate._cut(g, F32, (1, 8, workers), 1 << 20)
    assert groups == 1 or pieces == 1
    assert max(2, workers) <= pieces * shares <= 4 * max(2, workers)
    assert pieces * shares % workers == 0 or workers == 3  # nobody waits for the others


@pytest.mark.parametrize(
    "filters, groups, size, parts",
    [
        (8, 1, 9 * 64, 32),
        (8, 1, 10**5, 4),
        (8, 1, 10**6, 2),
        (8, 2, 10**5, 16),
        (8, 1, 3 * 10**6, 1),
    ],
)
def test_pixels_are_cut_into_parts_where_there_are_few_pieces(filters, groups, size, parts):
    """Rules of thumb, see the top."""
    g = layer((8, 32, 32, 64), (1, 1), filters, groups=groups)
    assert correlate._part_count(g, size, 1, 4) == parts


def test_gradients_of_filters_have_wide_tiles_for_short_runs():
    assert correlate._width(layer((1, 9, 9, 4), (1, 3), 32, dilation=(1, 2)), 4) == 4
    assert correlate._width(layer((1, 9, 9, 4), (1, 3), 32), 4) == 2
    assert correlate._width(layer((1, 9, 9, 7), (1, 1), 32), 4) == 4  # of equals the widest


# conv_pool.py: bands of pooled rows


@pytest.mark.parametrize(
    "pooling", [(2, 3, 2, 2), (3, 2, 2, 1), (2, 2, 3, 4), (3, 3, 1, 1)], ids=str
)
@pytest.mark.parametrize("top, left", [(0, 0), (1, 1), (0, 1)])
def test_rows_and_columns_that_no_pooling_window_reaches_are_left_out(pooling, top, left):
    P, Q, s, t = pooling
    for I, J in itertools.product(range(4, 9), range(4, 9)):
        g = layer((1, I, J, 1), (1, 1), 1)
        down, across = (top + I - P) // s + 1, (left + J - Q) // t + 1
        seen = conv_pool.seen_by_pooling(g, (P, Q, s, t, top, left, down, across))
        assert seen.I == max(n for n in places(-top, s, down, 1, P) if n < I) + 1
        assert seen.J == max(n for n in places(-left, t, across, 1, Q) if n < J) + 1
    below = conv_pool.seen_by_pooling(g, (P, Q, s, t, top, left, 9, 9))  # zeros below the image
    assert (below.I, below.J) == (I, J)


@table(
    {
        "tutorial 1": {2: (14, 29, 1, 27360), 8: (14, 29, 1, 27360)},
        "tutorial 2": {2: (6, 13, 1, 11264), 8: (6, 13, 1, 11264)},
        "tutorial 3": {2: (1, 3, 1, 1600), 8: (1, 3, 1, 1600)},
        "ResNet-20, 16": {2: (15, 31, 1, 33248), 8: (15, 31, 1, 33248)},
        "ResNet-50, first": {2: (4, 9, 1, 80047), 8: (4, 9, 1, 80047)},
        "VGG16, second": {2: (1, 3, 1, 115264), 8: (1, 3, 1, 115264)},
        "VGG16, last": {2: (3, 7, 1, 116160), 8: (3, 7, 2, 116160)},
        "groups": {2: (6, 13, 1, 50880), 8: (3, 7, 1, 29376)},
    }
)
def test_pooled_rows_are_cut_for_all_workers(name, workers, plan):
    """Rules of thumb, see the top.

    The plan: rows of y and of z in a task, shares of the filters, numbers of scratch memory.
    """
    assert pooled_plan(name, workers) == plan
    rows, _, shares, _ = plan
    assert LAYERS[name].N * rounded_up(LAYERS[name].I // 2, rows) * shares >= workers


def pooled_plan(name, workers):
    """How a convolution and a pooling of 3 x 3 windows, 2 apart, are cut."""
    g, cut = sweep.plan(LAYERS[name], F32, workers)
    pooling = (3, 3, 2, 2, 0, 0, (g.I - 3) // 2 + 1, (g.J - 3) // 2 + 1)
    g = conv_pool.seen_by_pooling(g, pooling)
    g, cut, rows = conv_pool.cut_for_pooling(g, cut, pooling, F32, workers)
    return rows, g.band, cut.shares, conv_pool.scratch_for(g, cut)


@pytest.mark.parametrize("rows, fitting", [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3)])
def test_as_many_pooled_rows_are_taken_as_fit_into_the_cache(rows, fitting, monkeypatch):
    g, cut = sweep.plan(LAYERS["tutorial 1"]._replace(groups=2), F32, 2)
    monkeypatch.setattr(conv_pool, "ROWS_BYTES", rows * 30 * 32 * 2 * 4 + 3)
    pooling = (3, 4, 2, 5, 0, 0, 14, 9)
    assert conv_pool._under(5, pooling) == 4 * 2 + 3
    monkeypatch.setattr(planning, "cut", lambda images, rows, fitting, *rest: (fitting, rows))
    assert conv_pool._best_cut(g, 8, cut.blocks, pooling, 4, 2) == (fitting, 14)


# winners.py: lists of winners


@pytest.mark.parametrize(
    "changed, pooled, suits",
    [
        ({}, (15, 15), True),
        ({"groups": 2}, (15, 15), False),
        ({"e": 2}, (15, 15), False),
        ({"Q": 2, "K": 8}, (15, 15), True),  # two vectors
        ({"Q": 3, "K": 5}, (15, 15), False),
        ({"N": 0}, (15, 15), False),
        ({"N": 1}, (15, 15), True),
        ({}, (15, 30), True),  # half of the numbers have lost
        ({}, (16, 30), False),
    ],
    ids=str,
)
def test_winners_are_listed_where_most_numbers_have_lost(changed, pooled, suits):
    g = layer((2, 32, 32, 16), (3, 3), 8)._replace(**changed)
    assert winners.suits(g, np.empty((2, *pooled, 8)), F32) == suits


@pytest.mark.parametrize("gives", [False, True])
@pytest.mark.parametrize(
    "name, plan",
    [
        ("tutorial 1", ((3, 16, 3, 2), 2, (True, 96, 3072))),
        ("tutorial 2", ((3, 96, 2, 6), 1, (False, 480, 7200))),
        ("tutorial 3", ((3, 192, 1, 8), 3, (False, 384, 2304))),
        ("ResNet-20, 16", ((3, 48, 2, 6), 1, (True, 544, 18496))),
        ("ResNet-50, first", ((7, 24, 3, 3), 1, (True, 687, 157323))),
        ("dilated", ((3, 192, 1, 8), 1, (True, 4096, 65536))),
        ("few filters", ((3, 72, 2, 5), 1, (False, 720, 21600))),
        ("two columns", ((5, 16, 3, 2), 3, (True, 280, 2520))),
        ("LeNet", ((5, 8, 3, 1), 8, (True, 32, 1024))),
    ],
)
def test_winners_are_listed_for_as_much_as_fits_into_the_cache(name, plan, gives):
    """The plan: window and tile (P, run, rows, width), images in a unit, copies, row, image."""
    g = LAYERS[name]
    found, places_of = winners._plan(g, 49, F32, gives)
    assert (found[:4], found.images, found[7:10]) == plan
    assert (found.lanes, found.wins, found.tiles) == (8, 49, 4 + gives)
    assert places_of.dtype == np.int32
    pixel, row = g.C, found.row // g.d
    expected = [g.s * i * row + g.t * j * pixel for i, j in np.ndindex(g.I, g.J)]
    np.testing.assert_array_equal(places_of, expected)
    across = g.W if not found.copies else geometry.columns_under(g)
    assert found.image == (g.H * across * g.C if not found.copies else g.band_size(g.I))


def test_winners_lead_into_whole_images_even_where_windows_do_not_reach_their_end():
    found, places_of = winners._plan(layer((2, 8, 8, 16), (3, 3), 8, (2, 2)), 4, F32, False)
    assert (found.copies, found.row, found.image) == (False, 8 * 16, 8 * 8 * 16)
    assert places_of.max() == (4 * 8 + 4) * 16


# spread.py: bands of what windows give to


@table(
    {
        "tutorial 1": {2: ((32, 1), (1, 1)), 8: ((32, 1), (1, 1))},
        "tutorial 2": {2: ((15, 1), (1, 4)), 8: ((15, 1), (1, 4))},
        "tutorial 3": {2: ((6, 2), (1, 4)), 8: ((6, 2), (1, 4))},
        "ResNet-20, 16": {2: ((32, 2), (1, 1)), 8: ((32, 2), (1, 1))},
        "ResNet-20, strides": {2: ((32, 2), (1, 1)), 8: ((32, 2), (1, 1))},
        "ResNet-20, 64": {2: ((8, 2), (1, 4)), 8: ((8, 2), (1, 4))},
        "ResNet-50, first": {2: ((56, 1), (1, 1)), 8: ((56, 1), (1, 1))},
        "MobileNet, 1 x 1": {2: ((7, 2), (1, 32)), 8: ((7, 2), (1, 32))},
        "VGG16, second": {2: ((4, 2), (1, 4)), 8: ((4, 2), (1, 4))},
        "VGG16, last": {2: ((7, 2), (1, 32)), 8: ((7, 2), (2, 32))},
        "VGG16, one image": {2: ((7, 1), (2, 64)), 8: ((7, 1), (8, 64))},
        "groups": {2: ((14, 1), (1, 1)), 8: ((7, 1), (1, 1))},
        "dilated": {2: ((28, 2), (2, 4)), 8: ((14, 2), (4, 4))},
        "LeNet": {2: ((28, 1), (1, 1)), 8: ((28, 1), (1, 1))},
        "few filters": {2: ((30, 2), (1, 2)), 8: ((30, 2), (1, 2))},
        "two columns": {2: ((9, 1), (1, 1)), 8: ((9, 1), (1, 1))},
        "dense": {2: ((1, 2), (2, 63)), 8: ((1, 2), (8, 63))},
    }
)
def test_what_windows_give_is_cut_for_all_workers(name, workers, plan):
    """Rules of thumb, see the top: ((rows of a task, vectors in a tile), (shares, blocks))."""
    g = LAYERS[name]
    g, shares = spread._plan(g._replace(K=g.F, F=g.K), F32, workers)
    assert ((g.band, g.width), shares) == plan
    assert g.N * rounded_up(g.H, g.band) * shares[0] >= min(workers, 5)
    assert spread._are_runs(g) is False


def spread_cut(g, monkeypatch):
    """What is asked of `cut`: images, rows, fitting, shares at most, workers, cycles."""
    asked = []
    monkeypatch.setattr(spread, "cut", lambda *args: asked.append(args) or (1, 1))
    planned, _ = spread._plan(g, F32, 2)
    return planned, asked[0]


@pytest.mark.parametrize("name", ["two columns", "tutorial 3", "ResNet-50, first", "groups"])
def test_the_cycles_of_what_windows_give_are_counted(name, monkeypatch):
    g = LAYERS[name]
    g, (*_, cycles) = spread_cut(g._replace(K=g.F, F=g.K), monkeypatch)
    steps = g.groups * g.P * g.Q * g.K * 2 * g.width
    assert cycles(3, 2) == 1000 + 3 / g.s * g.J * steps / 2 + 2 * steps


@pytest.mark.parametrize("columns, fitting", [(1024, 1), (513, 1), (512, 2), (256, 4), (255, 4)])
def test_bands_of_what_windows_give_fit_into_the_cache(columns, fitting, monkeypatch):
    g = layer((3, 9, columns, 64), (3, 3), 64, padding="same")
    _, asked = spread_cut(g, monkeypatch)
    assert asked[:5] == (3, 9, fitting, 4, 2)


def test_runs_that_overlap_are_not_shared(monkeypatch):
    g = layer((3, 9, 9, 7), (3, 3), 4)
    filters, runs = spread._as_runs(np.zeros((1, 3, 3, 4, 7)), g._replace(K=4, F=7))
    assert filters.shape == (1, 3, 1, 4, 21) and runs == g._replace(Q=1, K=4, F=21)
    assert spread._are_runs(runs) and spread_cut(runs, monkeypatch)[1][3] == 1


# depthwise.py: tiles of neighbouring channels


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


# chain_plan.py: what lies where while a chain of layers is computed


Link, X = chain_plan.Link, chain_plan.X
SAME = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
HALVED = ((2, 2), (2, 2), ((0, 0), (0, 0)))
EVEN = ((1, 1), ((0, 0), (0, 0)), (1, 1))


def array(*shape):
    return np.zeros(shape, F32)


def planned(*links, x_shape=(2, 8, 8, 16), softmax=False, workers=2):
    return chain_plan.plan_links(links, x_shape, F32, softmax, workers)


def test_a_link_reads_the_one_before_or_the_one_it_names():
    assert [chain_plan.source_of(0, Link(None)), chain_plan.source_of(3, Link(None))] == [X, 2]
    assert chain_plan.source_of(3, Link(None, source=0)) == 0
    assert chain_plan.reads_of(3, Link(None, source=1)) == [1]
    assert chain_plan.reads_of(3, Link(None, shortcut=0)) == [2, 0]
    assert chain_plan.reads_of(0, Link(None, shortcut=X)) == [X, X]


def test_a_result_is_needed_until_its_last_reader_is_done():
    assert chain_plan.last_readers([[X], [0], [1, X], [2, 0], [3]]) == [3, 2, 3, 4, 4]


@pytest.mark.parametrize(
    "link, finishes",
    [
        (Link(None), True),
        (Link(array(3, 4)), False),
        (Link(None, pooling=HALVED), False),
        (Link(array(3, 4), line=chain_plan.Line(*array(2, 4), None, None, 0.1)), True),
        (Link(array(3, 4), shortcut=0), True),
        (Link(array(3, 4), ceiling=6.0), True),
    ],
)
def test_some_links_end_with_what_normalization_does(link, finishes):
    assert chain_plan.finishes(link) == finishes
    found = chain_plan._finish(link, 4)
    assert found["finishes"] == finishes and found["channels"] == 4
    assert found["line_size"] == (chain_plan.wide_row(4) if finishes else 0)
    assert (found["adds"], found["shortcut"]) == ((True, 0) if link.shortcut == 0 else (False, X))
    assert (found["epsilon"], found["ceiling"]) == (0.1 if link.line else 0, link.ceiling)


@pytest.mark.parametrize(
    "activation, relu, curve",
    [("linear", False, 0), ("relu", True, 0), ("sigmoid", False, 1), ("tanh", False, 2)],
)
def test_a_link_says_its_activation(activation, relu, curve):
    found = chain_plan._finish(Link(None, activation=activation), 4)
    assert (found["relu"], found["curve"]) == (relu, curve)


def test_the_arena_hands_out_whole_lines_of_memory():
    arena = chain_plan._Arena()
    assert [arena.take(count) for count in (1, 16, 0, 17, 5)] == [0, 16, 32, 32, 64]
    assert arena.size == 80


def test_a_result_takes_the_place_of_one_that_nobody_needs_anymore():
    sizes, reads = (100, 50, 30, 60, 40, 10), ((X,), (0,), (1, 0), (2,), (3,), (4,))
    stages, arena = np.zeros(6, chain_plan.STAGE), chain_plan._Arena()
    for stage, size, (source, *shortcut) in zip(stages, sizes, reads, strict=True):
        stage["y_size"], stage["source"], stage["adds"] = size, source, len(shortcut)
        stage["shortcut"] = shortcut[0] if shortcut else 0
    chain_plan._place_results(stages, arena)
    assert arena.size == 112 + 64 + 32
    assert [*stages["y"]] == [0, 112, 176, 0, 112, 0]


def a_chain():
    line = chain_plan.Line(array(32), array(32), None, None, 0.5)
    return (
        Link(array(3, 3, 16, 32), array(32), "relu", SAME),
        Link(array(3, 3, 32, 32), None, "linear", SAME, line=line, shortcut=0),
        Link(array(3, 3, 1, 32), array(32), "linear", (*SAME[:3], 32)),
        Link(array(1, 1, 32, 16), array(16), "relu", pooling=HALVED),
        Link(None, pooling=HALVED, averages=True),
        Link(array(64, 10), array(10)),
    )


@pytest.fixture
def numbered_tiles(monkeypatch):
    monkeypatch.setattr(depthwise, "tile_for", lambda dtype, tile: 5)


@pytest.mark.parametrize(
    "fields, rows",
    [
        (
            ("kind", "source", "shortcut", "adds"),
            [(0, X, X, 0), (0, 0, 0, 1), (2, 1, X, 0), (1, 2, X, 0), (4, 3, X, 0), (0, 4, X, 0)],
        ),
        (
            ("N", "H", "W", "C", "F"),
            [
                (2, 8, 8, 16, 32),
                (2, 8, 8, 32, 32),
                (2, 8, 8, 32, 32),
                (2, 8, 8, 32, 16),
                (2, 4, 4, 16, 0),
                (1, 1, 2, 64, 10),
            ],
        ),
        (
            ("step", "packs", "pads", "alone"),
            [(32, 0, 0, 0), (32, 0, 1, 0), (0, 0, 0, 1), (16, 0, 0, 1), (0, 0, 0, 1), (0, 1, 1, 1)],
        ),
        (
            ("pool_P", "pool_s", "pool_I", "pool_rows"),
            [(0, 0, 0, 0)] * 3 + [(2, 2, 4, 4), (2, 2, 2, 0), (0, 0, 0, 0)],
        ),
        (
            ("start", "filters", "line", "y"),
            [
                (0, 32, 32, 1536),
                (32, 64, 64, 5632),
                (448, 480, 480, 1536),
                (480, 496, 496, 5632),
                (496, 496, 496, 1536),
                (496, 512, 1536, 0),
            ],
        ),
        (
            ("filters_size", "line_size", "channels", "y_size"),
            [
                (4608, 0, 32, 4096),
                (9216, 128, 32, 4096),
                (288, 0, 32, 4096),
                (512, 0, 16, 512),
                (0, 0, 16, 128),
                (1024, 0, 10, 20),
            ],
        ),
        (
            ("copies", "shares", "blocks", "lanes", "relu", "finishes"),
            [
                (1, 1, 2, 8, 1, 0),
                (1, 1, 2, 8, 0, 1),
                (0, 1, 0, 8, 0, 0),
                (0, 1, 1, 8, 1, 0),
                (0, 0, 0, 0, 0, 0),
                (0, 1, 1, 8, 0, 0),
            ],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else "",
)
def test_each_link_has_a_row_of_the_table(fields, rows, numbered_tiles):
    """What is where is pinned, too: a result in memory that nobody needs, not over another one."""
    stages = planned(*a_chain()).stages
    assert [tuple(int(stage[name]) for name in fields) for stage in stages] == rows


def test_a_plan_says_how_much_memory_a_chain_needs(numbered_tiles):
    plan = planned(*a_chain(), workers=2)
    assert plan.layout == (2, 9728, 20, 10)
    assert plan.memory == 9728 + 2 * (448 + 10 * 10 * 32)  # a band with zeros around it
    assert (plan.y_shape, plan.y_size) == ((2, 10), 20)
    with_scores = planned(*a_chain(), softmax=True)
    assert (with_scores.y_shape, with_scores.y_size) == ((2, 2, 10), 40)  # scores, then shares
    assert plan.stages["epsilon"].tolist() == [0, 0.5, 0, 0, 0, 0]
    assert not isinstance(plan.stages, np.recarray)


def test_scratch_memory_is_in_whole_lines():
    links = (Link(array(3, 3, 3, 16), arrangement=SAME, pooling=HALVED),)
    plan = planned(*links, x_shape=(1, 5, 5, 3), workers=3)
    g, cut = sweep.plan(layer((1, 5, 5, 3), (3, 3), 16, padding="same"), F32, 3)
    band = int(plan.stages[0]["band"])
    needed = band * 4 * 16 + 448 + (band + 2) * 6 * 3
    assert plan.memory == plan.layout[1] + 3 * 16 * rounded_up(needed, 16)


@pytest.mark.parametrize(
    "link",
    [
        Link(None),
        Link(None, pooling=HALVED),
        Link(array(1, 1, 1, 2), arrangement=(*EVEN, 2)),
    ],
)
def test_links_that_sum_nothing_need_no_scratch_memory(link, numbered_tiles):
    plan = planned(link, x_shape=(2, 8, 8, 2))
    assert plan.memory == plan.layout[1] and plan.layout[3] == 2


def test_without_a_compiler_stages_have_attributes(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert planned(Link(array(1024, 10))).stages[0].kind == chain_plan.SUMS


def test_rows_of_depthwise_links_follow_one_another(numbered_tiles):
    link = Link(array(3, 3, 1, 16), arrangement=(*SAME[:3], 16))
    plan = planned(link, Link(None), link, link)
    assert plan.stages["rows"].tolist() == [0, 0, 8, 16]
    assert plan.rows.shape == (24, 3) and (plan.rows[:8] == plan.rows[16:]).all()
    assert plan.stages["tiles"].tolist() == [5, 0, 5, 5]
    assert plan.stages["pads"].tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
    "link, x_shape, alone",
    [
        (Link(array(1, 1, 64, 16)), (4, 8, 8, 64), True),  # 2^18 multiplications
        (Link(array(1, 1, 64, 17)), (4, 8, 8, 64), False),
        (Link(array(64, 1024)), (4, 64), True),
        (Link(array(65, 1024)), (4, 65), False),
        (Link(array(3, 3, 4, 24), arrangement=SAME), (4, 8, 8, 4), True),
        (Link(array(3, 3, 4, 32), arrangement=SAME), (4, 8, 8, 4), False),
        (Link(array(2, 2, 1, 64), arrangement=(*EVEN, 64)), (4, 17, 17, 64), True),
        (Link(array(2, 2, 1, 64), arrangement=(*EVEN, 64)), (5, 17, 17, 64), False),
        (Link(None, pooling=HALVED), (4, 8, 8, 64), True),  # 2^14 numbers
        (Link(None, pooling=HALVED, averages=True), (5, 8, 8, 64), False),
        (Link(None), (4, 8, 8, 64), True),
        (Link(None), (5, 8, 8, 64), False),
    ],
)
def test_little_work_is_done_by_one_thread(link, x_shape, alone, numbered_tiles):
    """Rules of thumb, see the top."""
    stage = planned(link, x_shape=x_shape).stages[0]
    assert stage["alone"] == alone
    averaged = link.averages and chain_plan.AVERAGES
    if link.weight is None:
        assert stage["kind"] == (
            averaged or (chain_plan.POOLS if link.pooling else chain_plan.COPIES)
        )
