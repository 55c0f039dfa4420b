"""Files of weights: what comes back, what is refused, and that nothing is lost on the way."""

import errno
import os

import h5py
import numpy as np
import pytest

from minicnn.layers import Conv2D, Dense, Dropout, Flatten, InputLayer, Layer
from minicnn.models import Model
from minicnn.models.weight_files import read_weights, write_weights


def network(units=3):
    layers = [
        Conv2D(2, 3, activation="relu", input_shape=(6, 6, 1)),
        Flatten(),
        Dropout(0.5),
        Dense(4),
        Dense(units, name="out"),
    ]
    shape = (None, 6, 6, 1)
    for layer in layers:
        layer.ensure_built(shape)
        shape = layer.compute_output_shape(shape)
    return layers


def chain(layers, name="tiny"):
    """Something that holds layers, and is built whatever they are."""
    holder = Model(name=name)
    holder._layers, holder.built = layers, True
    return holder


def numbers(layers):
    return [array for layer in layers for array in layer.get_weights()]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tiny.weights.h5"


@pytest.fixture
def saved(path):
    write_weights(path, chain(network()))
    return path


@pytest.fixture
def full_disk(monkeypatch):
    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)


def test_weights_come_back_bit_by_bit(path):
    saved, loaded = network(), network()
    write_weights(path, chain(saved))
    read_weights(path, chain(loaded))
    assert_same(numbers(loaded), numbers(saved))
    assert os.listdir(path.parent) == [path.name]


def test_layout_is_that_of_keras(saved):
    with h5py.File(saved) as file:
        assert sorted(file) == ["layers", "vars"]
        assert file["vars"].attrs["name"] == "tiny"
        assert sorted(file["layers"]) == ["conv2d", "dense", "dense_1", "dropout", "flatten"]
        assert file["layers/dense_1/vars"].attrs["name"] == "out"
        assert file["layers/conv2d/vars/0"].shape == (3, 3, 1, 2)
        assert file["layers/conv2d/vars/1"].dtype == np.float32
        assert list(file["layers/flatten/vars"]) == []


def test_input_layers_have_no_place_in_the_file(path):
    write_weights(path, chain([InputLayer((6, 6, 1)), *network()]))
    with h5py.File(path) as file:
        assert "input_layer" not in file["layers"]
    read_weights(path, chain(network()))


def test_layers_are_found_by_class_and_order_and_not_by_name(path):
    one, other = Dense(2, name="a"), Dense(2, name="b")
    for layer in (one, other):
        layer.build((None, 2))
    write_weights(path, chain([one]))
    read_weights(path, chain([other]))
    assert_same(numbers([other]), numbers([one]))


def test_numbers_of_another_precision_are_converted(saved):
    with h5py.File(saved, "r+") as file:
        wanted = np.arange(18, dtype=np.float64).reshape(3, 3, 1, 2)
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = wanted
    layers = network()
    read_weights(saved, chain(layers))
    assert layers[0].kernel.dtype == np.float32
    np.testing.assert_array_equal(layers[0].kernel.numpy(), wanted)


def test_an_optimizer_in_the_file_is_passed_over(saved):
    with h5py.File(saved, "r+") as file:
        file["optimizer/vars/0"] = np.int32(7)
    read_weights(saved, chain(network()))


def test_path_must_end_in_weights_h5(tmp_path):
    with pytest.raises(ValueError, match=r"must end in '\.weights\.h5'.*'.*tiny\.h5'"):
        write_weights(tmp_path / "tiny.h5", chain([]))
    with pytest.raises(ValueError, match=r"must end in '\.weights\.h5', '\.keras' or '\.h5'.*npz"):
        read_weights(tmp_path / "tiny.npz", chain([]))


@pytest.mark.parametrize("use", [write_weights, read_weights])
def test_layers_must_be_built(saved, use):
    with pytest.raises(ValueError, match=r"layer 'late' \(Dense\) has no weights.*Build the model"):
        use(saved, chain([Dense(3, name="late")]))


# -- files that cannot be written


def test_full_disk_leaves_the_old_file_and_no_rubbish(saved, full_disk):
    before = saved.read_bytes()
    with pytest.raises(
        OSError, match="could not be saved.*old one is unchanged.*space on the disk"
    ) as caught:
        write_weights(saved, chain(network(units=5)))
    assert caught.value.errno == errno.ENOSPC
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_missing_folder_is_said_with_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="Is there such a folder.*nowhere"):
        write_weights(tmp_path / "nowhere" / "a.weights.h5", chain([]))


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="could not be saved"):
        write_weights(tmp_path / "file" / "a.weights.h5", chain([]))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_an_unwritable_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="may you write to it"):
        write_weights(tmp_path / "a.weights.h5", chain([]))


def test_a_link_is_followed_and_stays_a_link(tmp_path, path):
    link = tmp_path / "link.weights.h5"
    path.write_bytes(b"old")
    link.symlink_to(path)
    write_weights(link, chain(network()))
    assert link.is_symlink()
    read_weights(path, chain(network()))


# -- files that cannot be read: an error, and no weight is changed


def assert_refused(path, error, match, layers=None):
    layers = network() if layers is None else layers
    before = numbers(layers)
    with pytest.raises(error, match=match):
        read_weights(path, chain(layers))
    assert_same(numbers(layers), before)


def test_a_missing_file_is_said(path):
    assert_refused(path, FileNotFoundError, "tiny.weights.h5: there is no such file")


def test_a_file_of_another_kind_is_refused(path):
    path.write_bytes(b"PK\3\4 this is no HDF5 file")
    assert_refused(path, OSError, "tiny.weights.h5: cannot be read, so no weight was loaded")


def test_an_empty_file_is_refused(path):
    path.write_bytes(b"")
    assert_refused(path, OSError, "cannot be read")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * kept)])
    assert_refused(saved, OSError, "cannot be read.*was cut off")


def test_a_damaged_file_is_refused_or_read_but_never_half(saved):
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            damaged[place] ^= 0xFF
        saved.write_bytes(damaged)
        layers = network()
        before = numbers(layers)
        try:
            read_weights(saved, chain(layers))
        except (OSError, ValueError) as error:
            refused += 1
            assert "no weight was loaded" in str(error)
            assert_same(numbers(layers), before)
    assert refused > 50


def test_a_missing_layer_is_named(path):
    write_weights(path, chain(network()[:-1]))
    match = r"layer 'out' \(Dense\) has 2 weights, but the file has 0 under layers/dense_1"
    assert_refused(path, ValueError, match)


def test_a_layer_too_many_is_named(saved):
    match = "weights for layers that are not there: layers/dense_1"
    assert_refused(saved, ValueError, match, layers=network()[:-1])


def test_a_wrong_shape_is_named_with_its_layer(saved):
    match = r"layer 'out' \(Dense\): 'kernel' has shape \(4, 5\), but \(4, 3\) in the file"
    assert_refused(saved, ValueError, match, layers=network(units=5))


def test_a_layer_without_bias_does_not_take_a_bias(saved):
    layers = network()
    layers[3] = Dense(4, use_bias=False, name="bare")
    layers[3].build((None, 32))
    assert_refused(saved, ValueError, "'bare'.*has 1 weights, but the file has 2", layers=layers)


def test_many_problems_are_counted(path):
    write_weights(path, chain([]))
    layers = [Dense(1, input_dim=1) for _ in range(7)]
    for layer in layers:
        layer.build((None, 1))
    assert_refused(path, ValueError, "and 4 more such problems", layers=layers)


def test_an_hdf5_file_of_something_else_is_refused(path):
    with h5py.File(path, "w") as file:
        file["layers"] = np.zeros(3)
    assert_refused(path, ValueError, "the file has 0 under layers/conv2d")


# -- files that try to be clever


def replace_bias(path, make):
    with h5py.File(path, "r+") as file:
        group = file["layers/conv2d/vars"]
        del group["1"]
        make(group)


@pytest.mark.parametrize("content", [np.array([b"a", b"b"]), np.array([1j, 2j])])
def test_only_numbers_are_read(saved, content):
    replace_bias(saved, lambda group: group.create_dataset("1", data=content))
    assert_refused(saved, ValueError, "'bias' is no plain array of numbers")


def test_links_to_other_files_are_not_followed(saved, tmp_path):
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.zeros(2, np.float32)

    def link(group):
        group["1"] = h5py.ExternalLink(str(other), "/x")

    replace_bias(saved, link)
    assert_refused(saved, ValueError, "'bias' is no plain array")


def test_numbers_kept_in_other_files_are_not_read(saved, tmp_path):
    other = tmp_path / "secret.bin"
    other.write_bytes(bytes(8))

    def store_outside(group):
        group.create_dataset("1", (2,), "f4", external=[(str(other), 0, 8)])

    replace_bias(saved, store_outside)
    assert_refused(saved, ValueError, "'bias' is no plain array")


def test_virtual_datasets_are_not_read(saved):
    def make_virtual(group):
        layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
        layout[:] = h5py.VirtualSource(".", "layers/conv2d/vars/0", shape=(2,))
        group.create_virtual_dataset("1", layout)

    replace_bias(saved, make_virtual)
    assert_refused(saved, ValueError, "'bias' is no plain array")


def test_a_group_in_place_of_an_array_is_refused(saved):
    replace_bias(saved, lambda group: group.create_group("1"))
    assert_refused(saved, ValueError, "'bias' is no plain array")


# -- skip_mismatch


def test_skip_mismatch_loads_what_fits_and_warns_of_the_rest(saved):
    layers, all_saved = network(units=5), network()
    read_weights(saved, chain(all_saved))
    before = numbers(layers[-1:])
    with pytest.warns(UserWarning, match=r"skipped, because layer 'out' \(Dense\)") as caught:
        read_weights(saved, chain(layers), skip_mismatch=True)
    assert len(caught) == 1
    assert_same(numbers(layers[-1:]), before)
    assert_same(numbers(layers[:-1]), numbers(all_saved[:-1]))


def test_layers_of_ones_own_are_saved_under_their_class(path):
    class MyScale(Layer):
        def build(self, input_shape):
            self.factor = self.add_weight((), "ones", name="factor")

        def call(self, x):
            return x * self.factor

    layer = MyScale()
    layer.ensure_built((None, 2))
    write_weights(path, chain([layer]))
    with h5py.File(path) as file:
        assert file["layers/my_scale/vars/0"].shape == ()
