"""Initializers: moments, limits, fans, seeds, and names."""

import math

import numpy as np
import pytest

from minicnn import initializers, random
from minicnn.backend import set_floatx
from minicnn.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    fans,
)

SHAPE = (5, 5, 40, 80)  # fan_in 1000, fan_out 2000; 80000 numbers
WITHIN_TWO = 0.8796256610342398  # std of a normal that is cut off at 2

RANDOM = [
    (GlorotUniform(1), math.sqrt(2 / 3000), math.sqrt(3)),
    (GlorotNormal(1), math.sqrt(2 / 3000), 2 / WITHIN_TWO),
    (HeUniform(1), math.sqrt(2 / 1000), math.sqrt(3)),
    (HeNormal(1), math.sqrt(2 / 1000), 2 / WITHIN_TWO),
    (LecunUniform(1), math.sqrt(1 / 1000), math.sqrt(3)),
    (LecunNormal(1), math.sqrt(1 / 1000), 2 / WITHIN_TWO),
    (VarianceScaling(3.0, "fan_out", "uniform", 1), math.sqrt(3 / 2000), math.sqrt(3)),
    (VarianceScaling(3.0, "fan_avg", "normal", 1), math.sqrt(3 / 1500), 2 / WITHIN_TWO),
    (VarianceScaling(1.0, "fan_in", "untruncated_normal", 1), math.sqrt(1 / 1000), None),
    (RandomNormal(seed=1), 0.05, None),
    (TruncatedNormal(seed=1), 0.05 * WITHIN_TWO, 2 / WITHIN_TWO),
    (RandomUniform(seed=1), 0.05 / math.sqrt(3), math.sqrt(3)),
]


@pytest.mark.parametrize("initializer, std, reach", RANDOM)
def test_mean_standard_deviation_and_limits(initializer, std, reach):
    x = initializer(SHAPE, "float64")
    n = x.size
    assert abs(x.mean()) < 4 * std / math.sqrt(n)
    assert x.std() == pytest.approx(std, rel=4 / math.sqrt(2 * n))
    if reach is None:
        assert np.abs(x).max() > 3.5 * std
    else:
        assert 0.999 * reach * std < np.abs(x).max() <= reach * std * (1 + 1e-12)


def test_a_mean_moves_the_numbers():
    assert RandomNormal(mean=3.0, stddev=0.1, seed=1)(SHAPE).mean() == pytest.approx(3, abs=0.01)
    assert TruncatedNormal(mean=3.0, stddev=0.1, seed=1)(SHAPE).min() >= 2.8 - 1e-6
    assert RandomUniform(2.0, 3.0, seed=1)(SHAPE).min() >= 2.0


@pytest.mark.parametrize(
    "shape, wanted",
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((100, 10), (100, 10)),
        ((3, 3, 16, 32), (144, 288)),
        ((2, 3, 4, 5, 6), (120, 144)),
    ],
)
def test_fans(shape, wanted):
    assert fans(shape) == wanted


@pytest.mark.parametrize("initializer", [case[0] for case in RANDOM] + [Orthogonal(seed=1)])
def test_an_object_gives_the_same_numbers_at_every_call(initializer):
    np.testing.assert_array_equal(initializer((3, 4)), initializer((3, 4)))


@pytest.mark.parametrize("cls", [GlorotUniform, HeNormal, RandomNormal, RandomUniform, Orthogonal])
def test_seeds_decide_the_numbers(cls):
    np.testing.assert_array_equal(cls(seed=3)((3, 4)), cls(seed=3)((3, 4)))
    assert (cls(seed=3)((3, 4)) != cls(seed=4)((3, 4))).any()
    assert (cls()((3, 4)) != cls()((3, 4))).any()


def test_set_seed_makes_names_repeat():
    random.set_seed(5)
    first = [initializers.get("he_normal")((3, 4)) for _ in range(2)]
    random.set_seed(5)
    again = [initializers.get("he_normal")((3, 4)) for _ in range(2)]
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()


def test_the_dtype_is_floatx_unless_said_otherwise():
    assert GlorotUniform()((2, 2)).dtype == np.float32
    assert GlorotUniform()((2, 2), "float64").dtype == np.float64
    set_floatx("float64")
    try:
        assert GlorotUniform()((2, 2)).dtype == np.float64
    finally:
        set_floatx("float32")


def test_results_are_writeable_and_not_shared():
    source = np.ones(3)
    for initializer in (Constant(source), initializers.get("zeros"), GlorotUniform()):
        initializer((3,), np.float64)[:] = 7
    np.testing.assert_array_equal(source, np.ones(3))


def test_fixed_numbers():
    np.testing.assert_array_equal(initializers.get("zeros")((2, 2)), np.zeros((2, 2)))
    np.testing.assert_array_equal(initializers.get("ones")((2, 2)), np.ones((2, 2)))
    np.testing.assert_array_equal(Constant(0.5)((2, 2)), np.full((2, 2), 0.5))
    np.testing.assert_array_equal(Identity(2.0)((2, 2)), 2 * np.eye(2))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 3, 2, 5), (2, 2, 1, 7)])
def test_orthogonal_matrices_keep_lengths(shape):
    q = Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    small = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_the_signs_of_orthogonal_matrices_are_random():
    corners = [Orthogonal(seed=k)((3, 3))[0, 0] > 0 for k in range(40)]
    assert 8 < sum(corners) < 32


@pytest.mark.parametrize(
    "name, cls",
    [
        ("glorot_uniform", GlorotUniform),
        ("GlorotUniform", GlorotUniform),
        ("he_normal", HeNormal),
        ("lecun_uniform", LecunUniform),
        ("normal", RandomNormal),
        ("uniform", RandomUniform),
        ("truncated_normal", TruncatedNormal),
        ("variance_scaling", VarianceScaling),
        ("orthogonal", Orthogonal),
    ],
)
def test_initializers_are_found_by_name(name, cls):
    assert type(initializers.get(name)) is cls


def test_get_takes_arrays_functions_objects_and_classes():
    def mine(shape, dtype=None):
        return np.full(shape, 7.0, dtype)

    assert initializers.get(mine) is mine
    assert initializers.serialize(mine) == "mine"
    he = HeNormal()
    assert initializers.get(he) is he
    assert type(initializers.get(HeNormal)) is HeNormal
    np.testing.assert_array_equal(initializers.get(np.arange(3.0))((3,)), [0, 1, 2])


@pytest.mark.parametrize(
    "initializer",
    [
        GlorotUniform(seed=3),
        VarianceScaling(2.0, "fan_out", "uniform", seed=3),
        RandomNormal(1.0, 2.0, seed=3),
        RandomUniform(1.0, 2.0, seed=3),
        Orthogonal(2.0, seed=3),
        Constant(0.5),
        Identity(2.0),
    ],
)
def test_a_config_makes_the_same_numbers(initializer):
    again = initializers.get(initializers.serialize(initializer))
    assert type(again) is type(initializer)
    np.testing.assert_array_equal(again((3, 4)), initializer((3, 4)))
    again = type(initializer).from_config(initializer.get_config())
    np.testing.assert_array_equal(again((3, 4)), initializer((3, 4)))


def test_a_config_without_a_seed_makes_new_numbers():
    initializer = HeNormal()
    assert initializer.get_config() == {"seed": None}
    again = initializers.get(initializers.serialize(initializer))
    assert (again((3, 4)) != initializer((3, 4))).any()


def test_a_config_of_keras_is_accepted():
    config = {"seed": None, "input_axes": None, "output_axes": None}
    saved = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": config}
    assert type(initializers.get(saved)) is GlorotUniform


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: initializers.get("xavier"), ValueError, "unknown initializer 'xavier'"),
        (lambda: initializers.get("he_norml"), ValueError, "Did you mean 'he_normal'"),
        (lambda: initializers.get(3), TypeError, "initializer: wants a name or an object"),
        (lambda: HeNormal(seed=1.5), TypeError, "HeNormal: seed must be an integer, but is 1.5"),
        (lambda: HeNormal(seed=-1), ValueError, "HeNormal: seed must be at least 0, but is -1"),
        (lambda: RandomNormal(stddev=-1), ValueError, "RandomNormal: stddev must be finite and"),
        (lambda: RandomUniform(1, 0), ValueError, "minval must not be above maxval"),
        (lambda: VarianceScaling(mode="fan"), ValueError, "unknown mode 'fan'. Did you mean 'fan_"),
        (lambda: VarianceScaling(distribution="norm"), ValueError, "Did you mean 'normal'"),
        (lambda: VarianceScaling(scale=-1), ValueError, "VarianceScaling: scale must be"),
        (lambda: Identity()((2, 2, 2)), ValueError, "Identity: makes matrices only"),
        (lambda: Orthogonal()((3,)), ValueError, "Orthogonal: wants a weight of two axes or more"),
        (lambda: Constant([1, 2])((3,)), ValueError, r"values of shape \(2,\).* shape \(3,\)"),
        (lambda: Initializer()((3,)), NotImplementedError, "Initializer defines no values"),
        (lambda: RandomInitializer()((3,)), NotImplementedError, "defines no drawn"),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
