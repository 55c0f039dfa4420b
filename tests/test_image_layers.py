"""Layers that draw, normalize, cut and resize images: what they refuse, and what they foretell.

Their numbers are compared with Keras' in test_contract_layers.py.
"""

import numpy as np
import pytest

from minicnn import layers, ops
from minicnn.autograd import Tensor

IMAGES = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
UNKNOWN = (None, None, None, 3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv2DTranspose(4, 3, 2), (None, None, None, 4)),
        (layers.Cropping2D(2), UNKNOWN),
        (layers.ZeroPadding2D(2), UNKNOWN),
        (layers.UpSampling2D(2), UNKNOWN),
        (layers.Resizing(5, 4), (None, 5, 4, 3)),
        (layers.CenterCrop(5, 4), (None, 5, 4, 3)),
        (layers.LayerNormalization(), UNKNOWN),
        (layers.GroupNormalization(3), UNKNOWN),
        (layers.Rescaling(2), UNKNOWN),
        (layers.PReLU(shared_axes=[1, 2]), UNKNOWN),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_sizes_that_are_not_known_yet_stay_open(layer, shape):
    assert layer.compute_output_shape(UNKNOWN) == shape


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2),
            ValueError,
            r"Conv2DTranspose: output_padding must be from 0 to below the strides, \(2, 2\)",
        ),
        (
            lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=(0, -1)),
            ValueError,
            "Conv2DTranspose: output_padding must be an integer of at least 0, but is -1",
        ),
        (
            lambda: layers.Conv2DTranspose(4, 3, 2, dilation_rate=2),
            ValueError,
            r"Conv2DTranspose: strides \(2, 2\) and dilation \(2, 2\) cannot both be larger than 1",
        ),
        (
            lambda: layers.Conv2DTranspose(4, 3, data_format="channels_first"),
            ValueError,
            "Conv2DTranspose: data_format='channels_first' is not supported",
        ),
        (
            lambda: layers.LayerNormalization(rms_scaling=True),
            ValueError,
            "LayerNormalization: rms_scaling=True is not supported. Leave it out",
        ),
        (
            lambda: layers.LayerNormalization(axis=1.5),
            TypeError,
            "LayerNormalization: axis must be an integer, but is 1.5",
        ),
        (
            lambda: layers.GroupNormalization(0),
            ValueError,
            "GroupNormalization: groups must be an integer of at least 1, but is 0",
        ),
        (
            lambda: layers.UpSampling2D(interpolation="nearst"),
            ValueError,
            "UpSampling2D: interpolation must be .* Did you mean 'nearest'",
        ),
        (
            lambda: layers.Resizing(4, 4, "bicubic"),
            ValueError,
            "Resizing: interpolation must be 'bilinear' or 'nearest', but is 'bicubic'",
        ),
        (
            lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            ValueError,
            "Resizing: only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True",
        ),
        (
            lambda: layers.Resizing(4, 4, fill_mode="reflect"),
            ValueError,
            "Resizing: fill_mode must be 'constant', but is 'reflect'",
        ),
        (
            lambda: layers.CenterCrop(0, 4),
            ValueError,
            "CenterCrop: height must be an integer of at least 1, but is 0",
        ),
        (
            lambda: layers.Cropping2D((1, 2, 3)),
            ValueError,
            r"Cropping2D: cropping must be an integer, a pair \(rows, columns\) or",
        ),
        (lambda: layers.Permute((1, 2.5)), TypeError, "Permute: each axis must be an integer of"),
        (lambda: layers.Permute(2), TypeError, r"Permute: dims must be a tuple, as \(2, 1\)"),
        (
            lambda: layers.Permute((1, 1)),
            ValueError,
            r"Permute: dims must name each axis from 1 to 2 once, but is \(1, 1\)",
        ),
        (
            lambda: layers.RepeatVector(0),
            ValueError,
            "RepeatVector: n must be an integer of at least 1, but is 0",
        ),
        (
            lambda: layers.PReLU(shared_axes=[0]),
            ValueError,
            "PReLU: each of shared_axes must be an integer of at least 1, but is 0",
        ),
    ],
)
def test_bad_settings_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "match"),
    [
        (layers.Conv2DTranspose(4, 3), (2, 5), "wants images, .* Flat images"),
        (
            layers.LayerNormalization(axis=[0, 1]),
            (2, 6, 8, 3),
            r"axis=\[0, 1\] must name different axes .*, and not that of the batch",
        ),
        (layers.LayerNormalization(axis=[-1, 3]), (2, 6, 8, 3), "must name different axes"),
        (
            layers.LayerNormalization(axis=1),
            (None, None, 8, 3),
            "must know the sizes along axis=1 to make its weights",
        ),
        (
            layers.GroupNormalization(2),
            (2, 6, 8, 3),
            "the 3 channels of its input, .* cannot be divided into 2 equal groups",
        ),
        (layers.GroupNormalization(2, axis=1), (2, 6, 8, 3), "axis=1 is not supported for inputs"),
        (
            layers.Cropping2D(((2, 4), (0, 0))),
            (2, 6, 8, 3),
            r"cropping=\(\(2, 4\), \(0, 0\)\) leaves nothing of images of 6 x 8",
        ),
        (
            layers.Permute((2, 1)),
            (2, 6, 8, 3),
            r"dims=\(2, 1\) are 2 axes, but inputs of shape .* have 3 beside that of the batch",
        ),
        (layers.RepeatVector(2), (2, 6, 8, 3), "wants inputs of two axes, .* Put Flatten"),
        (layers.PReLU(shared_axes=[4]), (2, 6, 8, 3), "name an axis that inputs .* do not have"),
        (
            layers.PReLU(shared_axes=[1]),
            (None, None, None, 3),
            "must know all sizes that it does not share",
        ),
        (layers.UpSampling2D(), (2, 5), "wants images"),
        (layers.Resizing(2, 2), (2, 5), "wants images"),
        (layers.SpatialDropout2D(0.5), (2, 5), "wants images"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_inputs_that_do_not_fit_are_refused(layer, shape, match):
    with pytest.raises(ValueError, match=match):
        layer.ensure_built(shape)
    if "must know" not in match:  # which only its weights must
        with pytest.raises(ValueError, match=match):
            layer.compute_output_shape(shape)


@pytest.mark.parametrize(
    ("layer", "shape", "match"),
    [
        (layers.LayerNormalization(axis=1), (2, 5, 8, 3), "normalizes along axis=1, and was built"),
        (layers.LayerNormalization(), (2, 6, 8, 4), "wants 3 numbers on the last axis"),
        (layers.GroupNormalization(1), (2, 6, 8, 4), "wants 3 numbers on the last axis"),
        (layers.Conv2DTranspose(4, 3), (2, 6, 8, 4), "wants 3 numbers on the last axis"),
        (layers.PReLU(), (2, 6, 9, 3), "has slopes for inputs of shape .* Share them"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_other_inputs_than_it_was_built_for_are_refused(layer, shape, match):
    layer(IMAGES)
    with pytest.raises(ValueError, match=match):
        layer(np.zeros(shape))


def test_layer_normalization_takes_images_of_any_size_along_its_channels():
    layer = layers.LayerNormalization()
    layer(IMAGES)
    assert layer(IMAGES[:, :2, :5]).shape == (2, 2, 5, 3)


def test_a_transposed_convolution_is_the_input_gradient_of_a_convolution():
    layer = layers.Conv2DTranspose(4, 3, 2, "same", use_bias=False)
    y = layer(IMAGES).numpy()
    back = ops.conv2d(Tensor(y), Tensor(layer.kernel.numpy()), strides=2, padding="same").numpy()
    assert back.shape == IMAGES.shape
    rng = np.random.default_rng(1)
    z = rng.normal(size=y.shape).astype(np.float32)
    folded = ops.conv2d(Tensor(z), Tensor(layer.kernel.numpy()), strides=2, padding="same").numpy()
    np.testing.assert_allclose(np.vdot(y, z), np.vdot(IMAGES, folded), rtol=1e-4)


def test_group_normalization_gives_each_group_mean_0_and_spread_1():
    x = np.random.default_rng(0).normal(7, 3, size=(2, 5, 4, 6)).astype(np.float32)
    y = layers.GroupNormalization(2, epsilon=0)(x).numpy().reshape(2, 20, 2, 3)
    np.testing.assert_allclose(y.mean(axis=(1, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=(1, 3)), 1, atol=1e-6)


def test_images_of_integers_are_resized_without_rounding():
    y = layers.Resizing(1, 1)(np.array([[[[0], [1]]]], np.uint8))
    assert y.dtype == np.float32 and y.item() == 0.5


def test_shrinking_with_antialias_looks_at_every_pixel():
    x = np.zeros((1, 1, 16, 1), np.float32)
    x[0, 0, 1] = 1  # between the places that plain interpolation looks at
    assert layers.Resizing(1, 4)(x).numpy().sum() == 1 / 2
    assert layers.Resizing(1, 2)(x).numpy().sum() == 0
    assert layers.Resizing(1, 2, antialias=True)(x).numpy().sum() > 0


def test_the_constraint_of_slopes_is_kept_with_them():
    layer = layers.PReLU(alpha_constraint="non_neg")
    layer(IMAGES)
    np.testing.assert_array_equal(layer.alpha.constraint(np.array([-1.0, 1.0])), [0, 1])


@pytest.mark.parametrize(
    ("image", "size", "rows", "columns"),
    [
        ((6, 8), (3, 3), (0, 6), (1, 7)),
        ((9, 5), (2, 4), (3, 5), (0, 5)),
        ((2, 9), (9, 1), (0, 2), (4, 5)),  # 2 / 9 of a column are one
        ((9, 2), (1, 9), (4, 5), (0, 2)),
        ((4, 6), (2, 3), (0, 4), (0, 6)),
    ],
)
def test_cropping_to_the_aspect_ratio_keeps_the_middle(image, size, rows, columns):
    x = np.random.default_rng(0).normal(size=(2, *image, 3)).astype(np.float32)
    middle = x[:, slice(*rows), slice(*columns)]
    wanted = layers.Resizing(*size)(middle).numpy()
    y = layers.Resizing(*size, crop_to_aspect_ratio=True)(x).numpy()
    np.testing.assert_array_equal(y, wanted)
    larger = layers.CenterCrop(size[0] * 5, size[1] * 5)(x).numpy()
    np.testing.assert_array_equal(larger, layers.Resizing(size[0] * 5, size[1] * 5)(middle).numpy())


@pytest.mark.parametrize(
    ("image", "size", "above", "beside"),
    [
        ((6, 8), (4, 4), 1, 0),
        ((9, 5), (3, 3), 0, 2),
        ((6, 8), (2, 6), 0, 5),
        ((3, 3), (5, 2), 2, 0),
    ],
)
def test_padding_to_the_aspect_ratio_puts_equal_borders_on_two_sides(image, size, above, beside):
    x = np.random.default_rng(0).normal(size=(2, *image, 3)).astype(np.float32)
    framed = np.pad(x, ((0, 0), (above, above), (beside, beside), (0, 0)), constant_values=-7)
    y = layers.Resizing(*size, pad_to_aspect_ratio=True, fill_value=-7)(x).numpy()
    np.testing.assert_array_equal(y, layers.Resizing(*size)(framed.astype(np.float32)).numpy())


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((4, 3), (1, 5), (2, 5)),
        ((6, 8), (0, 6), (0, 8)),
        ((6, 1), (0, 6), (3, 4)),
        ((1, 8), (2, 3), (0, 8)),
    ],
)
def test_the_middle_of_images_is_cut_out(size, rows, columns):
    wanted = IMAGES[:, slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(layers.CenterCrop(*size)(IMAGES).numpy(), wanted)
