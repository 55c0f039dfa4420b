"""Shapes10: ten classes of small color pictures that the program paints itself.

A picture is painted in four layers, each random: a background, the shape or texture that gives the
class, a bar that hides part of it, and noise. Color, place, size and angle say nothing about the
class, so a linear model, which can only weigh pixels, fails, and a small CNN learns it in seconds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]  # float32; NumPy's types cannot say that 2 * x keeps it
Images = NDArray[np.uint8]

SIDE = 32  # pixels
CHUNK = 500  # pictures painted at a time; each chunk has a random stream of its own
WAVES = 2 * math.pi / 0.75  # the textures repeat every 0.75
TRAIN, TEST = 0, 1  # the two families of streams


# Shapes. Each takes coordinates (u, v), (N, 32, 32), in which the shape has its center at 0 and a
# radius of about 1, and returns the distance to its edge: negative inside, positive outside.


def _disc(u: Floats, v: Floats) -> Floats:
    return np.hypot(u, v) - 0.9


def _ring(u: Floats, v: Floats) -> Floats:
    return np.abs(np.hypot(u, v) - 0.78) - 0.22


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u), np.abs(v)) - 0.82


def _triangle(u: Floats, v: Floats) -> Floats:
    slanted = math.sqrt(3) / 2 * np.abs(u) - v / 2
    return np.maximum(slanted, v) - 0.58


def _star(u: Floats, v: Floats) -> Floats:
    """Five points: the plane is folded onto half of one point, whose edge is a straight line."""
    fifth = 2 * math.pi / 5
    angle = np.arctan2(u, -v)
    angle = np.abs(angle - fifth * np.round(angle / fifth))
    radius = np.hypot(u, v)
    tip, notch = 1.15, 0.5  # how far from the center the edge starts, and where it ends
    rise, run = notch * math.sin(math.pi / 5), tip - notch * math.cos(math.pi / 5)
    along, across = radius * np.cos(angle) - tip, radius * np.sin(angle)
    return (rise * along + run * across) / math.hypot(rise, run)


def _cross(u: Floats, v: Floats) -> Floats:
    longer, shorter = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(longer - 1, shorter - 0.28)


def _crescent(u: Floats, v: Floats) -> Floats:
    bite = 0.85 - np.hypot(u - 0.5, v)
    return np.maximum(np.hypot(u, v) - 1, bite)


# Textures fill a disc of radius 1.2.


def _stripes(u: Floats, v: Floats) -> Floats:
    return _in_disc(u, v, np.sin(WAVES * v) / WAVES)


def _checkerboard(u: Floats, v: Floats) -> Floats:
    return _in_disc(u, v, np.sin(WAVES * u) * np.sin(WAVES * v) / WAVES)


def _dots(u: Floats, v: Floats) -> Floats:
    middle = np.maximum(np.cos(WAVES * u) + np.cos(WAVES * v), 0)  # 2 in the middle of a dot
    return _in_disc(u, v, (0.9 - middle) / WAVES)


def _in_disc(u: Floats, v: Floats, distance: Floats) -> Floats:
    return np.maximum(distance, np.hypot(u, v) - 1.2)


SHAPES = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "crescent": _crescent,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "dots": _dots,
}
CLASS_NAMES = tuple(SHAPES)


def load_data(
    n_train: int = 12_000, n_test: int = 2_000, seed: int = 0
) -> tuple[tuple[Images, Images], tuple[Images, Images]]:
    """Paint the data set: as many pictures as you like, always the same ones for the same seed.

    Picture k depends on the seed and on k alone: a larger `n_train` adds pictures and changes none.
    Training and test pictures come from different random streams. The same machine always paints
    the same bits; another one may round the odd pixel differently.

    Args:
        n_train: number of training pictures.
        n_test: number of test pictures.
        seed: which data set; any integer from 0 on.

    Returns:
        ((x_train, y_train), (x_test, y_test)): pictures uint8 (N, 32, 32, 3) from 0 to 255, and
        classes uint8 (N, 1) from 0 to 9, in the order of `CLASS_NAMES`; the form of
        `cifar10.load_data`.

    Raises:
        TypeError: an argument is not an integer.
        ValueError: an argument is negative.

    >>> (x_train, y_train), (x_test, y_test) = load_data(n_train=20, n_test=10, seed=0)
    >>> x_train.shape, y_train.shape, x_test.shape, x_train.dtype.name
    ((20, 32, 32, 3), (20, 1), (10, 32, 32, 3), 'uint8')
    """
    for name, value in {"n_train": n_train, "n_test": n_test, "seed": seed}.items():
        _check_count(name, value)
    return _paint(n_train, seed, TRAIN), _paint(n_test, seed, TEST)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"shapes10.load_data: {name} must be an integer, but it is {value!r}.")
    if value < 0:
        raise ValueError(f"shapes10.load_data: {name} must not be negative, but it is {value}.")


def _paint(count: int, seed: int, stream: int) -> tuple[Images, Images]:
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = np.empty((count, 1), np.uint8)
    for start in range(0, count, CHUNK):
        random = np.random.default_rng([seed, stream, start])
        here = slice(start, min(start + CHUNK, count))
        kinds = random.permutation(np.arange(CHUNK) % len(SHAPES))  # every class equally often
        labels[here, 0] = kinds[: here.stop - start]
        images[here] = _paint_chunk(kinds, random)[: here.stop - start]
    return images, labels


def _paint_chunk(kinds: NDArray[np.int64], random: np.random.Generator) -> Images:
    ground, ink, hidden = _three_colors(random)
    picture = _background(ground, random)
    picture += _shape_coverage(kinds, random)[..., None] * (ink - picture)
    picture += _bar_coverage(random)[..., None] * (hidden - picture)
    picture += _noise(random)
    return (255 * picture.clip(0, 1) + 0.5).astype(np.uint8)


def _uniform(random: np.random.Generator, low: float, high: float, *shape: int) -> Floats:
    """Random numbers from low to high; without a shape one for each picture, (N, 1, 1)."""
    numbers = random.random(shape or (CHUNK, 1, 1), dtype=np.float32)
    return low + (high - low) * numbers


def _three_colors(random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Colors (N, 1, 1, 3) of background, shape and bar; the first two are far apart."""
    ground, hidden = _colors(random), _colors(random)
    candidates = np.stack([_colors(random) for _ in range(16)])  # (16, N, 1, 1, 3)
    distance = np.square(candidates - ground).sum(-1, keepdims=True)
    farthest = distance.argmax(0, keepdims=True)
    ink = np.take_along_axis(candidates, farthest, axis=0)[0]
    return ground, ink, hidden


def _colors(random: np.random.Generator) -> Floats:
    """One color for each picture, (N, 1, 1, 3), by hue, saturation and brightness."""
    hue = _uniform(random, 0, 1, CHUNK, 1, 1, 1) + np.arange(3, dtype=np.float32) / 3
    saturation = _uniform(random, 0.2, 0.9, CHUNK, 1, 1, 1)
    brightness = _uniform(random, 0.2, 1, CHUNK, 1, 1, 1)
    fading = (1 - np.cos(2 * math.pi * hue)) / 2  # 0 where the hue is full
    return brightness * (1 - saturation * fading)


def _background(ground: Floats, random: np.random.Generator) -> Floats:
    """Clouds (N, 32, 32, 3) around one color: a coarse random grid, smoothly blown up."""
    cells = 4
    grid = _uniform(random, -0.1, 0.1, CHUNK, cells, cells * 3)
    place = np.linspace(0, cells - 1, SIDE, dtype=np.float32)[:, None]
    weights = np.maximum(0, 1 - np.abs(place - np.arange(cells, dtype=np.float32)))  # (32, cells)
    rows = (weights @ grid).reshape(CHUNK, SIDE, cells, 3)
    clouds: Floats = weights @ rows
    return ground + clouds


def _coordinates(random: np.random.Generator, shift: float, turn: float) -> tuple[Floats, Floats]:
    """Pixel coordinates (N, 32, 32), seen from a random place at an angle of at most `turn`."""
    pixels = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    x = pixels - _uniform(random, -shift, shift)
    y = pixels[:, None] - _uniform(random, -shift, shift)
    angle = _uniform(random, -turn, turn)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _coverage(distance: Floats) -> Floats:
    """How much of each pixel lies inside, by the distance of its middle to the edge."""
    return (0.5 - distance).clip(0, 1)


def _shape_coverage(kinds: NDArray[np.int64], random: np.random.Generator) -> Floats:
    radius = _uniform(random, 10, 13.5)
    u, v = _coordinates(random, shift=2.5, turn=0.45)
    u, v = u / radius, v / radius
    distance = np.empty_like(u)
    for kind, shape in enumerate(SHAPES.values()):
        mine = kinds == kind
        distance[mine] = shape(u[mine], v[mine])
    return _coverage(distance * radius)


def _bar_coverage(random: np.random.Generator) -> Floats:
    """A bar somewhere, that hides part of the shape."""
    u, v = _coordinates(random, shift=14, turn=math.pi)
    length, width = _uniform(random, 3, 6), _uniform(random, 0.7, 1.3)
    return _coverage(np.maximum(np.abs(u) - length, np.abs(v) - width))


def _noise(random: np.random.Generator) -> Floats:
    strength = _uniform(random, 0.01, 0.04, CHUNK, 1, 1, 1)
    return strength * random.standard_normal((CHUNK, SIDE, SIDE, 3), dtype=np.float32)
