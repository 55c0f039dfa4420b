"""Graphs of GPU work: what was captured is done by each launch, with the numbers of that moment.

On a machine without a GPU the emulator stands in for it: it computes nothing while it captures.
"""

import numpy as np
import pytest

from minicnn.backend import array_module, born, constant, fed, joined, kernels, on_cpu

pytestmark = pytest.mark.parametrize(
    "device",
    [pytest.param("emulator", id="captured"), pytest.param("gpu", marks=pytest.mark.gpu)],
    indirect=True,
)


@pytest.fixture
def x(device):
    """Numbers on a GPU, or on the emulator."""
    return born(np.array([[1.0, -2.0, 3.0], [-4.0, 5.0, 6.0]], np.float32))


def captured(x, work):
    """A graph of some work, and what the work has returned."""
    graph = kernels.graphs.Graph(like=x)
    return graph, graph.capture(work)


def test_a_kernel_is_run_by_each_launch_and_not_before(x):
    y = array_module(x).zeros(x.shape, x.dtype)
    graph, _ = captured(x, lambda: y.__setitem__(Ellipsis, kernels.relu.forward(x)))
    np.testing.assert_array_equal(on_cpu(y), 0)
    for factor in (1, -1):
        x[...] = x * factor
        graph.launch()
        np.testing.assert_array_equal(on_cpu(y), np.maximum(on_cpu(x), 0))


STEPS = {
    "expressions": lambda x, xp: (x * 2 + 1) / 3,
    "comparisons": lambda x, xp: x > 0,
    "sums": lambda x, xp: x.sum(axis=0, dtype=np.float64),
    "a number": lambda x, xp: x.mean(),
    "places": lambda x, xp: x.argmax(axis=1),
    "other dtypes": lambda x, xp: x.astype(np.float64),
    "copies": lambda x, xp: x.copy(),
    "turned and flattened": lambda x, xp: x.T.reshape(-1),
    "flattened": lambda x, xp: x.T.ravel() + x.T.flatten(),
    "a part": lambda x, xp: x[:, 1:] + 1,
    "one number": lambda x, xp: x[1, 2] * 2,
    "rows by numbers": lambda x, xp: x[xp.arange(2)[::-1]],
    "numbers taken": lambda x, xp: x.take(xp.arange(3)[::-1], axis=1),
    "joined": lambda x, xp: joined([x, x * 2], 1),
    "full": lambda x, xp: xp.full((2, 3), 7, x.dtype) + x,
    "several arrays": lambda x, xp: np.divmod(x, 2)[1],
    "parts of parts": lambda x, xp: np.split(x + 1, 3, axis=1)[2],
    "clipped": lambda x, xp: x.clip(-1, 2),
    "a constant": lambda x, xp: x + constant(np.float32([[1, 2, 3]]), like=x),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_graph_computes_what_the_step_does(x, name):
    def step():
        return STEPS[name](x, array_module(x))

    graph, y = captured(x, step)
    for factor in (1, 3, -2):
        x[...] = x * factor + 1
        expected = on_cpu(step())
        graph.launch()
        np.testing.assert_array_equal(on_cpu(y), expected)
        assert y.dtype == expected.dtype


CHANGES = {
    "an operator": lambda y, x: y.__iadd__(x),
    "out": lambda y, x: np.multiply(x, 2, out=y),
    "a place": lambda y, x: y.__setitem__((slice(None), 0), x[:, 1]),
    "a number": lambda y, x: y.fill(3),
    "copyto": lambda y, x: np.copyto(y, x),
    "joined": lambda y, x: np.concatenate([x[:1], x[1:] + 1], out=y),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_an_array_waits_for_the_launch(x, name):
    xp = array_module(x)
    if xp.__name__ == "cupy" and name == "joined":
        pytest.skip("CuPy brings addresses from the CPU for it")
    y = xp.ones(x.shape, x.dtype)
    graph, _ = captured(x, lambda: CHANGES[name](y, x))
    np.testing.assert_array_equal(on_cpu(y), 1)
    expected = xp.ones(x.shape, x.dtype)
    for _ in range(2):
        CHANGES[name](expected, x)
        graph.launch()
        np.testing.assert_array_equal(on_cpu(y), on_cpu(expected))


def test_arrays_begin_anew_in_each_launch(x):
    def step():
        total = array_module(x).zeros(x.shape, x.dtype)
        total += x
        return total

    graph, y = captured(x, step)
    for _ in range(3):
        graph.launch()
        np.testing.assert_array_equal(on_cpu(y), on_cpu(x))


def test_a_view_shows_what_it_is_a_view_of(x):
    graph, (y, view) = captured(x, lambda: (y := x + 1, y[:, 1].reshape(1, 2)))
    graph.launch()
    np.testing.assert_array_equal(on_cpu(view), on_cpu(y)[:, 1].reshape(1, 2))


def test_what_is_fed_is_made_before_each_launch_in_the_order_of_the_step(x):
    made = iter(range(10))

    def number():
        return np.array(next(made))  # of another dtype than wanted

    def step():
        first, second = (fed(number, (), np.float32, like=x) for _ in range(2))
        return 10 * first + second

    graph, y = captured(x, step)
    assert next(made) == 0  # nothing was drawn while it was captured
    for expected in (12, 34, 56):
        graph.launch()
        assert on_cpu(y) == expected and y.dtype == np.float32


def test_outside_of_a_graph_fed_makes_numbers_at_once(x):
    assert fed(lambda: np.array(3), (), np.float32, like=x).dtype == np.float32
    seed = kernels.dropout.fed_seed(lambda: 5, like=x)
    y = kernels.dropout.apply(x, 0.5, seed)
    np.testing.assert_array_equal(on_cpu(y), on_cpu(kernels.dropout.apply(x, 0.5, 5)))


def test_dropout_draws_a_seed_before_each_launch(x):
    seeds = iter([3, 7, 2**64 + 3])

    def step():
        return kernels.dropout.apply(x, 0.5, kernels.dropout.fed_seed(lambda: next(seeds), like=x))

    graph, y = captured(x, step)
    for seed in (3, 7, 3):
        graph.launch()
        np.testing.assert_array_equal(on_cpu(y), on_cpu(kernels.dropout.apply(x, 0.5, seed)))


NOT_IN_A_GRAPH = {
    "a copy to the CPU": lambda x, xp: x.get(),
    "a number": lambda x, xp: x[0, 0].item(),
    "a decision": lambda x, xp: bool(x[0, 0] > 0),
    "a float": lambda x, xp: float(x.sum()),
    "an int": lambda x, xp: int(x.sum()),
    "a list": lambda x, xp: x.tolist(),
    "a product by cuBLAS": lambda x, xp: x @ x.T,
    "another one": lambda x, xp: np.dot(x, x.T),
    "a look at indices": lambda x, xp: np.unravel_index(x.argmax(axis=0), [2]),
}
COPIES = {
    "a copy from the CPU": lambda x, xp: xp.asarray(np.ones(2)),
    "another copy": lambda x, xp: x.set(np.ones((2, 3), np.float32)),
    "a list": lambda x, xp: xp.array([1, 2]),
}


@pytest.mark.parametrize("name", NOT_IN_A_GRAPH)
def test_a_graph_refuses_what_must_know_numbers(x, name):
    with pytest.raises(Exception, match="captur"):
        captured(x, lambda: NOT_IN_A_GRAPH[name](x, array_module(x)))
    assert not kernels.graphs.is_capturing()
    assert float(on_cpu(x.sum())) == 9  # and all goes on as before


@pytest.mark.parametrize("name", COPIES)
def test_the_emulator_refuses_copies_that_a_gpu_would_repeat_wrongly(x, name):
    if array_module(x).__name__ == "cupy":
        pytest.skip("CuPy notes them")
    with pytest.raises(RuntimeError, match="copied from the CPU while a stream is capturing"):
        captured(x, lambda: COPIES[name](x, array_module(x)))


def test_placing_an_array_of_the_cpu_is_refused(x):
    with pytest.raises(RuntimeError, match=r"array of shape \(4,\) was copied .* backend.fed"):
        captured(x, lambda: born(np.ones(4)))


def test_an_error_in_the_step_is_the_one_that_is_raised(x):
    with pytest.raises(ZeroDivisionError):
        captured(x, lambda: 1 / 0)
    graph, y = captured(x, lambda: x + 1)
    graph.launch()
    np.testing.assert_array_equal(on_cpu(y), on_cpu(x) + 1)


def test_streams_capture_one_at_a_time(x):
    cuda = array_module(x).cuda
    if array_module(x).__name__ == "cupy":
        pytest.skip("CuPy says it in other words, and tests it")
    stream = cuda.Stream(non_blocking=True)
    with pytest.raises(RuntimeError, match="default stream cannot capture"):
        cuda.Stream.null.begin_capture()
    with pytest.raises(RuntimeError, match="call begin_capture first"):
        stream.end_capture()
    stream.begin_capture()
    for call in (cuda.Stream().begin_capture, stream.synchronize, cuda.Graph([]).launch):
        with pytest.raises(RuntimeError, match="while a stream is capturing"):
            call()
    stream.end_capture()
    stream.synchronize()
