"""Shapes10: reproducible, balanced, truly what its names say, and beyond a linear model."""

import numpy as np
import pytest

from minicnn.datasets import shapes10


@pytest.fixture(scope="module")
def data():
    return shapes10.load_data(n_train=3000, n_test=1000)


def test_the_data_set_has_the_form_of_cifar10(data):
    (x_train, y_train), (x_test, y_test) = data
    assert x_train.shape == (3000, 32, 32, 3) and y_train.shape == (3000, 1)
    assert x_test.shape == (1000, 32, 32, 3) and y_test.shape == (1000, 1)
    assert {array.dtype.name for array in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert x_train.min() == 0 and x_train.max() == 255


def test_every_class_is_equally_frequent(data):
    (_, y_train), (_, y_test) = data
    assert np.bincount(y_train[:, 0]).tolist() == [300] * 10
    assert np.bincount(y_test[:, 0]).tolist() == [100] * 10


def test_the_classes_come_in_random_order(data):
    labels = data[0][1][:, 0]
    assert 0.05 < np.mean(labels[1:] == labels[:-1]) < 0.15


def test_the_same_seed_gives_the_same_bits(data):
    again = shapes10.load_data(n_train=3000, n_test=1000)
    for (x, y), (x_again, y_again) in zip(data, again, strict=True):
        assert np.array_equal(x, x_again) and np.array_equal(y, y_again)


@pytest.mark.parametrize("count", [0, 1, 499, 501])
def test_a_smaller_data_set_is_the_beginning_of_the_larger(data, count):
    for (x, y), (x_few, y_few) in zip(data, shapes10.load_data(count, count), strict=True):
        assert np.array_equal(x_few, x[:count]) and np.array_equal(y_few, y[:count])


def test_seeds_chunks_and_the_two_parts_give_different_pictures(data):
    other, _ = shapes10.load_data(n_train=500, n_test=0, seed=1)
    (x_train, _), (x_test, _) = data
    firsts = [other[0][0], x_train[0], x_train[500], x_test[0], x_test[500]]
    assert len({picture.tobytes() for picture in firsts}) == 5
    assert len({picture.tobytes() for picture in (*x_train, *x_test)}) == 4000


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"n_train": -1}, ValueError, "n_train must not be negative, but it is -1"),
        ({"n_test": -5}, ValueError, "n_test must not be negative, but it is -5"),
        ({"seed": -1}, ValueError, "seed must not be negative, but it is -1"),
        ({"n_train": 10.0}, TypeError, "n_train must be an integer, but it is 10.0"),
        ({"seed": None}, TypeError, "seed must be an integer, but it is None"),
        ({"n_test": True}, TypeError, "n_test must be an integer, but it is True"),
    ],
)
def test_wrong_arguments_are_errors(arguments, error, message):
    with pytest.raises(error, match=f"shapes10.load_data: {message}"):
        shapes10.load_data(**arguments)


def inside(name, u, v):
    distance = shapes10.SHAPES[name](np.array([u], np.float32), np.array([v], np.float32))
    assert distance.dtype == np.float32
    return bool(distance[0] < 0)


@pytest.mark.parametrize(
    "name, points_inside, points_outside",
    [
        ("disc", [(0, 0), (0.8, 0)], [(0.7, 0.7)]),
        ("ring", [(0.78, 0), (0, -0.78)], [(0, 0), (1.1, 0)]),
        ("square", [(0, 0), (0.7, 0.7)], [(0.9, 0), (0, -0.9)]),
        ("triangle", [(0, 0), (0, -1), (0.8, 0.5)], [(0, 0.7), (0.6, -0.6), (-0.6, -0.6)]),
        ("star", [(0, 0), (0, -1), (0, 0.4)], [(0, 0.8), (1, 0), (0.5, -0.7)]),
        ("cross", [(0, 0), (0.9, 0), (0, 0.9)], [(0.5, 0.5), (-0.5, 0.5)]),
        ("crescent", [(-0.9, 0), (-0.5, 0.7)], [(0.5, 0), (0, 0), (0.95, 0)]),
        ("stripes", [(0, -0.1), (0.7, -0.1)], [(0, 0.1), (0.7, 0.1), (1.3, 0)]),
        ("checkerboard", [(0.1, -0.1), (-0.1, 0.1)], [(0.1, 0.1), (-0.1, -0.1), (1.3, 0)]),
        ("dots", [(0, 0), (0.75, 0), (0, 0.75)], [(0.375, 0), (0.375, 0.375), (1.5, 0)]),
    ],
)
def test_a_shape_is_what_its_name_says(name, points_inside, points_outside):
    assert [inside(name, *point) for point in points_inside] == [True] * len(points_inside)
    assert [inside(name, *point) for point in points_outside] == [False] * len(points_outside)


def test_a_star_is_the_same_after_a_fifth_of_a_turn():
    u, v = np.random.default_rng(0).uniform(-1, 1, (2, 100)).astype(np.float32)
    angle = 2 * np.pi / 5
    turned = np.cos(angle) * u - np.sin(angle) * v, np.sin(angle) * u + np.cos(angle) * v
    star = shapes10.SHAPES["star"]
    assert np.allclose(star(u, v), star(*turned), atol=1e-5)


def test_a_distance_is_a_distance():
    """Plain shapes: one step outward adds one step to the distance, so edges are equally sharp."""
    steps = np.linspace(1.2, 2, 9, dtype=np.float32)
    for name in ("disc", "ring", "square", "cross"):
        distance = shapes10.SHAPES[name](steps, np.zeros_like(steps))
        assert np.allclose(np.diff(distance), 0.1, atol=1e-6), name


def test_shape_and_background_differ_in_color():
    random = np.random.default_rng(0)
    for _ in range(20):
        ground, ink, _ = shapes10._three_colors(random)
        assert np.linalg.norm(ink - ground, axis=-1).min() > 0.25


def test_a_linear_model_stays_under_50_percent(data):
    """The best linear map from pixels to one-hot classes (ridge regression, three strengths)."""
    (x_train, y_train), (x_test, y_test) = data
    x_train, x_test = (x.reshape(len(x), -1) / 255 - 0.5 for x in (x_train, x_test))
    targets = np.eye(10)[y_train[:, 0]]
    products = x_train @ x_train.T
    for strength in (100, 1000, 10000):
        rows = np.linalg.solve(products + strength * np.eye(len(products)), targets)
        predicted = (x_test @ (x_train.T @ rows)).argmax(1)
        assert np.mean(predicted == y_test[:, 0]) < 0.5
