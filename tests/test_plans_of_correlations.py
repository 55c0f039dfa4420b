"""How correlate.py, for gradients of filters, cuts up its work; see test_plans.py."""

import pytest
from planned_layers import (
    F32,
    F64,
    LAYERS,
    layer,
    one_cpu,  # noqa: F401  a fixture for every test
    rounded_up,
    table,
)

from minicnn.backend import kernels

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool
from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    correlate,
    planning,
    spread,
    sweep,
)


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
