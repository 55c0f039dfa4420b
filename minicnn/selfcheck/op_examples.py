"""An example for every op: a function of tensors, and float64 arrays to call it with.

The arrays keep off the kinks, where there is no derivative to compare with: no zeros for relu, no
equals for max. A new op needs one line here; the tests of minicnn fail as long as it has none.
"""

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd import Tensor, grad
from minicnn.backend import Array

LABELS = np.array([2, 0, 3])

_rng = np.random.default_rng(0)


def _normal(*shape: int) -> Array:
    return _rng.normal(size=shape)


def _positive(*shape: int) -> Array:
    return 0.5 + _rng.random(shape)


def _off_zero(*shape: int) -> Array:
    return _positive(*shape) * _rng.choice([-1.0, 1.0], shape)


def _distinct(*shape: int) -> Array:
    return _rng.permutation(np.prod(shape)).reshape(shape) / 10 + 0.05


def _probabilities(*shape: int) -> Array:
    p = _positive(*shape)
    return p / p.sum(axis=-1, keepdims=True)


def _steepness_of_max_pool2d(x: Tensor) -> Tensor:
    """A function of the gradient: only such a one differentiates the gradient's gradient."""
    (dx,) = grad(ops.sum(ops.max_pool2d(x) ** 3), [x], create_graph=True)
    return ops.square(dx)


def _add_and_relu(x: Tensor, y: Tensor) -> Tensor:
    return ops.add(x, y, activation="relu")


def _used_twice(y: Tensor) -> Tensor:
    """Two gradients come back to y."""
    return y * 2.0 + ops.square(y)


def _end_of_block(
    x: Tensor, gamma: Tensor, beta: Tensor, shortcut: Tensor, activation: str | None = None
) -> Tensor:
    y, _, _ = ops.batch_norm(x, gamma, beta, 0.1, activation, shortcut)
    return y


def _batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, activation: str | None = None) -> Tensor:
    y, _, _ = ops.batch_norm(x, gamma, beta, epsilon=0.1, activation=activation)
    return y


def _little_cnn(x: Tensor, weight: Tensor, bias: Tensor, dense: Tensor) -> Tensor:
    y = ops.max_pool2d(ops.conv2d(x, weight, bias, padding="same", activation="relu"))
    return ops.softmax_cross_entropy(ops.reshape(y, (3, -1)) @ dense, LABELS)


_a, _b = _distinct(2, 12).reshape(2, 2, 6)  # two arrays that are equal nowhere
MASK = _rng.random((2, 3)) < 0.5
SOFT_LABELS = _probabilities(3, 4)
TRANSFORMS = _normal(2, 6)
WEIGHTS = _positive(3, 4)  # rows that do not add up to 1

OP_EXAMPLES: dict[str, tuple[Any, ...]] = {
    # arithmetic
    "add": (ops.add, _normal(2, 3), _normal(3)),
    "add, a number": (lambda x: 2 + x, _normal(4)),
    "add, both stretched": (ops.add, _normal(2, 1, 3), _normal(4, 1)),
    "add, relu": (_add_and_relu, _off_zero(2, 3), 0.3 * _positive(3)),
    "add, relu, used twice": (
        lambda x, y: _used_twice(_add_and_relu(x, y)),
        _off_zero(2, 3),
        0.3 * _positive(3),
    ),
    "subtract": (ops.subtract, _normal(2, 3), _normal(2, 1)),
    "subtract, from a number": (lambda x: 1 - x, _normal(4)),
    "multiply": (ops.multiply, _normal(2, 3), _normal(2, 1)),
    "multiply, by itself": (lambda x: x * x * x, _normal(4)),
    "divide": (ops.divide, _normal(2, 3), _off_zero(3)),
    "divide, a number": (lambda x: 1 / x, _off_zero(4)),
    "negative": (ops.negative, _normal(4)),
    "power": (lambda x: x**3, _normal(4)),
    "power, a root": (lambda x: x**0.5, _positive(4)),
    "power, negative": (lambda x: x**-2, _off_zero(4)),
    "power, of tensors": (ops.power, _positive(2, 3), _normal(3)),
    "power, of a number": (lambda x: 2**x, _normal(4)),
    "exp": (ops.exp, _normal(4)),
    "log": (ops.log, _positive(4)),
    "sqrt": (ops.sqrt, _positive(4)),
    "square": (ops.square, _normal(4)),
    "abs": (ops.abs, _off_zero(4)),
    # selection
    "maximum": (ops.maximum, _a, _b),
    "maximum, a number": (lambda x: ops.maximum(x, 0), _off_zero(5)),
    "minimum": (ops.minimum, _a, _b),
    "clip": (lambda x: ops.clip(x, -1, 0.8), np.array([-2.0, -0.5, 0.5, 2.0])),
    "where": (lambda x, y: ops.where(MASK, x, y), _normal(2, 3), _normal(3)),
    "where, a number": (lambda x: ops.where(MASK, x, 1.0), _normal(2, 3)),
    # activations
    "sigmoid": (ops.sigmoid, _normal(5)),
    "tanh": (ops.tanh, _normal(5)),
    "relu": (ops.relu, _off_zero(4, 5)),
    "relu, used twice": (lambda x: _used_twice(ops.relu(x)), _off_zero(4, 5)),
    "leaky_relu": (ops.leaky_relu, _off_zero(4, 5)),
    "elu": (lambda x: ops.elu(x, alpha=0.7), _off_zero(4, 5)),
    "gelu": (ops.gelu, _normal(5)),
    "gelu, approximate": (lambda x: ops.gelu(x, approximate=True), _normal(5)),
    "silu": (ops.silu, _normal(5)),
    "softplus": (ops.softplus, _normal(5)),
    # shape
    "reshape": (lambda x: ops.reshape(x, (3, -1)), _normal(2, 3)),
    "transpose": (lambda x: ops.transpose(x, (2, 0, 1)), _normal(2, 3, 4)),
    "flip": (lambda x: ops.flip(x, (0, 2)), _normal(2, 3, 4)),
    "cast": (
        lambda x: ops.cast(ops.square(ops.cast(x, np.longdouble)), x.dtype),
        _normal(4),
    ),
    "concatenate": (
        lambda x, y, z: ops.concatenate([x, y, z], axis=1),
        _normal(2, 1, 3),
        _normal(2, 2, 3),
        _normal(2, 1, 3),
    ),
    "stack": (lambda x, y: ops.stack([x, y], axis=-1), _normal(2, 3), _normal(2, 3)),
    "pad": (lambda x: ops.pad(x, ((1, 0), (2, 3))), _normal(2, 3)),
    "pad, with ones": (lambda x: ops.pad(x, (0, 2), value=1.0), _normal(2, 3)),
    # indexing
    "getitem": (lambda x: x[1], _normal(3, 4)),
    "getitem, slices": (lambda x: x[::-1, 1:3, None], _normal(3, 4)),
    "getitem, dots": (lambda x: x[..., -1], _normal(2, 3, 4)),
    "getitem, integers": (lambda x: x[[2, 0, 2, 2]], _normal(3, 4)),
    "getitem, pairs": (lambda x: x[np.arange(3), LABELS], _normal(3, 4)),
    "getitem, truth values": (lambda x: x[MASK], _normal(2, 3)),
    "getitem, mixed": (lambda x: x[:, [1, 1, 0], 1:], _normal(2, 3, 4)),
    # pixels
    "gather_pixels": (
        lambda x: ops.gather_pixels(x, [[2, 0], [1, 1]], [[0, -1, 3, 3], [2, 1, 0, -1]], 0.5),
        _normal(2, 3, 4, 2),
    ),
    "resize": (lambda x: ops.resize(x, (5, 3)), _normal(2, 3, 4, 2)),
    "resize, nearest": (lambda x: ops.resize(x, (3, 6), "nearest"), _normal(2, 3, 4, 2)),
    "resize, antialias": (lambda x: ops.resize(x, (2, 3), antialias=True), _normal(1, 7, 5, 2)),
    "warp": (lambda x: ops.warp(x, TRANSFORMS, fill_value=0.5), _normal(2, 3, 4, 2)),
    "warp, nearest": (
        lambda x: ops.warp(x, TRANSFORMS, "nearest", fill_mode="reflect"),
        _normal(2, 3, 4, 2),
    ),
    # reductions
    "sum": (ops.sum, _normal(2, 3)),
    "sum, of axes": (lambda x: ops.sum(x, axis=(0, -1)), _normal(2, 3, 4)),
    "mean": (lambda x: ops.mean(x, axis=1, keepdims=True), _normal(2, 3)),
    "variance": (lambda x: ops.variance(x, axis=(0, 2)), _normal(2, 3, 4)),
    "max": (ops.max, _distinct(3, 4)),
    "max, of axes": (lambda x: ops.max(x, axis=(2, 0)), _distinct(2, 3, 4)),
    "min": (lambda x: ops.min(x, axis=0, keepdims=True), _distinct(3, 4)),
    "logsumexp": (ops.logsumexp, _normal(3, 4)),
    "logsumexp, of an axis": (lambda x: ops.logsumexp(x, axis=1, keepdims=True), _normal(3, 4)),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (4, 2, 3)), _normal(2, 1)),
    # matrices
    "linear": (ops.linear, _normal(2, 3), _normal(3, 4), _normal(4)),
    "linear, relu": (
        lambda x, weight: ops.linear(x, weight, activation="relu"),
        _normal(2, 3),
        _normal(3, 4),
    ),
    "matmul": (ops.matmul, _normal(2, 3), _normal(3, 4)),
    "matmul, vectors": (ops.matmul, _normal(3), _normal(3)),
    "matmul, a row": (ops.matmul, _normal(3), _normal(2, 3, 4)),
    "matmul, a column": (ops.matmul, _normal(2, 4, 3), _normal(3)),
    "matmul, of batches": (ops.matmul, _normal(2, 3, 4), _normal(2, 4, 2)),
    "matmul, of stretched batches": (ops.matmul, _normal(2, 1, 3, 4), _normal(5, 4, 2)),
    "matmul, a batch and one": (ops.matmul, _normal(2, 3, 4), _normal(4, 2)),
    "matmul, one and a batch": (ops.matmul, _normal(3, 4), _normal(2, 4, 2)),
    # classifiers
    "softmax": (ops.softmax, _normal(3, 4)),
    "softmax, of an axis": (lambda x: ops.softmax(x, axis=1), _normal(2, 3, 2)),
    "log_softmax": (ops.log_softmax, _normal(3, 4)),
    "log_softmax, of an axis": (lambda x: ops.log_softmax(x, axis=0), _normal(3, 4)),
    "softmax_cross_entropy": (lambda x: ops.softmax_cross_entropy(x, LABELS), _normal(3, 4)),
    "softmax_cross_entropy, probabilities": (
        lambda x: ops.softmax_cross_entropy(x, SOFT_LABELS),
        _normal(3, 4),
    ),
    "softmax_cross_entropy, smoothed": (
        lambda x: ops.softmax_cross_entropy(x, LABELS, label_smoothing=0.1),
        _normal(3, 4),
    ),
    "softmax_cross_entropy, weights": (
        lambda x: ops.softmax_cross_entropy(x, WEIGHTS),
        _normal(3, 4),
    ),
    "dropout": (lambda x: ops.dropout(x, 0.4, seed=3), _normal(4, 5)),
    "dropout, of channels": (
        lambda x: ops.dropout(x, 0.4, seed=1, noise_shape=(2, 1, 1, 5)),
        _normal(2, 3, 2, 5),
    ),
    # images
    "conv2d": (
        lambda x, weight, bias: ops.conv2d(x, weight, bias),
        _normal(2, 5, 4, 3),
        _normal(3, 2, 3, 2),
        _normal(2),
    ),
    "conv2d, same": (
        lambda x, weight: ops.conv2d(x, weight, padding="same"),
        _normal(2, 5, 4, 3),
        _normal(4, 3, 3, 2),
    ),
    "conv2d, strides": (
        lambda x, weight: ops.conv2d(x, weight, strides=(2, 3), padding="same"),
        _normal(2, 5, 7, 2),
        _normal(3, 3, 2, 3),
    ),
    "conv2d, dilation": (
        lambda x, weight: ops.conv2d(x, weight, dilation=(2, 1)),
        _normal(2, 7, 4, 2),
        _normal(3, 2, 2, 3),
    ),
    "conv2d, groups": (
        lambda x, weight, bias: ops.conv2d(x, weight, bias, groups=2, padding="same"),
        _normal(2, 4, 3, 4),
        _normal(3, 3, 2, 6),
        _normal(6),
    ),
    "conv2d, relu": (
        lambda x, weight, bias: ops.conv2d(x, weight, bias, activation="relu"),
        _normal(2, 4, 4, 2),
        _normal(3, 3, 2, 3),
        _normal(3),
    ),
    "conv2d_transpose": (
        lambda x, weight, bias: ops.conv2d_transpose(x, weight, bias, activation="relu"),
        _normal(2, 3, 2, 2),
        _normal(3, 2, 3, 2),
        _normal(3),
    ),
    "conv2d_transpose, same": (
        lambda x, weight: ops.conv2d_transpose(x, weight, strides=(2, 3), padding="same"),
        _normal(2, 3, 2, 2),
        _normal(3, 2, 2, 2),
    ),
    "conv2d_transpose, output_padding": (
        lambda x, weight: ops.conv2d_transpose(
            x, weight, strides=2, output_padding=1, activation="relu"
        ),
        _normal(1, 3, 2, 2),
        _normal(3, 2, 2, 2),
    ),
    "max_pool2d": (ops.max_pool2d, _distinct(2, 4, 5, 3)),
    "max_pool2d, overlapping": (
        lambda x: ops.max_pool2d(x, 3, strides=2, padding="same"),
        _distinct(2, 5, 6, 2),
    ),
    "max_pool2d, steepness": (_steepness_of_max_pool2d, _distinct(1, 4, 4, 2)),
    "conv_pool": (ops.conv_pool, _normal(2, 6, 7, 3), _normal(3, 2, 3, 4), _normal(4)),
    "conv_pool, overlapping": (
        lambda x, weight: ops.conv_pool(
            x, weight, padding="same", pool_size=3, pool_strides=2, pool_padding="same"
        ),
        _normal(2, 5, 4, 2),
        _normal(3, 3, 2, 3),
    ),
    "batch_norm": (_batch_norm, _normal(3, 2, 2, 5), _normal(5), _normal(5)),
    "batch_norm, of rows": (_batch_norm, _normal(4, 3), _normal(3), _normal(3)),
    "batch_norm, relu": (
        lambda x, gamma, beta: _batch_norm(x, gamma, beta, activation="relu"),
        _normal(3, 2, 2, 5),
        _off_zero(5),
        _normal(5),
    ),
    "layer_norm": (
        lambda x, gamma, beta: ops.layer_norm(x, gamma, beta, epsilon=0.1),
        _normal(3, 5),
        _normal(5),
        _normal(5),
    ),
    "layer_norm, of axes": (
        lambda x, gamma, beta: ops.layer_norm(x, gamma, beta, axis=(3, 1), epsilon=0.1),
        _normal(2, 3, 2, 2),
        _normal(2, 3),
        _normal(2, 3),
    ),
    "group_norm": (
        lambda x, gamma, beta: ops.group_norm(x, gamma, beta, groups=2, epsilon=0.1),
        _normal(2, 2, 2, 4),
        _normal(4),
        _normal(4),
    ),
    "batch_norm, shortcut": (_end_of_block, _normal(3, 2, 5), *[_normal(5)] * 2, _normal(3, 2, 5)),
    "batch_norm, shortcut, relu": (
        lambda x, gamma, beta, shortcut: _end_of_block(x, gamma, beta, shortcut, "relu"),
        _normal(3, 2, 2, 5),
        _normal(5),
        _normal(5),
        _normal(3, 2, 2, 5),
    ),
    "batch_norm, shortcut, relu, used twice": (
        lambda x, gamma, beta, shortcut: _used_twice(
            _end_of_block(x, gamma, beta, shortcut, "relu")
        ),
        _normal(3, 2, 2, 5),
        _normal(5),
        _normal(5),
        _normal(3, 2, 2, 5),
    ),
    "normalize": (
        ops.normalize,
        _normal(2, 3, 5),
        _normal(5),
        _positive(5),
        _normal(5),
        _normal(5),
    ),
    "normalize, relu": (
        lambda x, mean, spread, gamma, beta: ops.normalize(
            x, mean, spread, gamma, beta, activation="relu"
        ),
        _normal(2, 3, 5),
        _normal(5),
        _positive(5),
        _normal(5),
        _normal(5),
    ),
    "normalize, shortcut, relu": (
        lambda x, mean, spread, gamma, beta, shortcut: ops.normalize(
            x, mean, spread, gamma, beta, activation="relu", shortcut=shortcut
        ),
        _normal(2, 3, 5),
        _normal(5),
        _positive(5),
        _normal(5),
        _normal(5),
        _normal(2, 3, 5),
    ),
    "average_pool2d": (lambda x: ops.average_pool2d(x), _normal(2, 4, 5, 3)),
    "average_pool2d, overlapping": (
        lambda x: ops.average_pool2d(x, 3, strides=2, padding="same"),
        _normal(2, 5, 6, 2),
    ),
    "little_cnn": (
        _little_cnn,
        _normal(3, 4, 4, 2),
        _normal(3, 3, 2, 2),
        _normal(2),
        _normal(8, 4),
    ),
}
