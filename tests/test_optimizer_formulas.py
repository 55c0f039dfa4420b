"""The optimizers that are plain NumPy, beside their formulas, and what holds for all optimizers."""

import numpy as np
import pytest

from minicnn import optimizers
from minicnn.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    Lookahead,
    Muon,
    Nadam,
    RMSprop,
)
from minicnn.variable import Variable

SHAPES = {"wide": (3, 4), "bias": (4,), "tall": (5, 2), "filters": (2, 2, 3), "Embedding": (3, 3)}


def variables(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [Variable(rng.normal(size=shape).astype(dtype), name=n) for n, shape in SHAPES.items()]


def gradients(step, dtype=np.float64):
    rng = np.random.default_rng(step)
    return [rng.normal(size=shape).astype(dtype) for shape in SHAPES.values()]


# Each formula takes weights, their gradient, a dict for what lasts, the number of the step from 1
# on, the learning rate, and the settings; it returns the new weights.


def adagrad(w, g, state, t, lr, initial_accumulator_value=0.1, epsilon=1e-7):
    a = state["a"] = state.get("a", initial_accumulator_value) + g**2
    return w - lr * g / np.sqrt(a + epsilon)


def adadelta(w, g, state, t, lr, rho=0.95, epsilon=1e-7):
    a = state["a"] = rho * state.get("a", 0.0) + (1 - rho) * g**2
    d = state.get("d", 0.0)
    x = np.sqrt((d + epsilon) / (a + epsilon)) * g
    state["d"] = rho * d + (1 - rho) * x**2
    return w - lr * x


def moments(g, state, beta_1, beta_2):
    m = state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * g
    v = state["v"] = beta_2 * state.get("v", 0.0) + (1 - beta_2) * g**2
    return m, v


def adamax(w, g, state, t, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, _ = moments(g, state, beta_1, beta_2)
    u = state["u"] = np.maximum(beta_2 * state.get("u", 0.0), abs(g))
    return w - lr * m / ((1 - beta_1**t) * (u + epsilon))


def nadam(w, g, state, t, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, v = moments(g, state, beta_1, beta_2)
    p = [beta_1 * (1 - 0.96**k / 2) for k in range(1, t + 2)]  # of steps 1 to t + 1
    n = p[t] * m / (1 - np.prod(p)) + (1 - p[t - 1]) * g / (1 - np.prod(p[:t]))
    return w - lr * n / (np.sqrt(v / (1 - beta_2**t)) + epsilon)


def ftrl(
    w,
    g,
    state,
    t,
    lr,
    learning_rate_power=-0.5,
    initial_accumulator_value=0.1,
    l1_regularization_strength=0.0,
    l2_regularization_strength=0.0,
    l2_shrinkage_regularization_strength=0.0,
    beta=0.0,
):
    old = state.get("n", initial_accumulator_value)
    new = state["n"] = old + g**2
    q = -learning_rate_power
    z = state["z"] = (
        state.get("z", 0.0)
        + g
        + 2 * l2_shrinkage_regularization_strength * w
        - (new**q - old**q) / lr * w
    )
    width = (new**q + beta) / lr + 2 * l2_regularization_strength
    beyond = np.sign(z) * np.maximum(abs(z) - l1_regularization_strength, 0)
    return -beyond / width


def lamb(w, g, state, t, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, v = moments(g, state, beta_1, beta_2)
    x = m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return w - lr * np.sqrt(np.sum(w**2) / np.sum(x**2)) * x


def lion(w, g, state, t, lr, beta_1=0.9, beta_2=0.99):
    m = state.get("m", 0.0)
    state["m"] = beta_2 * m + (1 - beta_2) * g
    return w - lr * np.sign(beta_1 * m + (1 - beta_1) * g)


FORMULAS = [
    (Adagrad, adagrad, {}),
    (Adagrad, adagrad, {"initial_accumulator_value": 0.7, "epsilon": 1e-2}),
    (Adadelta, adadelta, {}),
    (Adadelta, adadelta, {"rho": 0.6, "epsilon": 1e-2}),
    (Adamax, adamax, {}),
    (Adamax, adamax, {"beta_1": 0.7, "beta_2": 0.6, "epsilon": 1e-2}),
    (Nadam, nadam, {}),
    (Nadam, nadam, {"beta_1": 0.7, "beta_2": 0.6, "epsilon": 1e-2}),
    (Ftrl, ftrl, {}),
    (Ftrl, ftrl, {"learning_rate_power": 0, "l1_regularization_strength": 0.3}),
    (
        Ftrl,
        ftrl,
        {
            "learning_rate_power": -0.8,
            "initial_accumulator_value": 0.4,
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.6,
        },
    ),
    (Lamb, lamb, {}),
    (Lamb, lamb, {"beta_1": 0.7, "beta_2": 0.6, "epsilon": 1e-2}),
    (Lion, lion, {}),
    (Lion, lion, {"beta_1": 0.6, "beta_2": 0.8}),
]


def agree(optimizer, formula, lr, decay, settings, steps=6):
    """Do some steps with both, and compare the weights after each of them."""
    ws = variables()
    wanted, states = [w.numpy().copy() for w in ws], [{} for _ in ws]
    for t in range(1, steps + 1):
        gs = gradients(t)
        optimizer.apply(gs, ws)
        for k, (g, state) in enumerate(zip(gs, states, strict=True)):
            decayed = wanted[k] * (1 - decay * lr)
            wanted[k] = formula(decayed, g, state, t, lr, **settings)
            np.testing.assert_allclose(ws[k].numpy(), wanted[k], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("decay", [None, 0.1])
@pytest.mark.parametrize("cls, formula, settings", FORMULAS)
def test_six_steps_follow_the_formula(cls, formula, settings, decay):
    optimizer = cls(learning_rate=0.05, weight_decay=decay, **settings)
    agree(optimizer, formula, 0.05, decay or 0.0, settings)


def test_lamb_counts_the_quotient_as_1_where_a_length_is_0():
    empty, still = Variable(np.zeros(2)), Variable(np.array([3.0, 4.0]))
    Lamb(0.5).apply([np.array([1.0, -2.0]), np.zeros(2)], [empty, still])
    np.testing.assert_allclose(empty.numpy(), [-0.5, 0.5], rtol=1e-5)
    np.testing.assert_array_equal(still.numpy(), [3.0, 4.0])


# Muon: matrices are turned, all else goes to Adam.


def turned(m, steps, a, b, c):
    """What Newton and Schulz make of m, told from its singular values."""
    u, q, v = np.linalg.svd(m, full_matrices=False)
    q = q / (np.sqrt(np.sum(q**2)) + 1e-7)
    for _ in range(steps):
        q = a * q + b * q**3 + c * q**5
    return u * q @ v


def muon(w, g, state, lr, momentum, nesterov, rms_rate, steps, coefficients):
    m = state["m"] = momentum * state.get("m", 0.0) + g
    x = turned(g + momentum * m if nesterov else m, steps, *coefficients)
    if rms_rate is not None:
        x = x * rms_rate * np.sqrt(max(w.shape))
    return w - lr * x


def adam(w, g, state, t, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, v = moments(g, state, beta_1, beta_2)
    return w - lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)


@pytest.mark.parametrize(
    "settings, by_adam",
    [
        ({}, {"bias", "filters", "Embedding"}),
        ({"exclude_embeddings": False, "nesterov": False}, {"bias", "filters"}),
        ({"exclude_layers": ["wid", "no such"]}, {"bias", "filters", "Embedding", "wide"}),
        (
            {"exclude_layers": ["^t.ll$"], "rms_rate": None},
            {"bias", "filters", "Embedding", "tall"},
        ),
        (
            {
                "adam_beta_1": 0.7,
                "adam_beta_2": 0.6,
                "adam_weight_decay": 0.3,
                "adam_lr_ratio": 0.5,
                "epsilon": 1e-2,
                "weight_decay": 0.2,
                "momentum": 0.6,
                "ns_steps": 3,
                "muon_a": 2.0,
                "muon_b": -1.5,
                "muon_c": 0.5,
                "rms_rate": 0.7,
            },
            {"bias", "filters", "Embedding"},
        ),
        ({"adam_weight_decay": None, "weight_decay": None}, {"bias", "filters", "Embedding"}),
    ],
)
def test_muon_turns_matrices_and_leaves_the_rest_to_adam(settings, by_adam):
    s = {
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.999,
        "adam_weight_decay": 0.004,
        "adam_lr_ratio": 1.0,
        "epsilon": 1e-7,
        "weight_decay": 0.004,
        "momentum": 0.95,
        "ns_steps": 5,
        "muon_a": 3.4445,
        "muon_b": -4.7750,
        "muon_c": 2.0315,
        "nesterov": True,
        "rms_rate": 0.2,
    } | settings
    ws, lr, optimizer = variables(), 0.05, Muon(0.05, **settings)
    wanted, states = [w.numpy().copy() for w in ws], [{} for _ in ws]
    for t in range(1, 5):
        optimizer.apply(gradients(t), ws)
        for k, (name, g, state) in enumerate(zip(SHAPES, gradients(t), states, strict=True)):
            decay = s["adam_weight_decay"] if name in by_adam else s["weight_decay"]
            w = wanted[k] * (1 - (decay or 0) * lr)
            if name in by_adam:
                rate, betas = lr * s["adam_lr_ratio"], (s["adam_beta_1"], s["adam_beta_2"])
                wanted[k] = adam(w, g, state, t, rate, *betas, s["epsilon"])
            else:
                how = [s[n] for n in ("momentum", "nesterov", "rms_rate", "ns_steps")]
                abc = [s[n] for n in ("muon_a", "muon_b", "muon_c")]
                wanted[k] = muon(w, g, state, lr, *how, abc)
            np.testing.assert_allclose(ws[k].numpy(), wanted[k], rtol=1e-8, atol=1e-10)


def test_muon_keeps_one_array_for_a_matrix_and_two_for_the_rest():
    optimizer = Muon()
    optimizer.build([Variable(np.zeros((2, 3))), Variable(np.zeros(4))])
    assert [part.shape for part in optimizer.state()[2:]] == [(2, 3), (4,), (4,)]


def test_muon_spares_variables_from_both_decays():
    wide, bias = Variable(np.ones((2, 3)), name="wide"), Variable(np.ones(3), name="bias")
    optimizer = Muon(0.5, weight_decay=0.5, adam_weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["wide", "bias"])
    optimizer.apply([np.zeros((2, 3)), np.zeros(3)], [wide, bias])
    assert (wide.numpy() == 1).all() and (bias.numpy() == 1).all()


# What all optimizers have in common.

ALL = [
    (SGD, {"momentum": 0.7, "nesterov": True}),
    (RMSprop, {"rho": 0.7, "momentum": 0.6, "epsilon": 1e-3, "centered": True}),
    (Adam, {"beta_1": 0.7, "beta_2": 0.6, "epsilon": 1e-3, "amsgrad": True}),
    (AdamW, {"beta_1": 0.7, "beta_2": 0.6, "epsilon": 1e-3, "amsgrad": True}),
    *((cls, settings) for cls, _, settings in FORMULAS if settings),
    (
        Muon,
        {
            "adam_beta_1": 0.7,
            "adam_beta_2": 0.6,
            "adam_weight_decay": 0.3,
            "epsilon": 1e-2,
            "exclude_layers": ["wide"],
            "exclude_embeddings": False,
            "muon_a": 2.0,
            "muon_b": -1.5,
            "muon_c": 0.5,
            "adam_lr_ratio": 0.5,
            "momentum": 0.6,
            "ns_steps": 3,
            "nesterov": False,
            "rms_rate": 0.7,
        },
    ),
]
COMMON = {
    "weight_decay": 0.2,
    "clipnorm": 3.0,
    "use_ema": True,
    "ema_momentum": 0.6,
    "ema_overwrite_frequency": 3,
    "loss_scale_factor": 8.0,
    "gradient_accumulation_steps": 2,
    "name": "mine",
}
DEFAULTS = {
    SGD: {"learning_rate": 0.01, "momentum": 0, "nesterov": False},
    RMSprop: {"rho": 0.9, "momentum": 0, "epsilon": 1e-7, "centered": False},
    Adam: {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    AdamW: {
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
        "weight_decay": 0.004,
    },
    Adagrad: {"initial_accumulator_value": 0.1, "epsilon": 1e-7},
    Adadelta: {"rho": 0.95, "epsilon": 1e-7},
    Adamax: {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    Nadam: {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    Lamb: {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    Lion: {"beta_1": 0.9, "beta_2": 0.99},
    Ftrl: {
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0,
        "l2_regularization_strength": 0,
        "l2_shrinkage_regularization_strength": 0,
        "beta": 0,
    },
    Muon: {
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.999,
        "epsilon": 1e-7,
        "exclude_layers": [],
        "muon_a": 3.4445,
        "muon_b": -4.7750,
        "muon_c": 2.0315,
        "adam_lr_ratio": 1,
        "momentum": 0.95,
        "ns_steps": 5,
        "nesterov": True,
        "exclude_embeddings": True,
        "adam_weight_decay": 0.004,
        "rms_rate": 0.2,
        "weight_decay": 0.004,
    },
}
COMMON_DEFAULTS = {
    "learning_rate": 0.001,
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


@pytest.mark.parametrize("cls", DEFAULTS)
def test_defaults_stand_in_the_configuration(cls):
    config = cls().get_config()
    del config["name"]
    assert config == COMMON_DEFAULTS | DEFAULTS[cls]


def test_every_optimizer_has_defaults_and_other_settings():
    assert set(DEFAULTS) == {cls for cls, _ in ALL} == {*optimizers.OPTIMIZERS.values()}


@pytest.mark.parametrize("cls, settings", ALL)
def test_a_configuration_holds_every_setting_and_makes_the_same_optimizer(cls, settings):
    optimizer = cls(learning_rate=0.25, **COMMON, **settings)
    config = optimizer.get_config()
    rest = {"clipvalue": None, "global_clipnorm": None}
    assert config == DEFAULTS[cls] | {"learning_rate": 0.25, **COMMON, **rest, **settings}
    assert cls.from_config(config).get_config() == config
    again = optimizers.get(optimizers.serialize(optimizer))
    assert type(again) is cls and again.get_config() == config


def run(optimizer, ws, steps, dtype):
    for t in steps:
        optimizer.apply(gradients(t, dtype), ws)
    return ws


@pytest.mark.parametrize("cls, settings", ALL)
def test_weights_and_state_keep_their_dtype_and_a_saved_state_goes_on_to_the_same_bits(
    cls, settings
):
    def make():
        return cls(learning_rate=0.05, **COMMON, **settings)

    ws = run(make(), variables(np.float32), range(7), np.float32)
    first, again = make(), make()
    others = run(first, variables(np.float32), range(3), np.float32)
    again.build(others)
    again.load_state(first.state())
    run(again, others, range(3, 7), np.float32)
    for w, other in zip(ws, others, strict=True):
        assert w.dtype == np.float32
        np.testing.assert_array_equal(w.numpy(), other.numpy())
    arrays = [part for part in again.state()[2:] if part.ndim]
    assert {part.dtype for part in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("cls, settings", ALL)
def test_lookahead_with_whole_steps_does_what_the_inner_optimizer_does(cls, settings):
    common = COMMON | {"ema_overwrite_frequency": None}
    plain = cls(learning_rate=0.05, **common, **settings)
    ahead = Lookahead(cls(learning_rate=0.05, **common, **settings), 2, slow_step_size=1.0)
    ws, others = variables(), variables()
    run(plain, ws, range(8), np.float64)
    run(ahead, others, range(8), np.float64)
    for w, other in zip(ws, others, strict=True):
        np.testing.assert_allclose(other.numpy(), w.numpy(), rtol=1e-12, atol=1e-13)
    assert ahead.name == "lookahead" and Lookahead(plain, name="mine").name == "mine"


@pytest.mark.parametrize("cls", [cls for cls in DEFAULTS if cls is not Ftrl])
def test_weights_without_a_slope_stay_where_they_are(cls):
    optimizer = cls(**{"weight_decay": 0} | ({"adam_weight_decay": 0} if cls is Muon else {}))
    ws = variables()
    for _ in range(2):
        optimizer.apply([np.zeros(w.shape) for w in ws], ws)
    for w, before in zip(ws, variables(), strict=True):
        np.testing.assert_array_equal(w.numpy(), before.numpy())


INFINITE = float("inf")
LIMITS = [  # an optimizer, a setting, numbers that are fine and others that are not
    *((c, f"beta_{k}", (0, 0.9), (-0.1, 1)) for c in (Adam, Adamax, Nadam, Lamb) for k in (1, 2)),
    *((Muon, f"adam_beta_{k}", (0, 0.9), (-0.1, 1)) for k in (1, 2)),
    *((cls, "momentum", (0, 1), (-0.1, 1.2)) for cls in (SGD, RMSprop, Muon)),
    *((cls, "rho", (0, 1), (-0.1, 1.2)) for cls in (RMSprop, Adadelta)),
    *((Lion, f"beta_{k}", (0.1, 1), (-0.1, 1.2)) for k in (1, 2)),
    *((cls, "epsilon", (0, 3), (-0.1,)) for cls, own in DEFAULTS.items() if "epsilon" in own),
    *((cls, "initial_accumulator_value", (0, 3), (-0.1,)) for cls in (Adagrad, Ftrl)),
    *((Ftrl, name, (0, 3), (-0.1,)) for name in DEFAULTS[Ftrl] if "strength" in name),
    (Ftrl, "beta", (0, 3), (-0.1,)),
    (Ftrl, "learning_rate_power", (-3, 0), (0.1, -INFINITE)),
    (AdamW, "weight_decay", (0, 3), (-0.1,)),
    *((Muon, f"muon_{k}", (-3, 3), (INFINITE, -INFINITE)) for k in "abc"),
    *((Muon, name, (0, 3), (-0.1,)) for name in ("adam_weight_decay", "rms_rate", "adam_lr_ratio")),
    (Muon, "ns_steps", (0, 3), (-1,)),
]


@pytest.mark.parametrize("cls, name, fine, wrong", LIMITS)
def test_settings_are_numbers_in_their_range(cls, name, fine, wrong):
    for value in fine:
        assert cls(**{name: value}).get_config()[name] == value
    who = f"{cls.__name__}: {name} must be"
    for value in wrong:
        with pytest.raises(ValueError, match=rf"{who} .*, but is {value}\."):
            cls(**{name: value})
    with pytest.raises(TypeError, match=f"{who} a number, but is '1'"):
        cls(**{name: "1"})
