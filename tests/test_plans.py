"""How the kernels of convolution cut up their work: what the planning functions decide.

No plan makes a result wrong, so nobody but these tests would notice a bad one. The plans are those
for a CPU with 16 registers of 32 bytes, whatever this one has. Where a decision is a rule of thumb,
the tests pin what it says of well-known layers: such a plan may be changed on purpose, by somebody
who has measured that the new one is faster.
"""

import itertools

import numpy as np
import pytest
from planned_layers import (
    layer,
    one_cpu,  # noqa: F401  a fixture for every test
    places,
    rounded_up,
)

from minicnn.backend import kernels

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool
from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    geometry,
    packing,
    planning,
)


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
