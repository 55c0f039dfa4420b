"""Initializers: the first numbers of a weight. Formulas, defaults and names are Keras'.

A layer whose weights are too large blows its input up, one whose weights are too small lets it
vanish, and a deep network does so once per layer. So most initializers look at how many numbers
meet in an output (fan_in) and to how many outputs an input goes (fan_out).

An initializer is called with a shape and returns an array. The same object gives the same numbers
at every call; a name, as "he_normal", stands for a new object each time it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.arguments import by_name, number, resolve, saved_form
from minicnn.backend import Array, floatx
from minicnn.random import new_generator, new_seed
from minicnn.suggest import lookup

STD_WITHIN_TWO = 0.87962566103423978  # of a standard normal that is cut off at -2 and 2


class Initializer:
    """Makes the first numbers of a weight. A subclass writes `values`."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        return np.asarray(self.values(tuple(shape)), dtype or floatx())

    def values(self, shape: tuple[int, ...]) -> Array:
        """The numbers, as float64."""
        raise NotImplementedError(f"{type(self).__name__} defines no values.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an initializer like this one."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """Make an initializer from what get_config() has returned."""
        return cls(**config)


class Zeros(Initializer):
    """All numbers are 0: for biases. A layer whose kernel is 0 would have nothing to learn from.

    >>> Zeros()((3,))
    array([0., 0., 0.], dtype=float32)
    """

    def values(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    """All numbers are 1.

    >>> Ones()((3,))
    array([1., 1., 1.], dtype=float32)
    """

    def values(self, shape: tuple[int, ...]) -> Array:
        return np.ones(shape)


class Constant(Initializer):
    """All numbers are the same, or those of an array.

    Args:
        value: a number, or an array that can be broadcast to the shape.

    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def values(self, shape: tuple[int, ...]) -> Array:
        try:
            return np.array(np.broadcast_to(np.asarray(self.value, np.float64), shape))
        except ValueError:
            raise ValueError(
                f"Constant: has values of shape {np.shape(self.value)}, but the weight has shape "
                f"{shape}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        return {"value": np.asarray(self.value).tolist()}


class Identity(Initializer):
    """The identity matrix: a dense layer that begins by passing its input on.

    Args:
        gain: the numbers on the diagonal.

    >>> Identity()((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("Identity: gain", gain, low=-math.inf)

    def values(self, shape: tuple[int, ...]) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity: makes matrices only, but the weight has shape {shape}.")
        return self.gain * np.eye(*shape)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """Draws numbers at random. A subclass writes `drawn`.

    Args:
        seed: decides the numbers; by default minicnn.random draws one when the object is made.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise TypeError(f"{type(self).__name__}: seed must be an integer, but is {seed!r}.")
        if seed is not None and seed < 0:
            raise ValueError(f"{type(self).__name__}: seed must be at least 0, but is {seed}.")
        self._given_seed = seed
        self.seed = new_seed() if seed is None else int(seed)

    def values(self, shape: tuple[int, ...]) -> Array:
        return self.drawn(shape, new_generator(self.seed))

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The numbers, as float64, from `generator`."""
        raise NotImplementedError(f"{type(self).__name__} defines no drawn.")

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._given_seed}


class RandomNormal(RandomInitializer):
    """Normally distributed numbers.

    Args:
        mean: their mean.
        stddev: their standard deviation.
        seed: decides the numbers.

    >>> RandomNormal(seed=1)((2,)).dtype
    dtype('float32')
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = number(f"{type(self).__name__}: mean", mean, low=-math.inf)
        self.stddev = number(f"{type(self).__name__}: stddev", stddev)

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return self.mean + self.stddev * generator.standard_normal(shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Normally distributed numbers; those beyond two standard deviations are drawn again.

    What remains has a standard deviation of 0.88 * stddev.

    Args:
        mean: their mean.
        stddev: the standard deviation before the tails are cut off.
        seed: decides the numbers.

    >>> bool(abs(TruncatedNormal(stddev=1.0, seed=1)((1000,))).max() <= 2)
    True
    """

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return self.mean + self.stddev * _within_two(shape, generator)


class RandomUniform(RandomInitializer):
    """Evenly distributed numbers.

    Args:
        minval: the smallest possible number.
        maxval: the bound above them.
        seed: decides the numbers.

    Raises:
        ValueError: minval is above maxval.

    >>> RandomUniform(2.0, 2.0)((2,))
    array([2., 2.], dtype=float32)
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = number("RandomUniform: minval", minval, low=-math.inf)
        self.maxval = number("RandomUniform: maxval", maxval, low=-math.inf)
        if minval > maxval:
            raise ValueError(
                f"RandomUniform: minval must not be above maxval, but they are {minval} and "
                f"{maxval}."
            )

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return generator.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"minval": self.minval, "maxval": self.maxval}


class VarianceScaling(RandomInitializer):
    """Random numbers whose variance is scale / n, where n is counted from the shape.

    An output adds up fan_in products. If each weight has the variance 1 / fan_in, the output varies
    as much as the input. Backward the same holds with fan_out, so "fan_avg" stands between the two.
    A relu halves the variance, and scale = 2 makes up for it.

    Args:
        scale: the variance times n.
        mode: n is "fan_in", "fan_out", or "fan_avg", their mean. A shape (..., a, b) has
            fan_in = a times all before, and fan_out = b times all before a.
        distribution: "truncated_normal" (or "normal"), cut off at two standard deviations;
            "untruncated_normal"; or "uniform", between +-sqrt(3 * scale / n).
        seed: decides the numbers.

    Raises:
        ValueError: mode or distribution is none of these, or scale is negative.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks"; He et al. 2015, arXiv:1502.01852; LeCun et al. 1998, "Efficient backprop".

    >>> VarianceScaling(scale=2.0, seed=1)((3, 3, 16, 32)).std().round(2)  # sqrt(2 / 144)
    np.float32(0.12)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = number(f"{type(self).__name__}: scale", scale)
        self.mode, self.distribution = mode, distribution
        self._count = lookup("mode", mode, FANS)
        self._draw = lookup("distribution", distribution, DISTRIBUTIONS)

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        n = max(1.0, self._count(*fans(shape)))
        return math.sqrt(self.scale / n) * self._draw(shape, generator)

    def get_config(self) -> dict[str, Any]:
        own = {"scale": self.scale, "mode": self.mode, "distribution": self.distribution}
        return super().get_config() | own


class _Named(VarianceScaling):
    """A VarianceScaling with settings of its own."""

    settings: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.settings, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._given_seed}


class GlorotUniform(_Named):
    """U(-a, a) with a = sqrt(6 / (fan_in + fan_out)); Keras' default.

    >>> bool(abs(GlorotUniform(seed=1)((2, 4))).max() <= 1)
    True
    """

    settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal with the standard deviation sqrt(2 / (fan_in + fan_out))."""

    settings = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """U(-a, a) with a = sqrt(6 / fan_in): for layers with a relu."""

    settings = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal with the standard deviation sqrt(2 / fan_in): for layers with a relu."""

    settings = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """U(-a, a) with a = sqrt(3 / fan_in): for layers with a selu."""

    settings = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal with the standard deviation sqrt(1 / fan_in): for layers with a selu."""

    settings = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random matrix that keeps lengths: its columns (or rows) are perpendicular and of length 1.

    The QR decomposition of a random matrix gives it. Its R has signs by convention; they are moved
    into Q, so that every orthogonal matrix is equally likely.

    Args:
        gain: a factor for all numbers.
        seed: decides the numbers.

    Raises:
        ValueError: the weight has fewer than two axes; (..., b) is taken for a matrix of b columns.

    Source: Saxe, McClelland and Ganguli 2014, arXiv:1312.6120.

    >>> q = Orthogonal(seed=1)((4, 2))
    >>> bool(np.allclose(q.T @ q, np.eye(2), atol=1e-6))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = number("Orthogonal: gain", gain, low=-math.inf)

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal: wants a weight of two axes or more, but it has shape {shape}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q.T if rows < columns else q).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"gain": self.gain}


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Count how many inputs meet in an output, and how many outputs an input goes to.

    >>> fans((3, 3, 16, 32)), fans((100, 10)), fans((7,))
    ((144, 288), (100, 10), (7, 7))
    """
    if len(shape) < 2:
        n = math.prod(shape)
        return n, n
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _within_two(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Standard normal numbers, with those beyond +-2 drawn again."""
    x = np.asarray(generator.standard_normal(shape))
    outside = np.abs(x) > 2
    while outside.any():
        x[outside] = generator.standard_normal(np.count_nonzero(outside))
        outside = np.abs(x) > 2
    return x


FANS: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}

DISTRIBUTIONS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Array]] = {
    "truncated_normal": lambda shape, generator: _within_two(shape, generator) / STD_WITHIN_TWO,
    "normal": lambda shape, generator: _within_two(shape, generator) / STD_WITHIN_TWO,
    "untruncated_normal": lambda shape, generator: generator.standard_normal(shape),
    "uniform": lambda shape, generator: generator.uniform(-math.sqrt(3), math.sqrt(3), shape),
}  # each of variance 1

# Keras has the classes in small letters, too
zeros, ones, constant, identity, orthogonal = Zeros, Ones, Constant, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
glorot_normal, glorot_uniform, variance_scaling = GlorotNormal, GlorotUniform, VarianceScaling
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform

INITIALIZERS: dict[str, type[Initializer]] = {
    **by_name(Zeros, Ones, Constant, Identity),
    **by_name(RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, Orthogonal),
    **by_name(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal),
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
}


def get(identifier: Any) -> Callable[..., Array]:
    """Return the initializer that `identifier` stands for.

    Args:
        identifier: a name, in snake case or as a class; an initializer; an array, for just these
            numbers; a function of a shape and a dtype; or a saved configuration.

    Raises:
        ValueError: no initializer has this name.
        TypeError: identifier is none of these.

    >>> get("zeros")((2,))
    array([0., 0.], dtype=float32)
    >>> get("he_norml")
    Traceback (most recent call last):
    ValueError: [MC050] unknown initializer 'he_norml'. Did you mean 'he_normal'? Known are: Cons...
    """
    if isinstance(identifier, np.ndarray):
        return Constant(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    return resolve("initializer", Initializer, INITIALIZERS, identifier)


def serialize(initializer: Callable[..., Array]) -> Any:
    """Describe an initializer as it stands in files; a plain function by its name."""
    if isinstance(initializer, Initializer):
        return saved_form("initializers", initializer)
    return initializer.__name__
