"""Weights of PyTorch in safetensors files: what is read, what is turned, what is refused."""

import json

import numpy as np
import pytest

from minicnn import layers
from minicnn.layers import Input
from minicnn.models import Sequential, load_safetensors, read_safetensors

RNG = np.random.default_rng(0)
NAMES = {np.dtype("f4"): "F32", np.dtype("f8"): "F64", np.dtype("i8"): "I64"}


def write(path, arrays):
    """A file of safetensors, by its description."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        place = [len(data), len(data) + len(content)]
        kind = NAMES[array.dtype]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
        data += content
    put(path, json.dumps(header).encode(), data)


def put(path, header, data=b""):
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def test_arrays_come_back(path):
    arrays = {"a": RNG.random((2, 3)), "b": np.arange(4), "c": np.float32(3).reshape(())}
    write(path, arrays)
    found = read_safetensors(path)
    assert list(found) == ["a", "b", "c"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def our_network():
    return Sequential(
        [
            Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(epsilon=1e-5, name="norm"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            layers.Flatten(),
            layers.Dense(5, name="out"),
        ]
    )


PLACES = {"conv": "0", "norm": "1", "depthwise": "3", "out": "5"}


def test_a_network_of_pytorch_computes_the_same(path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 8, 3, groups=4),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 4 * 8, 5),
    )
    x = RNG.random((6, 8, 8, 3), np.float32)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    theirs(images)  # moves the running mean away from 0
    theirs.eval()
    write(path, {name: array.numpy() for name, array in theirs.state_dict().items()})
    ours = our_network()
    load_safetensors(ours, path, PLACES, flattened={"out": (4, 4, 8)})
    wanted = theirs(images).detach().numpy()
    np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, atol=1e-5)


def refused(path, match, names=None):
    model = our_network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        load_safetensors(model, path, names or {"out": "fc"})
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_missing_array_is_named(path):
    write(path, {"fc.weight": np.zeros((5, 128), np.float32)})
    refused(path, r"has no 'fc\.bias', which layer 'out' \(Dense\) needs")


def test_a_wrong_shape_is_named(path):
    write(path, {"fc.weight": np.zeros((5, 64), np.float32), "fc.bias": np.zeros(5, np.float32)})
    refused(path, r"'kernel' has the shape \(128, 5\), but 'fc.weight' is \(5, 64\) in the file")


def test_a_layer_of_another_kind_is_refused(path):
    write(path, {})
    with pytest.raises(NotImplementedError, match="not known how PyTorch keeps the weights of"):
        load_safetensors(our_network(), path, {"relu": "2"})


def entry(dtype="F32", shape=(2,), place=(0, 8)):
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": place}}).encode()


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (b"{", "header is no JSON"),
        (b"[" * 100_000, "header is no JSON"),
        (b"[]", "header is no dict, but list"),
        (b'{"a": 3}', "does not say of 'a' which shape"),
        (entry(shape=[-1]), "does not say of 'a' which shape"),
        (entry(shape=[2.0]), "does not say of 'a' which shape"),
        (entry(place=[0]), "does not say of 'a' which shape"),
        (entry(dtype="BF16"), "'a' is of the dtype 'BF16'. Readable are F64"),
        (entry(dtype=["F32"]), "'a' is of the dtype"),
        (entry(shape=[3]), r"shape \[3\] takes 12 bytes, but is said to stand from 0 to 8 of 8"),
        (entry(shape=[2**40, 2**40]), "The file is broken or was cut off"),
        (entry(place=[8, 16]), "from 8 to 16 of 8"),
        (entry(shape=[0], place=[8, 0]), "from 8 to 0 of 8"),
    ],
)
def test_broken_files_are_refused(path, header, match):
    put(path, header, bytes(8))
    refused(path, match)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 8 + b"{}", bytes(8)])
def test_lengths_that_cannot_be_are_refused(path, content):
    path.write_bytes(content)
    refused(path, "its header claims to have|header is no JSON")


def test_thousands_of_broken_files_are_refused_or_read(path):
    arrays = {"fc.weight": RNG.random((5, 128)), "fc.bias": RNG.random(5)}
    write(path, arrays)
    content, found = path.read_bytes(), 0
    for k in range(2000):
        rng, broken = np.random.default_rng(k), bytearray(content)
        for place in rng.integers(0, 250, rng.integers(1, 4)):  # length and header
            broken[place] = rng.integers(256)
        path.write_bytes(broken[: len(broken) if k % 2 else rng.integers(len(broken))])
        try:
            read_safetensors(path)
        except ValueError as error:
            found += 1
            assert "m.safetensors: " in str(error)
    assert found > 1500
