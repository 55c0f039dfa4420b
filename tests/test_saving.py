"""Whole models in files: what comes back, what is refused, and that no file does any harm."""

import io
import json
import os
import resource
import struct
import tempfile
import warnings
import zipfile
import zlib

import h5py
import numpy as np
import pytest

from minicnn import layers, models, ops, optimizers
from minicnn.callbacks import ModelCheckpoint
from minicnn.layers import Dense, Input, Layer
from minicnn.models import Model, Sequential, load_model
from minicnn.models.archive import CONFIG, WEIGHTS, archive_as_bytes
from minicnn.saving import register_keras_serializable

RNG = np.random.default_rng(0)
ROWS = RNG.random((8, 4), np.float32)
CLASSES = RNG.integers(0, 3, 8)


def compiled(units=3, rate=0.01):
    model = Sequential(
        [Input((4,)), Dense(5, activation="relu", name="hidden"), Dense(units, name="out")],
        name="small",
    )
    model.compile(optimizers.Adam(rate), loss="mse", metrics=["mae"])
    return model


def labels(model):
    return RNG.random((8, model.output_shape[-1]), np.float32)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "small.keras")


@pytest.fixture
def saved(path):
    model = compiled()
    model.train_on_batch(ROWS, labels(model))
    model.save(path)
    return path


def parts(path):
    """The members of a file of a model."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put(path, members):
    with open(path, "wb") as file:
        file.write(archive_as_bytes(members))


def with_config(path, change):
    """Let `change` do something to the config in a file."""
    members = parts(path)
    config = json.loads(members[CONFIG])
    change(config)
    put(path, {**members, CONFIG: json.dumps(config).encode()})
    return path


# -- what comes back


def test_a_model_comes_back_and_trains_on_to_the_same_bits(path):
    model, y = compiled(), RNG.random((8, 3), np.float32)
    model.fit(ROWS, y, epochs=2, verbose=0)
    model.save(path)
    again = load_model(path)
    assert again.name == "small" and again.optimizer.iterations == 2
    for one in (model, again):
        one.fit(ROWS, y, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.history.history == again.history.history
    assert os.listdir(os.path.dirname(path)) == ["small.keras"]


def test_a_file_is_a_zip_archive_of_three_members_as_in_keras(saved):
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist() == ["metadata.json", CONFIG, WEIGHTS]
        assert all(x.compress_type == zipfile.ZIP_STORED for x in archive.infolist())
        assert set(json.loads(archive.read("metadata.json"))) == {"keras_version", "date_saved"}


def test_the_state_of_the_optimizer_stands_in_the_order_of_keras(saved):
    with h5py.File(io.BytesIO(parts(saved)[WEIGHTS])) as file:
        state = file["optimizer/vars"]
        assert state.attrs["name"] == "adam" and len(state) == 2 + 2 * 4
        assert [state[str(k)].shape for k in range(4)] == [(), (), (4, 5), (4, 5)]
        assert state["0"][()] == 1 and state["1"][()] == np.float32(0.01)


def test_a_model_that_was_not_trained_yet_comes_back_compiled(path):
    compiled().save(path)
    again = load_model(path)
    assert again.optimizer.iterations == 0
    again.train_on_batch(ROWS, labels(again))


def test_compile_false_leaves_the_optimizer_out(saved):
    assert load_model(saved, compile=False).optimizer is None


def test_a_model_that_is_not_compiled_comes_back_so(path):
    model = Sequential([Input((4,)), Dense(3)])
    model.save(path)
    again = load_model(path)
    assert again.optimizer is None
    np.testing.assert_array_equal(again.predict(ROWS, verbose=0), model.predict(ROWS, verbose=0))


def test_a_shared_layer_is_in_the_file_once(path):
    left, right = Input((4,)), Input((4,))
    same = Dense(2)
    model = Model([left, right], layers.add([same(left), same(right)]))
    model.save(path)
    with h5py.File(io.BytesIO(parts(path)[WEIGHTS])) as file:
        assert list(file["layers"]) == ["add", "dense"]
    x = [ROWS, ROWS + 1]
    wanted = model.predict(x, verbose=0)
    np.testing.assert_array_equal(load_model(path).predict(x, verbose=0), wanted)


def test_weights_of_a_model_in_training_bring_the_state_of_its_optimizer(tmp_path):
    path = tmp_path / "a.weights.h5"
    model, y = compiled(), RNG.random((8, 3), np.float32)
    model.train_on_batch(ROWS, y)
    model.save_weights(path)
    model.train_on_batch(ROWS, y)
    wanted = model.get_weights()
    model.load_weights(path)
    assert model.optimizer.iterations == 1
    model.train_on_batch(ROWS, y)
    for a, b in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_for_a_model_that_was_not_trained_leave_its_learning_rate_alone(saved):
    model = compiled(rate=0.5)
    model.load_weights(saved)
    assert model.optimizer.learning_rate == 0.5 and model.optimizer.iterations == 0


def test_the_state_of_another_optimizer_is_passed_over_with_a_warning(saved):
    model = compiled()
    model.compile(optimizers.SGD(0.1, momentum=0.5), loss="mse")
    model.train_on_batch(ROWS, labels(model))
    with pytest.warns(UserWarning, match="optimizer goes on as it was: SGD keeps 6 arrays.*10"):
        model.load_weights(saved)


def test_checkpoints_of_whole_models(tmp_path):
    model, y = compiled(), RNG.random((8, 3), np.float32)
    keep = ModelCheckpoint(tmp_path / "{epoch}.keras")
    model.fit(ROWS, y, epochs=2, verbose=0, callbacks=[keep])
    assert sorted(os.listdir(tmp_path)) == ["1.keras", "2.keras"]
    assert load_model(tmp_path / "1.keras").optimizer.iterations == 1


class Doubled(Layer):
    """x + x."""

    def call(self, x):
        return ops.add(x, x)

    def compute_output_shape(self, input_shape):
        return input_shape


def test_layers_of_ones_own_are_handed_over(path):
    Sequential([Input((4,)), Doubled()]).save(path)
    again = load_model(path, custom_objects={"Doubled": Doubled})
    np.testing.assert_array_equal(again.predict(ROWS, verbose=0), 2 * ROWS)
    with pytest.raises(ValueError, match=r"Could not locate class 'Doubled'.*custom_objects="):
        load_model(path)


def test_models_of_ones_own_are_registered(path):
    @register_keras_serializable("tests")
    class Own(Model):
        def __init__(self, units, **keywords):
            super().__init__(**keywords)
            self.units, self.dense = units, Dense(units)

        def call(self, x):
            return self.dense(x)

    model = Own(3)
    wanted = model.predict(ROWS, verbose=0)
    model.save(path)
    np.testing.assert_array_equal(load_model(path).predict(ROWS, verbose=0), wanted)


# -- what is refused


def test_paths_must_end_in_keras(tmp_path):
    with pytest.raises(ValueError, match=r"save: .*must end in '\.keras'.*m\.h5.*save_weights"):
        compiled().save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"load_model: .*must end in '\.keras'.*'.*m\.h5'"):
        load_model(tmp_path / "m.h5")


def test_files_are_always_archives(path):
    with pytest.raises(ValueError, match="zipped=False is not possible"):
        compiled().save(path, zipped=False)


def test_an_old_file_can_be_kept(saved):
    with pytest.raises(FileExistsError, match="save: .*is there already.*overwrite=True"):
        compiled().save(saved, overwrite=False)


def test_a_model_must_be_built_to_be_saved(path):
    with pytest.raises(ValueError, match="save: .*is not built.*Input"):
        Sequential([Dense(2)]).save(path)


def test_a_lambda_cannot_be_saved(path):
    with pytest.raises(ValueError, match="files hold no code"):
        model = compiled()
        model.compile("adam", loss=lambda y, p: ops.mean(p))
        model.save(path)
    assert not os.path.exists(path)


def test_a_missing_file_is_said(path):
    with pytest.raises(FileNotFoundError, match="small.keras: there is no such file"):
        load_model(path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, kept):
    with open(saved, "r+b") as file:
        file.truncate(int(kept * os.path.getsize(saved)))
    with pytest.raises(OSError, match=r"small\.keras: cannot be read.*was cut off"):
        load_model(saved)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_member_is_said(saved, name):
    members = parts(saved)
    del members[name]
    put(saved, members)
    with pytest.raises(OSError, match=f"it has no {name}"):
        load_model(saved)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"3", b"[]", b'{"a": 1}', b"\xff"])
def test_a_config_that_is_no_model_is_refused(saved, text):
    put(saved, {**parts(saved), CONFIG: text})
    with pytest.raises(ValueError, match=r"cannot be made of what|describes no model"):
        load_model(saved)


def test_an_unknown_layer_is_named(saved):
    with_config(saved, lambda c: c["config"]["layers"][1].update(class_name="Dens"))
    with pytest.raises(ValueError, match="Could not locate class 'Dens'. Did you mean 'Dense'?"):
        load_model(saved)


def test_a_lambda_layer_with_code_is_refused(saved):
    code = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
    lambdas = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": code}}
    with_config(saved, lambda c: c["config"]["layers"].append(lambdas))
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match="arbitrary code execution, so minicnn never does it"):
            load_model(saved, safe_mode=safe_mode)


@pytest.mark.parametrize("module", ["os", "builtins", "minicnn.models.saving", "keras.utils"])
def test_other_modules_are_not_imported(saved, module):
    entry = {"module": module, "class_name": "system", "config": {"command": "true"}}
    with_config(saved, lambda c: c["config"]["layers"].append(entry))
    with pytest.raises(ValueError, match="Could not locate class 'system'"):
        load_model(saved)


def test_weights_of_other_shapes_are_refused_and_named(saved):
    with_config(saved, lambda c: c["config"]["layers"][2]["config"].update(units=4))
    with pytest.raises(ValueError, match=r"'out'.*'kernel' has shape \(5, 4\), but \(5, 3\) in"):
        load_model(saved)


def test_the_state_of_another_optimizer_is_refused(saved):
    with_config(saved, lambda c: c["compile_config"].update(optimizer="sgd"))
    with pytest.raises(ValueError, match=r"SGD keeps 2 arrays.*has 10.*compile=False"):
        load_model(saved)
    assert load_model(saved, compile=False).built


# -- what would fill the memory


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("units", [10**7, 10**9, 10**12, 10**30])
def test_a_layer_larger_than_the_file_is_refused_before_it_is_made(saved, units):
    with_config(saved, lambda c: c["config"]["layers"][1]["config"].update(units=units))
    before = peak()
    with pytest.raises(ValueError, match="than .* bytes for all weights.*fill the memory"):
        load_model(saved)
    assert peak() - before < 2**26


def test_an_input_that_is_too_large_to_try_is_refused(path):
    x = Input((4,))
    Model(x, x + 1.0).save(path)
    change = {"batch_shape": [None, 2**40]}
    with_config(path, lambda c: c["config"]["layers"][0]["config"].update(change))
    with pytest.raises(ValueError, match="too large to try"):
        load_model(path)


def test_a_packed_member_that_unpacks_to_much_more_is_refused(saved):
    members = parts(saved)
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in members:
            archive.writestr(name, members[name] if name != WEIGHTS else bytes(2**28))
    before = peak()
    with pytest.raises(ValueError, match="claims to unpack to 268435456.*do not trust it"):
        load_model(saved)
    assert peak() - before < 2**26


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../x", "C:\\x", "..\\x"])
def test_members_that_lead_out_of_the_archive_are_refused(saved, tmp_path, name):
    put(saved, {**parts(saved), name: b"harm"})
    with pytest.raises(ValueError, match="leads out of the archive"):
        load_model(saved)
    assert os.listdir(tmp_path) == ["small.keras"]


def test_two_members_of_one_name_are_refused(saved):
    members = parts(saved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of it
        with zipfile.ZipFile(saved, "a") as archive:
            archive.writestr(CONFIG, members[CONFIG])
    with pytest.raises(ValueError, match="2 members called 'config.json'"):
        load_model(saved)


def test_a_huge_array_in_the_config_is_refused(saved):
    array = {"class_name": "__numpy__", "config": {"value": ["x"], "dtype": "S1000000000"}}
    with_config(saved, lambda c: c["config"]["layers"][1]["config"].update(units=array))
    before = peak()
    with pytest.raises(ValueError, match="an array of numbers"):
        load_model(saved)
    assert peak() - before < 2**26


def test_a_dataset_that_claims_to_be_huge_is_not_read(saved):
    members = parts(saved)
    content = io.BytesIO(members[WEIGHTS])
    with h5py.File(content, "r+") as file:
        del file["layers/dense/vars/0"]
        shape = (2**20, 2**20)
        file.create_dataset("layers/dense/vars/0", shape, "f4", chunks=(1, 2**10))
    put(saved, {**members, WEIGHTS: content.getvalue()})
    with pytest.raises(ValueError, match=r"\(4, 5\), but \(1048576, 1048576\) in the file"):
        load_model(saved)


# -- thousands of broken files


def other_bytes(content, rng):
    """A copy with bytes flipped, cut out, doubled, or set to what sizes like to be."""
    content = bytearray(content)
    kind, place = rng.integers(5), int(rng.integers(len(content)))
    if kind == 0:
        del content[place:]
    elif kind == 1:
        for other in rng.integers(0, len(content), rng.integers(1, 20)):
            content[other] ^= int(rng.integers(1, 256))
    elif kind == 2:
        content[place : place + 8] = struct.pack("<q", int(rng.choice([-1, 2**31, 2**62, 0])))
    elif kind == 3:
        end = place + int(rng.integers(1, 64))
        del content[place:end]
    else:
        content[place:place] = content[place : place + int(rng.integers(1, 64))]
    return bytes(content)


ODD = [None, -1, 0, 2**31, 10**15, 1e308, float("nan"), "", "x", [], {}, [[]], True, "../../x"]


def other_config(content, rng):
    """A copy in which one entry, anywhere, is something else, or is gone."""
    config = json.loads(content)
    entries = []

    def walk(thing):
        for key in thing if isinstance(thing, dict) else range(len(thing)):
            entries.append((thing, key))
            if isinstance(thing[key], dict | list):
                walk(thing[key])

    walk(config)
    thing, key = entries[rng.integers(len(entries))]
    if rng.integers(4) == 0 and isinstance(thing, dict):
        del thing[key]
    elif rng.integers(4) == 0:
        other, name = entries[rng.integers(len(entries))]
        thing[key] = json.loads(json.dumps(other[name]))
    else:
        thing[key] = ODD[rng.integers(len(ODD))]
    return json.dumps(config).encode()


def mutated(members, content, rng):
    """A broken file, and whether its checksums are right."""
    kind = rng.integers(3)
    if kind == 0:
        return other_bytes(content, rng)
    if kind == 1:
        return archive_as_bytes({**members, WEIGHTS: other_bytes(members[WEIGHTS], rng)})
    return archive_as_bytes({**members, CONFIG: other_config(members[CONFIG], rng)})


def functional_model():
    x, row = Input((6, 6, 2)), Input((4,))
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(x))
    y = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(layers.ReLU()(y)))
    y = layers.Dense(2, kernel_regularizer="l2")(layers.Concatenate()([y, row * 2.0]))
    model = Model([x, row], Sequential([Dense(3), layers.Dropout(0.1)])(y))
    model.compile(optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    model.train_on_batch([np.ones((2, 6, 6, 2)), ROWS[:2]], np.ones((2, 3)))
    return model


def count_refused(make, count, seed):
    """How many of so many broken files of a model are refused; each by the error it should be."""
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.keras")
        make().save(path)
        members = parts(path)
        with open(path, "rb") as file:
            content = file.read()
        before = peak()
        for k in range(count):
            rng = np.random.default_rng([seed, k])
            with open(path, "wb") as file:
                file.write(mutated(members, content, rng))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    load_model(path)
                except (ValueError, OSError) as error:
                    refused += 1
                    assert "m.keras: " in str(error), repr(error)
        assert peak() - before < 2**27
        assert os.listdir(folder) == ["m.keras"]
    return refused


@pytest.mark.parametrize("make", [compiled, functional_model])
def test_broken_files_are_refused_or_read_but_nothing_else(make):
    assert 100 < count_refused(make, 200, seed=1) < 200


@pytest.mark.slow
@pytest.mark.parametrize("make", [compiled, functional_model])
@pytest.mark.parametrize("seed", [2, 3])
def test_thousands_of_broken_files(make, seed):
    assert count_refused(make, 2000, seed) > 1000


def test_broken_files_of_weights_change_no_weight(tmp_path):
    path, model = str(tmp_path / "a.weights.h5"), compiled()
    model.save_weights(path)
    with open(path, "rb") as file:
        content = file.read()
    before, refused = model.get_weights(), 0
    for k in range(300):
        with open(path, "wb") as file:
            file.write(other_bytes(content, np.random.default_rng(k)))
        try:
            model.load_weights(path)
        except (ValueError, OSError) as error:
            refused += 1
            assert "no weight was loaded" in str(error)
            for a, b in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(a, b)
        model.set_weights(before)
    assert refused > 150


# -- files of Keras 2


def keras_2_file(path, under="", split=False):
    """A file of weights in the old layout, with layers that have none, and names of their own."""
    arrays = {
        "block1_conv1": {"block1_conv1_W_1:0": (3, 3, 2, 3), "block1_conv1_b_1:0": (3,)},
        "block1_pool": {},
        "scores": {"tiny/scores/kernel:0": (3, 2), "tiny/scores/bias:0": (2,)},
    }
    with h5py.File(path, "w") as file:
        root = file.require_group(under) if under else file
        names = [name.encode() for name in arrays]
        if split:
            root.attrs["layer_names0"], root.attrs["layer_names1"] = names[:2], names[2:]
        else:
            root.attrs["layer_names"] = names
        for layer, weights in arrays.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, shape in weights.items():
                group[name] = RNG.random(shape, np.float32)
        return [root[layer][name][()] for layer, found in arrays.items() for name in found]


def old_network():
    return Sequential(
        [
            Input((6, 6, 2)),
            layers.Conv2D(3, 3),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            Dense(2),
        ]
    )


@pytest.mark.parametrize("settings", [{}, {"under": "model_weights"}, {"split": True}])
def test_files_of_keras_2_are_read_by_the_order_of_layers(tmp_path, settings):
    path, model = tmp_path / "vgg_notop.h5", old_network()
    wanted = keras_2_file(path, **settings)
    model.load_weights(path)
    for a, b in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_files_of_keras_2_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "old.h5"
    keras_2_file(path)
    with pytest.raises(ValueError, match="weights for 2 layers, and the model has 1"):
        Sequential([Input((4,)), Dense(3)]).load_weights(path)
    model = Sequential([Input((6, 6, 2)), layers.Conv2D(4, 3), layers.Flatten(), Dense(2)])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"no weight was loaded.*\(3, 3, 2, 4\).*'block1_conv1'"):
        model.load_weights(path)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_checksum_of_an_archive_is_checked(saved):
    with open(saved, "rb") as file:
        content = bytearray(file.read())
    members = parts(saved)
    place = content.index(members[WEIGHTS][-64:])
    content[place] ^= 1
    assert zlib.crc32(members[WEIGHTS]) != 0
    with open(saved, "wb") as file:
        file.write(content)
    with pytest.raises(OSError, match="Bad CRC-32"):
        load_model(saved)


def test_models_has_both_functions(path):
    models.save_model(compiled(), path)
    assert models.load_model(path).name == "small"
