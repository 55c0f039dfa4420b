"""Layers that change images at random: what they may do, how often, and when they do nothing."""

import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn import layers, ops
from minicnn.autograd import Tensor, grad
from minicnn.models import Model, Sequential
from minicnn.ops.warp import FILL_MODES
from minicnn.random import set_seed

rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(40, 6, 5, 2)).astype(np.float32)
LAYERS = {
    "flip": lambda **settings: layers.RandomFlip(**settings),
    "crop": lambda **settings: layers.RandomCrop(4, 3, **settings),
    "translation": lambda **settings: layers.RandomTranslation(0.3, 0.3, **settings),
    "rotation": lambda **settings: layers.RandomRotation(0.2, **settings),
    "zoom": lambda **settings: layers.RandomZoom(0.3, (-0.2, 0.4), **settings),
    "contrast": lambda **settings: layers.RandomContrast(0.3, (-5, 5), **settings),
    "brightness": lambda **settings: layers.RandomBrightness(0.2, (-5, 5), **settings),
}


def which(image, candidates):
    """The number of the one candidate that `image` is equal to."""
    (found,) = [k for k, other in enumerate(candidates) if np.array_equal(image, other)]
    return found


# --- all of them


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_seed_decides(make):
    one, same, other = (make(seed=seed)(IMAGES).numpy() for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_without_a_seed_the_global_one_decides(make):
    results = []
    for seed in (1, 1, 2):
        set_seed(seed)
        results.append(make()(IMAGES).numpy())
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_every_call_draws_anew(make):
    layer = make(seed=1)
    assert not np.array_equal(layer(IMAGES).numpy(), layer(IMAGES).numpy())


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "crop"])
def test_images_stay_as_they_are_outside_of_training(name):
    layer = LAYERS[name]()
    np.testing.assert_array_equal(layer(IMAGES, training=False).numpy(), IMAGES)
    model = Sequential([layers.Input(IMAGES.shape[1:]), layer])
    np.testing.assert_array_equal(model(IMAGES).numpy(), IMAGES)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), IMAGES)
    assert not np.array_equal(model(IMAGES, training=True).numpy(), IMAGES)


def test_in_a_functional_model_they_work_in_training_only():
    x = layers.Input(IMAGES.shape[1:])
    model = Model(x, layers.RandomFlip(seed=0)(x))
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), IMAGES)
    assert not np.array_equal(model(IMAGES, training=True).numpy(), IMAGES)


def test_training_may_be_the_second_argument():
    flip = layers.RandomFlip(seed=0)
    np.testing.assert_array_equal(flip(IMAGES, False).numpy(), IMAGES)
    assert not np.array_equal(flip(IMAGES, True).numpy(), IMAGES)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_float64_stays_float64(make):
    assert make(dtype="float64")(IMAGES.astype(np.float64)).dtype == np.float64
    assert make()(IMAGES).dtype == np.float32


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_config_makes_such_a_layer_again(make):
    layer = make(seed=3)
    again = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(again(IMAGES).numpy(), layer(IMAGES).numpy())


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_flat_images_are_refused(make):
    with pytest.raises(ValueError, match=r"wants images, \(batch, height, width, channels\)"):
        make()(np.zeros((3, 12), np.float32))


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_network_learns_behind_them(make):
    x, y = rng.random((32, 6, 5, 2), np.float32), rng.integers(0, 3, 32)
    model = Sequential(
        [layers.Input((6, 5, 2)), make(seed=1), layers.Conv2D(4, 3), layers.Flatten()]
    )
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# --- RandomFlip


@pytest.mark.parametrize(
    ("mode", "axes"),
    [
        ("horizontal", [(), (1,)]),
        ("vertical", [(), (0,)]),
        ("horizontal_and_vertical", [(), (0,), (1,), (0, 1)]),
    ],
)
def test_each_image_is_flipped_by_its_own_coin(mode, axes):
    layer, counts = layers.RandomFlip(mode, seed=0), np.zeros(len(axes))
    for _ in range(10):
        for image, flipped in zip(IMAGES, layer(IMAGES).numpy(), strict=True):
            counts[which(flipped, [np.flip(image, k) for k in axes])] += 1
    expected = 400 / len(axes)
    assert (abs(counts - expected) < 4 * np.sqrt(expected)).all()


def test_half_of_the_numbers_that_can_be_drawn_flip_an_image():  # those below 0.5
    layer = layers.RandomFlip("horizontal")
    layer._random = SimpleNamespace(random=lambda count: np.array([0.5, np.nextafter(0.5, 0)]))
    kept, flipped = layer(IMAGES[:2]).numpy()
    np.testing.assert_array_equal(kept, IMAGES[0])
    np.testing.assert_array_equal(flipped, IMAGES[1, :, ::-1])


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="RandomFlip: mode must be .* Did you mean 'horizontal'"):
        layers.RandomFlip("horizontl")


# --- RandomCrop


def test_each_image_is_cropped_at_a_place_of_its_own():
    layer, places = layers.RandomCrop(4, 3, seed=0), set()
    for image, cut in zip(IMAGES, layer(IMAGES).numpy(), strict=True):
        pieces = [image[i : i + 4, j : j + 3] for i in range(3) for j in range(3)]
        places.add(which(cut, pieces))
    assert places == set(range(9))


def test_the_middle_is_cut_out_when_nothing_is_learnt():
    cut = layers.RandomCrop(3, 4)(IMAGES, training=False).numpy()
    np.testing.assert_array_equal(cut, IMAGES[:, 1:4, 0:4])


def test_the_shape_of_a_crop_is_foretold():
    layer = layers.RandomCrop(4, 3)
    assert layer.compute_output_shape((None, None, 5, 2)) == (None, 4, 3, 2)


@pytest.mark.parametrize("training", [True, False])
def test_of_images_that_are_smaller_than_the_crop_the_middle_is_enlarged(training):
    enlarged = layers.RandomCrop(12, 4)(IMAGES, training=training).numpy()
    wanted = ops.resize(Tensor(IMAGES[:, :, 1:3]), (12, 4)).numpy()
    np.testing.assert_array_equal(enlarged, wanted)


def test_a_crop_has_a_size():
    with pytest.raises(ValueError, match="RandomCrop: height must be an integer of at least 1"):
        layers.RandomCrop(0, 3)


# --- RandomTranslation

RAMP = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1)


@pytest.mark.parametrize(
    ("fill_mode", "expected"),
    [
        ("reflect", [1, 0, 0, 1, 2]),
        ("wrap", [3, 4, 0, 1, 2]),
        ("constant", [9, 9, 0, 1, 2]),
        ("nearest", [0, 0, 0, 1, 2]),
    ],
)
def test_what_comes_in_from_beyond_the_border(fill_mode, expected):
    layer = layers.RandomTranslation(0, (0.4, 0.4), fill_mode, fill_value=9)
    assert layer(RAMP).numpy().ravel().tolist() == expected
    down = layers.RandomTranslation((0.4, 0.4), 0, fill_mode, fill_value=9)
    assert down(RAMP.reshape(1, 5, 1, 1)).numpy().ravel().tolist() == expected


def test_what_comes_in_may_be_negative():  # as where black is -1
    y = layers.RandomTranslation(0, (0.4, 0.4), "constant", fill_value=-1)(RAMP)
    assert y.numpy().ravel().tolist() == [-1, -1, 0, 1, 2]


def test_half_a_pixel_is_the_mean_of_two():
    layer = layers.RandomTranslation(0, (0.1, 0.1), "nearest")
    np.testing.assert_allclose(layer(RAMP).numpy().ravel(), [0, 0.5, 1.5, 2.5, 3.5], atol=1e-6)


def test_moves_stay_within_their_bounds_and_use_them():
    x = np.tile(np.arange(1000, dtype=np.float32).reshape(1, 1, 1000, 1), (500, 1, 1, 1))
    y = layers.RandomTranslation(0, (-0.2, 0.1), "wrap", seed=0)(x).numpy()
    moves = 500 - y[:, 0, 500, 0]
    assert -200 <= moves.min() < -195 and 95 < moves.max() <= 100
    symmetric = layers.RandomTranslation(0, 0.2, "wrap", seed=0)(x).numpy()
    moves = 500 - symmetric[:, 0, 500, 0]
    assert -200 <= moves.min() < -195 and 195 < moves.max() <= 200


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"height_factor": 1.5}, ValueError, "height_factor must be from -1 to 1, but is 1.5"),
        ({"width_factor": (0, 2)}, ValueError, "width_factor must be from -1 to 1, but is 2"),
        ({"width_factor": "0.1"}, TypeError, "width_factor must be a number"),
        ({"fill_mode": "mirror"}, ValueError, "fill_mode must be 'reflect' or 'wrap' or"),
        ({"interpolation": "cubic"}, ValueError, "interpolation must be 'bilinear' or 'nearest'"),
        ({"fill_value": None}, TypeError, "fill_value must be a number"),
    ],
)
def test_bad_settings_of_a_translation_are_refused(settings, error, message):
    with pytest.raises(error, match=f"RandomTranslation: {message}"):
        layers.RandomTranslation(**{"height_factor": 0, "width_factor": 0, **settings})


def test_a_translation_returns_gradients_to_where_the_pixels_came_from():
    x = Tensor(RAMP, requires_grad=True)
    layer = layers.RandomTranslation(0, (0.4, 0.4), "reflect")
    (dx,) = grad(ops.sum(layer(x) * Tensor(RAMP + 1)), [x])
    assert dx.numpy().ravel().tolist() == [2 + 3, 1 + 4, 5, 0, 0]


# --- RandomRotation and RandomZoom


def pixels(*rows):
    return np.array(rows, np.float32)[None, ..., None]


def test_a_quarter_turn_goes_counter_clockwise():
    y = layers.RandomRotation((0.25, 0.25))(pixels([1, 2, 3], [4, 5, 6], [7, 8, 9]))
    np.testing.assert_allclose(y.numpy()[0, ..., 0], [[3, 6, 9], [2, 5, 8], [1, 4, 7]], atol=1e-5)


TURN = 2 * np.pi * 0.07
SOURCES = {  # layer: where pixel i, j, counted from the middle of an image of 9 x 6, comes from
    "rotation": (
        layers.RandomRotation((0.07, 0.07)),
        lambda i, j: (np.cos(TURN) * i + np.sin(TURN) * j, np.cos(TURN) * j - np.sin(TURN) * i),
    ),
    "zoom": (
        layers.RandomZoom((-0.3, -0.3), (0.2, 0.2)),
        lambda i, j: (0.7 * i, 1.2 * j),
    ),
    "zoom of both": (layers.RandomZoom((0.4, 0.4)), lambda i, j: (1.4 * i, 1.4 * j)),
    "translation": (
        layers.RandomTranslation((0.15, 0.15), (-0.4, -0.4)),
        lambda i, j: (i - 0.15 * 9, j + 0.4 * 6),
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_each_pixel_comes_from_where_the_formula_says(name):
    """Between pixels of a slope, bilinear interpolation gives the slope's own numbers."""
    layer, source = SOURCES[name]
    i, j = np.mgrid[:9, :6] - np.array([4, 2.5])[:, None, None]
    h, w = source(i, j)
    inside = (abs(h) <= 4) & (abs(w) <= 2.5)
    slope = (3 * i - 5 * j).reshape(1, 9, 6, 1)
    y = layer(slope).numpy()[0, :, :, 0]
    assert inside.sum() >= 20
    np.testing.assert_allclose(y[inside], (3 * h - 5 * w)[inside], atol=1e-4)


def test_every_image_is_turned_by_an_angle_of_its_own():
    x = np.tile(np.arange(101, dtype=np.float32)[:, None] - 50, (400, 1, 101))[..., None]
    y = layers.RandomRotation((-0.05, 0.1), seed=0)(x).numpy()
    angles = np.arcsin(y[:, 50, 60, 0] / 10) / (2 * np.pi)  # the slope along a row is their sine
    assert -0.0501 < angles.min() < -0.048 and 0.098 < angles.max() < 0.1001


def test_positive_zooms_show_more_than_the_image_and_negative_ones_less():
    out = layers.RandomZoom((1.0, 1.0), fill_mode="constant", fill_value=9)
    y = out(pixels([0, 0, 0], [0, 1, 0], [0, 0, 0]))
    np.testing.assert_array_equal(y.numpy()[0, ..., 0], [[9, 9, 9], [9, 1, 9], [9, 9, 9]])
    y = layers.RandomZoom((0, 0), (-0.5, -0.5))(RAMP)
    assert y.numpy().ravel().tolist() == [1, 1.5, 2, 2.5, 3]


def test_without_a_width_factor_proportions_are_kept():
    x = np.add.outer(np.arange(21.0), np.arange(21.0) * 100)[None, ..., None]  # row + 100 * column
    layer = layers.RandomZoom((-0.5, 0), seed=0, dtype="float64")
    y = layer(np.tile(x, (50, 1, 1, 1))).numpy()[..., 0] - 1010
    assert 0.5 <= y[:, 11, 10].min() < 0.53 and 0.97 < y[:, 11, 10].max() <= 1
    np.testing.assert_allclose(y[:, 10, 11], 100 * y[:, 11, 10])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.RandomRotation(1.5), ValueError, "RandomRotation: factor must be from -1"),
        (
            lambda: layers.RandomRotation("0.1"),
            TypeError,
            "RandomRotation: factor must be a number",
        ),
        (
            lambda: layers.RandomRotation(0.1, "mirror"),
            ValueError,
            "RandomRotation: fill_mode must be 'reflect' or",
        ),
        (
            lambda: layers.RandomZoom(0.1, (-1, 0)),
            ValueError,
            "RandomZoom: width_factor must be above -1, where nothing of the image would be left",
        ),
        (
            lambda: layers.RandomContrast(1.5),
            ValueError,
            "RandomContrast: factor must be from 0 to",
        ),
        (
            lambda: layers.RandomBrightness(0.1, 255),
            ValueError,
            r"RandomBrightness: value_range must be a pair of numbers, as \(0, 255\), but is 255",
        ),
        (
            lambda: layers.RandomContrast(0.1, (1, 1)),
            ValueError,
            r"RandomContrast: value_range=\(1, 1\) leaves no room between its ends",
        ),
        (
            lambda: layers.RandomContrast(0.1, (0, "1")),
            TypeError,
            "RandomContrast: value_range must be a number, but is '1'",
        ),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# --- RandomContrast and RandomBrightness


def test_contrast_moves_each_image_away_from_its_mean_or_towards_it():
    x = np.tile(pixels([100, 140], [60, 100]), (400, 1, 1, 1))
    y = layers.RandomContrast(0.5, seed=0)(x).numpy()
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 100, rtol=1e-5)
    factors = (y[:, 0, 1, 0] - 100) / 40
    np.testing.assert_allclose(y[:, 1, 0, 0], 100 - 40 * factors, rtol=1e-5)
    assert 0.5 <= factors.min() < 0.51 and 1.49 < factors.max() <= 1.5
    factors = (layers.RandomContrast((0.1, 0.7), seed=0)(x).numpy()[:, 0, 1, 0] - 100) / 40
    assert 0.9 <= factors.min() < 0.91 and 1.69 < factors.max() <= 1.7


def test_contrast_takes_the_mean_of_each_channel():
    x = rng.random((5, 3, 4, 2), np.float32) * [100, 200]
    y = layers.RandomContrast(0.2, (-1000, 1000))(x).numpy()
    np.testing.assert_allclose(y.mean(axis=(1, 2)), x.mean(axis=(1, 2)), rtol=1e-4)


def test_brightness_is_a_fraction_of_the_range_for_each_image():
    x = np.full((400, 1, 1, 1), 0.5, np.float32)
    changes = layers.RandomBrightness((-0.1, 0.3), (0, 2), seed=0)(x).numpy().ravel() - 0.5
    assert -0.2 <= changes.min() < -0.19 and 0.59 < changes.max() <= 0.6001


@pytest.mark.parametrize("make", [layers.RandomBrightness, layers.RandomContrast])
def test_what_leaves_the_range_is_cut_off(make):
    y = make(1.0, (0, 1), seed=0)(rng.random((20, 5, 5, 1), np.float32)).numpy()
    assert y.min() == 0 and y.max() == 1


@pytest.mark.parametrize("make", [layers.RandomBrightness, layers.RandomContrast])
@pytest.mark.parametrize(("factor", "value_range"), [(255, (0, 1)), (1, (0, 255))])
def test_a_range_that_cannot_be_meant_is_noticed_once(make, factor, value_range):
    layer, x = make(0.2, value_range), factor * rng.random((3, 5, 5, 1), np.float32)
    with pytest.warns(UserWarning, match=r"\[MC033\]: value_range=.* does not fit images whose"):
        layer(x)
    layer(x)


# --- Keras, where its random numbers leave it no choice


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("torch", reason="Keras is compared on its torch backend: pip install torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras", reason="compares with Keras: pip install keras")


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize(
    ("interpolation", "moves"),
    [
        ("bilinear", (0.25, -0.4)),
        ("bilinear", (-0.33, 0.77)),
        ("bilinear", (0.5, 0.2)),
        ("bilinear", (0.0, -1.0)),
        # no half pixels here: Keras would round them up and down in turn, and repeat every second
        ("nearest", (0.27, -0.4)),
        ("nearest", (-0.33, 0.77)),
        ("nearest", (0.5, 0.2)),
    ],
)
def test_translations_are_those_of_keras(keras, fill_mode, interpolation, moves):
    factors = [(move, move) for move in moves]
    settings = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 0.5}
    ours = layers.RandomTranslation(*factors, **settings)
    theirs = keras.layers.RandomTranslation(*factors, **settings)
    wanted = theirs(IMAGES, training=True).detach().cpu().numpy()
    np.testing.assert_allclose(ours(IMAGES).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("RandomFlip", {"mode": "vertical", "seed": 3}),
        ("RandomCrop", {"height": 4, "width": 3, "seed": 3}),
        ("RandomTranslation", {"height_factor": (-0.1, 0.3), "width_factor": 0.2, "seed": 3}),
    ],
)
def test_configs_and_names_are_those_of_keras(keras, name, settings):
    ours, theirs = getattr(layers, name)(**settings), getattr(keras.layers, name)(**settings)
    wanted = theirs.get_config()
    for key, value in ours.get_config().items():
        if key == "dtype":
            assert value == wanted["dtype"]["config"]["name"]
        elif key != "name":
            assert value == wanted[key], key
    assert ours.name.startswith(theirs.name.rstrip("_0123456789"))
    again = type(theirs).from_config(ours.get_config())
    assert again.get_config() == {**theirs.get_config(), "name": ours.name}
