"""Settings of all layers: what is refused and in which words, and where each of them ends up."""

import inspect

import numpy as np
import pytest

from minicnn import Tensor, layers
from minicnn.backend import kernels
from minicnn.constraints import MaxNorm, NonNeg, UnitNorm
from minicnn.initializers import Constant
from minicnn.regularizers import L1, L2

WHY_CPU_ONLY = kernels.emulator.why_unavailable()
NEEDED = {  # what the constructor cannot do without
    "InputLayer": {"shape": (3,)},
    "Dense": {"units": 3},
    "Activation": {"activation": "relu"},
    "Conv2D": {"filters": 4, "kernel_size": 3},
    "DepthwiseConv2D": {"kernel_size": 3},
    "SeparableConv2D": {"filters": 4, "kernel_size": 3},
    "Conv2DTranspose": {"filters": 4, "kernel_size": 3},
    "AveragePooling2D": {"pool_size": 2},
    "Reshape": {"target_shape": (4,)},
    "Permute": {"dims": (2, 1)},
    "RepeatVector": {"n": 3},
    "Dropout": {"rate": 0.5},
    "SpatialDropout2D": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "GaussianDropout": {"rate": 0.5},
    "AlphaDropout": {"rate": 0.5},
    "Normalization": {"mean": 0, "variance": 1},
    "Rescaling": {"scale": 2},
    "Resizing": {"height": 3, "width": 3},
    "CenterCrop": {"height": 3, "width": 3},
    "RandomCrop": {"height": 3, "width": 3},
    "RandomRotation": {"factor": 0.1},
    "RandomZoom": {"height_factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
    "RandomContrast": {"factor": 0.1},
    "RandomBrightness": {"factor": 0.1},
}
UNUSED = {"renorm_clipping", "renorm_momentum"}  # which files of Keras name; they mean nothing
SHAPES_OF_INPUT = {"batch_size", "batch_shape"}  # which go with shape, or in its place: see below
FOUND_BY_NAME = ("activation", "initializer", "regularizer")  # and refused where they are found


def classes():
    things = (getattr(layers, name) for name in layers.__all__)
    found = {thing for thing in things if inspect.isclass(thing) and thing is not layers.Layer}
    return sorted(found, key=lambda layer: layer.__name__)


def settings_of(layer):
    """The names of all arguments of the constructor, with those that it hands on."""
    parents = [parent for parent in layer.__mro__ if issubclass(parent, layers.Layer)]
    named = (inspect.signature(parent.__init__).parameters.values() for parent in parents)
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = {p.name for every in named for p in every if p.kind not in variable}
    return found - {"self"} - UNUSED - SHAPES_OF_INPUT


class Odd:
    """What no setting can be."""

    def __repr__(self):
        return "<odd>"


@pytest.mark.parametrize("layer", classes(), ids=lambda layer: layer.__name__)
def test_what_is_refused_is_called_by_its_name(layer):
    needed = NEEDED.get(layer.__name__, {})
    for name in settings_of(layer):
        kind = name.rpartition("_")[2]
        who = f"{layer.__name__}: (each of )?{name} must be"
        if kind in FOUND_BY_NAME:
            who = f"{kind}: wants"
        with pytest.raises((TypeError, ValueError), match=f"^{who} .*<odd>"):
            layer(**needed | {name: Odd()})


def test_shapes_of_an_input_are_refused_by_name():
    for wrong in ({"shape": (3,), "batch_size": Odd()}, {"batch_shape": Odd()}):
        with pytest.raises(TypeError, match="^InputLayer: batch_shape must be .*<odd>"):
            layers.InputLayer(**wrong)


# -- weights


WEIGHTS = {  # of each layer, and the first words of the settings that go with them
    "Dense": (["kernel", "bias"], ["kernel", "bias"], (2, 3)),
    "Conv2D": (["kernel", "bias"], ["kernel", "bias"], (2, 5, 5, 3)),
    "Conv2DTranspose": (["kernel", "bias"], ["kernel", "bias"], (2, 5, 5, 3)),
    "DepthwiseConv2D": (["kernel", "bias"], ["depthwise", "bias"], (2, 5, 5, 3)),
    "SeparableConv2D": (
        ["depthwise_kernel", "pointwise_kernel", "bias"],
        ["depthwise", "pointwise", "bias"],
        (2, 5, 5, 3),
    ),
    "BatchNormalization": (["gamma", "beta"], ["gamma", "beta"], (2, 3)),
    "LayerNormalization": (["gamma", "beta"], ["gamma", "beta"], (2, 3)),
    "GroupNormalization": (["gamma", "beta"], ["gamma", "beta"], (2, 3)),
    "PReLU": (["alpha"], ["alpha"], (2, 3)),
}
CONSTRAINTS = (MaxNorm(3), NonNeg(), UnitNorm())
REGULARIZERS = (L1(0.5), L2(0.25), L1(0.125))


@pytest.mark.parametrize("name", WEIGHTS)
def test_each_weight_has_its_own_settings(name):
    weights, words, shape = WEIGHTS[name]
    settings = dict(NEEDED.get(name, {}))
    if name == "GroupNormalization":
        settings["groups"] = 1
    for k, word in enumerate(words):
        settings[f"{word}_initializer"] = Constant(k + 2)
        settings[f"{word}_regularizer"] = REGULARIZERS[k]
        settings[f"{word}_constraint"] = CONSTRAINTS[k]
    layer = getattr(layers, name)(**settings, name="mine", dtype="float64")
    layer.ensure_built(shape)
    assert [weight.name for weight in layer.trainable_weights] == weights
    for k, weight in enumerate(layer.trainable_weights):
        assert weight is getattr(layer, weights[k]) and weight.path == f"mine/{weights[k]}"
        assert weight.regularizer is REGULARIZERS[k] and weight.constraint is CONSTRAINTS[k]
        assert weight.dtype == "float64"
        np.testing.assert_array_equal(weight.numpy(), np.full(weight.shape, k + 2))


def test_moving_averages_begin_as_they_are_told():
    layer = layers.BatchNormalization(
        moving_mean_initializer=Constant(2), moving_variance_initializer=Constant(3), name="mine"
    )
    layer.ensure_built((2, 4))
    mean, variance = layer.non_trainable_weights
    assert mean is layer.moving_mean and variance is layer.moving_variance
    assert (mean.path, variance.path) == ("mine/moving_mean", "mine/moving_variance")
    np.testing.assert_array_equal(mean.numpy(), [2, 2, 2, 2])
    np.testing.assert_array_equal(variance.numpy(), [3, 3, 3, 3])


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (lambda **k: layers.LayerNormalization(axis=[2, 3], **k), (2, 3)),
        (lambda **k: layers.GroupNormalization(1, **k), (1, 2, 3)),
        (layers.BatchNormalization, (0, 1, 2)),
    ],
    ids=["layer", "group", "batch"],
)
def test_normalization_with_and_without_gamma_and_beta(make, axes, center, scale):
    x = np.random.default_rng(0).normal(3, 2, size=(4, 3, 5, 6))
    layer = make(center=center, scale=scale, epsilon=0.25, dtype="float64")
    layer.ensure_built(x.shape)
    wanted = x - x.mean(axes, keepdims=True)
    wanted = wanted / np.sqrt(x.var(axes, keepdims=True) + 0.25)
    if scale:
        gamma = np.linspace(1, 2, layer.gamma.size).reshape(layer.gamma.shape)
        layer.gamma.assign(gamma)
        wanted = wanted * gamma
    if center:
        beta = np.linspace(-1, 5, layer.beta.size).reshape(layer.beta.shape)
        layer.beta.assign(beta)
        wanted = wanted + beta
    assert (layer.gamma is None, layer.beta is None) == (not scale, not center)
    assert len(layer.trainable_weights) == center + scale
    np.testing.assert_allclose(layer(x, training=True).numpy(), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(bool(WHY_CPU_ONLY), reason=WHY_CPU_ONLY)
@pytest.mark.parametrize("without", ["center", "scale"])
@pytest.mark.parametrize("kind", [layers.LayerNormalization, layers.BatchNormalization])
def test_what_stands_for_gamma_or_beta_lies_where_the_input_does(kind, without):
    layer, x = kind(**{without: False}), Tensor(np.eye(2, dtype=np.float32))
    wanted = layer(x).numpy()
    y = layer.to("emulator")(x.to("emulator"))
    np.testing.assert_allclose(y.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(2),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.GroupNormalization(1),
        layers.Normalization(),
        layers.PReLU(),
    ],
    ids=lambda layer: layer.name,
)
def test_rows_want_two_axes(layer):
    match = rf"^layer '{layer.name}' .*: wants inputs of at least two axes, .* got shape \(5,\)"
    for use in (layer.compute_output_shape, layer.build):
        with pytest.raises(ValueError, match=match):
            use((5,))


@pytest.mark.parametrize(("groups", "blocks"), [(-1, 6), (1, 1), (2, 2), (3, 3), (6, 6)])
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (4, 5, 6), (4, 6)])
def test_group_normalization_cuts_the_channels_into_blocks(groups, blocks, shape):
    x = np.random.default_rng(0).normal(3, 2, size=shape)
    parts = x.reshape(4, -1, blocks, 6 // blocks)
    wanted = parts - parts.mean((1, 3), keepdims=True)
    wanted = (wanted / np.sqrt(parts.var((1, 3), keepdims=True) + 0.25)).reshape(shape)
    settings = {"axis": len(shape) - 1, "center": False, "scale": False, "dtype": "float64"}
    y = layers.GroupNormalization(groups, epsilon=0.25, **settings)(x).numpy()
    np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-9)


def test_group_normalization_wants_groups_of_one_size_on_the_last_axis():
    two = layers.GroupNormalization(2)
    assert two.compute_output_shape((None, 5, 5, None)) == (None, 5, 5, None)
    with pytest.raises(ValueError, match="the 3 channels .* cannot be divided into 2 equal groups"):
        two.compute_output_shape((None, None, None, 3))
    with pytest.raises(ValueError, match="groups must be an integer of at least 1, but is -2"):
        layers.GroupNormalization(-2)
    for axis in (-2, 0, 2, 4, 5):
        with pytest.raises(ValueError, match=f"axis={axis} is not supported"):
            layers.GroupNormalization(2, axis=axis).build((2, 5, 5, 4))
        with pytest.raises(ValueError, match=f"axis={axis} is not supported"):
            layers.BatchNormalization(axis=axis).build((2, 5, 5, 4))


AFFINE = {
    "Dense": (3,),
    "Conv2D": (4, 3),
    "DepthwiseConv2D": (3,),
    "SeparableConv2D": (4, 3),
    "Conv2DTranspose": (4, 3),
}


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", AFFINE)
def test_the_activation_is_that_of_the_output_without_one(name, activation):
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)
    plain, layer = (getattr(layers, name)(*AFFINE[name], activation=a) for a in (None, activation))
    y = plain(x).numpy()
    layer.ensure_built(x.shape)
    layer.set_weights(plain.get_weights())
    wanted = np.maximum(y, 0) if activation == "relu" else np.tanh(y)
    assert y.min() < 0
    np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in AFFINE if name != "Dense"])
def test_flat_images_are_refused_by_whatever_looks_at_a_shape(name):
    layer = getattr(layers, name)(*AFFINE[name], name="c")
    for use in (layer.build, layer.compute_output_shape, layer.multiply_adds):
        with pytest.raises(ValueError, match="^layer 'c' .*: wants images, .* Flat images"):
            use((2, 5))
