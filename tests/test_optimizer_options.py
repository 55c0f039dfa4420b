"""What all optimizers do around an update: clipping, decay, averages, accumulation, states."""

import numpy as np
import pytest

from minicnn import optimizers
from minicnn.autograd import Tensor, Watcher, watch
from minicnn.optimizers import SGD, Adagrad, Adam, Lookahead, Nadam, flat, schedules
from minicnn.variable import Variable

SHAPES = {"kernel": (3, 4), "bias": (4,), "single": (), "filters": (2, 2, 3)}
LR = 0.25


def variables(**settings):
    rng = np.random.default_rng(0)
    return [Variable(rng.normal(size=shape), name=n, **settings) for n, shape in SHAPES.items()]


def gradients(step):
    rng = np.random.default_rng(step)
    return [rng.normal(size=shape) for shape in SHAPES.values()]


def clipped(gs, clipnorm=None, clipvalue=None, global_clipnorm=None):
    """The gradients, shortened in one of three ways."""
    if clipvalue:
        return [np.minimum(np.maximum(g, -clipvalue), clipvalue) for g in gs]
    if clipnorm:
        return [g * min(1, clipnorm / np.sqrt(np.sum(g**2))) for g in gs]
    if global_clipnorm:
        return [g * min(1, global_clipnorm / np.sqrt(sum(np.sum(g**2) for g in gs))) for g in gs]
    return gs


def descended(
    calls,
    weight_decay=None,
    use_ema=False,
    ema_momentum=0.99,
    ema_overwrite_frequency=None,
    loss_scale_factor=None,
    gradient_accumulation_steps=None,
    **clipping,
):
    """Weights and averages after some calls of SGD, written out plainly."""
    ws = [w.numpy().copy() for w in variables()]
    averages, totals = [0 * w for w in ws], [0 * w for w in ws]
    each = gradient_accumulation_steps or 1
    for call in range(calls):
        gs = [g / (loss_scale_factor or 1) for g in gradients(call)]
        totals = [total + g for total, g in zip(totals, gs, strict=True)]
        if (call + 1) % each == 0:
            gs = clipped([total / each for total in totals], **clipping)
            ws = [w - w * (weight_decay or 0) * LR for w in ws]
            ws = [w - LR * g for w, g in zip(ws, gs, strict=True)]
            totals = [0 * total for total in totals]
        if use_ema:
            steps = call // each
            share = ema_momentum if steps else 0
            averages = [share * a + (1 - share) * w for a, w in zip(averages, ws, strict=True)]
            if ema_overwrite_frequency and (steps + 1) % ema_overwrite_frequency == 0:
                ws = averages
    return ws, averages


OPTIONS = [
    {},
    {"weight_decay": 0.3},
    {"clipnorm": 1.5},
    {"clipvalue": 0.7},
    {"global_clipnorm": 2.0},
    {"global_clipnorm": 1e3},
    {"clipnorm": 0.0},
    {"clipvalue": 0.0},
    {"global_clipnorm": 0.0},
    {"loss_scale_factor": 4.0, "clipnorm": 0.3},
    {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 3, "clipvalue": 0.3, "weight_decay": 0.2},
    {"gradient_accumulation_steps": 2, "loss_scale_factor": 0.5, "global_clipnorm": 1.5},
    {"use_ema": True},
    {"use_ema": True, "ema_momentum": 0.6},
    {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 3},
    {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 1, "weight_decay": 0.2},
    {
        "use_ema": True,
        "ema_momentum": 0.6,
        "ema_overwrite_frequency": 2,
        "gradient_accumulation_steps": 2,
    },
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_seven_calls_do_what_the_options_say(options):
    ws, optimizer = variables(), SGD(LR, **options)
    for calls in range(1, 8):
        optimizer.apply([Tensor(g) for g in gradients(calls - 1)], ws)
        wanted, averages = descended(calls, **options)
        for w, right in zip(ws, wanted, strict=True):
            np.testing.assert_allclose(w.numpy(), right, rtol=1e-10, atol=1e-12)
        if options.get("use_ema"):
            for average, right in zip(optimizer.state()[2:6], averages, strict=True):
                np.testing.assert_allclose(average, right, rtol=1e-10, atol=1e-12)
    assert optimizer.iterations == 7 // options.get("gradient_accumulation_steps", 1)


def test_gradients_are_not_changed_by_a_step():
    gs = gradients(0)
    SGD(LR, clipvalue=0.1, loss_scale_factor=2.0, weight_decay=0.5).apply(gs, variables())
    for g, before in zip(gs, gradients(0), strict=True):
        np.testing.assert_array_equal(g, before)


def test_a_gradient_of_just_the_greatest_length_stays_as_it_is():
    w = Variable(np.zeros(2))
    SGD(1.0, clipnorm=5.0).apply([np.array([3.0, 4.0])], [w])
    assert w.numpy().tolist() == [-3, -4]


def test_options_can_be_read():
    assert SGD(clipnorm=1).clipnorm == 1 and SGD(clipvalue=2).clipvalue == 2
    optimizer = SGD(global_clipnorm=3, use_ema=1)
    assert optimizer.global_clipnorm == 3 and optimizer.use_ema is True
    assert optimizer.clipnorm is optimizer.clipvalue is None
    assert not optimizer.built and optimizer.iterations == 0
    optimizer.build(variables())
    assert optimizer.built


def test_the_loss_is_scaled_by_its_factor_only():
    loss = Tensor(np.array([3.0]))
    assert SGD().scale_loss(loss) is loss
    assert SGD(loss_scale_factor=8.0).scale_loss(loss).item() == 24


def test_numbers_of_steps_must_be_whole():
    for value in (0, 1.5, True, "2"):
        with pytest.raises(
            ValueError, match="ema_overwrite_frequency must be a whole number of at"
        ):
            SGD(ema_overwrite_frequency=value)
    for value in (1, 2.0, True):
        with pytest.raises(ValueError, match="accumulation_steps must be a whole number of at lea"):
            SGD(gradient_accumulation_steps=value)
    optimizer = SGD(ema_overwrite_frequency=np.int64(1), gradient_accumulation_steps=np.int32(2))
    config = optimizer.get_config()
    assert type(config["ema_overwrite_frequency"]) is int
    assert config["gradient_accumulation_steps"] == 2


@pytest.mark.parametrize(
    "clipping",
    [
        {"clipnorm": 1, "global_clipnorm": 1},
        {"clipvalue": 1, "global_clipnorm": 1},
        {"clipnorm": 0, "clipvalue": 0},
    ],
)
def test_there_is_one_kind_of_clipping_at_a_time(clipping):
    with pytest.raises(ValueError, match="SGD: only one of clipnorm, clipvalue and global_clip"):
        SGD(**clipping)


@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm", "weight_decay"])
def test_limits_are_no_negative_numbers(name):
    with pytest.raises(ValueError, match=f"SGD: {name} must be finite and at least 0, but is -1"):
        SGD(**{name: -1})


def test_apply_gradients_drops_nothing_that_stands_beside_a_pair():
    a, b = Variable(np.ones(1)), Variable(np.ones(1))
    with pytest.raises(ValueError, match="zip"):
        SGD().apply_gradients([(np.ones(1), a), (np.ones(1), b, "more")])


# Which variables take part.


def test_only_the_named_variables_are_spared_from_decay_and_all_others_are_updated_with_them():
    ws = variables()
    before = [w.numpy().copy() for w in ws]
    optimizer = SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[ws[3]], var_names=["^bi", "s.ngle"])
    for _ in range(2):
        optimizer.apply([np.zeros(w.shape) for w in ws], ws)
    for w, then, share in zip(ws, before, (0.5625, 1, 1, 1), strict=True):
        np.testing.assert_allclose(w.numpy(), then * share)


@pytest.mark.parametrize("part", [(0,), (1, 2), (0, 2), (0, 3), (0, 1, 3), (3, 1)])
def test_variables_that_take_no_part_stay_and_keep_their_state(part):
    ws, optimizer = variables(), Adagrad(LR, initial_accumulator_value=1.0)
    optimizer.build(ws)
    before = [w.numpy().copy() for w in ws]
    gs = gradients(0)
    optimizer.apply([gs[k] for k in part], [ws[k] for k in part])
    for k, (w, a) in enumerate(zip(ws, optimizer.state()[2:], strict=True)):
        total = 1 + gs[k] ** 2 * (k in part)
        np.testing.assert_allclose(a, total)
        moved = LR * gs[k] / np.sqrt(total + 1e-7) * (k in part)
        np.testing.assert_allclose(w.numpy(), before[k] - moved)


def test_constraints_hold_after_every_call_and_for_their_variable_only():
    a = Variable(np.array([0.2, 1.0]), constraint=lambda w: np.maximum(w, 0))
    b = Variable(np.array([0.2, 1.0]))
    optimizer = SGD(0.5, use_ema=True)
    optimizer.apply([np.ones(2)] * 2, [a, b])
    assert a.numpy().tolist() == [0, 0.5]
    np.testing.assert_allclose(b.numpy(), [-0.3, 0.5])
    a.assign([-5.0, 2.0])
    optimizer.apply([np.zeros(2)] * 2)
    assert a.numpy().tolist() == [0, 2]


def test_building_again_for_the_same_variables_changes_nothing():
    ws, optimizer = variables(), SGD(LR, momentum=0.5)
    optimizer.apply(gradients(0), ws)
    before = optimizer.state()
    optimizer.build(ws)
    optimizer.build(iter(ws))
    for now, then in zip(optimizer.state(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_building_for_other_variables_keeps_every_array_of_those_that_stay():
    ws = variables()
    optimizer = Adam(LR, use_ema=True, gradient_accumulation_steps=2, amsgrad=True)
    for step in range(3):
        optimizer.apply(gradients(step), ws)
    before = optimizer.state()[2:]
    new = Variable(np.full(2, 7.0), name="new")
    optimizer.build([new, ws[1]])
    after = optimizer.state()[2:]
    # averages of both, accumulated gradients of both, m and v of each, and the largest v of both
    wanted = [[7, 7], before[1], [0, 0], before[5], [0, 0], [0, 0], before[10], before[11], [0, 0]]
    for now, right in zip(after, [*wanted, before[17]], strict=True):
        np.testing.assert_array_equal(now, right)


# Averages.


def test_averages_are_exchanged_with_the_weights_and_back():
    ws, optimizer = variables(), SGD(LR, use_ema=True, ema_momentum=0.6)
    for step in range(3):
        optimizer.apply(gradients(step), ws)
    weights, averages = descended(3, use_ema=True, ema_momentum=0.6)
    for now, then in ((averages, weights), (weights, averages)):
        optimizer.swap_averages()
        for w, a, right, kept in zip(ws, optimizer.state()[2:], now, then, strict=True):
            np.testing.assert_allclose(w.numpy(), right, rtol=1e-12)
            np.testing.assert_allclose(a, kept, rtol=1e-12)
    optimizer.finalize_variable_values([ws[0], ws[3]])
    for k, w in enumerate(ws):
        right = averages if k in (0, 3) else weights
        np.testing.assert_allclose(w.numpy(), right[k], rtol=1e-12)
    optimizer.restart_averages()
    for w, a in zip(ws, optimizer.state()[2:], strict=True):
        np.testing.assert_array_equal(a, w.numpy())


def test_without_averages_there_is_nothing_to_finish():
    w, optimizer = Variable(np.ones(2)), SGD()
    optimizer.build([w])
    optimizer.finalize_variable_values([w])
    assert w.numpy().tolist() == [1, 1]
    with pytest.raises(ValueError, match="SGD: keeps no averages of the weights"):
        optimizer.restart_averages()


# Learning rates and states.


@pytest.mark.parametrize("value", [0.125, {"class_name": "CosineDecay", "config": [0.125, 10]}])
def test_a_learning_rate_is_a_number_or_a_saved_schedule(value):
    if isinstance(value, dict):
        names = ("initial_learning_rate", "decay_steps")
        value = value | {"config": dict(zip(names, value["config"], strict=True))}
    assert SGD(value).learning_rate == 0.125


def test_a_function_is_asked_for_the_learning_rate_of_each_step():
    rates, w = [1.0, 0.5], Variable(np.zeros(1))
    optimizer = SGD(lambda: rates[0])
    for _ in range(2):
        optimizer.apply([np.array([-1.0])], [w])
        del rates[0]
    assert w.item() == 1.5
    rates.append(0.25)
    assert len(optimizer.state()) == 1 and optimizer.exact_state() == {}


def test_a_schedule_counts_calls_where_gradients_are_accumulated():
    rate = schedules.PiecewiseConstantDecay([0, 1, 2, 3], [1.0, 2.0, 4.0, 8.0, 16.0])
    w, optimizer = Variable(np.zeros(1)), SGD(rate, gradient_accumulation_steps=2)
    for _ in range(4):
        optimizer.apply([np.array([-1.0])], [w])
    assert w.item() == 2 + 8 and optimizer.iterations == 2
    assert optimizer.state()[0] == 4


def test_the_exact_learning_rate_survives_rounding():
    saved, loaded = SGD(0.1), SGD(0.3)
    loaded.load_state(saved.state())
    assert loaded.learning_rate == float(np.float32(0.1)) != 0.1
    loaded.load_exact_state(saved.exact_state())
    assert loaded.learning_rate == 0.1
    loaded.load_state(saved.state())  # rounds to the same, so the exact one is kept
    assert loaded.learning_rate == 0.1
    loaded.load_exact_state({})
    assert loaded.learning_rate == 0.1


def test_a_state_without_a_learning_rate_belongs_to_a_schedule():
    ws, plan = variables(), schedules.CosineDecay(0.5, 10)
    optimizer, again = SGD(plan, momentum=0.5), SGD(plan, momentum=0.5)
    for step in range(3):
        optimizer.apply(gradients(step), ws)
    state = optimizer.state()
    again.build(ws)
    again.load_state(state)
    assert again.iterations == 3 and again.learning_rate == plan(3)
    for now, then in zip(again.state(), state, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(ValueError, match="SGD.load_state: wants 5 arrays, but got 6"):
        again.load_state([state[0], np.array(0.5), *state[1:]])
    with pytest.raises(ValueError, match=r"array 2 has shape \(5,\), wanted was \(4,\)"):
        again.load_state([*state[:2], np.zeros(5), *state[3:]])


def test_a_state_before_the_first_step_has_two_numbers_whatever_the_optimizer():
    for optimizer in (Adam(), Nadam(), Lookahead(Nadam())):
        assert [part.shape for part in optimizer.state()] == [(), ()]
    optimizer.build([Variable(np.zeros(3))])
    # m and v, what the weights were, and the product of Nadam's momenta
    assert [part.shape for part in optimizer.state()[2:]] == [(3,), (3,), (3,), ()]


# Lookahead.


def test_lookahead_takes_over_all_options_but_the_name():
    inner = SGD(0.5, weight_decay=0.1, clipvalue=2.0, use_ema=True, ema_momentum=0.5, name="inner")
    ahead = Lookahead(inner, sync_period=4, slow_step_size=0.3, name="outer")
    for option in ("learning_rate", "weight_decay", "clipvalue", "use_ema", "ema_momentum"):
        assert getattr(ahead, option) == getattr(inner, option)
    assert ahead.name == "outer" and Lookahead(inner).name == "lookahead"
    config = ahead.get_config()
    assert config.keys() == {"name", "optimizer", "sync_period", "slow_step_size"}
    assert (config["name"], config["sync_period"], config["slow_step_size"]) == ("outer", 4, 0.3)
    again = optimizers.get(optimizers.serialize(ahead))
    assert type(again) is Lookahead and again.get_config() == config
    assert again.optimizer.get_config() == inner.get_config()
    default = Lookahead(inner).get_config()
    assert (default["sync_period"], default["slow_step_size"]) == (6, 0.5)


def test_lookahead_follows_the_schedule_and_the_first_values_of_its_optimizer():
    plan = schedules.PiecewiseConstantDecay([0, 1], [1.0, 2.0, 4.0])
    w, ahead = Variable(np.zeros(1)), Lookahead(SGD(plan), sync_period=4)
    for step, wanted in enumerate([1, 3, 7, 5.5, 9.5], start=1):
        ahead.apply([np.array([-1.0])], [w])
        assert w.item() == wanted and ahead.optimizer.iterations == step - 1
    ahead = Lookahead(Adagrad(initial_accumulator_value=0.5))
    ahead.build([w])
    assert [part.tolist() for part in ahead.state()[2:]] == [[0.5], [0]]


@pytest.mark.parametrize(
    "settings, error, match",
    [
        ({"sync_period": True}, ValueError, "sync_period must be a whole number above 0"),
        ({"sync_period": 1.5}, ValueError, "sync_period must be a whole number above 0"),
        ({"sync_period": 0}, ValueError, "sync_period must be a whole number above 0"),
        ({"slow_step_size": 1.5}, ValueError, "slow_step_size must be from 0 to 1, but is 1.5"),
        ({"slow_step_size": "1"}, TypeError, "slow_step_size must be a number"),
    ],
)
def test_lookahead_refuses_bad_settings(settings, error, match):
    with pytest.raises(error, match=match):
        Lookahead(SGD(), **settings)
    assert Lookahead(SGD(), sync_period=1, slow_step_size=1).sync_period == 1


# Where the numbers lie.


def test_a_step_runs_no_op_even_for_gradients_that_are_tensors():
    class Names(Watcher):
        def after_forward(self, op, inputs, output):
            raise AssertionError(f"{op} was run")

    with watch(Names()):
        SGD(LR, clipnorm=1.0).apply([Tensor(g) for g in gradients(0)], variables())


def test_a_step_goes_on_from_where_a_move_has_put_everything(monkeypatch):
    monkeypatch.setattr(flat, "placed", lambda array, device: array.copy())  # like a real move
    ws, others = variables(), variables()
    stays, moves = (SGD(LR, momentum=0.5, use_ema=True, ema_momentum=0.5) for _ in range(2))
    for step in range(3):
        stays.apply(gradients(step), ws)
        moves.apply(gradients(step), others)
        before = [moves._flats[0].weights, *moves._flats[0].state.values()]
        moves.move("cpu")
        for w in others:
            w.data = w.data.copy()
        after = [moves._flats[0].weights, *moves._flats[0].state.values()]
        for a, b in zip(before, after, strict=True):
            assert not np.shares_memory(a, b)
    for now, then in zip(moves.state(), stays.state(), strict=True):
        np.testing.assert_array_equal(now, then)
    for w, other in zip(ws, others, strict=True):
        np.testing.assert_array_equal(w.numpy(), other.numpy())


def test_gathered_gradients_lie_where_the_step_wants_them():
    v, w = Variable(np.ones((2, 3))), Variable(np.ones(4))
    gradients = [Tensor(np.full((2, 3), 2.0)), Tensor(np.arange(4.0))]
    optimizer = optimizers.SGD(0.5)
    optimizer.build([v, w])
    gathered = optimizer.gather(gradients, [v, w])
    for found, given in zip(gathered, gradients, strict=True):
        np.testing.assert_array_equal(found.numpy(), given.numpy())
    gathered[1].data[...] = 2  # as a graph does in each launch, and nobody hands it over again
    optimizer.apply(gathered, [v, w])
    np.testing.assert_array_equal(v.numpy(), 0)
    np.testing.assert_array_equal(w.numpy(), 0)
    assert np.shares_memory(gathered[0].data.base, gathered[1].data)


def test_gather_wants_a_gradient_for_each_variable():
    v, w = Variable(np.ones(3)), Variable(np.ones(4))
    optimizer = optimizers.SGD(0.5)
    optimizer.build([v, w])
    with pytest.raises(ValueError, match="zip"):
        optimizer.gather([Tensor(np.ones(3))], [v, w])


def test_adopted_variables_lie_side_by_side_and_keep_their_numbers():
    v, w = Variable(np.ones(3)), Variable(np.ones(4))
    optimizer = optimizers.SGD(0.5)
    optimizer.build([v, w])
    v.assign(np.arange(3.0))
    optimizer.adopt([v, w])
    assert v.data.base is w.data.base
    np.testing.assert_array_equal(v.numpy(), np.arange(3))
    before = v.data
    optimizer.adopt([v])
    assert v.data is before
