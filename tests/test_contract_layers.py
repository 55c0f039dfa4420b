"""Every entry of the table in contract.py: our layers do what those of the installed Keras do."""

import os
import warnings

import pytest

pytest.importorskip("torch", reason="Keras is compared on its torch backend: pip install torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("keras", reason="compares with Keras: pip install keras")

from contract import ENTRIES, EXCEPTIONS, differences, keras  # noqa: E402

from minicnn import layers  # noqa: E402
from minicnn.layers import merging  # noqa: E402
from minicnn.layers.names import reset_names  # noqa: E402

NAMES = {entry.name for entry in ENTRIES}
WITHOUT_ENTRY = {"Layer", "Input", "InputLayer"}
MERGING = {  # in test_merging.py
    name for name in layers.__all__ if getattr(layers, name).__module__ == merging.__name__
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_an_entry_agrees_with_keras(entry):
    assert differences(entry) == []


@pytest.mark.parametrize(("entry", "wanted", "reason"), EXCEPTIONS, ids=lambda value: str(value))
def test_an_exception_differs_as_it_says_and_not_more(entry, wanted, reason):
    assert sorted(differences(entry)) == sorted(wanted) and reason


def test_every_layer_has_an_entry():
    classes = {getattr(layers, name).__name__ for name in layers.__all__ if name not in MERGING}
    assert classes == NAMES | WITHOUT_ENTRY


def test_every_name_means_what_it_means_in_keras():
    for name in layers.__all__:
        assert getattr(layers, name).__name__ == getattr(keras.layers, name).__name__


def test_automatic_names_are_equal():
    keras.utils.clear_session()
    reset_names()
    for entry in ENTRIES:
        ours = getattr(layers, entry.name)(**entry.settings)
        assert ours.name == getattr(keras.layers, entry.name)(**entry.settings).name


REFUSED = [
    ("Conv2DTranspose", {"filters": 0, "kernel_size": 3}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "output_padding": 2}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "padding": "full"}),
    ("GroupNormalization", {"groups": 3}),
    ("GroupNormalization", {"groups": 8}),
    ("SpatialDropout2D", {"rate": 1.5}),
    ("GaussianDropout", {"rate": -0.1}),
    ("AlphaDropout", {"rate": 1.5}),
    ("GaussianNoise", {"stddev": -1.0}),
    ("Permute", {"dims": (1, 3)}),
    ("RepeatVector", {"n": "3"}),
    ("ZeroPadding2D", {"padding": (1, 2, 3)}),
    ("Cropping2D", {"cropping": (5, 5)}),
    ("UpSampling2D", {"interpolation": "linear"}),
    ("PReLU", {"shared_axes": [4]}),
    ("LeakyReLU", {"negative_slope": None}),
    ("ReLU", {"max_value": -1.0}),
    ("Normalization", {"mean": 1.0}),
    ("Normalization", {"mean": [1.0, 2.0], "variance": 1.0}),
    ("Normalization", {"axis": 4}),
    ("RandomTranslation", {"height_factor": 1.5, "width_factor": 0.1}),
    ("RandomTranslation", {"height_factor": 0.1, "width_factor": 0.1, "fill_mode": "mirror"}),
    ("RandomRotation", {"factor": 0.1, "interpolation": "cubic"}),
    ("RandomRotation", {"factor": (0.1, 0.2, 0.3)}),
    ("RandomZoom", {"height_factor": -1.0}),
    ("RandomContrast", {"factor": 1.5}),
    ("RandomBrightness", {"factor": 0.1, "value_range": 255}),
    ("Resizing", {"height": 3, "width": 3, "interpolation": "linear"}),
    ("Dense", {"units": 3, "kernel_constraint": "max"}),
]


@pytest.mark.parametrize(("name", "settings"), REFUSED, ids=str)
def test_what_keras_refuses_is_refused(name, settings):
    for library in (keras.layers, layers):
        with pytest.raises((ValueError, TypeError, IndexError, NotImplementedError)):
            layer = getattr(library, name)(**settings)
            layer.build((2, 9, 8, 4))
            layer(keras.ops.zeros((2, 9, 8, 4)) if library is keras.layers else [[[[0.0] * 4]]])
