"""The CPU kernel of chains, with so little to do that every loop and branch is entered.

Nearly all numbers are whole or a few quarters, so that no sum of them is rounded: results must be
equal. As plain Python, each worker runs as if the others were not there: it finds memory as all of
them found it, and must not write where another one writes.
"""

import weakref
from functools import partial
from operator import attrgetter

import numba
import numpy as np
import pytest
from test_short_sweeps import (
    LANES,
    as_python,
    calls,  # noqa: F401  a fixture
    fresh_plans,  # noqa: F401  another one
    packed_by_definition,
    unwritten,
    whole,
)

from minicnn.backend import kernels

chain, conv_pool = kernels.chain, kernels.conv_pool
from minicnn.kernels import chain_plan, depthwise, packing, precision, simd, sweep  # noqa: E402

Chain, Line, Link, X = chain.Chain, chain.Line, chain.Link, chain.X
SAME = ((1, 1), ((1, 1), (0, 1)), (1, 1), 1)
KEPT = ((1, 1), ((1, 0), (1, 1)), (1, 1), 1)  # by a window of 2 x 3, the size of images is
STEPS = ((2, 1), ((0, 0), (1, 0)), (1, 2), 1)
HALVED = ((2, 2), (2, 2), ((0, 1), (1, 0)))
EACH = ((2, 2), (1, 1), ((0, 0), (0, 0)))
F = 2 * LANES + 3  # three blocks of filters, the last of them not full


def link(seed, *shape, bias=True, **settings):
    weight = whole(seed, *shape)
    return Link(weight, whole(seed + 1, shape[-1]) if bias else None, **settings)


def line(seed, channels, gamma=True, beta=True):
    """Whole numbers over roots that are 1, 2 or 4."""
    mean, a, b = whole(seed, 3, channels)
    variance = 4.0 ** np.random.default_rng(seed).integers(0, 3, channels) - 0.5
    return Line(mean, variance, a if gamma else None, b if beta else None, 0.5)


def channels(seed, P, Q, C, place=SAME, **settings):
    """A depthwise convolution."""
    return link(seed, P, Q, 1, C, arrangement=(*place[:3], C), **settings)


CHAINS = {  # shape of x, links
    "one product": ((2, 6), [link(1, 6, F)]),
    "one product, cut off": ((3, 6), [link(1, 6, F, bias=False, activation="relu")]),
    "products": (
        (2, 2, 3, 1),
        [
            link(1, 6, F, activation="relu"),
            link(3, F, LANES, bias=False),
            link(5, LANES, 2 * LANES, activation="relu", ceiling=20.0),
            link(7, 2 * LANES, 3),
        ],
    ),
    "convolutions": (
        (2, 4, 3, 2),
        [
            link(1, 2, 3, 2, F, arrangement=SAME, activation="relu"),
            link(3, 3, 2, F, LANES, bias=False, arrangement=STEPS),
            link(5, 1, 1, LANES, 5, bias=False, activation="relu"),
        ],
    ),
    "lines": (
        (3, 3, 3, 2),
        [
            link(1, 2, 2, 2, F, arrangement=SAME, line=line(1, F), activation="relu"),
            link(3, 1, 1, F, 5, bias=False, line=line(2, 5, gamma=False)),
            link(5, 1, 1, 5, F, line=line(3, F, beta=False), activation="relu", ceiling=30.0),
            link(7, 1, 1, F, 3 * LANES, ceiling=9.0, line=line(4, 3 * LANES)),
        ],
    ),
    "shortcuts": (
        (2, 3, 4, F),
        [
            link(1, 1, 1, F, F, shortcut=X, activation="relu"),
            link(3, 2, 3, F, F, bias=False, arrangement=KEPT, line=line(1, F), shortcut=X),
            link(5, 1, 1, F, F, source=0, shortcut=1, activation="relu"),
            Link(None, shortcut=0, activation="relu"),
            link(7, 1, 1, F, F, source=X, shortcut=3),
            Link(None, source=3, shortcut=4, ceiling=-1.0),
        ],
    ),
    "as they are": (
        (5, 3),
        [
            Link(None),
            Link(None, line=line(1, 3)),
            Link(None, activation="relu", shortcut=X),
            Link(None, line=line(2, 3, gamma=False, beta=False), ceiling=1.0),
        ],
    ),
    "poolings": (
        (2, 5, 4, 3),
        [
            Link(None, pooling=EACH),
            Link(None, pooling=HALVED, averages=True),
            Link(None, pooling=((1, 2), (2, 1), ((0, 0), (0, 1)))),
        ],
    ),
    "averages": (
        (3, 3, 3, 2),
        [Link(None, pooling=EACH, averages=True), Link(None, pooling=((2, 2), (2, 1), EACH[2]))],
    ),
    "convolutions that are pooled": (
        (2, 5, 4, 2),
        [
            link(1, 2, 2, 2, F, arrangement=SAME, pooling=HALVED, activation="relu"),
            link(3, 1, 1, F, F, bias=False, activation="relu", pooling=EACH),
            link(5, 1, 1, F, 3),
        ],
    ),
    "channels": (
        (2, 4, 3, F),
        [
            channels(1, 2, 3, F, bias=False),
            channels(3, 2, 2, F, STEPS, activation="relu"),
            channels(5, 2, 3, F, KEPT, bias=False, activation="relu", line=line(1, F), shortcut=1),
            channels(7, 2, 1, F, line=line(2, F), ceiling=5.0),
            link(9, 1, 1, F, 2),
        ],
    ),
}

# rows of y in a task, shares of the filters, vectors in a tile
CUTS = {"all at once": (9, 1, 4), "rows": (1, 2, 1), "two rows": (2, 3, 1)}


def by_itself(memory, threads, workers, function, arguments):
    """What `share` does; but no worker sees what others do, nor writes where others write."""
    before = [array.copy() for array in memory]
    after = [array.copy() for array in memory]
    for worker in range(workers):
        function(worker, workers, *arguments)
        for array, old, new in zip(memory, before, after, strict=True):
            written = ~((array == old) | (np.isnan(array) & np.isnan(old)))
            untouched = (new == old) | (np.isnan(new) & np.isnan(old))
            assert untouched[written].all(), "two workers write to one place"
            new[written] = array[written]
            array[...] = old
    for array, new in zip(memory, after, strict=True):
        array[...] = new


class Shared:
    """How a chain has been run: its memory, and who has shared what."""

    def __init__(self):
        self.memory, self.takers, self.asked = [], [], []

    def hand_out(self, name, shape, dtype):
        self.memory.append(unwritten(shape, dtype))
        self.asked.append((name, shape))
        return self.memory[-1]

    def share(self, threads, workers, function, arguments):
        self.takers.append((function.__name__, workers))
        by_itself(self.memory, threads, workers, function, arguments)


@pytest.fixture
def shared(monkeypatch):
    """Let three workers run chains in memory of NaN, no longer than was asked for."""
    noted = Shared()
    monkeypatch.setattr(chain, "thread_count", lambda: 3)
    if numba.config.DISABLE_JIT:  # what is compiled does not ask again who shares the work,
        monkeypatch.setattr(chain, "share", noted.share)
    monkeypatch.setattr(chain, "empty", partial(noted.hand_out, "empty"))
    monkeypatch.setattr(
        chain, "scratch", lambda n, m, dtype: noted.hand_out("scratch", (n, m), dtype)
    )
    return noted


@pytest.fixture
def together(monkeypatch, shared, fresh_plans):  # noqa: F811
    """A function that lets all work be shared, and be cut so."""
    for constant in ("LITTLE_WORK", "LITTLE_TO_READ"):
        monkeypatch.setattr(chain_plan, constant, 0)
    if numba.config.DISABLE_JIT:  # nor how much work is worth it
        for constant in ("FEW_POWERS", "FEW_CURVES"):
            monkeypatch.setattr(chain, constant, 0)

    def cut_up(band, shares, width, packs=False, asks=False):
        def plan(g, dtype, workers):
            blocks = packing.block_count(g.F, width, LANES)
            spill = simd.MOST_PIXELS * width * LANES
            cut = sweep.Cut(g.hangs_over, asks, min(shares, blocks), blocks, LANES, spill)
            return g._replace(tiles=simd.tiles(dtype), band=min(band, g.I), width=width), cut

        def best_cut(g, lanes, blocks, placement, *_):
            return min(band, placement[6]), min(shares, blocks)

        monkeypatch.setattr(chain_plan, "plan", plan)
        monkeypatch.setattr(conv_pool, "_best_cut", best_cut)
        monkeypatch.setattr(depthwise, "TASKS", 40 if shares > 1 else 1)
        if packs:
            monkeypatch.setattr(chain_plan, "step_in_place", lambda g, cut: 0)

    return cut_up


def check(x, links, softmax=False):
    """As the kernels of each link say, one by one."""
    found = chain.forward(x, Chain(links, softmax))
    expected = chain.forward.reference(x, Chain(links, softmax))
    assert found.shape == expected.shape and type(expected) is np.ndarray
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", CHAINS)
def test_links_are_the_kernels_one_by_one(name, cut, packs, together):
    shape, links = CHAINS[name]
    together(*CUTS[cut], packs)
    check(whole(9, *shape), links)


@pytest.mark.parametrize("name", CHAINS)
def test_links_of_little_work_are_the_kernels_one_by_one(name, shared):
    shape, links = CHAINS[name]
    check(whole(9, *shape), links)


@pytest.mark.parametrize("name", CHAINS)
def test_one_worker_may_take_all_tasks(name, together, monkeypatch):
    """So one after the other, in the same memory."""
    shape, links = CHAINS[name]
    together(*CUTS["two rows"])
    monkeypatch.setattr(chain, "thread_count", lambda: 1)
    check(whole(9, *shape), links)


def check_to_the_last_bit(x, links, softmax=False):
    """Curves are rounded, but as the kernels of each link round them."""
    given = Chain(links, softmax)
    y = chain._linked(x, given, attrgetter("cpu"))
    expected = np.stack([y, kernels.softmax.forward.cpu(y)]) if softmax else y
    np.testing.assert_array_equal(chain.forward(x, given), expected)
    np.testing.assert_allclose(chain.forward.reference(x, given), expected, rtol=1e-12)


CURVED = [
    link(1, 2, 2, 2, F, arrangement=SAME, activation="tanh"),
    Link(None, pooling=HALVED),
    link(2, 1, 1, F, 5, activation="sigmoid"),
    Link(None, line=line(1, 5), activation="tanh"),
    link(3, 30, 7, activation="sigmoid", ceiling=2.0),
    link(4, 7, 3),
]


@pytest.mark.parametrize("count", range(2, len(CURVED) + 1))
def test_curves_are_shared(count, together):
    together(*CUTS["rows"])
    check_to_the_last_bit(whole(9, 5, 3, 5, 2) / 8, CURVED[:count])


@pytest.mark.parametrize("count", [2, 5])
def test_a_few_curves_are_those_of_one_worker(count, shared):
    check_to_the_last_bit(whole(9, 5, 3, 5, 2) / 8, CURVED[:count])


@pytest.mark.parametrize("images", [1, 2, 5])
def test_the_last_link_may_make_scores(images, together):
    together(*CUTS["rows"])
    check_to_the_last_bit(whole(9, images, 3, 5, 2) / 8, CURVED, softmax=True)


@as_python
def test_weights_are_fetched_in_whole_vectors():
    few = LANES - 1
    given = Chain([link(1, 6, few, line=line(1, few, gamma=False))])
    plan = given.plan(np.ones((500, 6)))
    stage, expected = plan.stages[0], unwritten(plan.layout[1], float)
    (weight, bias, *_), arena = given.links[0], expected.copy()
    terms = given.links[0].line
    filters = packed_by_definition(weight.reshape(1, 1, 1, 6, few), 1)
    scale = 1 / np.sqrt(terms.variance + terms.epsilon)
    lines = [np.resize(row, stage.line_size) for row in (terms.mean, scale, terms.beta)]
    for at, numbers in (
        (stage.start, [*bias, 0]),
        (stage.filters, filters),
        (stage.line, np.ravel(lines)),
    ):
        expected[at : at + len(numbers)] = numbers
    for worker in range(3):
        chain._fetch_weights(worker, 3, 0, plan.stages, given.addresses, arena)
    np.testing.assert_array_equal(arena, expected)


@as_python
@pytest.mark.parametrize("asks", [False, True])
def test_links_ask_for_memory_where_it_is_planned(asks, together, calls):  # noqa: F811
    shape, links = CHAINS["convolutions"]
    together(*CUTS["two rows"], asks=asks)
    check(whole(9, *shape), links)
    assert bool(calls["fetch_run"]) == bool(calls["claim_run"]) == asks
    # nothing passes the caches, as the next link wants it at once
    assert {call[10] for call in calls["tile"]} == {sweep.REPLACE} and not calls["store_fence"]


def takers(shared, name):
    return [workers for function, workers in shared.takers if function == name]


@as_python
def test_all_workers_take_what_is_much(shared, monkeypatch):
    """What is fetched for the first link, a link, curves, rows of scores: 12, 4 and 20 numbers."""
    links = [link(1, 6, 3, activation="tanh"), link(2, 3, 1), link(3, 1, 5, activation="sigmoid")]
    x = whole(9, 4, 6)
    for work, curves, powers, expected in (
        (15, 11, 19, ([3], [3, 1, 3], [3, 3], [3])),
        (72, 19, 20, ([3], [1, 1, 1], [1, 3], [1])),
        (72, 20, 20, ([3], [1, 1, 1], [1, 1], [1])),
    ):
        monkeypatch.setattr(chain_plan, "LITTLE_WORK", work)
        monkeypatch.setattr(chain, "FEW_CURVES", curves)
        monkeypatch.setattr(chain, "FEW_POWERS", powers)
        shared.takers.clear()
        chain.forward(x, Chain(links, softmax=True))
        names = "_fetch_weights", "_take_share", "_take_numbers", "_take_rows"
        assert tuple(takers(shared, name) for name in names) == expected


def test_no_images_make_no_results(shared):
    links, x = [link(1, 2, 2, 2, 5), Link(None, pooling=HALVED)], np.ones((0, 4, 5, 2))
    assert chain.forward(x, Chain(links)).shape == (0, 2, 2, 5)
    scores = [link(1, 6, 3)]
    assert chain.forward(np.ones((0, 2, 3)), Chain(scores, softmax=True)).shape == (2, 0, 3)
    assert chain.forward(np.ones((0, 2, 3)), Chain(scores)).shape == (0, 3)


def test_so_much_memory_is_not_kept(shared, monkeypatch):
    given, x = Chain([link(1, 6, 3), link(2, 3, 2)]), whole(9, 4, 6)
    needed = given.plan(x).memory
    for at_hand, name in ((8 * needed, "scratch"), (8 * needed - 1, "empty")):
        monkeypatch.setattr(chain, "AT_HAND", at_hand)
        shared.memory.clear(), shared.asked.clear()
        y = chain.forward(x, given)
        shape = (1, needed) if name == "scratch" else (needed,)
        assert shared.asked == [("empty", (8,)), (name, shape)]
        np.testing.assert_array_equal(y, chain.forward.reference(x, given))


def test_a_plan_is_made_once(monkeypatch):
    given, x = Chain([link(1, 6, 3)]), np.ones((4, 6))
    plan = given.plan(x)
    assert given.plan(x + 1) is plan
    others = [given.plan(np.ones((2, 6))), given.plan(np.ones((4, 6), np.float32))]
    monkeypatch.setattr(chain, "thread_count", lambda: 5)
    others.append(given.plan(x))
    assert others[-1].layout[0] == 5 and all(plan is not other for other in others)


def test_a_chain_forgets_its_plans_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(chain, "MOST_PLANS", 3)
    given = Chain([link(1, 6, 3)])
    kept = []
    for images in (1, 2, 3, 1, 4, 1):
        given.plan(np.ones((images, 6)))
        kept.append(len(given._plans))
    assert kept == [1, 2, 3, 3, 1, 2]


def test_a_result_is_forgotten_when_its_last_reader_is_done():
    made = []  # results, as long as somebody needs them

    def version(kernel):
        def run(*args):
            alive.append([k for k, result in enumerate(made) if result() is not None])
            y = kernel.reference(*args)
            made.append(weakref.ref(y))
            return y

        return run

    alive = []
    links = [link(k, 3, 3) for k in range(6)]
    links[3], links[4] = links[3]._replace(source=0), links[4]._replace(shortcut=2)
    chain._linked(np.ones((2, 3)), Chain(links), version)
    # link 4 takes two kernels: the one that adds the shortcut still needs what the first one made
    assert alive == [[], [0], [0, 1], [0, 2], [2, 3], [2, 3, 4], [5]]


def test_a_chain_rounds_no_operands():
    x = np.float32([[1 / 3, 1 / 7]])
    given = Chain([Link(np.float32([[0.1], [0.2]])), Link(np.float32([[0.3]]))])
    expected = chain.forward.reference(x, given)
    with precision.rounding_to("bfloat16"):
        np.testing.assert_array_equal(chain._linked(x, given, lambda kernel: kernel), expected)
