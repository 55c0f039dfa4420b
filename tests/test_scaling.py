"""Rescaling, and Normalization that measures its mean and variance."""

import numpy as np
import pytest

from minicnn import layers
from minicnn.autograd import Tensor
from minicnn.models import Sequential

X = np.random.default_rng(0).normal(3, 2, size=(1000, 4, 5, 3)) * [1, 2, 3]


def test_rescaling_by_channel():
    y = layers.Rescaling([1, 2], offset=[0, 0.5])(np.array([[3, 4]]))
    assert y.numpy().tolist() == [[3, 8.5]]


def adapted(data, **settings):
    layer = layers.Normalization(**settings)
    layer.adapt(data)
    return layer


@pytest.mark.parametrize(
    ("axis", "rest"), [(-1, (0, 1, 2)), (None, (0, 1, 2, 3)), ((1, 3), (0, 2)), ([1, 2, 3], (0,))]
)
def test_adapt_measures_mean_and_variance(axis, rest):
    layer = adapted(X, axis=axis)
    np.testing.assert_allclose(layer.mean.numpy(), X.mean(axis=rest), rtol=1e-6)
    np.testing.assert_allclose(layer.variance.numpy(), X.var(axis=rest), rtol=1e-6)
    y = layer(X).numpy()
    np.testing.assert_allclose(y.mean(axis=rest), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=rest), 1, atol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        Tensor(X),
        X.astype(np.float32),
        [X[:10], X[10:700], X[700:]],
        ((X[start : start + 300], np.zeros(300)) for start in range(0, 1000, 300)),
    ],
    ids=["a tensor", "float32", "batches", "pairs"],
)
def test_adapt_takes_arrays_and_batches(data):
    layer, whole = adapted(data), adapted(X)
    np.testing.assert_allclose(layer.mean.numpy(), whole.mean.numpy(), rtol=1e-6)
    np.testing.assert_allclose(layer.variance.numpy(), whole.variance.numpy(), rtol=1e-6)


def test_adapt_keeps_the_digits_of_numbers_far_from_0():
    x = 1e6 + np.random.default_rng(0).normal(size=(3000, 2))
    np.testing.assert_allclose(adapted(x).variance.numpy(), x.var(axis=0), rtol=1e-6)


def test_adapt_measures_anew():
    layer = adapted(X)
    layer.adapt(X * 10)
    np.testing.assert_allclose(layer.mean.numpy(), 10 * X.mean(axis=(0, 1, 2)), rtol=1e-6)


def test_inverted_it_undoes_what_it_does():
    back = adapted(X, invert=True)(adapted(X)(X))
    np.testing.assert_allclose(back.numpy(), X, atol=1e-4)


def test_numbers_that_never_change_become_0():
    y = adapted(np.full((5, 2), 7.0))(np.array([[7.0, 7.0]]))
    assert y.numpy().tolist() == [[0, 0]]


def test_what_was_measured_is_a_weight_that_training_leaves_alone():
    layer = adapted(X)
    assert [weight.name for weight in layer.weights] == ["mean", "variance", "count"]
    assert layer.trainable_weights == []
    other = layers.Normalization()
    other.build((None, 4, 5, 3))
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(other(X).numpy(), layer(X).numpy())


def test_mean_and_variance_can_be_given():
    layer = layers.Normalization(mean=[1, 2], variance=[4, 0])
    y = layer(np.array([[3.0, 2.0], [1.0, 2.0]]))
    assert y.numpy().tolist() == [[1, 0], [0, 0]]
    assert layer.weights == []
    one = layers.Normalization(axis=(1, 2), mean=[1, 2], variance=[4, 1])  # along the last axis
    assert one(np.array([[[3.0, 3.0], [1.0, 2.0]]])).numpy().tolist() == [[[1, 1], [0, 0]]]


def test_a_model_learns_behind_it():
    model = Sequential([adapted(X), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    y = (X.mean(axis=(1, 2, 3)) > 6).astype(int)
    losses = model.fit(X, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: layers.Rescaling("1"), TypeError, "Rescaling: scale must be a number, but is '1'"),
        (lambda: layers.Rescaling(1, [0, None]), TypeError, "Rescaling: offset must be a number"),
        (lambda: layers.Rescaling(np.inf), ValueError, "Rescaling: scale must be finite"),
        (
            lambda: layers.Normalization(mean=1),
            ValueError,
            "Normalization: wants mean and variance, both or none",
        ),
        (
            lambda: layers.Normalization(mean=[1, 2], variance=1),
            ValueError,
            r"mean and variance must be of one shape, but theirs are \(2,\) and \(\)",
        ),
        (lambda: layers.Normalization(axis="last"), TypeError, "axis must be an integer"),
        (
            lambda: layers.Normalization()(X),
            ValueError,
            r"\(Normalization\) \[MC032\]: was never adapted, .* Call adapt\(x\) with the training",
        ),
        (
            lambda: layers.Normalization(mean=1, variance=1).adapt(X),
            ValueError,
            "has a mean and a variance already, so there is nothing to adapt",
        ),
        (
            lambda: layers.Normalization(mean=[1, 2], variance=[1, 1])(X),
            ValueError,
            r"mean and variance of shape \(2,\) do not fit to axis=\(-1,\) of inputs of shape",
        ),
        (
            lambda: layers.Normalization(axis=(0, 1)).adapt(X),
            ValueError,
            r"axis=\(0, 1\) must name different axes of inputs .* and not that of the batch",
        ),
        (lambda: layers.Normalization(axis=(3, -1)).adapt(X), ValueError, "must name different"),
        (
            lambda: layers.Normalization().build((None, 4, None)),
            ValueError,
            r"must know the sizes along axis=\(-1,\), but the input has shape \(None, 4, None\)",
        ),
        (
            lambda: adapted(X)(X[..., :2]),
            ValueError,
            r"was built for inputs of shape .*, but got .*: axis=\(-1,\) must have the same size",
        ),
        (lambda: adapted([]), ValueError, r"adapt\(\) got no inputs"),
        (lambda: adapted(3), TypeError, r"adapt\(\) wants an array or batches, but got 3"),
        (lambda: adapted(np.array([["a"]])), TypeError, r"adapt\(\) wants numbers, but got <U1"),
    ],
)
def test_mistakes_are_noticed(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 1), (1, 4), (3, 1), (3, 4)])
def test_given_means_are_stretched_as_numpy_stretches_them(shape):
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=shape), rng.uniform(1, 4, size=shape)
    x = rng.normal(size=(2, 3, 5, 4))
    layer = layers.Normalization((1, 3), mean, variance, dtype="float64")
    wide = (1,) * (2 - len(shape)) + shape
    center, square = (array.reshape(wide)[None, :, None] for array in (mean, variance))
    np.testing.assert_allclose(layer(x).numpy(), (x - center) / np.sqrt(square), rtol=1e-12)
    assert layer.get_config()["mean"] == mean.tolist()


@pytest.mark.parametrize("shape", [(3,), (4, 3), (5, 4), (3, 5), (1, 3, 4)])
def test_given_means_that_cannot_be_stretched_are_refused(shape):
    layer = layers.Normalization((1, 3), np.zeros(shape), np.ones(shape))
    with pytest.raises(
        ValueError, match=r"mean and variance of shape .* do not fit to axis=\(1, 3"
    ):
        layer.build((None, 3, 5, 4))


def test_a_single_channel_takes_no_several_means():
    with pytest.raises(ValueError, match=r"of shape \(3,\) do not fit"):
        layers.Normalization(mean=[1, 2, 3], variance=[1, 1, 1]).build((None, 1))


def test_rescaling_takes_arrays():
    layer = layers.Rescaling(np.array([1.0, 2.0]), np.array([0.5, -1.0]))
    np.testing.assert_array_equal(layer(np.ones((3, 2))).numpy(), [[1.5, 1.0]] * 3)
    assert layer.get_config()["scale"] == [1.0, 2.0]


def test_adapt_to_a_single_number_and_to_none():
    layer = layers.Normalization()
    layer.adapt(np.array([[5.0]]))
    assert layer.built and (layer.mean.numpy().item(), layer.variance.numpy().item()) == (5, 0)
    with pytest.raises(ValueError, match=r"adapt\(\) got no inputs"):
        layers.Normalization().adapt(np.zeros((4, 0)))


def test_batches_that_differ_in_their_channels_are_refused():
    with pytest.raises(ValueError, match=r"was built for inputs of shape \(None, 3\), but got"):
        layers.Normalization().adapt([np.ones((4, 3)), np.ones((4, 1))])
    layer = layers.Normalization()
    layer.build((None, 3))
    assert layer.compute_output_shape((None, None)) == (None, None)
