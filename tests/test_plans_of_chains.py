"""How chain_plan.py lays out what a chain of layers computes; see test_plans.py."""

import numba
import numpy as np
import pytest
from planned_layers import (
    F32,
    layer,
    one_cpu,  # noqa: F401  a fixture for every test
    rounded_up,
)

from minicnn.backend import kernels

conv2d, conv_pool = kernels.conv2d, kernels.conv_pool
from minicnn.kernels import (  # noqa: E402  conv2d has imported them
    chain_plan,
    depthwise,
    sweep,
)

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


@pytest.mark.parametrize("F, pads", [(7, True), (8, False), (9, True), (15, True), (16, False)])
def test_a_bias_that_is_no_whole_vector_is_copied(F, pads):
    stages = planned(Link(array(1024, F), array(F)), Link(array(F, 16))).stages
    assert stages["pads"].tolist() == [pads, True]  # as is one that is not there


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
