"""Learning-rate schedules: values worked out by hand, their limits, and their configurations."""

import math

import numpy as np
import pytest

from minicnn.optimizers import SGD, schedules
from minicnn.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from minicnn.variable import Variable

COS = (1 + math.cos(math.pi / 4)) / 2  # of a quarter of a wave's fall
WARM = {"warmup_target": 0.4, "warmup_steps": 4}

RATES = [  # schedule, and its rates after some steps
    (ExponentialDecay(0.8, 4, 0.25), {0: 0.8, 2: 0.4, 4: 0.2, 8: 0.05}),
    (ExponentialDecay(0.8, 4, 0.25, staircase=True), {0: 0.8, 3: 0.8, 4: 0.2, 7: 0.2, 8: 0.05}),
    (InverseTimeDecay(0.6, 4, 2.0), {0: 0.6, 2: 0.3, 4: 0.2, 8: 0.12}),
    (InverseTimeDecay(0.6, 4, 2.0, staircase=True), {0: 0.6, 3: 0.6, 4: 0.2, 7: 0.2, 8: 0.12}),
    (PiecewiseConstantDecay([2, 5], [3, 2, 1]), {0: 3, 2: 3, 3: 2, 5: 2, 6: 1, 99: 1}),
    (PiecewiseConstantDecay([2], [3, 0.5]), {2: 3, 3: 0.5}),
    (PolynomialDecay(0.5, 10), {0: 0.5, 5: 0.25005, 10: 0.0001, 11: 0.0001}),
    (PolynomialDecay(0.5, 4, 0.1, power=2), {0: 0.5, 1: 0.325, 2: 0.2, 4: 0.1, 9: 0.1}),
    (PolynomialDecay(0.5, 4, 0.1, cycle=True), {0: 0.5, 2: 0.3, 4: 0.1, 5: 0.25, 8: 0.1, 9: 0.2}),
    (CosineDecay(0.2, 8), {0: 0.2, 2: 0.2 * COS, 4: 0.1, 8: 0, 9: 0}),
    (CosineDecay(0.2, 8, alpha=0.5), {0: 0.2, 2: 0.1 * COS + 0.1, 4: 0.15, 8: 0.1, 20: 0.1}),
    (CosineDecay(0.2, 8, **WARM), {0: 0.2, 1: 0.25, 3: 0.35, 4: 0.4, 6: 0.4 * COS, 8: 0.2, 12: 0}),
    (CosineDecay(0.2, 8, warmup_target=0.4), {0: 0.4, 4: 0.2, 8: 0}),
    (CosineDecay(0.2, 8, warmup_steps=4), {0: 0.2, 4: 0.1, 8: 0}),  # no rise without its target
    (CosineDecay(0.2, 8, warmup_target=0.0, warmup_steps=2), {0: 0.2, 1: 0.1, 2: 0, 5: 0}),
    (
        CosineDecayRestarts(0.2, 4),
        {0: 0.2, 1: 0.2 * COS, 2: 0.1, 4: 0.2, 6: 0.2 * COS, 8: 0.1, 12: 0.2, 20: 0.1, 28: 0.2},
    ),
    (CosineDecayRestarts(0.2, 4, t_mul=1), {0: 0.2, 2: 0.1, 4: 0.2, 6: 0.1, 9: 0.2 * COS, 40: 0.2}),
    (
        CosineDecayRestarts(0.2, 4, 3.0, m_mul=0.5, alpha=0.1),
        {0: 0.2, 1: 0.18 * COS + 0.02, 2: 0.11, 4: 0.11, 10: 0.065, 16: 0.065, 34: 0.0425},
    ),
    (CosineDecayRestarts(0.2, 4, t_mul=1.5, m_mul=2.0), {4: 0.4, 7: 0.2, 10: 0.8, 19: 1.6}),
]


@pytest.mark.parametrize("rate, wanted", RATES)
def test_rates_by_hand(rate, wanted):
    got = {step: rate(step) for step in wanted}
    assert got == pytest.approx(wanted, rel=1e-12, abs=1e-15)
    assert all(type(value) is float for value in got.values())


def test_waves_begin_where_the_ones_before_end_however_many_there_were():
    rate, start = CosineDecayRestarts(1.0, 10, t_mul=2.0, m_mul=0.5), 0
    for wave in range(12):
        height = 0.5**wave
        assert rate(start) == pytest.approx(height)
        assert rate(start + 5 * 2**wave) == pytest.approx(height / 2)
        start += 10 * 2**wave
        assert rate(start - 1) < 0.03 * height


CONFIGURATIONS = [
    (
        ExponentialDecay,
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5},
        {"staircase": False, "name": "ExponentialDecay"},
        {"staircase": True, "name": "mine"},
    ),
    (
        InverseTimeDecay,
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5},
        {"staircase": False, "name": "InverseTimeDecay"},
        {"staircase": True, "name": "mine"},
    ),
    (
        PiecewiseConstantDecay,
        {"boundaries": [1, 5], "values": [0.3, 0.2, 0.1]},
        {"name": "PiecewiseConstant"},
        {"name": "mine"},
    ),
    (
        PolynomialDecay,
        {"initial_learning_rate": 0.1, "decay_steps": 7},
        {"end_learning_rate": 0.0001, "power": 1.0, "cycle": False, "name": "PolynomialDecay"},
        {"end_learning_rate": 0.01, "power": 2.0, "cycle": True, "name": "mine"},
    ),
    (
        CosineDecay,
        {"initial_learning_rate": 0.1, "decay_steps": 7},
        {"alpha": 0.0, "name": "CosineDecay", "warmup_target": None, "warmup_steps": 0},
        {"alpha": 0.5, "name": "mine", "warmup_target": 0.6, "warmup_steps": 3},
    ),
    (
        CosineDecayRestarts,
        {"initial_learning_rate": 0.1, "first_decay_steps": 7},
        {"t_mul": 2.0, "m_mul": 1.0, "alpha": 0.0, "name": "SGDRDecay"},
        {"t_mul": 3.0, "m_mul": 0.5, "alpha": 0.2, "name": "mine"},
    ),
]


@pytest.mark.parametrize("cls, wanted, defaults, others", CONFIGURATIONS)
def test_a_configuration_holds_every_setting_and_makes_the_same_schedule(
    cls, wanted, defaults, others
):
    assert cls(**wanted).get_config() == wanted | defaults
    rate = cls(**wanted, **others)
    config = rate.get_config()
    assert config == wanted | others
    for again in (cls.from_config(config), schedules.get(schedules.serialize(rate))):
        assert type(again) is cls and again.get_config() == config
        assert [again(step) for step in range(30)] == [rate(step) for step in range(30)]


def test_every_schedule_has_a_configuration_here():
    assert {cls.__name__: cls for cls, *_ in CONFIGURATIONS} == schedules.SCHEDULES


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: ExponentialDecay(-1, 5, 1), ValueError, "Decay: initial_learning_rate must be"),
        (lambda: ExponentialDecay(1, 5, -1), ValueError, "ExponentialDecay: decay_rate must be"),
        (lambda: InverseTimeDecay(1, 0, 1), ValueError, "InverseTimeDecay: decay_steps must be ab"),
        (lambda: InverseTimeDecay(1, "5", 1), TypeError, "InverseTimeDecay: decay_steps must be"),
        (lambda: PolynomialDecay(1, -5), ValueError, "PolynomialDecay: decay_steps must be finite"),
        (lambda: PolynomialDecay(-1, 5), ValueError, "PolynomialDecay: initial_learning_rate must"),
        (lambda: PolynomialDecay(1, 5, -1), ValueError, "PolynomialDecay: end_learning_rate must"),
        (lambda: PolynomialDecay(1, 5, power=-1), ValueError, "PolynomialDecay: power must be fin"),
        (lambda: CosineDecay(1, 0), ValueError, "CosineDecay: decay_steps must be above 0, but"),
        (lambda: CosineDecay(1, 5, -1), ValueError, "CosineDecay: alpha must be finite and at"),
        (lambda: CosineDecay(1, 5, warmup_target=-1), ValueError, "CosineDecay: warmup_target mu"),
        (lambda: CosineDecay(1, 5, warmup_steps=-1), ValueError, "CosineDecay: warmup_steps must"),
        (lambda: CosineDecayRestarts(-1, 5), ValueError, "Restarts: initial_learning_rate must"),
        (lambda: CosineDecayRestarts(1, 0), ValueError, "Restarts: first_decay_steps must be abo"),
        (lambda: CosineDecayRestarts(1, 5, 0.9), ValueError, "Restarts: t_mul must be finite and"),
        (lambda: CosineDecayRestarts(1, 5, m_mul=-1), ValueError, "Restarts: m_mul must be finit"),
        (lambda: CosineDecayRestarts(1, 5, alpha=-1), ValueError, "Restarts: alpha must be finit"),
        (lambda: PiecewiseConstantDecay([], [1]), ValueError, "got 0 boundaries and 1 values"),
        (lambda: PiecewiseConstantDecay([1, 1], [1, 2, 3]), ValueError, "boundaries must rise"),
        (lambda: PiecewiseConstantDecay([1], [1, -2]), ValueError, "Decay: values must be finite"),
        (lambda: PiecewiseConstantDecay([1], ["1", 2]), TypeError, "Decay: values must be a numb"),
        (lambda: schedules.get(3), TypeError, "schedule: wants a name or an object of class Lear"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


class Halves(LearningRateSchedule):
    """A schedule of one's own: 1, 1/2, 1/4 ..."""

    def __call__(self, step):
        return 0.5**step


def test_an_optimizer_asks_its_schedule_before_each_step():
    w, optimizer = Variable(np.zeros(1)), SGD(Halves())
    seen = []
    for _ in range(3):
        seen.append(optimizer.learning_rate)
        optimizer.apply([np.array([-1.0])], [w])
    assert seen == [1, 0.5, 0.25] and w.item() == 1.75
    assert len(optimizer.state()) == 1 and optimizer.exact_state() == {}


def test_an_optimizer_takes_a_saved_schedule_and_saves_it_again():
    config = SGD(PolynomialDecay(0.5, 10)).get_config()
    assert config["learning_rate"]["class_name"] == "PolynomialDecay"
    again = SGD.from_config(config)
    assert again.learning_rate == 0.5 and again.get_config() == config
