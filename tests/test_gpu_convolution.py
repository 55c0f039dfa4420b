"""The CUDA versions of convolution, matrix product, pooling and chain.

Each is compared with its reference in float64, by the emulator in three orders of the threads, and
on a GPU where there is one. The unit of errors is that of test_kernels.py: what rounding explains.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import test_kernels as tables
from minicnn.kernels import cuda, precision

from minicnn.backend import get_device, kernels, placed, set_device

conv2d, max_pool2d, emulator = kernels.conv2d, kernels.max_pool2d, kernels.emulator


@pytest.fixture(autouse=True)
def _device(request):
    """Every test runs on the emulator, but those on the GPU; see order."""
    before = get_device()
    callspec = getattr(request.node, "callspec", None)
    try:
        set_device("gpu" if callspec and callspec.params.get("order") == "gpu" else "emulator")
    except RuntimeError as reason:
        pytest.skip(str(reason))
    yield
    set_device(before)


@pytest.fixture(
    params=["forward", "reverse", "shuffle", pytest.param("gpu", marks=pytest.mark.gpu)]
)
def order(request):
    """The order in which the emulator runs threads and blocks; a GPU has its own."""
    with emulator.thread_order("forward" if request.param == "gpu" else request.param, seed=1):
        yield request.param


def there(argument):
    """The argument, on the device of the test if it is an array."""
    return placed(argument, get_device()) if isinstance(argument, np.ndarray) else argument


def run(kernel, args):
    """What the GPU version makes of arrays of NumPy, as a tuple of arrays of NumPy."""
    results = kernel(*map(there, args))
    results = results if isinstance(results, tuple) else (results,)
    assert all(map(kernels.is_gpu_array, results))
    return tuple(array.get() for array in results)


def check_sums(kernel, args, dtype):
    given = tables.in_dtype(args, dtype)
    (result,) = run(kernel, given)
    assert result.dtype == dtype
    assert result.shape == kernel.reference(*args).shape
    assert tables.rounding_errors(result, kernel, given, dtype) < 8


# small, because a thread takes the emulator as long as a warp takes a GPU; at, below and above
# the 64 rows and columns of a tile and its 16 terms
SMALL = {
    "smallest": tables.convolution((1, 1, 1, 1), (1, 1), 1),
    "one tile": tables.convolution((1, 8, 8, 16), (1, 1), 64),
    "more than a tile": tables.convolution((1, 9, 8, 17), (1, 1), 65),
    "images of three channels": tables.convolution((2, 8, 7, 3), (3, 3), 10),
    "same": tables.convolution((2, 5, 7, 5), (3, 3), 17, padding="same"),
    "same, even window": tables.convolution((2, 6, 5, 4), (4, 2), 8, padding="same"),
    "strides": tables.convolution((2, 11, 9, 3), (3, 3), 10, strides=(2, 3)),
    "strides, same": tables.convolution((1, 8, 8, 6), (3, 3), 16, strides=(2, 2), padding="same"),
    "strides larger than the window": tables.convolution((2, 10, 11, 4), (2, 1), 3, (3, 4)),
    "dilation": tables.convolution((1, 9, 11, 3), (3, 2), 9, dilation=(2, 3)),
    "groups": tables.convolution((2, 5, 6, 6), (3, 3), 9, padding="same", groups=3),
    "groups with strides": tables.convolution((1, 7, 7, 8), (3, 3), 8, (2, 2), groups=2),
    "wide padding": tables.convolution((2, 4, 5, 3), (2, 2), 5, padding=((3, 4), (5, 2))),
    "sums in pieces": tables.convolution((1, 2, 2, 600), (1, 1), 3),
    "sums over pixels in pieces": tables.convolution((3, 14, 14, 2), (1, 1), 3),
    "depthwise": tables.convolution((2, 6, 5, 11), (3, 3), 11, padding="same", groups=11),
    "depthwise with strides": tables.convolution(
        (2, 7, 8, 33), (3, 3), 33, strides=(2, 2), padding="same", groups=33
    ),
    "depthwise, dilation": tables.convolution(
        (1, 8, 7, 5), (3, 2), 5, padding="same", dilation=(2, 3), groups=5
    ),
    "depthwise, several filters": tables.convolution((2, 5, 6, 6), (3, 2), 18, groups=6),
    "depthwise, sums in pieces": tables.convolution((3, 20, 20, 3), (2, 1), 3, groups=3),
}
MAPS = ["forward", "input_grad", "weight_grad"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SMALL)
def test_convolution_agrees_with_the_reference(name, dtype, order):
    for kernel in MAPS:
        check_sums(getattr(conv2d, kernel), SMALL[name][kernel], dtype)


@pytest.mark.parametrize("name", ["same", "sums in pieces", "groups", "depthwise"])
@pytest.mark.parametrize("relu", [False, True])
def test_bias_and_relu_are_added_on_the_way(name, relu, order):
    x, weight, _, _, *where = SMALL[name]["forward"]
    args = (x, weight, tables.normal(4, weight.shape[3]), relu, *where)
    (y,), expected = run(conv2d.forward, args), conv2d.forward.reference(*args)
    assert (expected < 0).any() != relu
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def test_results_that_fill_blocks_of_256_are_complete(order):
    """Those of a depthwise convolution, and those of sums in several pieces."""
    for kernel in MAPS[:2]:
        args = tables.convolution((1, 4, 4, 32), (1, 1), 32, groups=32)[kernel]
        check_sums(getattr(conv2d, kernel), args, "float64")
    args = tables.convolution((1, 2, 2, 600), (1, 1), 64)["forward"]
    assert conv2d.pieces(1, 600) > 1
    check_sums(conv2d.forward, args, "float64")


@pytest.mark.parametrize(
    "tiles, terms, pieces",
    [
        (1, 0, 1),
        (1, 511, 1),
        (1, 512, 2),
        (1, 10**6, 256),
        (3, 10**6, 85),
        (100, 1024, 2),
        (256, 10**6, 1),
        (1000, 10**6, 1),
    ],
)
def test_blocks_share_sums_where_there_are_few_tiles(tiles, terms, pieces):
    """A rule of thumb: 256 blocks are enough, and each should have 256 terms."""
    assert conv2d.pieces(tiles, terms) == pieces


@pytest.mark.parametrize(
    "shape, window, F, groups, tiles, terms",
    [
        ((2, 9, 7, 6), (2, 3), 130, 1, (2 * 3, 2 * 1, 1 * 3), (36, 780, 80)),
        ((3, 6, 9, 140), (3, 2), 6, 2, (2 * 1 * 2, 3 * 2 * 2, 7 * 1 * 2), (420, 18, 96)),
        ((2, 9, 7, 33), (2, 3), 66, 33, (None, None, 3 * 6), (None, None, 80)),
        ((2, 9, 7, 63), (3, 2), 63, 63, (None, None, 2 * 6), (None, None, 84)),
    ],
)
def test_sums_are_cut_into_pieces_by_their_tiles_and_terms(
    shape, window, F, groups, tiles, terms, monkeypatch
):
    """Tiles have 64 x 64 results; where each filter sees one channel, 32 of one cell."""
    asked, families = [], []
    monkeypatch.setattr(conv2d, "pieces", lambda *args: asked.append(args) or 1)
    monkeypatch.setattr(cuda, "launch", lambda family, *_, **__: families.append(family))
    case = tables.convolution(shape, window, F, groups=groups)
    for kernel in MAPS:
        getattr(conv2d, kernel)(*map(there, case[kernel]))
    assert asked == [pair for pair in zip(tiles, terms, strict=True) if None not in pair]
    alone = groups == shape[3]
    assert families[:3] == 3 * ["depthwise" if alone else "conv2d"]


def named(source):
    """The whole numbers that a .cu file gives names to."""
    text = (Path(emulator.__path__[0]).parent / source).read_text()
    return {name: int(number) for name, number in re.findall(r"#define (\w+) +(\d+)\b", text)}


def test_blocks_have_as_many_threads_as_their_shared_memory_has_room_for(monkeypatch):
    """One thread more would write behind it, which the emulator does not notice."""
    blocks, launch = {}, cuda.launch

    def noting(family, function, grid, block, *args, **settings):
        blocks[function] = block
        launch(family, function, grid, block, *args, **settings)

    monkeypatch.setattr(cuda, "launch", noting)
    for name in ("same", "depthwise"):
        for kernel in MAPS:
            check_sums(getattr(conv2d, kernel), SMALL[name][kernel], "float64")
    side, rows = named("conv2d.cu")["SIDE"], named("depthwise.cu")["ROWS"]
    assert {blocks[f"conv2d_{kernel}"] for kernel in MAPS} == {(side, side)}
    assert blocks["depthwise_weight_grad"] == (32, rows)


@pytest.mark.parametrize("groups", [1, 2])
def test_nan_and_infinity_pass_through_a_convolution(groups):
    x = np.ones((1, 3, 3, groups), np.float32)
    x[0, 0, 0, 0], x[0, 2, 2, 0] = np.nan, np.inf
    weight = np.ones((2, 2, 1, groups), np.float32)
    (y,) = run(conv2d.forward, (x, weight, None, True, (1, 1), tables.NO_PADDING, (1, 1), groups))
    np.testing.assert_array_equal(y[..., 0].ravel(), [np.nan, 4, 4, np.inf])


@pytest.mark.parametrize("groups", [1, 2])
def test_an_empty_batch_is_no_error(groups):
    x, weight = np.zeros((0, 5, 5, 2)), np.ones((3, 3, 2 // groups, 4))
    where = ((1, 1), tables.NO_PADDING, (1, 1), groups)
    (y,) = run(conv2d.forward, (x, weight, None, False, *where))
    assert y.shape == (0, 3, 3, 4)
    assert run(conv2d.input_grad, (y, weight, x.shape, *where))[0].shape == x.shape
    assert not run(conv2d.weight_grad, (x, y, weight.shape, *where))[0].any()


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (0, 3, 2), (3, 0, 2), (14, 5, 33), (64, 16, 64), (3, 600, 70), (700, 3, 2)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrix_products_of_any_size(sizes, dtype, order):
    M, K, F = sizes
    x, weight, bias = tables.normal(1, M, K), tables.normal(2, K, F), tables.normal(3, F)
    check_sums(kernels.matmul.multiply, (x, weight, None, False), dtype)
    check_sums(kernels.matmul.input_grad, (tables.normal(4, M, F), weight), dtype)
    check_sums(kernels.matmul.weight_grad, (x, tables.normal(4, M, F)), dtype)
    (y,) = run(kernels.matmul.multiply, (x, weight, bias, True))
    np.testing.assert_allclose(y, np.maximum(x @ weight + bias, 0), atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", tables.WINDOWS, ids=str)
@pytest.mark.parametrize("name", tables.pooling(*tables.WINDOWS[0]))
def test_pooling_agrees_with_the_reference(name, window, dtype, order):
    kernel = tables.kernel_named(name)
    given = tables.in_dtype(tables.pooling(*window)[name], dtype)
    exact = name in ("max_pool2d.forward", "max_pool2d.gather")
    pairs = zip(run(kernel, given), tables.outputs(kernel.reference, given), strict=True)
    for one, other in pairs:
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        tolerance = 0 if exact else 20 * np.finfo(dtype).eps
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 0)])
def test_pooling_of_nothing_is_no_error(shape):
    x, window = np.zeros(shape), ((2, 2), (2, 2), tables.NO_PADDING)
    y, where = run(max_pool2d.forward, (x, *window))
    assert y.shape == where.shape == (shape[0], 2, 2, shape[3])
    assert run(max_pool2d.gather, (x, where))[0].shape == y.shape
    assert run(max_pool2d.scatter, (y, where, shape))[0].shape == shape
    assert run(kernels.average_pool2d.forward, (x, *window))[0].shape == y.shape
    assert run(kernels.average_pool2d.spread, (y, shape, *window))[0].shape == shape


def test_the_way_back_through_a_pooling_reaches_the_last_of_more_images_than_rows(order):
    x, dy = tables.normal(1, 9, 2, 2, 4), tables.normal(2, 9, 1, 1, 4)
    _, where = max_pool2d.forward.reference(x, (2, 2), (2, 2), tables.NO_PADDING)
    (dx,) = run(max_pool2d.scatter, (dy, where, x.shape))
    np.testing.assert_array_equal(dx, max_pool2d.scatter.reference(dy, where, x.shape))


def test_poolings_that_fill_blocks_of_256_reach_the_last_number(order):
    x, window = tables.normal(1, 4, 4, 4, 16), ((2, 2), (2, 2), tables.NO_PADDING)
    y, winners = max_pool2d.forward.reference(x, *window)
    average = kernels.average_pool2d
    for kernel, args in (
        (max_pool2d.forward, (x, *window)),
        (max_pool2d.gather, (x, winners)),
        (max_pool2d.scatter, (y, winners, x.shape)),
        (average.forward, (x, *window)),
        (average.spread, (y, x.shape, *window)),
    ):
        for one, other in zip(
            run(kernel, args), tables.outputs(kernel.reference, args), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-12)


POOLED = [
    ("same", (2, 2), (2, 2), tables.NO_PADDING),
    ("same", (3, 2), (1, 2), ((1, 1), (0, 1))),
    ("groups", (3, 3), (2, 2), ((1, 1), (1, 1))),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", POOLED, ids=str)
def test_convolution_and_pooling_agree_with_the_reference(case, dtype, order):
    name, window, *placement = case
    x, weight, _, _, *where = SMALL[name]["forward"]
    bias = tables.normal(4, weight.shape[3])
    where = tuple(where)
    args = tables.in_dtype((x, weight, bias, where, window, placement), dtype)
    y, winners = run(kernels.conv_pool.forward, args)
    expected, right = kernels.conv_pool.forward.reference(*args)
    assert y.dtype == dtype
    np.testing.assert_array_equal(winners, right)
    np.testing.assert_allclose(y, expected, rtol=0, atol=100 * np.finfo(dtype).eps)
    dy = tables.normal(5, *y.shape)
    check_sums(kernels.conv_pool.input_grad, (dy, right, weight, x.shape, where), dtype)
    check_sums(kernels.conv_pool.weight_grad, (x, dy, right, weight.shape, where), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("links", [tables.links, tables.residual_links, tables.channel_links])
def test_a_chain_agrees_with_the_reference(links, dtype, order):
    x, chain = tables.normal(1, 2, 9, 8, 5).astype(dtype), kernels.chain.Chain(links(dtype))
    expected = kernels.chain.forward.reference(x, chain)
    there_too = kernels.chain.Chain([link_there(link) for link in chain.links])
    (y,) = run(kernels.chain.forward, (x, there_too))
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    atol = 1000 * np.finfo(dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, rtol=0, atol=atol)


def test_a_chain_may_end_with_softmax(order):
    x, links = tables.normal(1, 2, 6), [kernels.chain.Link(tables.normal(2, 6, 3))]
    expected = kernels.chain.forward.reference(x, kernels.chain.Chain(links, softmax=True))
    there_too = kernels.chain.Chain([link_there(link) for link in links], softmax=True)
    (y,) = run(kernels.chain.forward, (x, there_too))
    assert y.shape == (2, 2, 3)
    np.testing.assert_allclose(y, expected, rtol=0, atol=100 * np.finfo(float).eps)


def link_there(link):
    line = link.line and kernels.chain.Line(*map(there, link.line[:4]), link.line.epsilon)
    return link._replace(weight=there(link.weight), bias=there(link.bias), line=line)


def to_bits(x, bits):
    """The nearest numbers with so many bits, by arithmetic; halves as Python's round does."""
    fraction, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(np.ldexp(fraction, bits)), exponent - bits).astype(x.dtype)


@pytest.fixture(params=["bfloat16", "tf32"])
def bits(request):
    """How many bits operands have, in each of the two ways to use tensor cores."""
    if request.param == "bfloat16":
        with precision.rounding_to("bfloat16"):
            yield 8
    else:
        precision.allow_tf32(True)
        yield 11
        precision.allow_tf32(False)


TENSOR = ["smallest", "more than a tile", "same", "strides, same", "groups", "sums in pieces"]


@pytest.mark.parametrize("name", TENSOR)
def test_tensor_cores_round_operands_and_add_up_in_float32(name, bits, order):
    for kernel in MAPS:
        version, args = getattr(conv2d, kernel), tables.in_dtype(SMALL[name][kernel], "float32")
        (result,) = run(version, args)
        rounded = [to_bits(a, bits) if tables.is_floating(a) else a for a in args]
        assert result.dtype == np.float32
        assert tables.rounding_errors(result, version, rounded, "float32") < 8
        if name != "smallest":
            assert tables.rounding_errors(result, version, args, "float32") > 50


def test_float64_is_never_rounded(bits):
    check_sums(conv2d.forward, SMALL["same"]["forward"], "float64")


def test_nan_and_infinity_pass_through_tensor_cores(bits):
    x = np.ones((2, 2), np.float32)
    x[0, 0], x[1, 1] = np.uint32(0x7F800001).view(np.float32), -np.inf  # a NaN in its last bit
    (y,) = run(kernels.matmul.multiply, (x, np.ones((2, 1), np.float32), None, False))
    np.testing.assert_array_equal(y.ravel(), [np.nan, -np.inf])


def test_gpus_without_these_tensor_cores_round_operands_all_the_same(monkeypatch):
    monkeypatch.setattr(precision, "defines", lambda _: {"BF16": 1, "TENSOR_CORES": 0})
    args = tables.in_dtype(SMALL["same"]["forward"], "float32")
    rounded = [to_bits(a, 8) if tables.is_floating(a) else a for a in args]
    (y,) = run(conv2d.forward, args)
    assert tables.rounding_errors(y, conv2d.forward, rounded, "float32") < 8
    assert tables.rounding_errors(y, conv2d.forward, args, "float32") > 50
