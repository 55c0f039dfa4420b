"""Models as ONNX files: ONNX Runtime computes from them what minicnn computes."""

import builtins

import numpy as np
import pytest

from minicnn import layers as L
from minicnn import ops
from minicnn.activations import ACTIVATIONS
from minicnn.export.activations import ACTIVATIONS as EXPORTED
from minicnn.export.converters import CONVERTERS
from minicnn.layers import Input, Layer
from minicnn.layers.operators import OPERATORS, Operator
from minicnn.models import Model, Sequential

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
RNG = np.random.default_rng(0)
IMAGE, ROW = (9, 8, 4), (6,)
MATRIX = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)

CASES = {
    "Dense": (L.Dense(5, activation="tanh"), ROW),
    "Dense of pixels": (L.Dense(5, use_bias=False), IMAGE),
    "Conv2D": (L.Conv2D(6, 3, activation="relu"), IMAGE),
    "Conv2D same": (L.Conv2D(6, (3, 4), strides=2, padding="same", use_bias=False), IMAGE),
    "Conv2D dilated": (L.Conv2D(6, 3, padding="same", dilation_rate=2), IMAGE),
    "Conv2D groups": (L.Conv2D(6, 3, groups=2), IMAGE),
    "DepthwiseConv2D": (L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), IMAGE),
    "SeparableConv2D": (L.SeparableConv2D(5, 3, strides=2, activation="elu"), IMAGE),
    "MaxPooling2D": (L.MaxPooling2D(2), IMAGE),
    "MaxPooling2D same": (L.MaxPooling2D(3, 2, padding="same"), IMAGE),
    "AveragePooling2D": (L.AveragePooling2D(2), IMAGE),
    "AveragePooling2D same": (L.AveragePooling2D(3, 2, padding="same"), IMAGE),
    "GlobalAveragePooling2D": (L.GlobalAveragePooling2D(), IMAGE),
    "GlobalMaxPooling2D": (L.GlobalMaxPooling2D(keepdims=True), IMAGE),
    "BatchNormalization": (L.BatchNormalization(), IMAGE),
    "BatchNormalization bare": (L.BatchNormalization(center=False, scale=False), ROW),
    "Dropout": (L.Dropout(0.5), ROW),
    "RandomFlip": (L.RandomFlip(), IMAGE),
    "RandomTranslation": (L.RandomTranslation(0.1, 0.1), IMAGE),
    "RandomCrop": (L.RandomCrop(6, 5), IMAGE),
    "RandomCrop larger": (L.RandomCrop(12, 10), IMAGE),
    "CenterCrop": (L.CenterCrop(4, 5), IMAGE),
    "CenterCrop larger": (L.CenterCrop(11, 6), IMAGE),
    "Conv2DTranspose": (L.Conv2DTranspose(3, 3, strides=2, activation="relu"), IMAGE),
    "Conv2DTranspose same": (L.Conv2DTranspose(3, 4, strides=2, padding="same"), IMAGE),
    "Conv2DTranspose gaps": (L.Conv2DTranspose(3, 2, strides=3), IMAGE),
    "Conv2DTranspose more": (L.Conv2DTranspose(3, 3, strides=2, output_padding=1), IMAGE),
    "Conv2DTranspose dilated": (L.Conv2DTranspose(3, 3, dilation_rate=2, padding="same"), IMAGE),
    "Cropping2D": (L.Cropping2D(((1, 2), (0, 3))), IMAGE),
    "GroupNormalization": (L.GroupNormalization(2), IMAGE),
    "GroupNormalization each": (L.GroupNormalization(-1, scale=False), IMAGE),
    "LayerNormalization": (L.LayerNormalization(), IMAGE),
    "LayerNormalization axes": (L.LayerNormalization(axis=[1, 3]), IMAGE),
    "Normalization": (L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[2.0] * 4), IMAGE),
    "Normalization inverse": (L.Normalization(mean=1.0, variance=3.0, invert=True), IMAGE),
    "PReLU": (L.PReLU(), IMAGE),
    "PReLU shared": (L.PReLU(shared_axes=[1, 2]), IMAGE),
    "Permute": (L.Permute((3, 1, 2)), IMAGE),
    "RepeatVector": (L.RepeatVector(3), ROW),
    "Rescaling": (L.Rescaling(0.5, offset=[1.0, 2.0, 3.0, 4.0]), IMAGE),
    "Resizing": (L.Resizing(5, 13), IMAGE),
    "Resizing nearest": (L.Resizing(5, 13, interpolation="nearest"), IMAGE),
    "Resizing antialias": (L.Resizing(4, 3, antialias=True), IMAGE),
    "Resizing cut": (L.Resizing(6, 12, crop_to_aspect_ratio=True), IMAGE),
    "Resizing padded": (L.Resizing(6, 12, pad_to_aspect_ratio=True, fill_value=2.0), IMAGE),
    "UpSampling2D": (L.UpSampling2D((2, 3)), IMAGE),
    "UpSampling2D bilinear": (L.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    "RandomRotation": (L.RandomRotation(0.1), IMAGE),
    "RandomZoom": (L.RandomZoom(0.1), IMAGE),
    "RandomContrast": (L.RandomContrast(0.1), IMAGE),
    "RandomBrightness": (L.RandomBrightness(0.1), IMAGE),
    "SpatialDropout2D": (L.SpatialDropout2D(0.5), IMAGE),
    "GaussianNoise": (L.GaussianNoise(0.5), ROW),
    "Flatten": (L.Flatten(), IMAGE),
    "Reshape": (L.Reshape((4, -1)), IMAGE),
    "ZeroPadding2D": (L.ZeroPadding2D(((1, 2), (0, 3))), IMAGE),
    "ReLU": (L.ReLU(max_value=1.0, negative_slope=0.1), ROW),
    "ReLU with a threshold": (L.ReLU(threshold=0.3, negative_slope=0.1), ROW),
    "LeakyReLU": (L.LeakyReLU(0.2), ROW),
    "ELU": (L.ELU(0.7), ROW),
    "Softmax": (L.Softmax(axis=1), IMAGE),
    **{f"activation {name}": (L.Activation(name), ROW) for name in ACTIVATIONS},
}
MERGES = [L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate]
FORMULAS = {
    "numbers": lambda x, y: (2.0 * x + 1.0 - y / 2.0) * y,
    "powers": lambda x, y: abs(x) ** 1.5 - -y,
    "stretching": lambda x, y: x * y[:, :1] + y[:, :, 2:3],
    "slices": lambda x, y: x[:, 1:6:2, :, ::3] * 2.0,
    "ellipsis": lambda x, y: x[..., 1],
    "negative": lambda x, y: x[:, -1],
    "products": lambda x, y: x @ MATRIX,
    "reshape": lambda x, y: x.reshape(-1, 72, 4),
}


def numbers(shape):
    return RNG.normal(size=shape).astype(np.float32)


def shaken(model):
    """The model with weights that leave nothing to chance: no zeros and no ones."""
    model.set_weights([np.abs(numbers(w.shape)) / 2 + 0.1 for w in model.weights])
    return model


def assert_exported(model, path, sizes=(1, 5)):
    """ONNX Runtime and the model agree, for batches of all these sizes."""
    model.export(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in sizes:
        x = [numbers((size, *(n or 7 for n in tensor.shape[1:]))) for tensor in model.inputs]
        came = session.run(None, dict(zip([i.name for i in session.get_inputs()], x, strict=True)))
        wanted = model(x if len(x) > 1 else x[0])
        wanted = wanted if isinstance(wanted, list) else [wanted]
        for a, b in zip(came, wanted, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("name", CASES)
def test_each_layer_is_computed_alike(path, name):
    layer, shape = CASES[name]
    assert_exported(shaken(Sequential([Input(shape), layer])), path)


@pytest.mark.parametrize("merge", MERGES)
def test_each_merge_is_computed_alike(path, merge):
    x, y = Input(IMAGE), Input(IMAGE)
    assert_exported(Model([x, y], merge()([x, y])), path)


def test_merges_stretch_and_add_axes_as_here(path):
    x, y = Input(IMAGE), Input((4,))
    assert_exported(Model([x, y], L.Add()([x, y])), path)


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_symbolic_tensors_are_computed_alike(path, name):
    x, y = Input(IMAGE), Input(IMAGE)
    assert_exported(Model([x, y], [FORMULAS[name](x, y), y * 1.0]), path)


def test_a_residual_network_with_a_model_within(path):
    x = inputs = Input((12, 12, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x))
    x = L.Flatten()(L.MaxPooling2D()(L.ReLU()(L.Add()([x, y]))))
    head = Sequential([L.Dense(6, activation="relu"), L.Dropout(0.5), L.Dense(3)])
    z = Input((144,))
    inner = Model(z, {"scores": head(z), "sum": L.Dense(1)(z)})
    found = inner(x)
    assert_exported(Model(inputs, [L.Softmax()(found["scores"]), found["sum"]]), path)


def test_a_shared_layer_is_written_once(path):
    x, y, same = Input((50,)), Input((50,)), L.Dense(50, use_bias=False)
    assert_exported(Model([x, y], [same(x), same(y)]), path)
    assert path.stat().st_size < 1.5 * 50 * 50 * 4


def test_images_of_any_size(path):
    x = Input((None, None, 3))
    y = L.MaxPooling2D(3, 2, padding="same")(L.Conv2D(4, 3, padding="same")(x))
    assert_exported(Model(x, L.GlobalAveragePooling2D()(y)), path)


def test_an_output_that_is_an_input(path):
    x = Input(ROW)
    assert_exported(Model(x, L.Dropout(0.5)(x)), path)


def test_every_activation_and_layer_and_operator_is_known():
    assert set(EXPORTED) == set(ACTIVATIONS.values())
    assert set(OPERATORS.values()) <= set(CONVERTERS)
    made = {cls for cls in vars(L).values() if isinstance(cls, type) and issubclass(cls, Layer)}
    made -= {Layer, L.InputLayer}
    assert {c.__name__ for c in made if not set(c.__mro__) & set(CONVERTERS)} == set()
    assert issubclass(next(iter(OPERATORS.values())), Operator)


# -- what is refused


class Squared(Layer):
    """x * x."""

    def call(self, x):
        return ops.multiply(x, x)


def test_a_layer_of_ones_own_is_refused(path):
    model = Sequential([Input(ROW), Squared(name="mine")])
    with pytest.raises(NotImplementedError, match=r"layer 'mine' \(Squared\) cannot be written"):
        model.export(path)
    assert not path.exists()


def test_an_activation_of_ones_own_is_refused(path):
    def cubed(x):
        return x * x * x

    model = Sequential([Input(ROW), L.Dense(2, activation=cubed)])
    with pytest.raises(NotImplementedError, match=r"has the activation cubed, which cannot"):
        model.export(path)


def test_an_index_into_the_batch_is_refused(path):
    x = Input(ROW)
    with pytest.raises(NotImplementedError, match="cannot be written as ONNX. Use slices"):
        Model(x, x[:, ::-1]).export(path)


def test_a_crop_that_would_enlarge_is_refused(path):
    x = Input((None, None, 3))
    with pytest.raises(NotImplementedError, match="images of unknown size"):
        Model(x, L.RandomCrop(8, 8)(x)).export(path)


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in '\.onnx'"):
        Sequential([Input(ROW), L.Dense(2)]).export(tmp_path / "m.pb")


def test_a_model_without_symbols_is_refused(path):
    with pytest.raises(ValueError, match="not made of symbolic inputs.*Input"):
        Sequential([L.Dense(2)]).export(path)


def test_onnx_is_only_needed_for_this(path, monkeypatch):
    normal = builtins.__import__

    def without(name, *rest):
        if name == "onnx":
            raise ImportError(name)
        return normal(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'minicnn\[onnx\]'"):
        Sequential([Input(ROW), L.Dense(2)]).export(path)
