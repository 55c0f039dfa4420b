"""What Keras' layers do, ours do: a table of layers and settings, each run in both libraries.

Each entry compares, on the same weights and inputs: the shape of the output as it is foretold, the
names and shapes of the weights, the output in inference and in training, the gradients of input and
weights, what training leaves in the weights that it does not learn, and the configuration, which
each library must be able to make the layer of the other one from.

    python tests/contract.py        prints the table, and how many entries agree

Layers that draw random numbers have settings that leave them no choice, as RandomRotation((0.1,
0.1)); where there are none, only inference is compared, and their own tests look at the rest.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn import layers
from minicnn.autograd import Tensor, grad

os.environ.setdefault("KERAS_BACKEND", "torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import torch

ROWS = (3, 7)
IMAGES = (2, 9, 8, 4)
SMALL = (2, 3, 4, 6)
OUTPUTS = ("output", "gradients")


class Entry(NamedTuple):
    """A layer, its settings, and the shape of an input."""

    name: str
    settings: dict[str, Any]
    shape: tuple[int, ...] = IMAGES
    random: bool = False  # training draws numbers, so that only inference can be compared
    stand_in: Callable[..., torch.Tensor] | None = None  # of layer and x: where Keras on torch errs
    adapt: bool = False  # to measure what is normalized away, before anything else

    def __str__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{self.name}({settings}) on {self.shape}"


def padded_average(window: int, stride: int) -> Callable[..., torch.Tensor]:
    """Average pooling with "same" that counts real pixels only; Keras on torch repeats the border.

    Its other backends do what this does.
    """

    def average(layer: Any, x: torch.Tensor) -> torch.Tensor:
        def total(images: torch.Tensor) -> torch.Tensor:
            pads = []
            for size in (images.shape[3], images.shape[2]):
                missing = max((-(-size // stride) - 1) * stride + window - size, 0)
                pads += [missing // 2, missing - missing // 2]
            framed = torch.nn.functional.pad(images, pads)
            return torch.nn.functional.avg_pool2d(framed, window, stride)

        x = x.permute(0, 3, 1, 2)
        return (total(x) / total(torch.ones_like(x))).permute(0, 2, 3, 1)

    return average


def normalized_rows(axis: int) -> Callable[..., torch.Tensor]:
    """Layer normalization along an axis before the last, which Keras on torch does not manage."""

    def normalize(layer: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(axis, -1)
        y = torch.nn.functional.layer_norm(
            x, x.shape[-1:], layer.gamma.value, layer.beta.value, layer.epsilon
        )
        return y.transpose(axis, -1)

    return normalize


TRANSPOSED = {"filters": 5, "kernel_size": 3}
ENTRIES = [
    Entry("Dense", {"units": 5}, ROWS),
    Entry("Dense", {"units": 5, "activation": "relu", "kernel_regularizer": "l2"}, ROWS),
    Entry("Dense", {"units": 5, "activation": "softmax"}, ROWS),
    Entry("Dense", {"units": 5, "activation": "tanh", "use_bias": False}),
    Entry("Dense", {"units": 5, "kernel_constraint": "max_norm", "bias_constraint": "non_neg"}),
    *(
        Entry("Dense", {"units": 5, "kernel_initializer": name}, ROWS)
        for name in (
            "zeros",
            "ones",
            "identity",
            "orthogonal",
            "glorot_normal",
            "he_uniform",
            "he_normal",
            "lecun_uniform",
            "lecun_normal",
            "random_normal",
            "random_uniform",
            "truncated_normal",
            "variance_scaling",
        )
    ),
    Entry("Conv2D", {"filters": 5, "kernel_size": 3}),
    Entry("Conv2D", {"filters": 5, "kernel_size": 3, "activation": "relu"}),
    Entry("Conv2D", {"filters": 5, "kernel_size": (4, 2), "padding": "same"}),
    Entry("Conv2D", {"filters": 5, "kernel_size": 3, "strides": (3, 2)}),
    Entry("Conv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}),
    Entry("Conv2D", {"filters": 5, "kernel_size": 3, "dilation_rate": (2, 3)}),
    Entry("Conv2D", {"filters": 8, "kernel_size": 3, "groups": 4, "use_bias": False}),
    Entry("DepthwiseConv2D", {"kernel_size": 3, "activation": "relu", "padding": "same"}),
    Entry("DepthwiseConv2D", {"kernel_size": (2, 3), "depth_multiplier": 3, "strides": 2}),
    Entry("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 3, "use_bias": False}),
    Entry("SeparableConv2D", {"filters": 5, "kernel_size": 3, "activation": "relu"}),
    Entry("SeparableConv2D", {"filters": 6, "kernel_size": (3, 2), "depth_multiplier": 2}),
    Entry("SeparableConv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}),
    Entry("Conv2DTranspose", TRANSPOSED, SMALL),
    Entry("Conv2DTranspose", TRANSPOSED | {"activation": "relu"}, SMALL),
    Entry("Conv2DTranspose", TRANSPOSED | {"activation": "tanh", "use_bias": False}, SMALL),
    *(
        Entry(
            "Conv2DTranspose",
            {"filters": 2, "kernel_size": window, "strides": stride, "padding": padding},
            SMALL,
        )
        for window in (1, 2, 3, 4, 5)
        for stride in (1, 2, 3)
        for padding in ("valid", "same")
    ),
    *(
        Entry(
            "Conv2DTranspose",
            {
                "filters": 2,
                "kernel_size": window,
                "strides": 3,
                "padding": padding,
                "output_padding": more,
            },
            SMALL,
        )
        for window in (1, 2, 3, 4, 5)
        for padding in ("valid", "same")
        for more in (0, 1, 2)
    ),
    Entry("Conv2DTranspose", TRANSPOSED | {"dilation_rate": (2, 3)}, SMALL),
    Entry("Conv2DTranspose", TRANSPOSED | {"dilation_rate": 2, "padding": "same"}, SMALL),
    Entry("Conv2DTranspose", TRANSPOSED | {"strides": (2, 3), "output_padding": (1, 2)}, SMALL),
    Entry("MaxPooling2D", {}),
    Entry("MaxPooling2D", {"pool_size": (3, 2), "strides": (1, 2)}),
    Entry("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    Entry("AveragePooling2D", {"pool_size": 2}),
    Entry("AveragePooling2D", {"pool_size": (2, 3), "strides": 1}),
    Entry(
        "AveragePooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        stand_in=padded_average(3, 2),
    ),
    Entry("GlobalAveragePooling2D", {}),
    Entry("GlobalAveragePooling2D", {"keepdims": True}),
    Entry("GlobalMaxPooling2D", {}),
    Entry("GlobalMaxPooling2D", {"keepdims": True}),
    Entry("BatchNormalization", {}),
    Entry("BatchNormalization", {"epsilon": 0.1, "momentum": 0.5, "center": False}, (5, 7)),
    Entry("BatchNormalization", {"axis": 3, "scale": False}),
    Entry("BatchNormalization", {"trainable": False}),
    Entry("LayerNormalization", {}),
    Entry("LayerNormalization", {"epsilon": 0.1, "center": False}, ROWS),
    Entry("LayerNormalization", {"axis": [1, 2, 3], "scale": False}),
    Entry("LayerNormalization", {"axis": [2, 3]}),
    Entry(
        "LayerNormalization",
        {"axis": 1, "gamma_constraint": "non_neg"},
        stand_in=normalized_rows(1),
    ),
    Entry("GroupNormalization", {"groups": 2}),
    Entry("GroupNormalization", {"groups": 1, "epsilon": 0.1}),
    Entry("GroupNormalization", {"groups": -1, "center": False, "scale": False}),
    Entry("GroupNormalization", {"groups": 3, "beta_regularizer": "l1"}, (4, 6)),
    Entry("GroupNormalization", {"groups": 3}, (2, 5, 6)),
    Entry("Dropout", {"rate": 0.4}, random=True),
    Entry("Dropout", {"rate": 0.0}),
    Entry("Dropout", {"rate": 0.4, "noise_shape": (None, 1, 1, 4), "seed": 3}, random=True),
    Entry("SpatialDropout2D", {"rate": 0.4}, random=True),
    Entry("SpatialDropout2D", {"rate": 0.0, "seed": 3}),
    Entry("GaussianNoise", {"stddev": 0.4}, random=True),
    Entry("GaussianNoise", {"stddev": 0.0}),
    Entry("GaussianDropout", {"rate": 0.4}, random=True),
    Entry("GaussianDropout", {"rate": 0.0}),
    Entry("AlphaDropout", {"rate": 0.4}, random=True),
    Entry("AlphaDropout", {"rate": 0.0}),
    Entry("Flatten", {}),
    Entry("Flatten", {}, (3,)),
    Entry("Reshape", {"target_shape": (4, -1, 3)}),
    Entry("Reshape", {"target_shape": (288,)}),
    Entry("Permute", {"dims": (3, 1, 2)}),
    Entry("RepeatVector", {"n": 3}, ROWS),
    Entry("ZeroPadding2D", {}),
    Entry("ZeroPadding2D", {"padding": (1, 2)}),
    Entry("ZeroPadding2D", {"padding": ((1, 2), (3, 0))}),
    Entry("Cropping2D", {}),
    Entry("Cropping2D", {"cropping": 2}),
    Entry("Cropping2D", {"cropping": (1, 2)}),
    Entry("Cropping2D", {"cropping": ((1, 2), (3, 0))}),
    Entry("UpSampling2D", {}),
    Entry("UpSampling2D", {"size": (3, 1)}),
    Entry("UpSampling2D", {"interpolation": "bilinear"}),
    Entry("UpSampling2D", {"size": (2, 5), "interpolation": "bilinear"}),
    *(
        Entry("Activation", {"activation": name}, ROWS)
        for name in (
            "linear",
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "selu",
            "gelu",
            "silu",
            "swish",
            "mish",
            "celu",
            "sigmoid",
            "hard_sigmoid",
            "hard_silu",
            "hard_swish",
            "tanh",
            "hard_tanh",
            "softplus",
            "softsign",
            "exponential",
            "softmax",
            "log_softmax",
            "log_sigmoid",
        )
    ),
    Entry("ReLU", {}),
    Entry("ReLU", {"max_value": 1.0}),
    Entry("ReLU", {"negative_slope": 0.1, "threshold": 0.3}),
    Entry("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3}),
    Entry("LeakyReLU", {}),
    Entry("LeakyReLU", {"negative_slope": 0.1}),
    Entry("ELU", {}),
    Entry("ELU", {"alpha": 0.5}),
    Entry("Softmax", {}),
    Entry("Softmax", {"axis": 1}),
    Entry("PReLU", {}),
    Entry("PReLU", {"shared_axes": [1, 2], "alpha_initializer": "ones"}),
    Entry("PReLU", {"alpha_regularizer": "l2", "alpha_constraint": "non_neg"}, ROWS),
    Entry("Rescaling", {"scale": 1 / 255}),
    Entry("Rescaling", {"scale": 2.0, "offset": -1.0}),
    Entry("Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0], "offset": [0.5, 0.0, 0.5, 1.0]}),
    Entry("Normalization", {}, adapt=True),
    Entry("Normalization", {"axis": None}, adapt=True),
    Entry("Normalization", {"axis": (1, 3), "invert": True}, adapt=True),
    Entry("Normalization", {"mean": 0.5, "variance": 4.0}),
    Entry("Normalization", {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [1.0, 0.0, 4.0, 9.0]}),
    Entry("Resizing", {"height": 5, "width": 12}),
    Entry("Resizing", {"height": 18, "width": 3}),
    Entry("Resizing", {"height": 5, "width": 12, "interpolation": "nearest"}),
    Entry("Resizing", {"height": 3, "width": 2, "antialias": True}),
    Entry("Resizing", {"height": 5, "width": 3, "crop_to_aspect_ratio": True}),
    Entry("Resizing", {"height": 5, "width": 3, "pad_to_aspect_ratio": True, "fill_value": 2.0}),
    Entry("Resizing", {"height": 3, "width": 5, "pad_to_aspect_ratio": True}),
    Entry("CenterCrop", {"height": 4, "width": 3}),
    Entry("CenterCrop", {"height": 9, "width": 5}),
    Entry("CenterCrop", {"height": 12, "width": 6}),
    Entry("RandomFlip", {}, random=True),
    Entry("RandomFlip", {"mode": "horizontal", "seed": 3}, random=True),
    Entry("RandomCrop", {"height": 9, "width": 8, "seed": 3}),
    Entry("RandomTranslation", {"height_factor": 0.2, "width_factor": 0.3}, random=True),
    *(
        Entry(
            "RandomTranslation",
            {
                "height_factor": (0.3, 0.3),
                "width_factor": (-0.45, -0.45),
                "fill_mode": mode,
                "interpolation": interpolation,
                "fill_value": 0.5,
            },
        )
        for mode in ("reflect", "wrap", "constant", "nearest")
        for interpolation in ("bilinear", "nearest")
    ),
    Entry("RandomRotation", {"factor": 0.2}, random=True),
    *(
        Entry(
            "RandomRotation",
            {"factor": (turn, turn), "fill_mode": mode, "interpolation": interpolation},
        )
        for turn in (0.08, -0.3)
        for mode in ("reflect", "wrap", "constant", "nearest")
        for interpolation in ("bilinear", "nearest")
    ),
    Entry("RandomZoom", {"height_factor": 0.2}, random=True),
    *(
        Entry(
            "RandomZoom",
            {"height_factor": (-0.4, -0.4), "width_factor": (0.7, 0.7), "fill_mode": mode},
        )
        for mode in ("reflect", "wrap", "constant", "nearest")
    ),
    Entry("RandomZoom", {"height_factor": (0.3, 0.3), "interpolation": "nearest"}),
    Entry("RandomContrast", {"factor": (0.2, 0.5)}, random=True),
    Entry("RandomContrast", {"factor": (0.0, 0.0), "value_range": (-0.5, 0.5)}),
    Entry("RandomBrightness", {"factor": 0.2}, random=True),
    Entry("RandomBrightness", {"factor": (0.2, 0.2), "value_range": [-1.0, 1.5]}),
]

# where we differ on purpose: what then differs, and why
EXCEPTIONS = [
    (
        Entry("RandomCrop", {"height": 8, "width": 6, "seed": 3}, random=True),
        ["output in inference", "gradients in inference"],
        "in inference, Keras does not crop, against the shape that it foretells; we cut the middle",
    ),
    (
        Entry("RandomCrop", {"height": 12, "width": 6, "seed": 3}),
        [f"{what} in {mode}" for mode in ("inference", "training") for what in OUTPUTS],
        "Keras distorts images that are too small; we keep their proportions, as CenterCrop does",
    ),
    (
        Entry("RandomContrast", {"factor": 0.5}, random=True),
        [
            "config: factor",
            "Keras makes another layer of our config",
            "we make another layer of Keras' config",
        ],
        "Keras draws factors from 1 to 1.5; we draw from 0.5 to 1.5, as its text says",
    ),
]


class Pair:
    """Our layer and that of Keras for an entry, with equal weights, and an input."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.rng = np.random.default_rng(0)
        self.ours = getattr(layers, entry.name)(**entry.settings)
        self.theirs = getattr(keras.layers, entry.name)(**entry.settings)
        self.x = self.rng.normal(size=entry.shape).astype("float32")
        self.ours.ensure_built(entry.shape)
        if not self.theirs.built:
            self.theirs.build(entry.shape)
        if entry.adapt:
            data = self.rng.normal(3, 2, size=(50, *entry.shape[1:])).astype("float32")
            self.ours.adapt(data)
            self.theirs.adapt(data)
        else:
            self._share_weights()

    def _share_weights(self) -> None:
        weights = []
        for weight in self.ours.weights:
            array = self.rng.normal(size=weight.shape).astype("float32")
            weights.append(np.abs(array) if weight.name == "moving_variance" else array)
        self.ours.set_weights(weights)
        self.theirs.set_weights(weights)

    def run_ours(self, training: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        """The output, and the gradients of input and weights."""
        x = Tensor(self.x, requires_grad=True)
        y = self.ours(x, training=training)
        inputs = [x, *self.ours.trainable_weights]
        dy = np.random.default_rng(1).normal(size=y.shape).astype("float32")
        return y.numpy(), [dx.numpy() for dx in grad(y, inputs, seed=Tensor(dy))]

    def run_theirs(self, training: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        """The same of Keras."""
        x = torch.tensor(self.x, requires_grad=True)
        stand_in = self.entry.stand_in
        y = stand_in(self.theirs, x) if stand_in else self.theirs(x.clone(), training=training)
        inputs = [x, *(weight.value for weight in self.theirs.trainable_weights)]
        dy = torch.tensor(np.random.default_rng(1).normal(size=tuple(y.shape)).astype("float32"))
        gradients = torch.autograd.grad(y, inputs, dy)
        return y.detach().numpy(), [dx.numpy() for dx in gradients]


def numbers_differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether they differ by more than rounding; sums of many numbers round more."""
    scale = max(1.0, float(np.abs(other).max(initial=0)))
    return one.shape != other.shape or not np.allclose(one, other, rtol=1e-5, atol=2e-5 * scale)


def differences(entry: Entry) -> list[str]:
    """What ours does otherwise than Keras; nothing, if they agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and NumPy 2 have a difference about __array__
        pair = Pair(entry)
        found = [*_of_shapes(pair), *_of_numbers(pair, training=False)]
        if not entry.random:
            found += _of_numbers(pair, training=True)
        return found + _of_configs(pair)


def _of_shapes(pair: Pair) -> list[str]:
    found, shape = [], (None, *pair.x.shape[1:])
    if pair.ours.compute_output_shape(shape) != tuple(pair.theirs.compute_output_shape(shape)):
        found.append("compute_output_shape")
    ours = [(weight.name, weight.shape) for weight in pair.ours.weights]
    if ours != [(weight.name, tuple(weight.shape)) for weight in pair.theirs.weights]:
        found.append("weights")
    ours = [weight.name for weight in pair.ours.trainable_weights]
    if ours != [weight.name for weight in pair.theirs.trainable_weights]:
        found.append("trainable weights")
    return found


def _of_numbers(pair: Pair, training: bool) -> list[str]:
    mode, found = "training" if training else "inference", []
    (y, ours), (wanted, theirs) = pair.run_ours(training), pair.run_theirs(training)
    if numbers_differ(y, wanted):
        found.append(f"output in {mode}")
    if any(map(numbers_differ, ours, theirs)):
        found.append(f"gradients in {mode}")
    kept = [weight.numpy() for weight in pair.ours.non_trainable_weights]
    moved = [weight.value.detach().numpy() for weight in pair.theirs.non_trainable_weights]
    moved = moved[: len(kept)]  # random layers of Keras keep the state of their seed behind them
    if any(map(numbers_differ, kept, moved)):
        found.append(f"weights after {mode}")
    return found


def _of_configs(pair: Pair) -> list[str]:
    found, ours = [], pair.ours.get_config()
    # made anew, because a layer of Keras that is built may have changed its settings: -1 to [-1]
    wanted = plain(type(pair.theirs)(**pair.entry.settings).get_config())
    for key, value in plain(ours).items():
        if key != "name" and (key not in wanted or wanted[key] != value):
            found.append(f"config: {key}")
    again = type(pair.theirs).from_config(pair.ours.get_config())
    if plain(again.get_config()) | {"name": None} != wanted | {"name": None}:
        found.append("Keras makes another layer of our config")
    known = {key: value for key, value in wanted.items() if key != "quantization_config"}
    again = type(pair.ours).from_config(known)
    if plain(again.get_config()) | {"name": None} != plain(ours) | {"name": None}:
        found.append("we make another layer of Keras' config")
    return found


def plain(config: Any) -> Any:
    """A configuration without what is only there for Keras: settings that are None, policies."""
    if isinstance(config, float):
        return float(np.float32(config))  # Keras keeps some of its settings as tensors
    if isinstance(config, tuple | list):
        return [plain(entry) for entry in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return config["config"]["name"]
    if config.get("class_name") == "Identity":  # Keras forgets its gain
        return "Identity"
    return {
        key: plain(value)
        for key, value in config.items()
        if not (key in ("input_axes", "output_axes") and value is None)  # new in Keras 3.15
    }


if __name__ == "__main__":
    agreeing = 0
    entries = ENTRIES + [entry for entry, _, _ in EXCEPTIONS]
    for entry in entries:
        found = differences(entry)
        agreeing += not found
        print(f"{'differs' if found else 'agrees':8} {entry}{': ' * bool(found)}{', '.join(found)}")
    names = {entry.name for entry in entries}
    print(f"{agreeing} of {len(entries)} entries agree; they are about {len(names)} layers")
    print("\nWhere we differ on purpose:")
    for entry, _, reason in EXCEPTIONS:
        print(f"  {entry}: {reason}")
