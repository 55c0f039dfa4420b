"""The parts of the speedrun that have a property to be checked, and the whole on a few images."""

import cifar10_speedrun as speedrun
import numpy as np
import pytest

from minicnn import Tensor, layers, ops
from minicnn.datasets import cifar10, shapes10


def images(count=64):
    (x, _), _ = shapes10.load_data(n_train=count, n_test=1)
    return speedrun.prepared(x)


def test_whitened_patches_are_uncorrelated_and_of_size_1():
    x = images().astype(np.float64)
    filters = speedrun.whitening_filters(x, floor=0.0)
    assert filters.shape == (2, 2, 3, 24)
    y = ops.conv2d(Tensor(x), Tensor(filters)).numpy().reshape(-1, 24)
    np.testing.assert_allclose(np.cov(y[:, :12], rowvar=False), np.eye(12), atol=1e-6)
    np.testing.assert_allclose(y[:, 12:], -y[:, :12], atol=1e-9)


@pytest.mark.parametrize(("channels", "filters"), [(3, 5), (5, 3)])
def test_a_convolution_begins_as_the_identity(channels, filters):
    x = np.random.default_rng(0).random((2, 6, 6, channels), np.float32)
    layer = layers.Conv2D(filters, 3, padding="same", kernel_initializer=speedrun.Dirac())
    np.testing.assert_array_equal(layer(x).numpy()[..., :3], x[..., :3])


def test_answers_are_means_over_six_views_of_an_image():
    class Corner:
        """Answers with the pixel in the middle of the upper left quarter."""

        def predict(self, x, **_):
            return x[:, 9, 9]

    x = np.random.default_rng(0).random((2, 36, 36, 3))
    wanted = 0.25 * (x[:, 9, 9] + x[:, 9, 26])
    for move in (1, -1):
        wanted += 0.125 * (x[:, 9 - move, 9 - move] + x[:, 9 - move, 26 - move])
    np.testing.assert_allclose(speedrun.answers(Corner(), x), wanted)


def test_the_whole_runs_on_a_few_images(monkeypatch, capsys):
    (x, y), (x_test, y_test) = shapes10.load_data(n_train=64, n_test=32)
    data = (x, y.reshape(-1, 1)), (x_test, y_test.reshape(-1, 1))
    monkeypatch.setattr(cifar10, "load_data", lambda: data)
    accuracy = speedrun.main("--small --epochs 2 --batch-size 16 --images 64".split())
    assert 0 <= accuracy <= 1
    said = capsys.readouterr().out
    assert "64 images, 8 steps" in said and f"{accuracy:.2%} of the test images" in said
