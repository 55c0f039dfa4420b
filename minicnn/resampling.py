"""How images get another size: how much each old row counts in each new one.

    y[i] = sum over h of  shares[i,h] * x[h]

Row i of the I new ones has its middle at  m = (i + 1/2) * H/I - 1/2,  counted in old rows. Most
methods weigh an old row by its distance from there, and divide by the sum of the weights:

    shares[i,h] = weight((h - m) / s) / sum over all h of the same

with s = 1; or with s = H / I where images shrink and every row is to count (antialias). "nearest"
takes the row that m + 1/2 lies in, "area" each row as far as it lies in the new one.

Source: the formulas are those of tf.image.resize; Keys 1981 (bicubic, a = -1/2), Mitchell and
Netravali 1988 (mitchellcubic, B = C = 1/3).
"""

from collections.abc import Callable

import numpy as np

from minicnn.backend import Array


def _bilinear(t: Array) -> Array:
    return np.maximum(0, 1 - np.abs(t))


def _bicubic(t: Array) -> Array:
    t = np.abs(t)
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def _mitchell(t: Array) -> Array:
    t = np.abs(t)
    near, far = (7 * t - 12) * t * t + 16 / 3, ((-7 / 3 * t + 12) * t - 20) * t + 32 / 3
    return np.where(t < 1, near, np.where(t < 2, far, 0)) / 6


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda t: np.where(np.abs(t) < radius, np.sinc(t) * np.sinc(t / radius), 0)


def _gaussian(t: Array) -> Array:
    radius = 1.5
    return np.where(np.abs(t) < radius, np.exp(-0.5 * (3 * t / radius) ** 2), 0)


WEIGHTS = {
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
    "gaussian": _gaussian,
    "mitchellcubic": _mitchell,
}
METHODS = ("bilinear", "nearest", "bicubic", "area", *list(WEIGHTS)[2:])


def shares(old: int, new: int, method: str, antialias: bool = False) -> Array:
    """How much each of the `old` rows counts in each of the `new` ones, (new, old).

    >>> shares(4, 2, "bilinear")
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5]])
    """
    if method == "nearest":
        return np.eye(old)[(2 * np.arange(new) + 1) * old // (2 * new)]
    if method == "area":
        return _overlaps(old, new)
    middles = (np.arange(new) + 0.5) * (old / new) - 0.5
    stretch = max(1, old / new) if antialias else 1
    weights = WEIGHTS[method]((np.arange(old) - middles[:, None]) / stretch)
    return weights / weights.sum(axis=1, keepdims=True)


def _overlaps(old: int, new: int) -> Array:
    edges = np.arange(new + 1) * (old / new)  # of the new rows, in old ones
    top, bottom = edges[:-1, None], edges[1:, None]
    at = np.arange(old)
    overlap = np.maximum(0, np.minimum(bottom, at + 1) - np.maximum(top, at))
    return overlap / (bottom - top)


def taps(shares: Array) -> tuple[Array, Array]:
    """What is not 0 in the matrix, as tables: the places and the shares of each row, (K, new).

    >>> places, factors = taps(shares(4, 2, "bilinear"))
    >>> places.tolist(), factors.tolist()
    ([[0, 2], [1, 3]], [[0.5, 0.5], [0.5, 0.5]])
    """
    taken = shares != 0
    count = max(1, taken.sum(axis=1).max())
    places = np.argsort(~taken, axis=1, kind="stable")[:, :count]  # what is not 0 comes first
    factors = np.take_along_axis(shares, places, axis=1)
    places = np.where(factors == 0, places[:, :1], places)  # no look at a pixel that has no share
    return np.ascontiguousarray(places.T), np.ascontiguousarray(factors.T)


def resampled(image: Array, size: tuple[int, int], method: str) -> Array:
    """One image in another size: float32 (I, J, C), from (H, W, C) of any numbers.

    It is computed by NumPy alone, and looks only at the rows that count: any thread may call it,
    and a large photograph is not converted as a whole.

    >>> resampled(np.arange(16, dtype=np.uint8).reshape(4, 4, 1), (2, 2), "area")[..., 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    for axis, new in enumerate(size):
        places, factors = taps(shares(image.shape[axis], new, method))
        column = (-1, *[1] * (image.ndim - axis - 1))
        image = sum(
            np.take(image, place, axis) * factor.reshape(column).astype(np.float32)
            for place, factor in zip(places, factors, strict=True)
        )
    return image.astype(np.float32, copy=False)
