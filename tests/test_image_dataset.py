"""Pictures in folders: which are found, what becomes of them, how the reading ends."""

import gc
import os
import threading
import warnings
import zlib

import numpy as np
import pytest

from minicnn import layers, models, utils
from minicnn.callbacks import BackupAndRestore, Callback
from minicnn.datasets import image_stream
from minicnn.resampling import METHODS

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

SIZES = [(7, 9), (12, 5), (6, 6), (30, 41), (3, 17)]


def save(path, pixels, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **settings)


@pytest.fixture
def folder(tmp_path):
    """Three classes of 4, 5 and 3 pictures, one in a subfolder; and files that are no pictures."""
    rng = np.random.default_rng(3)
    for name, count in (("birds", 4), ("cats", 4), ("dogs", 3)):
        for k in range(count):
            pixels = rng.integers(0, 256, (*SIZES[k], 3), dtype=np.uint8)
            save(tmp_path / "photos" / name / f"{k}.{'PNG' if k % 2 else 'bmp'}", pixels)
    save(tmp_path / "photos/cats/new/9.png", np.full((4, 4), 7, np.uint8))
    (tmp_path / "photos/cats/readme.txt").write_text("no picture")
    return tmp_path / "photos"


def open_folder(folder, **settings):
    settings = {"image_size": (8, 8), "batch_size": 5, "verbose": False, **settings}
    return utils.image_dataset_from_directory(folder, **settings)


def labels_of(data):
    return np.concatenate([y.numpy() for _, y in data])


def images_of(data):
    return np.concatenate([x.numpy() for x, _ in data])


def names(data, folder):
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in data.file_paths]


def test_classes_and_files_are_sorted_and_only_pictures_count(folder):
    data = open_folder(folder, shuffle=False)
    assert data.class_names == ["birds", "cats", "dogs"]
    assert names(data, folder) == [
        *("birds/0.bmp", "birds/1.PNG", "birds/2.bmp", "birds/3.PNG"),
        *("cats/0.bmp", "cats/1.PNG", "cats/2.bmp", "cats/3.PNG", "cats/new/9.png"),
        *("dogs/0.bmp", "dogs/1.PNG", "dogs/2.bmp"),
    ]
    assert labels_of(data).tolist() == [0] * 4 + [1] * 5 + [2] * 3


def test_a_hidden_folder_is_no_class(folder):
    save(folder / ".hidden/1.png", np.zeros((4, 4), np.uint8))
    assert len(open_folder(folder).file_paths) == 12


def test_batches_have_the_size_and_the_last_one_is_smaller(folder):
    data = open_folder(folder)
    shapes = [(x.shape, y.shape) for x, y in data]
    assert shapes == [((5, 8, 8, 3), (5,)), ((5, 8, 8, 3), (5,)), ((2, 8, 8, 3), (2,))]
    assert len(data) == 3


def test_a_picture_of_the_right_size_comes_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    save(tmp_path / "a/1.png", pixels)
    ((x, y),) = open_folder(tmp_path)
    assert np.array_equal(x.numpy()[0], pixels) and x.dtype == np.float32
    assert y.dtype == np.int32


def test_resizing_is_what_one_works_out_by_hand(tmp_path):
    save(tmp_path / "a/1.png", np.arange(1, 17, dtype=np.uint8).reshape(4, 4))
    ((x, _),) = open_folder(tmp_path, image_size=2, color_mode="grayscale")
    assert x.numpy().ravel().tolist() == [3.5, 5.5, 11.5, 13.5]
    ((x, _),) = open_folder(tmp_path, image_size=2, color_mode="grayscale", interpolation="nearest")
    assert x.numpy().ravel().tolist() == [6, 8, 14, 16]


def test_cropping_takes_the_middle_and_padding_adds_black(tmp_path):
    save(tmp_path / "a/1.png", np.tile(np.arange(10, 14, dtype=np.uint8), (2, 1)))  # 2 x 4
    settings = {"image_size": 2, "color_mode": "grayscale"}
    ((x, _),) = open_folder(tmp_path, **settings, crop_to_aspect_ratio=True)
    assert x.numpy()[0, ..., 0].tolist() == [[11, 12], [11, 12]]
    settings["image_size"] = 4
    ((x, _),) = open_folder(tmp_path, **settings, pad_to_aspect_ratio=True)
    row = [10, 11, 12, 13]
    assert x.numpy()[0, ..., 0].tolist() == [[0] * 4, row, row, [0] * 4]


@pytest.mark.parametrize(
    "mode, wanted",
    [("rgb", [200, 100, 50]), ("rgba", [200, 100, 50, 128]), ("grayscale", [124])],
)
def test_color_modes(tmp_path, mode, wanted):
    """Grey is 0.299 of the red, 0.587 of the green and 0.114 of the blue."""
    save(tmp_path / "a/1.png", np.full((2, 2, 4), [200, 100, 50, 128], np.uint8))
    ((x, _),) = open_folder(tmp_path, image_size=2, color_mode=mode)
    assert x.numpy()[0, 0, 0].tolist() == wanted


@pytest.mark.parametrize("mode, channels", [("rgb", 3), ("rgba", 4), ("grayscale", 1)])
def test_of_grey_with_16_bits_the_upper_8_count(tmp_path, mode, channels):
    save(tmp_path / "a/1.png", np.array([[0, 255], [256, 65535]], np.uint16))
    ((x, _),) = open_folder(tmp_path, image_size=2, color_mode=mode)
    assert x.shape == (1, 2, 2, channels)
    assert x.numpy()[0, ..., 0].ravel().tolist() == [0, 0, 1, 255]
    if mode == "rgba":
        assert (x.numpy()[..., 3] == 255).all()


def test_pictures_with_a_palette_and_jpegs_are_read(tmp_path):
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    (tmp_path / "a").mkdir()
    red.quantize(4).save(tmp_path / "a/1.gif")
    red.save(tmp_path / "a/2.jpg", quality=95)
    ((x, _),) = open_folder(tmp_path, image_size=4, shuffle=False)
    np.testing.assert_allclose(x.numpy(), np.broadcast_to([255, 0, 0], (2, 4, 4, 3)), atol=2)


# Labels


def test_labels_as_one_hot_rows(folder):
    data = open_folder(folder, label_mode="categorical", shuffle=False)
    y = labels_of(data)
    assert y.dtype == np.float32 and y.argmax(axis=1).tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert y.sum() == 12


def test_labels_of_two_classes(folder):
    data = open_folder(
        folder, label_mode="binary", class_names=["dogs", "birds"], shuffle=False, batch_size=7
    )
    ((_, y),) = data
    assert y.dtype == np.float32 and y.numpy().tolist() == [[0.0]] * 3 + [[1.0]] * 4
    assert data.class_names == ["dogs", "birds"]


@pytest.mark.parametrize("settings", [{"labels": None}, {"label_mode": None}])
def test_images_alone(folder, settings):
    data = open_folder(folder, **settings)
    assert [x.shape[0] for x in data] == [5, 5, 2]
    assert data.class_names is None


def test_labels_from_a_list(folder):
    given = [3, 0, 3, 0, 1, 1, 1, 1, 1, 0, 0, 0]
    data = open_folder(folder, labels=given, shuffle=False)
    assert labels_of(data).tolist() == given
    assert data.class_names == ["0", "1", "3"]


def test_without_a_batch_size_there_are_single_pictures(folder):
    data = open_folder(folder, batch_size=None, shuffle=False)
    pairs = list(data)
    assert len(pairs) == len(data) == 12
    assert pairs[0][0].shape == (8, 8, 3) and int(pairs[-1][1]) == 2


def test_a_label_is_an_index(folder):
    data = open_folder(folder)
    for images, labels in data.take(1):
        assert data.class_names[labels[0]] in data.class_names
        assert images[0].numpy().astype("uint8").shape == (8, 8, 3)


# Order


def test_labels_stay_with_their_pictures_when_shuffled(folder):
    """The mean of a picture tells which one it is."""
    plain = open_folder(folder, shuffle=False, interpolation="area")
    known = dict(zip(images_of(plain).mean((1, 2, 3)).tolist(), labels_of(plain), strict=True))
    mixed = open_folder(folder, seed=4, interpolation="area")
    for _ in range(2):
        means, labels = zip(
            *((m, y) for x, ys in mixed for m, y in zip(
                x.numpy().mean((1, 2, 3)).tolist(), ys.numpy(), strict=True)), strict=True
        )  # fmt: skip
        assert [known[mean] for mean in means] == list(labels)
    assert sorted(mixed.file_paths) == sorted(plain.file_paths) != mixed.file_paths


def test_each_time_through_has_another_order_and_a_seed_repeats_them_all(folder):
    runs = []
    for _ in range(2):
        data = open_folder(folder, seed=9)
        runs.append([images_of(data), images_of(data)])
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])


def test_one_seed_for_everything_decides_the_order(folder):
    runs = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        runs.append(images_of(open_folder(folder)))
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


# These orders are those of Keras 3.15.1, whose shuffling is NumPy's RandomState(123)
ORDER_OF_KERAS = [5, 0, 4, 9, 8, 7, 10, 3, 1, 6, 11, 2]


def test_a_seed_gives_the_order_of_keras(folder):
    plain = names(open_folder(folder, shuffle=False), folder)
    mixed = names(open_folder(folder, seed=123), folder)
    assert [plain.index(name) for name in mixed] == ORDER_OF_KERAS


def test_the_parts_do_not_overlap_and_are_cut_off_the_end(folder):
    settings = {"validation_split": 0.3, "seed": 5}
    training = open_folder(folder, subset="training", **settings)
    validation = open_folder(folder, subset="validation", **settings)
    both = open_folder(folder, subset="both", **settings)
    assert [part.file_paths for part in both] == [training.file_paths, validation.file_paths]
    assert len(validation.file_paths) == 3  # int(0.3 * 12)
    assert training.file_paths + validation.file_paths == open_folder(folder, seed=5).file_paths


def test_the_validation_part_of_both_keeps_its_order(folder):
    training, validation = open_folder(folder, subset="both", validation_split=0.5, batch_size=6)
    assert np.array_equal(images_of(validation), images_of(validation))
    assert not np.array_equal(images_of(training), images_of(training))


def test_it_says_how_many_files_there_are(folder, capsys):
    open_folder(folder, subset="both", validation_split=0.25, verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "Found 12 files belonging to 3 classes.",
        "Using 9 files for training.",
        "Using 3 files for validation.",
    ]
    open_folder(folder, labels=None, verbose=True)
    assert capsys.readouterr().out == "Found 12 files.\n"


def test_links_are_followed_only_if_asked_and_never_in_circles(folder, tmp_path):
    outside = tmp_path / "more"
    save(outside / "1.png", np.zeros((4, 4), np.uint8))
    (folder / "dogs/link").symlink_to(outside, target_is_directory=True)
    (folder / "dogs/back").symlink_to(folder / "dogs", target_is_directory=True)
    assert len(open_folder(folder).file_paths) == 12
    found = names(open_folder(folder, follow_links=True, shuffle=False), folder)
    assert len(found) == 13 and "dogs/link/1.png" in found


# Training


def small_model(classes=3):
    utils.set_random_seed(2)
    model = models.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_models_train_with_it_evaluate_it_and_predict(folder):
    training, validation = open_folder(folder, subset="both", validation_split=0.3)
    model = small_model()
    history = model.fit(training, validation_data=validation, epochs=3, verbose=0)
    assert len(history.history["val_loss"]) == 3
    x, y = images_of(validation), labels_of(validation)
    loss, accuracy = model.evaluate(validation, verbose=0)
    np.testing.assert_allclose([loss, accuracy], model.evaluate(x, y, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(
        model.predict(validation, verbose=0), model.predict(x, verbose=0), rtol=1e-5
    )


def test_an_interrupted_training_goes_on_to_the_same_weights(folder, tmp_path):
    class Crash(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 5:  # in the second of three epochs
                raise KeyboardInterrupt

    results = []
    for place, calls in (("a", []), ("b", [Crash()])):
        for more in (calls, []):
            model, data = small_model(), open_folder(folder, seed=1)
            backup = BackupAndRestore(tmp_path / place, save_freq=1)
            try:
                model.fit(data, epochs=3, verbose=0, callbacks=[backup, *more])
            except KeyboardInterrupt:
                continue
            break
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


# The threads


def reading_threads():
    gc.collect()
    return [thread for thread in threading.enumerate() if "minicnn-images" in thread.name]


def test_it_is_read_by_other_threads_while_the_main_one_computes(folder):
    batches = iter(open_folder(folder, batch_size=1))
    next(batches)
    assert reading_threads()
    list(batches)
    assert not reading_threads()


def test_no_thread_is_left_after_break(folder):
    for _ in open_folder(folder, batch_size=1):
        break
    assert not reading_threads()


def test_no_thread_is_left_after_an_interrupted_training(folder):
    class Interrupt(Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = small_model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(open_folder(folder, batch_size=1), verbose=0, callbacks=[Interrupt()])
    assert not reading_threads()


def test_only_a_few_batches_are_read_ahead(folder, monkeypatch):
    read = []
    honest = image_stream.Reading.read

    def noted(self, path, who):
        read.append(path)
        return honest(self, path, who)

    monkeypatch.setattr(image_stream.Reading, "read", noted)
    batches = iter(open_folder(folder, batch_size=1))
    next(batches)
    for thread in reading_threads():
        thread.join(0.3)
    assert len(read) == 1 + image_stream.AHEAD


# What is wrong


def test_a_broken_picture_is_named_and_reaches_the_user(folder):
    (folder / "cats/1.PNG").write_bytes(b"\x89PNG and nothing else")
    data = open_folder(folder)
    with pytest.raises(ValueError, match=r"1\.PNG cannot be read as a picture: .* or delete it"):
        list(data)
    with pytest.raises(ValueError, match=r"cats.1\.PNG cannot be read"):
        small_model().fit(data, verbose=0)
    assert not reading_threads()


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_picture_is_refused(tmp_path, kept):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for ending in ("png", "jpg", "bmp", "gif"):
        path = tmp_path / ending / f"1.{ending}"
        save(path, pixels)
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
        with pytest.raises(ValueError, match=rf"1\.{ending} cannot be read as a picture"):
            list(open_folder(tmp_path, class_names=[ending]))


def chunk(name, content):
    crc = zlib.crc32(name + content)
    return len(content).to_bytes(4, "big") + name + content + crc.to_bytes(4, "big")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    """A hundred bytes that claim to be 100 million or 3.6 thousand million pixels."""
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of the smaller one; we refuse it
        with pytest.raises(ValueError, match=r"1\.png cannot be read as a picture: .*pixels"):
            list(open_folder(tmp_path))


def test_a_file_that_is_gone_is_named(folder):
    data = open_folder(folder, shuffle=False)
    (folder / "birds/0.bmp").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*0\.bmp"):
        list(data)


def test_without_pillow_the_error_says_how_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match="Install it: pip install pillow"):
        open_folder(folder)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"labels": "infered"}, ValueError, "labels must be 'inferred'.* Did you mean 'inferred'"),
        ({"labels": [0, 1]}, ValueError, "labels has 2 entries, but there are 12 pictures"),
        ({"labels": [0.5] * 12}, ValueError, 'labels must be "inferred", None, or a list of whole'),
        ({"labels": [0] * 12, "class_names": ["a"]}, ValueError, "class_names can only be given"),
        ({"labels": [0, 7] * 6, "label_mode": "categorical"}, ValueError, "labels reach 7, but"),
        ({"label_mode": "onehot"}, ValueError, "label_mode must be 'int' or 'categorical'"),
        ({"label_mode": "binary"}, ValueError, "for two classes, but there are 3: birds, cats"),
        ({"class_names": ["cat"]}, ValueError, "has 'cat', but .* Did you mean 'cats'"),
        ({"color_mode": "grey"}, ValueError, "color_mode must be 'grayscale'"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1"),
        ({"image_size": (8,)}, ValueError, "image_size must be an integer or a pair"),
        ({"shuffle": 1}, TypeError, "shuffle must be True or False"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"interpolation": "cubic"}, ValueError, "interpolation must be .* Did you mean 'bicubic'"),
        ({"format": "torch"}, ValueError, "format must be 'tf' or 'grain'"),
        ({"data_format": "channels_first"}, ValueError, "'channels_first' is not supported"),
        ({"subset": "training"}, ValueError, "subset is given, so validation_split is wanted, too"),
        ({"validation_split": 0.2}, ValueError, "validation_split is given, so subset is wanted"),
        ({"validation_split": 2.0, "subset": "both"}, ValueError, "must be between 0 and 1, but"),
        ({"validation_split": 0.01, "subset": "both"}, ValueError, "none of 12 files for valid"),
        ({"validation_split": 0.5, "subset": "test"}, ValueError, "subset must be 'training'"),
        ({"validation_split": 0.5, "subset": "training"}, ValueError, "needs a seed, the same for"),
        (
            {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
            ValueError,
            "only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True",
        ),
    ],
)
def test_mistakes_are_named(folder, settings, error, message):
    with pytest.raises(error, match=message):
        open_folder(folder, **settings)


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="directory must be a path, but is 3"):
        open_folder(3)
    with pytest.raises(ValueError, match=r"no pictures \(\.bmp, .*\) in the folders of"):
        open_folder(tmp_path)


# Beside Keras, which reads pictures by TensorFlow


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
    pytest.importorskip("tensorflow", reason="TensorFlow, by which Keras reads, is not installed")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras imports warns of itself
        return pytest.importorskip("keras", reason="Keras is not installed")


def both(keras, folder, **settings):
    settings = {"image_size": (8, 8), "verbose": False, **settings}
    return [
        K.utils.image_dataset_from_directory(str(folder), **settings)
        for K in (keras, __import__("minicnn"))
    ]


WAYS = [
    *((way, method) for way in (None, "pad_to_aspect_ratio") for method in METHODS),
    # the last two fail in Keras itself
    *(("crop_to_aspect_ratio", method) for method in METHODS[:-2]),
]


@pytest.mark.parametrize("way, method", WAYS)
def test_pictures_are_those_of_keras(keras, folder, way, method):
    """TensorFlow takes the weights of bicubic from a table of 1024 places."""
    settings = {way: True} if way else {}
    atol = 0.3 if method == "bicubic" else 0.005
    theirs, ours = both(keras, folder, interpolation=method, shuffle=False, **settings)
    ((wanted, labels),), ((came, y),) = list(theirs), list(ours)
    np.testing.assert_allclose(came.numpy(), wanted.numpy(), atol=atol)
    assert np.array_equal(labels.numpy(), y.numpy())


@pytest.mark.parametrize("mode", ["int", "categorical", "binary"])
def test_labels_are_those_of_keras(keras, folder, mode):
    chosen = ["dogs", "cats"] if mode == "binary" else None
    theirs, ours = both(keras, folder, label_mode=mode, class_names=chosen, shuffle=False)
    ((_, wanted),), ((_, came),) = list(theirs), list(ours)
    assert np.array_equal(came.numpy(), wanted.numpy())
    assert came.numpy().dtype == wanted.numpy().dtype
    assert ours.class_names == theirs.class_names


@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_files_and_their_parts_are_those_of_keras(keras, folder, subset):
    split = 0.3 if subset else None
    theirs, ours = both(keras, folder, seed=123, validation_split=split, subset=subset)
    assert ours.file_paths == theirs.file_paths
