"""Single pictures: load_img, img_to_array, array_to_img, save_img."""

import io
import os
import sys
import warnings

import numpy as np
import pytest

from minicnn import utils
from minicnn.resampling import METHODS, resampled, shares, taps

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

COLOR = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    Image.fromarray(COLOR).save(tmp_path / "color.png")
    return tmp_path / "color.png"


def test_a_picture_and_its_array(path):
    image = utils.load_img(path)
    array = utils.img_to_array(image)
    assert image.mode == "RGB" and image.size == (9, 6)
    assert array.dtype == np.float32 and np.array_equal(array, COLOR)
    assert utils.img_to_array(image, dtype="uint8").dtype == np.uint8


@pytest.mark.parametrize("mode, channels", [("rgb", 3), ("rgba", 4), ("grayscale", 1)])
def test_color_modes(path, mode, channels):
    assert utils.img_to_array(utils.load_img(str(path), mode)).shape == (6, 9, channels)


def test_grey_of_16_bits_stays_as_it_is(tmp_path):
    deep = np.array([[0, 300], [1000, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    image = utils.load_img(tmp_path / "deep.png", color_mode="grayscale")
    assert np.array_equal(utils.img_to_array(image)[..., 0], deep)


def test_an_open_file_is_read(path):
    with open(path, "rb") as file:
        assert np.array_equal(utils.img_to_array(utils.load_img(file)), COLOR)
    memory = io.BytesIO(path.read_bytes())
    assert np.array_equal(utils.img_to_array(utils.load_img(memory)), COLOR)


def test_sizes_are_rows_and_columns(path):
    assert utils.load_img(path, target_size=(4, 5)).size == (5, 4)
    every_third = utils.load_img(path, target_size=(2, 3))
    assert np.array_equal(utils.img_to_array(every_third), COLOR[1::3, 1::3])


def test_the_middle_is_kept_with_the_aspect_ratio(path):
    square = utils.load_img(path, target_size=6, keep_aspect_ratio=True)
    assert np.array_equal(utils.img_to_array(square), COLOR[:, 1:7])


def test_arrays_are_stretched_to_all_of_0_to_255():
    x = np.array([[[-1.0], [0.0], [1.0]]])
    assert np.asarray(utils.array_to_img(x)).tolist() == [[0, 127, 255]]
    assert np.asarray(utils.array_to_img(np.ones((1, 2, 1)))).tolist() == [[0, 0]]


def test_without_scale_numbers_stay_and_are_clipped():
    x = np.array([[[-3.0, 7.0, 300.0]]])
    assert np.asarray(utils.array_to_img(x, scale=False)).tolist() == [[[0, 7, 255]]]
    deep = utils.array_to_img(np.full((1, 1, 1), 300.0), scale=False)
    assert deep.mode == "I" and np.asarray(deep).item() == 300


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_channels_become_modes(channels, mode):
    assert utils.array_to_img(np.zeros((2, 2, channels))).mode == mode


def test_what_is_saved_is_read_again(tmp_path):
    utils.save_img(tmp_path / "a.png", COLOR, scale=False)
    assert np.array_equal(utils.img_to_array(utils.load_img(tmp_path / "a.png")), COLOR)
    utils.save_img(tmp_path / "b", COLOR, file_format="jpg", quality=90)
    assert (tmp_path / "b").read_bytes()[:2] == b"\xff\xd8"  # a JPEG


def test_jpeg_has_no_transparency(tmp_path):
    with pytest.warns(UserWarning, match="save_img: JPEG has no transparency"):
        utils.save_img(tmp_path / "a.jpg", np.zeros((2, 2, 4)))
    assert utils.load_img(tmp_path / "a.jpg").size == (2, 2)


def test_mistakes_are_named(path, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="load_img: there is no file .*none.png"):
        utils.load_img(tmp_path / "none.png")
    with pytest.raises(ValueError, match="color_mode must be .* Did you mean 'grayscale'"):
        utils.load_img(path, "greyscale")
    with pytest.raises(ValueError, match="interpolation must be 'nearest'.*but is 'cubic'"):
        utils.load_img(path, interpolation="cubic")
    with pytest.raises(ValueError, match=r"target_size must be .*\(rows, columns\)"):
        utils.load_img(path, target_size=(4,))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png cannot be read as a picture: .*delete it"):
        utils.load_img(tmp_path / "text.png")
    with pytest.raises(ValueError, match="the open file cannot be read as a picture"):
        utils.load_img(io.BytesIO(b"nothing"))
    with pytest.raises(ValueError, match=r"img_to_array: wants one image, .*\(2, 2, 2, 2\)"):
        utils.img_to_array(np.zeros((2, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"array_to_img: wants one image, .*\(2, 2, 2\)"):
        utils.array_to_img(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="'channels_first' is not supported"):
        utils.array_to_img(np.zeros((3, 2, 2)), data_format="channels_first")
    with pytest.raises(ValueError, match="Pillow knows no format 'webpage'"):
        utils.save_img(tmp_path / "a.webpage", COLOR)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="load_img: .* Install it: pip install pillow"):
        utils.load_img(path)


def test_more_pixels_than_pillow_allows_are_refused(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 53)  # it has 54
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, of what is refused here
        with pytest.raises(ValueError, match="9 x 6 pixels, and more than 53 are refused"):
            utils.load_img(path)


# Resampling


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("old, new", [(9, 4), (4, 9), (5, 5), (1, 3), (7, 1)])
def test_shares_add_up_to_1(method, old, new):
    matrix = shares(old, new, method)
    assert matrix.shape == (new, old)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


def test_each_method_at_a_quarter_worked_out_by_hand():
    """A 1 among zeros, doubled: its two new neighbours lie a quarter away, the next ones 3/4."""
    one = np.zeros((1, 21, 1), np.float32)
    one[0, 10] = 1
    wanted = {
        "bilinear": (3 / 4, 1 / 4),
        "nearest": (1, 0),
        "area": (1, 0),
        "bicubic": (111 / 128, 29 / 128),  # (1.5 t - 2.5) t^2 + 1
        "mitchellcubic": (901 / 1152, 295 / 1152),  # (7 t^3 - 12 t^2 + 16/3) / 6
    }
    for method, (near, far) in wanted.items():
        y = resampled(one, (1, 42), method)[0, :, 0]
        np.testing.assert_allclose(y[19:23], [far, near, near, far], rtol=1e-6, err_msg=method)


# Beside Keras


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras imports warns of itself
        return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
def test_pictures_are_those_of_keras(keras, path, mode, method, keep):
    settings = {"color_mode": mode, "target_size": (5, 4), "interpolation": method}
    theirs, ours = (
        K.load_img(path, keep_aspect_ratio=keep, **settings) for K in (keras.utils, utils)
    )
    assert theirs.mode == ours.mode
    assert np.array_equal(utils.img_to_array(ours), keras.utils.img_to_array(theirs))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_arrays_become_the_images_of_keras(keras, channels):
    x = np.random.default_rng(0).normal(size=(5, 4, channels))
    theirs, ours = keras.utils.array_to_img(x), utils.array_to_img(x)
    assert theirs.mode == ours.mode and np.array_equal(np.asarray(theirs), np.asarray(ours))


@pytest.mark.parametrize("old, new", [(5, 3), (3, 5)])
def test_a_place_without_a_share_is_one_that_is_looked_at_anyway(old, new):
    places, factors = taps(shares(old, new, "bilinear"))
    assert (factors == 0).any()
    np.testing.assert_array_equal(
        np.where(factors == 0, places, places[0]), [places[0]] * len(places)
    )
