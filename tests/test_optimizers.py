"""Optimizers: their formulas, written out plainly in float64, and everything around a step."""

import numpy as np
import pytest

from minicnn import optimizers
from minicnn.autograd import Tensor, grad
from minicnn.backend import kernels
from minicnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from minicnn.variable import Variable


def numbers(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def variables(dtype=np.float64):
    return [
        Variable(numbers(3, 4, dtype=dtype, seed=1), name="kernel"),
        Variable(numbers(4, dtype=dtype, seed=2), name="bias"),
        Variable(numbers(4, 2, dtype=dtype, seed=3), name="kernel"),
    ]


def gradients(step, dtype=np.float64):
    shapes = ((3, 4), (4,), (4, 2))
    return [numbers(*shape, dtype=dtype, seed=10 * step + k) for k, shape in enumerate(shapes)]


def sgd(w, g, state, t, lr=0.01, momentum=0.0, nesterov=False):
    if not momentum:
        return w - lr * g
    v = state["v"] = momentum * state.get("v", 0.0) - lr * g
    return w + (momentum * v - lr * g if nesterov else v)


def adam(w, g, state, t, lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
    m = state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * g
    v = state["v"] = beta_2 * state.get("v", 0.0) + (1 - beta_2) * g**2
    if amsgrad:
        v = state["top"] = np.maximum(state.get("top", 0.0), v)
    alpha = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - alpha * m / (np.sqrt(v) + epsilon)


def rmsprop(w, g, state, t, lr=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    v = state["v"] = rho * state.get("v", 0.0) + (1 - rho) * g**2
    if centered:
        a = state["a"] = rho * state.get("a", 0.0) + (1 - rho) * g
        v = v - a**2
    d = lr * g / np.sqrt(v + epsilon)
    if momentum:
        d = state["u"] = momentum * state.get("u", 0.0) + d
    return w - d


FORMULAS = [
    (SGD, sgd, {}),
    (SGD, sgd, {"momentum": 0.9}),
    (SGD, sgd, {"momentum": 0.9, "nesterov": True}),
    (Adam, adam, {}),
    (Adam, adam, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    (Adam, adam, {"beta_2": 0.5, "amsgrad": True}),
    (RMSprop, rmsprop, {}),
    (RMSprop, rmsprop, {"momentum": 0.8}),
    (RMSprop, rmsprop, {"centered": True}),
    (RMSprop, rmsprop, {"rho": 0.7, "momentum": 0.8, "centered": True, "epsilon": 1e-3}),
]


@pytest.mark.parametrize("decay", [None, 0.1])
@pytest.mark.parametrize("cls, formula, settings", FORMULAS)
def test_five_steps_follow_the_formula(cls, formula, settings, decay):
    lr = 0.05
    ws = variables()
    wanted, states = [w.numpy().copy() for w in ws], [{} for _ in ws]
    optimizer = cls(learning_rate=lr, weight_decay=decay, **settings)
    for t in range(1, 6):
        gs = gradients(t)
        optimizer.apply([Tensor(g) for g in gs], ws)
        for k, (g, state) in enumerate(zip(gs, states, strict=True)):
            w = wanted[k] - wanted[k] * (decay or 0) * lr
            wanted[k] = formula(w, g, state, t, lr=lr, **settings)
    for w, right in zip(ws, wanted, strict=True):
        np.testing.assert_allclose(w.numpy(), right, rtol=1e-10)
    assert optimizer.iterations == 5


def test_defaults_are_those_of_keras():
    assert (SGD().learning_rate, SGD().momentum, SGD().nesterov) == (0.01, 0, False)
    adam = Adam()
    assert (adam.learning_rate, adam.beta_1, adam.beta_2) == (0.001, 0.9, 0.999)
    assert (adam.epsilon, adam.weight_decay) == (1e-7, None)
    assert AdamW().weight_decay == 0.004
    rms = RMSprop()
    assert (rms.learning_rate, rms.rho, rms.momentum, rms.epsilon) == (0.001, 0.9, 0, 1e-7)
    assert [cls().name for cls in (SGD, Adam, AdamW, RMSprop)] == [
        "sgd",
        "adam",
        "adam_w",
        "rm_sprop",
    ]


def kernel_cases(dtype, n):
    def some(seed):
        return np.abs(numbers(n, dtype=dtype, seed=seed)) + dtype(1)

    w, g, none = numbers(n, dtype=dtype), numbers(n, dtype=dtype, seed=1), np.zeros(0, dtype)
    small = (numbers(n, dtype=dtype, seed=5) * 0.1).astype(dtype)
    yield kernels.sgd.step, (w, g, none), (0.1, 0.01, 0.0, False)
    yield kernels.sgd.step, (w, g, some(2)), (0.1, 0.01, 0.9, False)
    yield kernels.sgd.step, (w, g, some(2)), (0.1, 0.01, 0.9, True)
    yield kernels.adam.step, (w, g, small, some(3), none), (0.1, 0.01, 0.9, 0.99, 1e-7)
    yield kernels.adam.step, (w, g, small, some(3), some(4)), (0.1, 0.01, 0.9, 0.99, 1e-7)
    yield kernels.rmsprop.step, (w, g, some(3), none, none), (0.1, 0.01, 0.9, 0.0, 1e-7)
    yield kernels.rmsprop.step, (w, g, some(3), small, some(4)), (0.1, 0.01, 0.9, 0.8, 1e-7)
    yield kernels.rmsprop.step, (w, g, some(3), none, some(4)), (0.1, 0.01, 0.9, 0.8, 1e-7)
    yield kernels.rmsprop.step, (w, g, some(3), small, none), (0.1, 0.01, 0.9, 0.0, 1e-7)


@pytest.mark.parametrize("dtype, close", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("n", [1, 7, 16384, 40001])
def test_fused_kernels_do_what_their_references_do(n, dtype, close):
    for kernel, arrays, settings in kernel_cases(dtype, n):
        fast, slow = [a.copy() for a in arrays], [a.copy() for a in arrays]
        kernel(*fast, *settings)
        kernel.reference(*slow, *settings)
        for got, right in zip(fast, slow, strict=True):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, right, rtol=close, atol=close, err_msg=kernel.name)
        np.testing.assert_array_equal(fast[1], arrays[1], err_msg="the gradient has changed")


def test_a_root_of_zero_divides_like_numpy():
    w, g, v = np.zeros(3), np.array([0.0, 1.0, -1.0]), np.zeros(3)
    with np.errstate(invalid="ignore"):  # NumPy would warn where the JIT is off
        kernels.adam.step(w, g, np.zeros(3), v, v[:0], 0.1, 0.0, 0.0, 0.0, 0.0)
    np.testing.assert_array_equal(w, [np.nan, -0.1, 0.1])


def test_float32_stays_float32():
    ws = variables(np.float32)
    Adam().apply(gradients(1, np.float32), ws)
    assert {w.dtype for w in ws} == {np.dtype("float32")}


def test_variables_of_two_dtypes_can_be_mixed():
    ws = [Variable(np.ones(2, np.float32)), Variable(np.ones(2)), Variable(np.ones(3, np.float32))]
    SGD(0.5).apply([np.ones(2), np.ones(2), np.ones(3)], ws)
    assert [w.dtype.name for w in ws] == ["float32", "float64", "float32"]
    assert all((w.numpy() == 0.5).all() for w in ws)


def test_single_numbers_and_strided_gradients_are_fine():
    ws = [Variable(np.array(2.0)), Variable(np.zeros((2, 3)))]
    SGD(1.0).apply([np.array(0.5), np.arange(6.0).reshape(3, 2).T], ws)
    assert ws[0].shape == () and ws[0].item() == 1.5
    np.testing.assert_array_equal(ws[1].numpy(), -np.arange(6.0).reshape(3, 2).T)


def test_numbers_set_between_steps_count():
    w = Variable(np.array([1.0, 2.0]))
    optimizer = SGD(0.5)
    optimizer.apply([np.ones(2)], [w])
    w.assign([10.0, 20.0])
    optimizer.apply([np.ones(2)])
    np.testing.assert_array_equal(w.numpy(), [9.5, 19.5])


def test_building_leaves_the_variables_alone():
    w = Variable(np.array([1.0, 2.0]))
    loss = (w * w).sum()
    optimizer = SGD(0.5)
    optimizer.build([w])
    np.testing.assert_array_equal(grad(loss, [w])[0].numpy(), [2.0, 4.0])


def test_a_step_works_while_the_graph_of_the_loss_is_alive():
    w, optimizer = Variable(np.array([1.0, 2.0])), SGD(0.25)
    losses = []
    for _ in range(3):
        loss = (w * w).sum()
        losses.append(loss)  # keeps the graph, and with it the read-only locks
        optimizer.apply(grad(loss, [w]), [w])
    np.testing.assert_array_equal(w.numpy(), [0.125, 0.25])
    np.testing.assert_array_equal([loss.item() for loss in losses], [5.0, 1.25, 0.3125])


def test_a_graph_from_before_the_step_is_refused():
    w, optimizer = Variable(np.array([1.0, 2.0])), SGD(0.25)
    for _ in range(2):
        loss = (w * w).sum()
        optimizer.apply(grad(loss, [w]), [w])
        with pytest.raises(RuntimeError, match="was given new data"):
            grad(loss, [w])


def test_two_optimizers_can_take_turns_on_a_variable():
    w, one, two = Variable(np.array([8.0])), SGD(1.0), SGD(2.0)
    for optimizer in (one, two, one):
        optimizer.apply([np.ones(1)], [w])
    assert w.item() == 4.0


def test_a_part_of_the_variables_can_be_updated():
    ws = variables()
    before = [w.numpy().copy() for w in ws]
    optimizer = Adam(0.1)
    optimizer.build(ws)
    held = ws[1].data
    g = gradients(1)
    optimizer.apply([g[2], g[0]], [ws[2], ws[0]])
    assert ws[1].data is held, "a variable that took no part was touched"
    for k in (0, 2):
        np.testing.assert_allclose(ws[k].numpy(), adam(before[k], g[k], {}, 1, lr=0.1), rtol=1e-12)


def test_building_anew_keeps_the_state_of_known_variables():
    a, b = Variable(np.zeros(2), name="a"), Variable(np.zeros(3), name="b")
    optimizer = SGD(1.0, momentum=0.5)
    optimizer.apply([np.ones(2)], [a])
    optimizer.build([b, a])
    optimizer.apply([np.zeros(3), np.zeros(2)])
    np.testing.assert_array_equal(a.numpy(), [-1.5, -1.5])
    np.testing.assert_array_equal(b.numpy(), np.zeros(3))


def test_constraints_are_applied_after_the_update():
    w = Variable(np.array([0.2, 1.0]), constraint=lambda w: np.maximum(w, 0))
    SGD(0.5).apply([np.ones(2)], [w])
    np.testing.assert_array_equal(w.numpy(), [0.0, 0.5])


def test_apply_gradients_takes_pairs():
    w = Variable(np.array([1.0]))
    SGD(0.5).apply_gradients(zip([np.ones(1)], [w], strict=True))
    assert w.item() == 0.5


def test_clipvalue_clips_every_element():
    w = Variable(np.zeros(3))
    SGD(1.0, clipvalue=0.5).apply([np.array([-2.0, 0.25, 2.0])], [w])
    np.testing.assert_array_equal(w.numpy(), [0.5, -0.25, -0.5])


def test_clipnorm_shortens_each_gradient_that_is_too_long():
    a, b = Variable(np.zeros(2)), Variable(np.zeros(2))
    SGD(1.0, clipnorm=1.0).apply([np.array([3.0, 4.0]), np.array([0.3, 0.4])], [a, b])
    np.testing.assert_allclose(a.numpy(), [-0.6, -0.8], rtol=1e-12)
    np.testing.assert_allclose(b.numpy(), [-0.3, -0.4], rtol=1e-12)


def test_global_clipnorm_shortens_all_gradients_by_one_factor():
    a, b = Variable(np.zeros(1)), Variable(np.zeros(1, np.float32))
    SGD(1.0, global_clipnorm=1.0).apply([np.array([3.0]), np.array([4.0])], [a, b])
    np.testing.assert_allclose([a.item(), b.item()], [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("spared", [{"var_names": ["bia"]}, {"var_list": True}])
def test_variables_can_be_spared_from_weight_decay(spared):
    kernel, bias = Variable(np.ones(2), name="kernel"), Variable(np.ones(2), name="bias")
    optimizer = SGD(0.5, weight_decay=0.5)
    if "var_list" in spared:
        spared = {"var_list": [bias]}
    optimizer.exclude_from_weight_decay(**spared)
    optimizer.apply([np.zeros(2), np.zeros(2)], [kernel, bias])
    np.testing.assert_array_equal(kernel.numpy(), [0.75, 0.75])
    np.testing.assert_array_equal(bias.numpy(), [1.0, 1.0])


def test_sparing_comes_too_late_after_the_first_step():
    optimizer = SGD()
    optimizer.build([Variable(np.ones(2))])
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_the_learning_rate_can_be_changed_between_steps():
    w, optimizer = Variable(np.zeros(1)), SGD(1)
    optimizer.apply([np.ones(1)], [w])
    optimizer.learning_rate = 0.5
    optimizer.apply([np.ones(1)])
    assert w.item() == -1.5


@pytest.mark.parametrize(
    "optimizer, slots",
    [
        (SGD(), []),
        (SGD(momentum=0.5), ["0", "1"]),
        (Adam(), ["m0", "v0", "m1", "v1"]),
        (Adam(amsgrad=True), ["m0", "v0", "m1", "v1", "top0", "top1"]),
        (RMSprop(momentum=0.5, centered=True), ["v0", "v1", "u0", "u1", "a0", "a1"]),
    ],
)
def test_state_is_in_the_order_of_keras(optimizer, slots):
    ws = [Variable(np.zeros((1, 2))), Variable(np.zeros(3))]
    assert len(optimizer.variables) == 2
    optimizer.build(ws)
    state = optimizer.variables
    assert state[0].dtype == np.int64 and state[0] == 0
    assert state[1] == np.float32(optimizer.learning_rate)
    shapes = [ws[int(slot[-1])].shape for slot in slots]
    assert [array.shape for array in state[2:]] == shapes


def test_adams_momentum_stands_before_its_velocity():
    optimizer = Adam()
    optimizer.apply([np.full(2, 3.0)], [Variable(np.zeros(2))])
    np.testing.assert_allclose(optimizer.variables[2], [0.3, 0.3])
    np.testing.assert_allclose(optimizer.variables[3], [0.009, 0.009])


@pytest.mark.parametrize("cls, formula, settings", FORMULAS)
def test_going_on_from_a_saved_state_gives_the_same_bits(cls, formula, settings):
    ws, straight = variables(np.float32), cls(learning_rate=0.003, **settings)
    for t in (1, 2, 3):
        straight.apply(gradients(t, np.float32), ws)
    copies, again = variables(np.float32), cls(learning_rate=0.003, **settings)
    first = cls(learning_rate=0.003, **settings)
    for t in (1, 2):
        first.apply(gradients(t, np.float32), copies)
    again.build(copies)
    again.load_state(first.variables)
    again.apply(gradients(3, np.float32))
    assert again.iterations == 3
    for w, copy in zip(ws, copies, strict=True):
        np.testing.assert_array_equal(w.numpy(), copy.numpy())


def test_a_loaded_state_brings_its_learning_rate():
    saved, other = SGD(0.25), SGD(0.5)
    other.load_state(saved.variables)
    assert other.learning_rate == 0.25


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    optimizer = SGD(0.5, momentum=0.9)
    optimizer.apply([np.ones(2)], [Variable(np.zeros(2))])
    before = optimizer.variables
    with pytest.raises(ValueError, match="wants 3 arrays, but got 2"):
        optimizer.load_state([np.array(7), np.array(0.1)])
    with pytest.raises(ValueError, match=r"array 2 has shape \(3,\), wanted was \(2,\)"):
        optimizer.load_state([np.array(7), np.array(0.1), np.ones(3)])
    for now, then in zip(optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_state_handed_out_is_a_copy():
    optimizer = SGD(momentum=0.9)
    optimizer.build([Variable(np.zeros(2))])
    optimizer.variables[2][:] = 7
    assert not optimizer.variables[2].any()


@pytest.mark.parametrize("cls, formula, settings", FORMULAS)
def test_a_config_makes_the_same_optimizer(cls, formula, settings):
    optimizer = cls(learning_rate=0.25, weight_decay=0.5, clipnorm=2.0, name="mine", **settings)
    config = optimizer.get_config()
    assert config["name"] == "mine" and config["learning_rate"] == 0.25
    assert settings.items() <= config.items()
    assert cls.from_config(config).get_config() == config
    assert optimizers.get(optimizers.serialize(optimizer)).get_config() == config


def test_a_config_of_keras_is_accepted():
    off = {
        "use_ema": False,
        "ema_momentum": 0.99,
        "ema_overwrite_frequency": None,
        "loss_scale_factor": None,
        "gradient_accumulation_steps": None,
    }
    assert Adam.from_config({"name": "adam", "learning_rate": 0.5, **off}).learning_rate == 0.5


@pytest.mark.parametrize("name", ["adam", "Adam", "ADAM"])
def test_names_are_case_insensitive(name):
    assert type(optimizers.get(name)) is Adam


def test_get_takes_objects_and_classes():
    optimizer = SGD()
    assert optimizers.get(optimizer) is optimizer
    assert type(optimizers.get(AdamW)) is AdamW
    with pytest.raises(ValueError, match="unknown optimizer 'rmspop'. Did you mean 'rmsprop'?"):
        optimizers.get("rmspop")
    with pytest.raises(TypeError, match="optimizer: wants a name or an object of class Optimizer"):
        optimizers.get(3)


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: SGD(lr=0.1), ValueError, "unknown argument 'lr'. Did you mean 'learning_rate'?"),
        (lambda: Adam(beta1=0.1), ValueError, "'beta1'. Did you mean 'beta_1'?"),
        (
            lambda: AdamW(wd=0.1),
            ValueError,
            "AdamW .MC050.: unknown argument 'wd'.*'weight_decay'",
        ),
        (lambda: SGD("0.1"), TypeError, "SGD: learning_rate must be a number, but is '0.1'"),
        (lambda: SGD(True), TypeError, "learning_rate must be a number, but is True"),
        (lambda: SGD(-1.0), ValueError, "finite and at least 0, but is -1.0"),
        (lambda: SGD(float("nan")), ValueError, "learning_rate must be finite .*nan"),
        (lambda: SGD(momentum=1.5), ValueError, "SGD: momentum must be from 0 to 1, but is 1.5"),
        (lambda: Adam(beta_1=1), ValueError, "Adam: beta_1 must be from 0 to below 1, but is 1"),
        (lambda: AdamW(weight_decay=None), TypeError, "AdamW: weight_decay must be a number"),
        (lambda: SGD(clipnorm=1, clipvalue=1), ValueError, "only one of clipnorm, clipvalue"),
        (lambda: SGD(use_ema=True, ema_momentum=2), ValueError, "SGD: ema_momentum must be from 0"),
        (lambda: SGD(ema_overwrite_frequency=0), ValueError, "ema_overwrite_frequency must be a w"),
        (
            lambda: SGD(gradient_accumulation_steps=1),
            ValueError,
            "steps must be a whole.*at least 2",
        ),
        (lambda: SGD(loss_scale_factor="8"), TypeError, "SGD: loss_scale_factor must be a number"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    "grads, ws, error, match",
    [
        ([], None, ValueError, r"Say apply\(grads, variables\) the first time"),
        ([np.ones(2)], [], ValueError, "got no variables"),
        ([np.ones(2)], [Tensor([1.0, 1.0])], TypeError, "wants Variables, but got Tensor"),
        ([], [Variable(np.ones(2))], ValueError, "got 0 gradients for 1 variables"),
        (
            [None],
            [Variable(np.ones(2))],
            TypeError,
            "must be a tensor or an array, but is NoneType",
        ),
        (
            [np.ones((2, 1))],
            [Variable(np.ones(2), name="bias")],
            ValueError,
            r"gradient of bias has shape \(2, 1\), but the variable has \(2,\)",
        ),
    ],
)
def test_gradients_that_do_not_fit_are_refused(grads, ws, error, match):
    with pytest.raises(error, match=match):
        SGD().apply(grads, ws)


def test_a_variable_stands_in_the_list_once():
    w = Variable(np.ones(2))
    with pytest.raises(ValueError, match="is in the list twice"):
        SGD().build([w, w])


def test_a_variable_gets_one_gradient_per_step():
    w, optimizer = Variable(np.ones(2)), SGD()
    optimizer.build([w])
    with pytest.raises(ValueError, match="is in the list twice. Add its gradients up"):
        optimizer.apply([np.ones(2), np.ones(2)], [w, w])


def test_a_new_variable_is_refused():
    optimizer = SGD()
    optimizer.apply([np.ones(2)], [Variable(np.ones(2))])
    with pytest.raises(ValueError, match="path=late.* is new to this optimizer"):
        optimizer.apply([np.ones(2)], [Variable(np.ones(2), name="late")])


def test_an_optimizer_of_ones_own_needs_an_update():
    with pytest.raises(NotImplementedError, match="Optimizer defines no update"):
        Optimizer(0.1).apply([np.ones(2)], [Variable(np.ones(2))])
