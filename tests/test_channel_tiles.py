"""The tiles of depthwise convolution: what they say in Python, and the code written for LLVM.

Both are compared with sums by definition. Numbers are whole or quarters, so that no sum is rounded
and results must be equal; memory around them is NaN. The code is compiled by LLVM alone, which
takes a few hundredths of a second a tile, and needs no Numba: so it is tested as plain Python, too.
"""

import ctypes
import functools
import itertools
import re

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from llvmlite import ir
from test_short_sweeps import as_python, unwritten, whole

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import channel_code, channel_tiles, compiling  # noqa: E402

Cells, Pixels, Tile = channel_code.Cells, channel_code.Pixels, channel_code.Tile
MARGIN = 40  # numbers of NaN around each array
REALS = {"float32": (ir.FloatType(), ctypes.c_float), "float64": (ir.DoubleType(), ctypes.c_double)}


@functools.cache
def engine():
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(opt=1, cpu=llvm.get_host_cpu_name())
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


names = (f"tile_{number}" for number in itertools.count())


def code(dtype, tile, name):
    """A tile written for LLVM, as text."""
    number, _ = REALS[np.dtype(dtype).name]
    count, kind = (3, Pixels) if tile.rows else (4, Cells)
    pointers, integers = [number.as_pointer()] * count, [channel_code.INT] * len(kind._fields)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), pointers + integers), name)
    builder = ir.IRBuilder(function.append_basic_block())
    writer = channel_code.PixelsWriter if tile.rows else channel_code.CellsWriter
    writer(builder, tile, number, function.args[:count], function.args[count:]).write()
    builder.ret_void()
    return str(module)


@functools.cache
def written(dtype, tile):
    """A function (arrays, places, numbers): the code of a tile, compiled."""
    _, plain = REALS[np.dtype(dtype).name]
    name = next(names)
    compiled = llvm.parse_assembly(code(dtype, tile, name))
    compiled.verify()
    engine().add_module(compiled)
    engine().finalize_object()
    count, kind = (3, Pixels) if tile.rows else (4, Cells)
    types = [ctypes.POINTER(plain)] * count + [ctypes.c_int64] * len(kind._fields)
    call = ctypes.CFUNCTYPE(None, *types)(engine().get_function_address(name))

    def run(arrays, places, numbers):
        begins = [
            array.ctypes.data + place * array.itemsize
            for array, place in zip(arrays, places, strict=True)
        ]
        call(
            *(ctypes.cast(begin, kind) for begin, kind in zip(begins, types, strict=False)),
            *numbers,
        )

    return run


def said(dtype, tile):
    """A function (arrays, places, numbers): what the tile does in Python."""
    add, kind = (
        (channel_tiles._add_pixels, Pixels) if tile.rows else (channel_tiles._add_cells, Cells)
    )
    return lambda arrays, places, numbers: add(tile, arrays, places, kind(*numbers))


way = pytest.mark.parametrize("way", [said, written])


def surrounded(array):
    """The array, flat, with NaN around it."""
    return np.pad(np.ravel(array), MARGIN, constant_values=np.nan)


def inside(array, shape):
    """What has been surrounded; the rest must still be NaN."""
    assert np.isnan(array[:MARGIN]).all() and np.isnan(array[-MARGIN:]).all()
    return array[MARGIN:-MARGIN].reshape(shape)


# tile; W: columns of x, J: pixels of y, column of x that is the first
FORWARD = {
    "one number": (Tile(1, 1, 1, 0, 1, 1, 1), 1, 1, 0),
    "same": (Tile(4, 1, 3, 0, 3, 1, 1), 7, 7, -1),
    "one piece is enough": (Tile(2, 1, 8, 0, 2, 1, 1), 4, 3, 0),
    "steps": (Tile(4, 2, 2, 0, 3, 2, 1), 9, 5, -2),
    "wide steps": (Tile(2, 2, 3, 0, 2, 3, 1), 8, 4, -1),
    "gaps": (Tile(2, 1, 4, 0, 3, 1, 2), 6, 6, -3),
    "steps and gaps": (Tile(1, 2, 2, 0, 3, 2, 3), 11, 5, -2),
    "far outside": (Tile(4, 1, 4, 0, 2, 1, 1), 2, 9, -4),
    "begins inside": (Tile(2, 1, 2, 0, 2, 1, 1), 6, 4, 1),
}
BACKWARD = {
    "one number": (Tile(1, 1, 1, 0, 1, 1, 1, 0), 1, 1, 0),
    "same": (Tile(4, 1, 3, 0, 3, 1, 1, 0), 7, 7, 1),
    "steps": (Tile(4, 2, 4, 0, 3, 2, 1, 0), 5, 9, 1),
    "steps, the second one first": (Tile(2, 1, 2, 0, 3, 2, 1, 1), 5, 11, 1),
    "wide steps": (Tile(2, 2, 6, 0, 2, 3, 1, 2), 4, 13, 0),
    "gaps": (Tile(2, 1, 4, 0, 3, 1, 2, 0), 6, 6, 3),
    "steps and gaps": (Tile(1, 2, 2, 0, 3, 2, 3, 1), 5, 7, 2),
}


def columns_met(tile, j, q):
    """The column, from the first on, that cell q of the window wants for pixel j; or None."""
    if tile.phase < 0:
        return tile.t * j + tile.e * q
    column, apart = divmod(tile.phase + j - tile.e * q, tile.t)
    return None if apart else column


@pytest.mark.parametrize("case", [*FORWARD.values(), *BACKWARD.values()], ids=str)
def test_what_meets_in_a_tile_meets_by_definition(case):
    tile = case[0]
    every = [(columns_met(tile, m, q), m, q) for m, q in np.ndindex(tile.pixels, tile.Q)]
    assert tile.meetings == sorted(met for met in every if met[0] is not None)
    for piece, m, q in np.ndindex(3, tile.pixels, tile.Q):
        here, there = columns_met(tile, m, q), columns_met(tile, piece * tile.pixels + m, q)
        assert here is there is None or there == piece * tile.step + here
    assert tile.channels == tile.lanes * tile.width


C = 21  # of which a task has some


def check_cells(way, case, dtype, rows, channels, relu):
    tile, W, J, column = case
    x, w, start = (whole(k, *shape, C) for k, shape in enumerate([(5, W), (4, tile.Q), ()]))
    c, mine = 2, slice(2, 2 + channels)
    start /= 4  # so that some sums lie between 0 and 1
    start[c] = np.nan
    y = np.broadcast_to(start, (J, C)).copy()
    for (h, p), j, q in itertools.product(rows, range(J), range(tile.Q)):
        met = columns_met(tile, j, q)
        if met is not None and 0 <= column + met < W:
            y[j] += x[h, column + met] * w[p, q]
    expected = unwritten((J, C), float)
    expected[:, mine] = np.where(y < 0, 0, y)[:, mine] if relu else y[:, mine]
    given = [surrounded(array).astype(dtype) for array in (x, w, unwritten((J, C), float), start)]
    (h, p), (h_next, p_next) = rows[0], rows[min(1, len(rows) - 1)]
    x_row, w_row = (h_next - h) * W * C, (p_next - p) * tile.Q * C
    places = [MARGIN + at for at in ((h * W + column) * C + c, p * tile.Q * C + c, c, c)]
    way(dtype, tile)(given, places, (len(rows), J, x_row, w_row, column, W, C, channels, relu))
    np.testing.assert_array_equal(inside(given[2], (J, C)), expected)


@way
@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("case", [*FORWARD.values(), *BACKWARD.values()], ids=str)
def test_a_row_is_filled_with_sums(case, relu, way):
    """Of as many channels as a tile takes; a few more; and many, which are no multiple of it."""
    for more, dtype in ((0, "float32"), (1, "float64"), (11, "float32")):
        check_cells(way, case, dtype, [(1, 0), (3, 1)], case[0].channels + more, relu)


@way
@pytest.mark.parametrize(
    "rows", [[(2, 3)], [(0, 1), (1, 2), (2, 3)], [(4, 0), (2, 1), (0, 2)]], ids=str
)
def test_rows_of_the_window_meet_rows_of_the_image(rows, way):
    for name in ("same", "steps"):
        check_cells(way, FORWARD[name], "float64", rows, 9, 1)


@pytest.mark.parametrize("relu", [0, 1])
@way
def test_without_rows_of_the_window_there_is_the_bias(way, relu):
    tile, start = Tile(4, 1, 3, 0, 3, 1, 1), np.array([1.0, -2, 0, np.nan, 5])
    given = [surrounded(array) for array in (np.ones(15), np.ones(15), unwritten(35, float), start)]
    way("float64", tile)(given, [MARGIN] * 4, (0, 7, 1, 1, 0, 3, 5, 5, relu))
    expected = np.where(start < 0, 0, start) if relu else start
    np.testing.assert_array_equal(inside(given[2], (7, 5)), np.tile(expected, (7, 1)))


# tile; rows and columns of x; of dy; where the window stands; steps down and gaps of rows
GRADIENTS = {
    "one number": (Tile(1, 1, 1, 1, 1, 1, 1), (1, 1), (1, 1), (0, 0), 1, 1),
    "same": (Tile(4, 1, 3, 3, 3, 1, 1), (5, 7), (5, 7), (-1, -1), 1, 1),
    "one row at a time": (Tile(2, 2, 4, 1, 3, 1, 1), (4, 6), (3, 6), (1, -1), 1, 1),
    "steps": (Tile(2, 2, 2, 2, 3, 2, 1), (7, 9), (3, 5), (-1, -2), 2, 1),
    "wide steps": (Tile(4, 1, 5, 2, 2, 3, 1), (8, 14), (3, 4), (-1, -1), 3, 1),
    "gaps": (Tile(2, 1, 4, 2, 3, 1, 2), (6, 8), (4, 9), (-2, -3), 1, 3),
    "steps and gaps": (Tile(1, 2, 2, 3, 2, 2, 3), (9, 8), (4, 5), (-3, -2), 2, 2),
    "far outside": (Tile(4, 1, 3, 2, 2, 1, 1), (2, 2), (7, 8), (-3, -4), 1, 1),
    "begins inside": (Tile(2, 1, 2, 2, 2, 1, 1), (6, 6), (3, 4), (1, 2), 1, 1),
}


def check_pixels(way, case, dtype, images, rows):
    """Of some images and some rows of dy."""
    tile, (H, W), (I, J), (row, column), s, d = case
    x, dy = whole(1, 3, H, W, C), whole(2, 3, I, J, C)
    (n, n_end), (i, i_end), c, mine = images, rows, 2, slice(2, 2 + tile.channels)
    expected = unwritten((tile.rows, tile.Q, C), float)
    expected[..., mine] = 0
    for p, q, k, m, j in np.ndindex(tile.rows, tile.Q, n_end - n, i_end - i, J):
        h, w = row + s * m + d * p, column + tile.t * j + tile.e * q
        if 0 <= h < H and 0 <= w < W:
            expected[p, q, mine] += (x[n + k, h, w] * dy[n + k, i + m, j])[mine]
    given = [surrounded(array).astype(dtype) for array in (x, dy, unwritten(expected.shape, float))]
    places = ((n * H + row) * W + column) * C + c, (n * I + i) * J * C + c, c
    numbers = (n_end - n, i_end - i, J, H * W * C, I * J * C, row, column, s, d, H, W, C)
    way(dtype, tile)(given, [MARGIN + at for at in places], numbers)
    np.testing.assert_array_equal(inside(given[2], expected.shape), expected)


@way
@pytest.mark.parametrize("case", GRADIENTS.values(), ids=str)
def test_rows_of_a_gradient_are_filled_with_sums(case, way):
    _, _, (I, _), *_ = case
    check_pixels(way, case, "float64", (0, 3), (0, I))
    check_pixels(way, case, "float32", (1, 3), (I // 2, I))
    check_pixels(way, case, "float64", (2, 3), (0, I - I // 2))


@way
def test_a_gradient_of_no_images_is_0(way):
    for images, rows in (((1, 1), (0, 3)), ((0, 2), (2, 2))):
        check_pixels(way, GRADIENTS["steps"], "float64", images, rows)


@pytest.mark.parametrize("tile", [Tile(4, 2, 2, 0, 3, 2, 1), Tile(2, 1, 2, 2, 3, 2, 1)], ids=str)
@pytest.mark.parametrize("dtype, suffix", [("float32", "f32"), ("float64", "f64")])
def test_vectors_begin_wherever_numbers_do(dtype, suffix, tile):
    """Of an address that is no multiple of what `align` says, anything may be loaded."""
    text = code(dtype, tile, "tile")
    loads = re.findall(r" (?:load|store) .*", text)
    size = np.dtype(dtype).itemsize
    assert loads and all(load.endswith(f", align {size}") for load in loads)
    assert set(re.findall(r"@\"?(llvm[\w.]*)", text)) == {f"llvm.fmuladd.v{tile.lanes}{suffix}"}


TILES = FORWARD["steps"], GRADIENTS["steps"]


@as_python
def test_python_calls_the_tile_of_a_number():
    channel_tiles.tile_for.cache_clear()

    def called(dtype, tile):
        return functools.partial(channel_tiles.call_tile, channel_tiles.tile_for(dtype, tile))

    for _ in range(2):
        check_cells(called, TILES[0], "float64", [(1, 0), (3, 1)], 9, 1)
        check_pixels(called, TILES[1], "float64", (0, 3), (0, 3))


@pytest.fixture
def numba_compiles(monkeypatch):
    """Let Numba compile even where kernels run as plain Python, and keep nothing."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", False)
    monkeypatch.setattr(compiling, "cache_folder", lambda: None)
    channel_tiles.tile_for.cache_clear()
    yield
    channel_tiles.tile_for.cache_clear()


def test_numba_calls_the_tile_at_an_address(numba_compiles):
    for dtype in ("float32", "float64"):
        call = numba.njit(lambda *args: channel_tiles._call_in_llvm(*args))

        def called(dtype, tile, call=call):
            address = channel_tiles.tile_for(np.dtype(dtype), tile)
            return lambda arrays, places, numbers: call(
                address, tuple(arrays), tuple(places), tuple(map(int, numbers))
            )

        check_cells(called, TILES[0], dtype, [(1, 0), (3, 1)], 9, 1)
        check_pixels(called, TILES[1], dtype, (0, 3), (0, 3))
