"""What every layer promises, then each layer on its own, with values worked out by hand."""

import inspect
import math

import numpy as np
import pytest

from minicnn import layers, ops
from minicnn.autograd import Tensor, grad
from minicnn.constraints import NonNeg
from minicnn.layers import (
    ELU,
    Activation,
    AlphaDropout,
    AveragePooling2D,
    BatchNormalization,
    CenterCrop,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    GroupNormalization,
    InputLayer,
    Layer,
    LayerNormalization,
    LeakyReLU,
    MaxPooling2D,
    Normalization,
    Permute,
    PReLU,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    ReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Resizing,
    SeparableConv2D,
    Softmax,
    SpatialDropout2D,
    UpSampling2D,
    ZeroPadding2D,
)
from minicnn.layers.merging import Merge
from minicnn.layers.names import reset_names
from minicnn.random import set_seed

IMAGES = (2, 7, 6, 4)
# name of the case -> how to make the layer, shape of its input, shape of its output, parameters
CASES = {
    "input": (lambda **k: InputLayer((7, 6, 4), **k), IMAGES, IMAGES, 0),
    "dense": (lambda **k: Dense(3, **k), (2, 5), (2, 3), 18),
    "dense relu": (lambda **k: Dense(3, "relu", **k), (2, 5), (2, 3), 18),
    "dense without bias": (lambda **k: Dense(3, use_bias=False, **k), (2, 5), (2, 3), 15),
    "dense on images": (lambda **k: Dense(3, **k), IMAGES, (2, 7, 6, 3), 15),
    "conv2d": (lambda **k: Conv2D(3, 3, **k), IMAGES, (2, 5, 4, 3), 111),
    "conv2d relu": (lambda **k: Conv2D(3, 3, activation="relu", **k), IMAGES, (2, 5, 4, 3), 111),
    "conv2d tanh": (lambda **k: Conv2D(3, 3, activation="tanh", **k), IMAGES, (2, 5, 4, 3), 111),
    "conv2d same": (lambda **k: Conv2D(3, (3, 2), padding="same", **k), IMAGES, (2, 7, 6, 3), 75),
    "conv2d strides": (lambda **k: Conv2D(3, 3, (2, 3), "same", **k), IMAGES, (2, 4, 2, 3), 111),
    "conv2d dilated": (
        lambda **k: Conv2D(3, 3, dilation_rate=(2, 1), **k),
        IMAGES,
        (2, 3, 4, 3),
        111,
    ),
    "conv2d groups": (lambda **k: Conv2D(6, 3, groups=2, **k), IMAGES, (2, 5, 4, 6), 114),
    "conv2d without bias": (
        lambda **k: Conv2D(3, 1, use_bias=False, **k),
        IMAGES,
        (2, 7, 6, 3),
        12,
    ),
    "depthwise": (lambda **k: DepthwiseConv2D(3, **k), IMAGES, (2, 5, 4, 4), 40),
    "depthwise multiplied": (
        lambda **k: DepthwiseConv2D(3, 2, "same", 2, activation="relu", **k),
        IMAGES,
        (2, 4, 3, 8),
        80,
    ),
    "depthwise dilated": (
        lambda **k: DepthwiseConv2D((2, 3), dilation_rate=(3, 2), activation="tanh", **k),
        IMAGES,
        (2, 4, 2, 4),
        28,
    ),
    "separable dilated": (
        lambda **k: SeparableConv2D(3, 2, dilation_rate=(3, 2), activation="tanh", **k),
        IMAGES,
        (2, 4, 4, 3),
        31,
    ),
    "separable": (lambda **k: SeparableConv2D(3, 3, **k), IMAGES, (2, 5, 4, 3), 51),
    "separable multiplied": (
        lambda **k: SeparableConv2D(3, 3, depth_multiplier=2, use_bias=False, **k),
        IMAGES,
        (2, 5, 4, 3),
        96,
    ),
    "max pooling": (lambda **k: MaxPooling2D(**k), IMAGES, (2, 3, 3, 4), 0),
    "max pooling same": (lambda **k: MaxPooling2D(3, 2, "same", **k), IMAGES, (2, 4, 3, 4), 0),
    "average pooling": (lambda **k: AveragePooling2D((2, 3), **k), IMAGES, (2, 3, 2, 4), 0),
    "average pooling same": (
        lambda **k: AveragePooling2D(3, 2, "same", **k),
        IMAGES,
        (2, 4, 3, 4),
        0,
    ),
    "batch normalization": (lambda **k: BatchNormalization(**k), IMAGES, IMAGES, 16),
    "batch normalization of rows": (
        lambda **k: BatchNormalization(axis=1, scale=False, **k),
        (2, 5),
        (2, 5),
        15,
    ),
    "global average": (lambda **k: GlobalAveragePooling2D(**k), IMAGES, (2, 4), 0),
    "global average keepdims": (
        lambda **k: GlobalAveragePooling2D(keepdims=True, **k),
        IMAGES,
        (2, 1, 1, 4),
        0,
    ),
    "global max": (lambda **k: GlobalMaxPooling2D(**k), IMAGES, (2, 4), 0),
    "flatten": (lambda **k: Flatten(**k), IMAGES, (2, 168), 0),
    "flatten one axis": (lambda **k: Flatten(**k), (2,), (2, 1), 0),
    "reshape": (lambda **k: Reshape((4, -1, 2), **k), IMAGES, (2, 4, 21, 2), 0),
    "zero padding": (lambda **k: ZeroPadding2D(((1, 2), (0, 1)), **k), IMAGES, (2, 10, 7, 4), 0),
    "activation": (lambda **k: Activation("relu", **k), IMAGES, IMAGES, 0),
    "relu": (lambda **k: ReLU(6, 0.1, 0.5, **k), IMAGES, IMAGES, 0),
    "leaky relu": (lambda **k: LeakyReLU(**k), IMAGES, IMAGES, 0),
    "elu": (lambda **k: ELU(**k), IMAGES, IMAGES, 0),
    "softmax": (lambda **k: Softmax(**k), IMAGES, IMAGES, 0),
    "dropout": (lambda **k: Dropout(0.5, **k), IMAGES, IMAGES, 0),
    "random flip": (lambda **k: RandomFlip(seed=1, **k), IMAGES, IMAGES, 0),
    "random crop": (lambda **k: RandomCrop(5, 3, seed=1, **k), IMAGES, (2, 5, 3, 4), 0),
    "transposed": (lambda **k: Conv2DTranspose(3, 3, **k), IMAGES, (2, 9, 8, 3), 111),
    "transposed same": (
        lambda **k: Conv2DTranspose(3, (4, 2), (2, 3), "same", activation="relu", **k),
        IMAGES,
        (2, 14, 18, 3),
        99,
    ),
    "transposed dilated": (
        lambda **k: Conv2DTranspose(3, 2, dilation_rate=(3, 2), activation="tanh", **k),
        IMAGES,
        (2, 10, 8, 3),
        51,
    ),
    "transposed more": (
        lambda **k: Conv2DTranspose(3, 2, (3, 2), output_padding=(2, 1), **k),
        IMAGES,
        (2, 22, 13, 3),
        51,
    ),
    "layer normalization": (lambda **k: LayerNormalization(**k), IMAGES, IMAGES, 8),
    "layer normalization of images": (
        lambda **k: LayerNormalization(axis=[1, 2, 3], scale=False, **k),
        IMAGES,
        IMAGES,
        168,
    ),
    "group normalization": (lambda **k: GroupNormalization(2, **k), IMAGES, IMAGES, 8),
    "prelu": (lambda **k: PReLU("ones", shared_axes=[1, 2], **k), IMAGES, IMAGES, 4),
    "permute": (lambda **k: Permute((3, 1, 2), **k), IMAGES, (2, 4, 7, 6), 0),
    "repeat vector": (lambda **k: RepeatVector(3, **k), (2, 5), (2, 3, 5), 0),
    "cropping": (lambda **k: Cropping2D(((1, 2), (0, 1)), **k), IMAGES, (2, 4, 5, 4), 0),
    "up sampling": (lambda **k: UpSampling2D((2, 3), **k), IMAGES, (2, 14, 18, 4), 0),
    "resizing": (lambda **k: Resizing(5, 9, **k), IMAGES, (2, 5, 9, 4), 0),
    "center crop": (lambda **k: CenterCrop(5, 3, **k), IMAGES, (2, 5, 3, 4), 0),
    "rescaling": (lambda **k: Rescaling(2.0, -1.0, **k), IMAGES, IMAGES, 0),
    "normalization": (lambda **k: Normalization(mean=1, variance=4, **k), IMAGES, IMAGES, 0),
    "spatial dropout": (lambda **k: SpatialDropout2D(0.5, **k), IMAGES, IMAGES, 0),
    "gaussian noise": (lambda **k: GaussianNoise(0.5, **k), IMAGES, IMAGES, 0),
    "gaussian dropout": (lambda **k: GaussianDropout(0.5, **k), IMAGES, IMAGES, 0),
    "alpha dropout": (lambda **k: AlphaDropout(0.5, **k), IMAGES, IMAGES, 0),
    "random rotation": (lambda **k: RandomRotation(0.1, seed=1, **k), IMAGES, IMAGES, 0),
    "random zoom": (lambda **k: RandomZoom(0.1, seed=1, **k), IMAGES, IMAGES, 0),
    "random contrast": (
        lambda **k: RandomContrast(0.1, (-100, 200), seed=1, **k),
        IMAGES,
        IMAGES,
        0,
    ),
    "random brightness": (
        lambda **k: RandomBrightness(0.1, (-100, 200), seed=1, **k),
        IMAGES,
        IMAGES,
        0,
    ),
    "random translation": (
        lambda **k: RandomTranslation(0.3, (0.1, 0.2), seed=1, **k),
        IMAGES,
        IMAGES,
        0,
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def random_input(shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def built(layer, shape):
    layer.ensure_built(shape)
    return layer


# -- every layer


def test_every_layer_has_a_case():
    classes = {type(make()) for make, *_ in CASES.values()} | {Layer}
    classes |= set(Merge.__subclasses__())  # which take lists: test_merging.py
    public = {getattr(layers, name) for name in layers.__all__}
    assert {thing for thing in public if inspect.isclass(thing)} == classes


def test_output_has_the_shape_that_was_foretold(case):
    make, x_shape, y_shape, _ = case
    layer = make()
    assert layer.compute_output_shape((None, *x_shape[1:])) == (None, *y_shape[1:])
    assert layer(random_input(x_shape)).shape == y_shape
    assert layer.compute_output_shape(x_shape) == y_shape
    assert layer.input_shape == (None, *x_shape[1:])
    assert layer.output_shape == (None, *y_shape[1:])


def test_a_layer_can_be_built_by_hand(case):
    make, x_shape, *_ = case
    layer = make()
    layer.build(x_shape)
    assert layer.built and layer.input_shape[1:] == x_shape[1:]
    layer.ensure_built(x_shape)  # not once more


def test_parameters_are_counted(case):
    make, x_shape, _, count = case
    layer = built(make(), x_shape)
    assert layer.built
    assert layer.count_params() == count == sum(array.size for array in layer.get_weights())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_output_has_the_dtype_of_the_layer(case, dtype):
    make, x_shape, *_ = case
    layer = make(dtype=dtype)
    for given in ("float32", "float64", "uint8"):
        y = layer(random_input(x_shape).astype(given), training=True)
        assert y.dtype == dtype
    assert all(weight.dtype == dtype for weight in layer.weights)


def test_layer_is_made_again_from_its_config(case):
    make, x_shape, *_ = case
    layer = built(make(name="mine", dtype="float64"), x_shape)
    again = built(type(layer).from_config(layer.get_config()), x_shape)
    assert again.get_config() == layer.get_config()
    assert again.name == "mine" and again.dtype == "float64"
    again.set_weights(layer.get_weights())
    x = random_input(x_shape)
    np.testing.assert_array_equal(again(x).numpy(), layer(x).numpy())


def test_input_is_not_changed(case):
    make, x_shape, *_ = case
    x = random_input(x_shape)
    before = x.copy()
    make()(x, training=True)
    np.testing.assert_array_equal(x, before)


def test_tensors_and_arrays_give_the_same(case):
    make, x_shape, *_ = case
    layer, x = make(), random_input(x_shape)
    one, other = layer(x, training=False), layer(Tensor(x), training=False)
    np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_batch_of_one_input_works(case):
    make, x_shape, y_shape, _ = case
    assert make()(random_input((1, *x_shape[1:]))).shape == (1, *y_shape[1:])


def test_gradients_reach_input_and_weights(case):
    make, x_shape, *_ = case
    layer, x = make(), Tensor(random_input(x_shape), requires_grad=True)
    y = layer(x)
    gradients = grad((y * y).sum(), [x, *layer.trainable_weights])
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)


def test_misspelt_keyword_is_noticed(case):
    make, *_ = case
    with pytest.raises(ValueError, match=r"unknown keyword 'trainabel'\. Did you mean 'trainable'"):
        make(trainabel=False)


def test_keywords_of_all_classes_above_are_known():
    with pytest.raises(ValueError, match=r"Dense: .*'kernel_initialiser'\. .*'kernel_initializer'"):
        Dense(3, kernel_initialiser="zeros")
    with pytest.raises(
        ValueError, match=r"Conv2D: .*'filter'\. Did you mean 'filters'\? Known are"
    ):
        Conv2D(3, 3, filter=3)


# -- names


def test_names_count_by_class():
    reset_names()
    made = [Conv2D(1, 1), Dense(1), Conv2D(1, 1), Conv2D(1, 1, name="mine"), Conv2D(1, 1), ReLU()]
    assert [layer.name for layer in made] == [
        "conv2d",
        "dense",
        "conv2d_1",
        "mine",
        "conv2d_2",
        "re_lu",
    ]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: InputLayer((1,)), "input_layer"),
        (MaxPooling2D, "max_pooling2d"),
        (lambda: AveragePooling2D(2), "average_pooling2d"),
        (GlobalAveragePooling2D, "global_average_pooling2d"),
        (GlobalMaxPooling2D, "global_max_pooling2d"),
        (ZeroPadding2D, "zero_padding2d"),
        (LeakyReLU, "leaky_re_lu"),
        (ELU, "elu"),
    ],
)
def test_names_are_those_of_keras(make, name):
    reset_names()
    assert make().name == name


@pytest.mark.parametrize("name", ["a/b", ""])
def test_a_name_is_a_word_without_slash(name):
    with pytest.raises(ValueError, match="Dense: name must be a word without '/'"):
        Dense(1, name=name)


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match="Dense: name must be a string, but is 3"):
        Dense(1, name=3)


def test_aliases_are_the_same_classes():
    assert layers.MaxPool2D is MaxPooling2D
    assert layers.AvgPool2D is AveragePooling2D
    assert layers.GlobalAvgPool2D is GlobalAveragePooling2D
    assert layers.GlobalMaxPool2D is GlobalMaxPooling2D
    assert layers.Convolution2D is Conv2D
    assert layers.SeparableConvolution2D is SeparableConv2D
    assert layers.Convolution2DTranspose is Conv2DTranspose


# -- weights


def test_weights_have_the_names_and_paths_of_keras():
    layer = built(Conv2D(8, (3, 5), name="c"), (1, 9, 9, 3))
    assert [w.name for w in layer.weights] == ["kernel", "bias"]
    assert [w.path for w in layer.weights] == ["c/kernel", "c/bias"]
    assert [w.shape for w in layer.weights] == [(3, 5, 3, 8), (8,)]
    assert [w.shape for w in built(Dense(4), (1, 3)).weights] == [(3, 4), (4,)]


def test_get_weights_gives_copies():
    layer = built(Dense(2), (1, 3))
    layer.get_weights()[0][:] = 7
    assert not (layer.kernel.numpy() == 7).any()


def test_set_weights_wants_the_right_number():
    layer = built(Dense(2, name="d"), (1, 3))
    with pytest.raises(
        ValueError, match=r"layer 'd' \(Dense\): has 2 weights, but .* got 1 arrays"
    ):
        layer.set_weights([np.zeros((3, 2))])
    with pytest.raises(ValueError, match="has 0 weights because it is not built yet"):
        Dense(2).set_weights([np.zeros((3, 2)), np.zeros(2)])


def test_set_weights_changes_nothing_unless_all_shapes_fit():
    layer = built(Dense(2, name="d"), (1, 3))
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"'d' .*'bias' has shape \(2,\), but .* shape \(3,\)"):
        layer.set_weights([np.ones((3, 2)), np.ones(3)])
    with pytest.raises(TypeError, match="set_weights for 'bias' must be an array of real numbers"):
        layer.set_weights([np.ones((3, 2)), np.array(["a", "b"])])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])


def test_freezing_a_layer_moves_its_weights():
    layer = built(Dense(2), (1, 3))
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == layer.weights
    y = layer(np.ones((1, 3)))
    assert not y.requires_grad
    layer.trainable = True
    assert layer.trainable_weights == layer.weights


def test_a_frozen_layer_builds_frozen_weights():
    assert built(Dense(2, trainable=False), (1, 3)).trainable_weights == []


def test_weights_that_are_never_trained_stay_so_and_come_last():
    class Shift(Layer):
        def build(self, input_shape):
            self.mean = self.add_weight((2,), "zeros", trainable=False, name="mean")
            self.scale = self.add_weight((2,), "ones", name="scale")

        def call(self, x):
            return (x - self.mean) * self.scale

    layer = built(Shift(), (1, 2))
    assert [w.name for w in layer.weights] == ["scale", "mean"]
    layer.trainable = False
    layer.trainable = True
    assert layer.trainable_weights == [layer.scale]
    assert layer.non_trainable_weights == [layer.mean]


def test_trainable_must_be_true_or_false():
    with pytest.raises(TypeError, match="Dense: trainable must be True or False, but is 1"):
        Dense(2, trainable=1)
    with pytest.raises(TypeError, match="trainable must be True or False, but is 'no'"):
        Dense(2).trainable = "no"


def test_initializers_make_the_weights():
    layer = built(Dense(2, kernel_initializer="ones", bias_initializer="ones"), (1, 3))
    assert all((array == 1).all() for array in layer.get_weights())
    assert (built(Dense(2), (1, 3)).bias.numpy() == 0).all()


def test_an_initializer_must_keep_to_the_shape():
    layer = Dense(2, kernel_initializer=lambda shape, dtype: np.zeros((2, 3)), name="d")
    with pytest.raises(ValueError, match=r"'d' .*initializer of 'kernel' .*\(3, 2\), .*\(2, 3\)"):
        layer.build((None, 3))


def test_glorot_uniform_is_the_default():
    kernel = built(Conv2D(64, 3), (1, 8, 8, 32)).kernel.numpy()
    limit = math.sqrt(6 / (9 * 32 + 9 * 64))
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_one_seed_makes_equal_layers_and_equal_layers_differ_otherwise():
    def kernels():
        set_seed(4)
        return [built(Dense(5), (1, 5)).kernel.numpy() for _ in range(2)]

    (a, b), (c, d) = kernels(), kernels()
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)
    assert (a != b).any()


def test_count_params_wants_a_built_layer():
    with pytest.raises(ValueError, match=r"layer 'd' \(Dense\): cannot count.* not built"):
        Dense(2, name="d").count_params()


def test_unbuilt_layer_has_no_input_shape():
    with pytest.raises(AttributeError, match=r"layer 'd' \(Dense\): has no input_shape yet"):
        Dense(2, name="d").input_shape  # noqa: B018


def test_declared_input_shape_is_kept_without_a_warning():
    assert Conv2D(2, 3, input_shape=(32, 32, 3)).declared_input_shape == (None, 32, 32, 3)
    assert Dense(2, input_dim=3).input_shape == (None, 3)
    assert Dense(2).declared_input_shape is None


def test_declared_input_shape_binds():
    layer = Conv2D(2, 3, input_shape=(32, 32, 3), name="c")
    with pytest.raises(ValueError, match="channels-first"):
        layer(np.zeros((1, 3, 32, 32)))


@pytest.mark.parametrize("shape", [(32, 0, 3), (32, -1, 3)])
def test_declared_sizes_are_positive(shape):
    with pytest.raises(ValueError, match="Dense: input_shape must be an integer of at least 1"):
        Dense(1, input_shape=shape)


def test_declared_shape_is_a_tuple():
    with pytest.raises(TypeError, match=r"input_shape must be a tuple of integers.*but is 'big'"):
        Dense(1, input_shape="big")


def test_dtype_must_be_a_float():
    for wrong in ("int32", "float31", "float16"):
        with pytest.raises(
            ValueError,
            match=f"dtype must be one of float32, float64, mixed_bfloat16, but is '{wrong}",
        ):
            Dense(1, dtype=wrong)


@pytest.mark.parametrize("name", ["float32", "float64", "mixed_bfloat16"])
def test_a_dtype_may_be_written_as_in_files_of_keras(name):
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}}
    assert Dense(1, dtype=policy).dtype_policy == name


# -- penalties


def test_regularizers_add_their_losses():
    layer = Dense(2, kernel_regularizer="l2", bias_regularizer="l2", kernel_initializer="ones")
    built(layer, (1, 3))
    assert [loss.item() for loss in layer.losses] == pytest.approx([0.01 * 6, 0])
    layer.trainable = False
    assert layer.losses == []


def test_regularizer_loss_has_a_gradient():
    layer = built(Dense(2, kernel_regularizer="l2"), (1, 3))
    (dw,) = grad(layer.losses[0], [layer.kernel])
    np.testing.assert_allclose(dw.numpy(), 0.02 * layer.kernel.numpy(), rtol=1e-6)


def test_activity_regularizer_is_divided_by_the_batch():
    layer = Activation("linear", activity_regularizer="l2")
    assert layer.losses == []
    layer(np.full((4, 3), 2.0))
    (loss,) = layer.losses
    assert loss.item() == pytest.approx(0.01 * 4 * 12 / 4)


def test_constraint_is_kept_with_the_weight():
    def positive(w):
        return np.maximum(w, 0)

    layer = built(Dense(2, kernel_constraint=positive), (1, 3))
    assert layer.kernel.constraint is positive
    assert layer.bias.constraint is None


def test_constraint_is_found_by_name():
    assert isinstance(Conv2D(1, 1, kernel_constraint="non_neg").kernel_constraint, NonNeg)
    with pytest.raises(ValueError, match="unknown constraint 'maxnorm'. Did you mean 'MaxNorm'"):
        Conv2D(1, 1, kernel_constraint="maxnorm")
    with pytest.raises(TypeError, match="Conv2D: kernel_constraint must be the name of.* is 2"):
        Conv2D(1, 1, kernel_constraint=2)


# -- layers of one's own


class Affine(Layer):
    """As in Keras' guides: neither build nor __init__ calls more of Layer than it must."""

    def __init__(self, units=3):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        return x @ self.w + self.b


def test_own_layer_builds_once_and_works():
    layer = Affine()
    for _ in range(2):
        np.testing.assert_array_equal(layer(np.ones((2, 4))).numpy(), np.full((2, 3), 4.0))
    assert [w.name for w in layer.weights] == ["variable", "variable_1"]
    assert layer.built and layer.input_shape == (None, 4)


def test_own_layer_finds_out_its_output_shape():
    assert Affine().compute_output_shape((None, 4)) == (None, 3)
    with pytest.raises(ValueError, match=r"cannot tell the shape of its output for \(None, None\)"):
        Affine().compute_output_shape((None, None))


def test_own_layer_is_told_about_training_if_it_asks():
    class Tell(Layer):
        def call(self, x, training):
            return x * float(training)

    assert Tell()(np.ones(1), training=True).item() == 1
    assert Tell()(np.ones(1)).item() == 0


def test_building_twice_is_noticed():
    layer = built(Dense(2, name="d"), (1, 3))
    with pytest.raises(ValueError, match=r"layer 'd' \(Dense\): has a weight 'kernel' already"):
        layer.build((1, 3))


def test_a_method_is_not_hidden_by_a_setting():
    layer = Affine()
    with pytest.raises(AttributeError, match=r"Affine \[MC052\]: build is a method"):
        layer.build = True
    layer.call = lambda x: x  # a function may take its place
    assert layer(np.ones((1, 2))).shape == (1, 2)


def test_input_must_be_numbers():
    with pytest.raises(
        TypeError, match=r"layer 'f' \(Flatten\): the input must be an array of real"
    ):
        Flatten(name="f")(np.array([["a"]]))


# -- Input


def test_input_passes_on_what_it_gets():
    x = random_input((2, 3))
    np.testing.assert_array_equal(InputLayer((3,))(x).numpy(), x)
    assert InputLayer(shape=(3,), batch_size=8).batch_shape == (8, 3)
    assert InputLayer(batch_shape=(None, 3)).input_shape == (None, 3)
    assert InputLayer(3).batch_shape == (None, 3)


def test_input_wants_one_shape():
    for shapes in ({}, {"shape": (3,), "batch_shape": (None, 3)}):
        with pytest.raises(ValueError, match="InputLayer: wants either shape"):
            InputLayer(**shapes)


def test_input_checks_what_comes():
    with pytest.raises(
        ValueError,
        match=r"wants shape \(None, 32, 32, 3\), but got \(1, 28, 28, 1\)\. Give the model inputs",
    ):
        InputLayer((32, 32, 3))(np.zeros((1, 28, 28, 1)))
    with pytest.raises(ValueError, match=r"One input only\? Add the batch axis: x\[None\]"):
        InputLayer((32, 32, 3))(np.zeros((32, 32, 3)))
    assert InputLayer((None, None, 3))(np.zeros((1, 5, 6, 3))).shape == (1, 5, 6, 3)


# -- Dense


def test_dense_multiplies_and_adds():
    layer = built(Dense(2), (1, 2))
    layer.set_weights([[[1, 2], [3, 4]], [10, 20]])
    np.testing.assert_array_equal(layer(np.array([[1.0, 1], [0, 2]])).numpy(), [[14, 26], [16, 28]])


@pytest.mark.parametrize("shape", [(7, 6), (4, 5, 6), (2, 4, 5, 6)])
def test_dense_works_on_the_last_axis_of_any_rank(shape):
    layer, x = Dense(3), random_input(shape)
    y = layer(x).numpy()
    np.testing.assert_allclose(y, x @ layer.kernel.numpy() + layer.bias.numpy(), atol=1e-6)


def test_dense_with_softmax_hands_on_its_scores():
    layer = Dense(3, activation="softmax")
    y = layer(random_input((2, 5)))
    assert y.logits is not None
    np.testing.assert_allclose(ops.softmax(y.logits).numpy(), y.numpy())


@pytest.mark.parametrize("units", [0, -3])
def test_dense_wants_units(units):
    with pytest.raises(
        ValueError, match=f"Dense: units must be an integer of at least 1, but is {units}"
    ):
        Dense(units)


@pytest.mark.parametrize("units", [2.5, "3", None, True])
def test_dense_wants_an_integer(units):
    with pytest.raises(TypeError, match="Dense: units must be an integer"):
        Dense(units)


def test_dense_takes_integers_of_numpy():
    assert type(Dense(np.int64(3)).units) is int


def test_dense_says_what_it_was_built_for():
    layer = built(Dense(3, name="d"), (1, 5))
    match = (
        r"layer 'd' \(Dense\): wants 5 numbers on the last axis.* \(None, 5\), but got .*\(2, 6\)"
    )
    with pytest.raises(ValueError, match=match):
        layer(np.zeros((2, 6)))
    with pytest.raises(ValueError, match=r"at least two axes, .*got shape \(5,\).*x\[None\]"):
        layer(np.zeros(5))
    with pytest.raises(ValueError, match="at least two axes"):
        Dense(3)(np.zeros(5))


def test_dense_must_know_the_last_axis():
    with pytest.raises(ValueError, match=r"must know the size of the last axis.*\(None, None\)"):
        Dense(3).build((None, None))


def test_misspelt_activation_is_noticed():
    with pytest.raises(ValueError, match="unknown activation 'rleu'. Did you mean 'relu'"):
        Dense(3, activation="rleu")


# -- Conv2D


def test_conv2d_takes_the_dot_product_at_every_place():
    layer = built(Conv2D(1, 2), (1, 3, 3, 1))
    layer.set_weights([np.array([1.0, 2, 3, 4]).reshape(2, 2, 1, 1), [100]])
    y = layer(np.arange(9.0).reshape(1, 3, 3, 1)).numpy()
    np.testing.assert_array_equal(y[0, :, :, 0], [[127, 137], [157, 167]])


def test_conv2d_same_pads_more_at_the_end():
    layer = built(Conv2D(1, 3, 2, "SAME", kernel_initializer="ones"), (1, 4, 4, 1))
    y = layer(np.ones((1, 4, 4, 1))).numpy()
    np.testing.assert_array_equal(y[0, :, :, 0], [[9, 6], [6, 4]])


def test_conv2d_with_relu_equals_relu_after_conv2d():
    fused, plain, x = Conv2D(4, 3, activation="relu"), Conv2D(4, 3), random_input(IMAGES)
    y = plain(x)
    built(fused, IMAGES).set_weights(plain.get_weights())
    assert (y.numpy() < 0).any()
    np.testing.assert_array_equal(fused(x).numpy(), ops.relu(y).numpy())


def test_conv2d_groups_see_only_their_channels():
    layer, x = built(Conv2D(4, 1, groups=2), (1, 2, 2, 6)), random_input((1, 2, 2, 6))
    assert layer.kernel.shape == (1, 1, 3, 4)
    before = layer(x).numpy()
    x[..., 3:] += 1
    after = layer(x).numpy()
    np.testing.assert_array_equal(after[..., :2], before[..., :2])
    assert (after[..., 2:] != before[..., 2:]).all()


def test_conv2d_takes_images_of_other_sizes_after_building():
    layer = built(Conv2D(4, 3), (1, 8, 8, 3))
    assert layer(np.zeros((1, 5, 9, 3))).shape == (1, 3, 7, 4)


def test_conv2d_foretells_unknown_sizes():
    assert Conv2D(4, 3).compute_output_shape((None, None, 9, 3)) == (None, None, 7, 4)
    assert MaxPooling2D().compute_output_shape((None, 9, None, 3)) == (None, 4, None, 3)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"filters": 0}, "filters must be an integer of at least 1, but is 0"),
        ({"kernel_size": 0}, "kernel_size must be an integer of at least 1, but is 0"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size must be .* a pair .* but is \(3, 3, 3\)"),
        ({"kernel_size": "3"}, "kernel_size must be an integer or a pair of integers"),
        ({"strides": -1}, "strides must be an integer of at least 1, but is -1"),
        ({"dilation_rate": 0}, "dilation_rate must be an integer of at least 1"),
        (
            {"padding": "smae"},
            "padding must be 'valid' or 'same', but is 'smae'. Did you mean 'same'",
        ),
        ({"padding": 1}, "padding must be 'valid' or 'same', but is 1"),
        ({"data_format": "channels_first"}, "'channels_first' is not supported.*np.transpose"),
        ({"data_format": "nhwc"}, "data_format must be 'channels_last' or 'channels_first'"),
        ({"groups": 3}, "4 filters cannot be divided into 3 equal groups"),
        ({"groups": 0}, "groups must be an integer of at least 1"),
        (
            {"strides": 2, "dilation_rate": 2},
            r"strides=\(2, 2\) and dilation_rate=\(2, 2\) do not go",
        ),
    ],
)
def test_conv2d_checks_its_settings(settings, match):
    with pytest.raises(ValueError, match=f"Conv2D: .*{match}"):
        Conv2D(**({"filters": 4, "kernel_size": 3} | settings))


def test_conv2d_checks_kinds():
    with pytest.raises(TypeError, match="Conv2D: kernel_size must be an integer of at least 1"):
        Conv2D(4, (3, 2.5))
    with pytest.raises(TypeError, match="Conv2D: use_bias must be True or False"):
        Conv2D(4, 3, use_bias="yes")


def test_conv2d_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match=r"the 3 channels of its input, .* into 2 equal groups"):
        Conv2D(4, 3, groups=2).build((None, 8, 8, 3))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((32, 32, 3), r"\[MC001\] One input only\? Add the batch axis: x\[None\]"),
        ((600, 28, 28), r"Grey images\? Add the channel axis: x\[\.\.\., None\]"),
        ((600, 784), r"Flat images\? Put Reshape"),
    ],
)
@pytest.mark.parametrize(
    "layer",
    [
        Conv2D(2, 3, name="c"),
        DepthwiseConv2D(3, name="c"),
        SeparableConv2D(2, 3, name="c"),
        MaxPooling2D(name="c"),
        GlobalMaxPooling2D(name="c"),
    ],
)
def test_layers_of_images_want_four_axes(layer, shape, hint):
    match = rf"layer 'c' .*: wants images, .* but got shape .*{shape[-1]}\)\. {hint}"
    with pytest.raises(ValueError, match=match):
        layer(np.zeros(shape))
    with pytest.raises(ValueError, match=match):
        layer.compute_output_shape(shape)


def test_conv2d_recognizes_channels_first():
    layer = built(Conv2D(2, 3, name="c"), (1, 32, 32, 3))
    with pytest.raises(
        ValueError, match=r"got shape \(8, 3, 32, 32\)\. \[MC002\] This looks like channels-first"
    ):
        layer(np.zeros((8, 3, 32, 32)))


@pytest.mark.parametrize(
    ("layer", "window"),
    [
        (Conv2D(2, 5, name="w"), "5 x 5"),
        (Conv2D(2, 3, dilation_rate=2, name="w"), r"5 x 5, dilated by \(2, 2\),"),
        (DepthwiseConv2D(5, name="w"), "5 x 5"),
        (SeparableConv2D(2, 3, dilation_rate=2, name="w"), r"5 x 5, dilated by \(2, 2\),"),
        (MaxPooling2D((1, 5), name="w"), "1 x 5"),
        (AveragePooling2D(5, name="w"), "5 x 5"),
    ],
)
def test_window_must_fit_into_the_image(layer, window):
    match = rf"layer 'w' .*window of {window} does not fit into images of 4 x 4 .*\(None, 4, 4, 3\)"
    with pytest.raises(ValueError, match=match):
        layer.compute_output_shape((None, 4, 4, 3))
    with pytest.raises(ValueError, match="does not fit into images of 4 x 4"):
        layer(np.zeros((1, 4, 4, 3)))


# -- DepthwiseConv2D and SeparableConv2D


def test_depthwise_filters_see_one_channel_each():
    layer = built(DepthwiseConv2D(1, depth_multiplier=2, use_bias=False), (1, 1, 1, 2))
    layer.set_weights([np.array([1.0, 2, 3, 4]).reshape(1, 1, 2, 2)])
    y = layer(np.array([10.0, 100]).reshape(1, 1, 1, 2)).numpy()
    assert y.ravel().tolist() == [10, 20, 300, 400]


def test_separable_mixes_what_depthwise_makes():
    x = random_input(IMAGES)
    layer = built(SeparableConv2D(5, 3, 2, "same", activation="relu"), IMAGES)
    depthwise, pointwise, bias = layer.get_weights()
    first = built(DepthwiseConv2D(3, 2, "same", use_bias=False), IMAGES)
    second = built(Conv2D(5, 1, activation="relu"), IMAGES)
    first.set_weights([depthwise])
    second.set_weights([pointwise, bias + 0.1])
    layer.set_weights([depthwise, pointwise, bias + 0.1])
    np.testing.assert_array_equal(layer(x).numpy(), second(first(x)).numpy())


def test_depthwise_with_relu_equals_relu_after_it():
    fused, plain, x = (
        DepthwiseConv2D(3, activation="relu"),
        DepthwiseConv2D(3),
        random_input(IMAGES),
    )
    y = plain(x)
    built(fused, IMAGES).set_weights(plain.get_weights())
    assert (y.numpy() < 0).any()
    np.testing.assert_array_equal(fused(x).numpy(), ops.relu(y).numpy())


def test_each_weight_of_a_separable_convolution_has_its_own_settings():
    layer = SeparableConv2D(
        2,
        1,
        depthwise_initializer="ones",
        pointwise_initializer="zeros",
        bias_initializer="ones",
        depthwise_regularizer="l2",
        pointwise_regularizer="l1",
        depthwise_constraint=abs,
        pointwise_constraint=np.tanh,
        bias_constraint=np.sign,
    )
    depthwise, pointwise, bias = built(layer, (1, 2, 2, 3)).weights
    assert [w.name for w in layer.weights] == ["depthwise_kernel", "pointwise_kernel", "bias"]
    assert [w.numpy().mean() for w in layer.weights] == [1, 0, 1]
    assert [w.constraint for w in layer.weights] == [abs, np.tanh, np.sign]
    assert type(depthwise.regularizer) is not type(pointwise.regularizer)
    assert bias.regularizer is None


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kernel_size": 0}, "kernel_size must be an integer of at least 1, but is 0"),
        ({"depth_multiplier": 0}, "depth_multiplier must be an integer of at least 1, but is 0"),
        ({"strides": -1}, "strides must be an integer of at least 1, but is -1"),
        ({"padding": "smae"}, "padding must be 'valid' or 'same', .*Did you mean 'same'"),
        ({"data_format": "channels_first"}, "'channels_first' is not supported.*np.transpose"),
        (
            {"strides": 2, "dilation_rate": 2},
            r"strides=\(2, 2\) and dilation_rate=\(2, 2\) do not go",
        ),
        ({"kernel_initializer": "ones"}, "'kernel_initializer'.*Known are"),
    ],
)
def test_depthwise_and_separable_check_their_settings(settings, match):
    with pytest.raises(ValueError, match=f"DepthwiseConv2D: .*{match}"):
        DepthwiseConv2D(**({"kernel_size": 3} | settings))
    with pytest.raises(ValueError, match=f"SeparableConv2D: .*{match}"):
        SeparableConv2D(**({"filters": 4, "kernel_size": 3} | settings))


def test_depthwise_and_separable_check_kinds():
    with pytest.raises(TypeError, match="DepthwiseConv2D: use_bias must be True or False"):
        DepthwiseConv2D(3, use_bias="yes")
    with pytest.raises(TypeError, match="DepthwiseConv2D: depthwise_constraint must be the name"):
        DepthwiseConv2D(3, depthwise_constraint=2)
    with pytest.raises(TypeError, match="SeparableConv2D: pointwise_constraint must be the name"):
        SeparableConv2D(3, 3, pointwise_constraint=2)
    with pytest.raises(ValueError, match="SeparableConv2D: filters must be an integer of at least"):
        SeparableConv2D(0, 3)


def test_depthwise_wants_the_channels_it_was_built_for():
    layer = built(DepthwiseConv2D(3, name="d"), (1, 8, 8, 3))
    with pytest.raises(ValueError, match=r"layer 'd' .*: wants 3 numbers on the last axis"):
        layer(np.zeros((1, 8, 8, 4)))


# -- pooling


def test_max_pooling_keeps_the_largest():
    x = np.array([[1.0, -2, 3], [4, 0, -1], [7, 8, 9]]).reshape(1, 3, 3, 1)
    assert MaxPooling2D()(x).numpy().ravel().tolist() == [4]
    y = MaxPooling2D(2, strides=1)(x).numpy()
    np.testing.assert_array_equal(y[0, :, :, 0], [[4, 3], [8, 9]])


def test_max_pooling_never_sees_the_padding():
    y = MaxPooling2D(2, 2, "same")(np.full((1, 3, 3, 1), -5.0)).numpy()
    np.testing.assert_array_equal(y, np.full((1, 2, 2, 1), -5.0))


def test_average_pooling_counts_real_pixels_only():
    x = np.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1)
    y = AveragePooling2D((1, 3), 2, "same")(x).numpy()
    assert y.ravel().tolist() == [2, 3.5]  # mean of 1, 2, 3 and of 3, 4


def test_average_pooling_needs_a_pool_size_as_in_keras():
    with pytest.raises(TypeError, match="pool_size"):
        AveragePooling2D()


def test_pooling_checks_its_settings():
    with pytest.raises(
        ValueError, match="MaxPooling2D: pool_size must be an integer of at least 1"
    ):
        MaxPooling2D(0)
    with pytest.raises(ValueError, match="AveragePooling2D: padding must be 'valid' or 'same'"):
        AveragePooling2D(2, padding="full")
    with pytest.raises(TypeError, match="GlobalMaxPooling2D: keepdims must be True or False"):
        GlobalMaxPooling2D(keepdims=1)


def test_global_pooling_reduces_rows_and_columns():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(GlobalAveragePooling2D()(x).numpy(), [[5, 6]])
    np.testing.assert_array_equal(GlobalMaxPooling2D()(x).numpy(), [[10, 11]])
    for layer, wanted in ((GlobalAveragePooling2D, [5, 6]), (GlobalMaxPooling2D, [10, 11])):
        np.testing.assert_array_equal(layer(keepdims=True)(x).numpy(), [[[wanted]]])


# -- reshaping


def test_flatten_keeps_the_order():
    x = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(Flatten()(x).numpy(), np.arange(12.0).reshape(2, 6))


def test_flatten_of_unknown_sizes_is_unknown():
    assert Flatten().compute_output_shape((None, None, 3)) == (None, None)


def test_reshape_checks_its_shape():
    with pytest.raises(ValueError, match=r"only one size of target_shape may be -1"):
        Reshape((-1, -1))
    with pytest.raises(ValueError, match="Reshape: each size must be an integer of at least 1"):
        Reshape((0, 3))
    with pytest.raises(TypeError, match="target_shape must be a tuple of integers.*but is 12"):
        Reshape(12)


def test_reshape_wants_as_many_numbers():
    with pytest.raises(
        ValueError, match=r"\(2, 12\), 12 numbers each, in the shape \(5,\), .* 5\."
    ):
        Reshape((5,))(np.zeros((2, 12)))
    with pytest.raises(ValueError, match=r"12 numbers each, in the shape \(5,\)"):
        Reshape((5,)).compute_output_shape((None, 12))
    with pytest.raises(ValueError, match="which holds a multiple of 5"):
        Reshape((5, -1))(np.zeros((2, 12)))
    assert Reshape((5, -1)).compute_output_shape((None, None, 3)) == (None, 5, None)


def test_zero_padding_puts_zeros_around():
    y = ZeroPadding2D(((1, 0), (0, 2)))(np.ones((1, 1, 1, 1))).numpy()
    np.testing.assert_array_equal(y[0, :, :, 0], [[0, 0, 0], [1, 0, 0]])
    assert ZeroPadding2D(2).padding == ((2, 2), (2, 2))
    assert ZeroPadding2D((1, 2)).padding == ((1, 1), (2, 2))


def test_zero_padding_checks_its_setting():
    for wrong in ((1, 2, 3), "1", None):
        with pytest.raises(ValueError, match="ZeroPadding2D: padding must be an integer, a pair"):
            ZeroPadding2D(wrong)
    with pytest.raises(ValueError, match="padding must be an integer of at least 0, but is -1"):
        ZeroPadding2D(-1)


# -- activations


def test_relu_has_all_its_settings():
    y = ReLU(max_value=6, negative_slope=0.5, threshold=1)(np.array([[-1.0, 1, 2, 9]]))
    np.testing.assert_allclose(y.numpy(), [[-1, 0, 2, 6]])


def test_activation_layers_compute_their_formulas():
    x = np.array([[-1.0, 0, 2]])
    np.testing.assert_allclose(LeakyReLU()(x).numpy(), [[-0.3, 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(LeakyReLU(alpha=0.1)(x).numpy(), [[-0.1, 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(ELU(2.0)(x).numpy(), [[2 * np.expm1(-1), 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(Activation("relu")(x).numpy(), [[0, 0, 2]])


def test_activation_takes_a_function():
    assert Activation(lambda x: x * 2)(np.ones((1, 1))).item() == 2


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ReLU(negative_slope=-1), "ReLU: negative_slope must be .*at least 0"),
        (lambda: ReLU(max_value=-1), "ReLU: max_value must be"),
        (lambda: LeakyReLU(-0.1), "LeakyReLU: negative_slope must be"),
        (lambda: ELU(float("nan")), "ELU: alpha must be finite"),
    ],
)
def test_activation_layers_check_their_settings(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_softmax_adds_up_along_its_axis():
    y = Softmax(axis=1)(random_input((2, 3, 4))).numpy()
    np.testing.assert_allclose(y.sum(axis=1), np.ones((2, 4)), rtol=1e-6)


def test_softmax_checks_its_axis():
    with pytest.raises(TypeError, match="Softmax: axis must be an integer, but is 'last'"):
        Softmax("last")
    with pytest.raises(ValueError, match=r"has axis=2, but got shape \(4, 3\) of 2 axes"):
        Softmax(2)(np.zeros((4, 3)))


# -- Dropout


def test_dropout_does_nothing_in_inference():
    x = random_input((4, 5))
    np.testing.assert_array_equal(Dropout(0.9)(x).numpy(), x)


def test_dropout_drops_its_rate_and_keeps_the_mean():
    y = Dropout(0.25, seed=3)(np.ones((200, 500)), training=True).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)


def test_dropout_of_0_keeps_all_and_of_1_drops_all():
    x = random_input((4, 5))
    np.testing.assert_array_equal(Dropout(0)(x, training=True).numpy(), x)
    np.testing.assert_array_equal(Dropout(1.0)(x, training=True).numpy(), np.zeros((4, 5)))


def test_dropout_draws_anew_in_every_call_and_repeats_with_its_seed():
    x = np.ones((10, 10))

    def two_masks():
        layer = Dropout(0.5, seed=7)
        return [layer(x, training=True).numpy() for _ in range(2)]

    (a, b), (c, d) = two_masks(), two_masks()
    assert (a != b).any()
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


def test_dropout_follows_the_global_seed():
    def mask():
        set_seed(11)
        return Dropout(0.5)(np.ones((10, 10)), training=True).numpy()

    np.testing.assert_array_equal(mask(), mask())


def test_dropout_noise_shape_drops_whole_channels():
    y = Dropout(0.5, noise_shape=(None, 1, 1, None), seed=0)(np.ones((8, 4, 4, 16)), training=True)
    y = y.numpy()
    assert (y == y[:, :1, :1]).all()
    assert 0 < (y[:, 0, 0] == 0).mean() < 1


def test_dropout_noise_shape_must_fit():
    layer = Dropout(0.5, noise_shape=(None, 3))
    for shape in ((2, 4), (2, 4, 3)):
        with pytest.raises(
            ValueError, match=r"noise_shape=\(None, 3\) does not fit inputs of shape"
        ):
            layer(np.zeros(shape))


def test_dropout_gradient_passes_where_numbers_were_kept():
    x = Tensor(np.ones((10, 10), np.float32), requires_grad=True)
    y = Dropout(0.5, seed=1)(x, training=True)
    (dx,) = grad(y.sum(), [x])
    np.testing.assert_array_equal(dx.numpy(), y.numpy())


def test_dropout_checks_its_settings():
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError, match="Dropout: rate must be from 0 to 1"):
            Dropout(rate)
    with pytest.raises(TypeError, match="Dropout: rate must be a number"):
        Dropout("0.5")
    with pytest.raises(TypeError, match="Dropout: seed must be an integer"):
        Dropout(0.5, seed="a")


def test_variables_are_the_weights_and_are_what_gradients_are_asked_for():
    layer = BatchNormalization()
    layer(np.ones((2, 3), np.float32))
    assert layer.variables == layer.weights and len(layer.variables) == 4
    assert layer.trainable_variables == layer.trainable_weights == layer.weights[:2]
    assert layer.non_trainable_variables == layer.non_trainable_weights == layer.weights[2:]
    gamma = layer.trainable_variables[0]
    assert gamma.value is gamma
