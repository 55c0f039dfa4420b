"""Noise while the model learns: what its numbers are like, and that a seed repeats them."""

import numpy as np
import pytest

from minicnn import layers
from minicnn.autograd import Tensor, grad
from minicnn.random import set_seed

X = np.random.default_rng(0).normal(1, 2, size=(4, 50, 50, 3)).astype(np.float32)
LAYERS = {
    "spatial dropout": lambda **settings: layers.SpatialDropout2D(0.4, **settings),
    "gaussian noise": lambda **settings: layers.GaussianNoise(0.4, **settings),
    "gaussian dropout": lambda **settings: layers.GaussianDropout(0.4, **settings),
    "alpha dropout": lambda **settings: layers.AlphaDropout(0.4, **settings),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_nothing_happens_outside_of_training(make):
    np.testing.assert_array_equal(make()(X).numpy(), X)
    np.testing.assert_array_equal(make()(X, training=False).numpy(), X)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_seed_decides(make):
    one, same, other = (make(seed=seed)(X, training=True).numpy() for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    results = []
    for seed in (1, 1, 2):
        set_seed(seed)
        results.append(make()(X, training=True).numpy())
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_every_call_draws_anew(make):
    layer = make(seed=1)
    one, other = (layer(X, training=True).numpy() for _ in range(2))
    assert not np.array_equal(one, other)


def test_spatial_dropout_drops_whole_channels_of_single_images():
    x = np.ones((100, 3, 3, 20), np.float32)
    y = layers.SpatialDropout2D(0.4, seed=0)(x, training=True).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    dropped = y[:, 0, 0] == 0
    np.testing.assert_allclose(y[~np.broadcast_to(dropped[:, None, None], y.shape)], 1 / 0.6)
    assert abs(dropped.mean() - 0.4) < 4 * np.sqrt(0.24 / 2000)
    assert len(np.unique(dropped, axis=0)) > 90


def test_gaussian_noise_has_its_deviation_and_passes_gradients_on():
    x = Tensor(X, requires_grad=True)
    y = layers.GaussianNoise(0.4, seed=0)(x, training=True)
    noise = y.numpy() - X
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.4) < 0.01
    np.testing.assert_array_equal(grad(y.sum(), [x])[0].numpy(), np.ones_like(X))


def test_gaussian_dropout_has_the_deviation_of_dropout():
    x = np.full((1, 30_000), 3, np.float32)
    factors = layers.GaussianDropout(0.2, seed=0)(x, training=True).numpy() / 3
    assert abs(factors.mean() - 1) < 0.01 and abs(factors.std() - 0.5) < 0.01


def test_alpha_dropout_keeps_mean_and_variance_of_standard_numbers():
    x = np.random.default_rng(0).normal(size=(1, 100_000)).astype(np.float32)
    y = layers.AlphaDropout(0.3, seed=0)(x, training=True).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    lowest, count = np.unique(y, return_counts=True)
    assert abs(count.max() / 100_000 - 0.3) < 0.01  # those that were dropped are all equal
    a = (0.7 * (1 + 0.3 * 1.7580993408473766**2)) ** -0.5
    np.testing.assert_allclose(lowest[count.argmax()], -1.7580993408473766 * a * 0.7, rtol=1e-5)


def test_alpha_dropout_drops_together_what_shares_a_mask():
    layer = layers.AlphaDropout(0.5, noise_shape=(None, 1), seed=0)
    y = layer(np.ones((50, 4)), training=True).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y)) == 2


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: layers.SpatialDropout2D(1.5), ValueError, "rate must be from 0 to 1"),
        (lambda: layers.GaussianNoise(-1), ValueError, "GaussianNoise: stddev must be finite and"),
        (lambda: layers.GaussianDropout(1), ValueError, "rate must be from 0 to below 1, but is 1"),
        (lambda: layers.AlphaDropout("0.5"), TypeError, "AlphaDropout: rate must be a number"),
        (lambda: layers.GaussianNoise(1, seed=0.5), TypeError, "GaussianNoise: seed must be an"),
        (
            lambda: layers.AlphaDropout(0.5, noise_shape="all"),
            TypeError,
            "AlphaDropout: noise_shape must be a tuple",
        ),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
