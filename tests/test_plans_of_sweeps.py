"""How sweep.py, spread.py, conv_pool.py and winners.py cut up their work; see test_plans.py."""

import itertools

import numpy as np
import pytest
from planned_layers import (
    F32,
    F64,
    LAYERS,
    layer,
    one_cpu,  # noqa: F401  a fixture for every test
    places,
    rounded_up,
    table,
)

from minicnn.backend import kernels

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool
from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    geometry,
    planning,
    spread,
    sweep,
    winners,
)


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
def test_pooled_rows_are_taken_until_the_cache_is_full(rows, fitting, monkeypatch):
    g, cut = sweep.plan(LAYERS["tutorial 1"]._replace(groups=2), F32, 2)
    monkeypatch.setattr(conv_pool, "ROWS_BYTES", rows * 30 * 32 * 2 * 4 + 3)
    pooling = (3, 4, 2, 5, 0, 0, 14, 9)
    assert conv_pool._under(5, pooling) == 4 * 2 + 3
    monkeypatch.setattr(planning, "cut", lambda images, rows, fitting, *rest: (fitting, rows))
    assert conv_pool._best_cut(g, 8, cut.blocks, pooling, 4, 2) == (fitting, 14)


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


@pytest.mark.parametrize(
    "C, window, dilation, groups, dtype, are_runs",
    [
        (7, (3, 2), (1, 1), 1, F32, True),
        (7, (3, 2), (2, 1), 1, F32, True),
        (7, (3, 2), (1, 2), 1, F32, False),  # the columns of a window are no neighbours
        (7, (3, 1), (1, 1), 1, F32, False),  # there is one column only
        (6, (3, 2), (1, 1), 2, F32, False),
        (8, (3, 2), (1, 1), 1, F32, False),  # a whole vector
        (3, (3, 2), (1, 1), 1, F64, True),
        (4, (3, 2), (1, 1), 1, F64, False),
    ],
)
def test_few_channels_are_given_to_in_runs(
    C, window, dilation, groups, dtype, are_runs, monkeypatch
):
    planned = []
    monkeypatch.setattr(spread, "_plan", lambda g, *_: planned.append(g) or (g, (1, 1)))
    for name in ("threads", "scratch", "pack", "zero_vectors", "_spread"):
        monkeypatch.setattr(spread, name, lambda *_: None)
    g = layer((2, 9, 9, C), window, 4 * groups, dilation=dilation, groups=groups)
    given = g._replace(K=g.F, F=g.K)
    filters = np.zeros((groups, *window, given.K, given.F), dtype)
    dy, dx = np.zeros((2, g.I, g.J, 4 * groups), dtype), np.zeros((2, 9, 9, C), dtype)
    spread.spread(dy, filters, dx, given)
    assert planned == [given._replace(Q=1, F=window[1] * C) if are_runs else given]


@pytest.mark.parametrize(
    "x_shape, window, F, groups, sweeps",
    [
        ((1, 5, 6, 8), (1, 4), 12, 1, True),  # twice as many columns as places, and filters
        ((1, 5, 7, 8), (1, 5), 12, 1, False),
        ((1, 5, 6, 7), (1, 4), 12, 1, False),  # less than a vector of channels
        ((1, 5, 6, 8), (1, 4), 13, 1, False),
        ((1, 5, 6, 16), (1, 4), 24, 2, True),
        ((1, 5, 6, 16), (1, 4), 26, 2, False),
        ((1, 5, 6, 14), (1, 4), 24, 2, False),
        ((1, 9, 9, 64), (3, 3), 40, 1, True),
        ((1, 9, 9, 64), (3, 3), 42, 1, True),
        ((1, 9, 9, 64), (3, 3), 43, 1, False),
    ],
)
def test_pixels_take_where_that_costs_less_than_what_windows_add(
    x_shape, window, F, groups, sweeps, monkeypatch
):
    """A rule of thumb, see the top: to add costs a window as much as 12 filters do."""
    asked = []
    monkeypatch.setattr(conv2d, "sweep", lambda *_: asked.append(True))
    monkeypatch.setattr(conv2d, "spread", lambda *_: asked.append(False))
    for strides, expected in {(1, 1): sweeps, (2, 1): False, (1, 2): False}.items():
        g = layer(x_shape, window, F, strides, groups=groups)
        dy, weight = np.zeros((1, g.I, g.J, F), "f"), np.zeros((*window, g.K, F), "f")
        conv2d.input_grad.cpu(dy, weight, x_shape, strides, ((0, 0), (0, 0)), (1, 1), groups)
        assert asked.pop() == expected
