"""The formulas of the losses, written out in NumPy: one number per row."""

import numpy as np

TINY = 1e-7


def signs(y):
    return 2 * y - 1 if set(np.unique(y)) <= {0, 1} else y


def unit(x, axis):
    return x / np.maximum(np.sqrt((x * x).sum(axis=axis, keepdims=True)), TINY)


def softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def squared_logs(y, p):
    return (np.log(1 + np.maximum(p, TINY)) - np.log(1 + np.maximum(y, TINY))) ** 2


def huber(y, p, delta=1.0):
    d = np.abs(p - y)
    return np.where(d <= delta, d * d / 2, delta * d - delta * delta / 2).mean(axis=-1)


def kl_divergence(y, p):
    y, p = np.clip(y, TINY, 1), np.clip(p, TINY, 1)
    return (y * np.log(y / p)).sum(axis=-1)


def categorical_hinge(y, p):
    return np.maximum(0, 1 + ((1 - y) * p).max(axis=-1) - (y * p).sum(axis=-1))


def binary(y, p, from_logits=False, label_smoothing=0.0, axis=-1):
    p = np.clip(sigmoid(p) if from_logits else p, TINY, 1 - TINY)
    y = y + label_smoothing * (0.5 - y)
    return -np.where(y > 0, y * np.log(p), 0).mean(axis) - ((1 - y) * np.log(1 - p)).mean(axis)


def categorical(y, p, from_logits=False, label_smoothing=0.0, axis=-1, alpha=1.0, gamma=0.0):
    p = softmax(p, axis) if from_logits else p / p.sum(axis=axis, keepdims=True)
    p = np.clip(p, TINY, 1 - TINY)
    y = y + label_smoothing * (1 / y.shape[axis] - y)
    return -(alpha * (1 - p) ** gamma * y * np.log(p)).sum(axis=axis)


def sparse(y, p, from_logits=False, ignore_class=None, axis=-1):
    p = np.moveaxis(p, axis, -1)
    hot = np.where(y == ignore_class, 0, 1)[..., None] * (y[..., None] == np.arange(p.shape[-1]))
    return categorical(hot, p, from_logits)


def categorical_focal(y, p, alpha=0.25, gamma=2.0, **others):
    return categorical(y, p, alpha=alpha, gamma=gamma, **others)


def binary_focal(
    y,
    p,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    p = sigmoid(p) if from_logits else p
    y = y + label_smoothing * (0.5 - y)
    inside = np.clip(p, TINY, 1 - TINY)
    surprise = -y * np.log(inside) - (1 - y) * np.log(1 - inside)
    missed = 1 - y * p - (1 - y) * (1 - p)
    balance = y * alpha + (1 - y) * (1 - alpha) if apply_class_balancing else 1
    return (balance * missed**gamma * surprise).mean(axis=axis)


FORMULAS = {
    "MeanSquaredError": lambda y, p: ((p - y) ** 2).mean(axis=-1),
    "MeanAbsoluteError": lambda y, p: np.abs(p - y).mean(axis=-1),
    "MeanAbsolutePercentageError": lambda y, p: (
        100 * (np.abs(p - y) / np.maximum(np.abs(y), TINY)).mean(axis=-1)
    ),
    "MeanSquaredLogarithmicError": lambda y, p: squared_logs(y, p).mean(axis=-1),
    "Huber": huber,
    "LogCosh": lambda y, p: (np.logaddexp(p - y, y - p) - np.log(2)).mean(axis=-1),
    "CosineSimilarity": lambda y, p, axis=-1: -(unit(y, axis) * unit(p, axis)).sum(axis=axis),
    "KLDivergence": kl_divergence,
    "Poisson": lambda y, p: (p - y * np.log(p + TINY)).mean(axis=-1),
    "Hinge": lambda y, p: np.maximum(0, 1 - signs(y) * p).mean(axis=-1),
    "SquaredHinge": lambda y, p: (np.maximum(0, 1 - signs(y) * p) ** 2).mean(axis=-1),
    "CategoricalHinge": categorical_hinge,
    "BinaryCrossentropy": binary,
    "CategoricalCrossentropy": categorical,
    "SparseCategoricalCrossentropy": sparse,
    "CategoricalFocalCrossentropy": categorical_focal,
    "BinaryFocalCrossentropy": binary_focal,
}
