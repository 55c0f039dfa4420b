"""Batch normalisation: each channel is given the mean and the spread that the network asks for.

    mean[c]     = sum over r of  x[r,c] / R                                      moments
    variance[c] = sum over r of  (x[r,c] - mean[c])^2 / R

    z[r,c] = (x[r,c] - mean[c]) * scale[c] + shift[c]                            normalize
    y[r,c] = z[r,c], or with relu 0 where z[r,c] < 0;  with a shortcut z + shortcut instead of z

    g[r,c]     = dy[r,c], or with relu 0 where z[r,c] <= 0
    sums[0,c]  = sum over r of  g[r,c]                                           sums
    sums[1,c]  = sum over r of  g[r,c] * (x[r,c] - mean[c])
    dx[r,c]    = g[r,c] * slopes[0,c] + (x[r,c] - mean[c]) * slopes[1,c] + slopes[2,c]
                                                                                 input_grad

r counts all pixels of all images, c the channels, which are the last axis. What there is one of per
channel is float64, whatever x is. Whether relu lets a number pass is found out anew from x: to
compute z once more is cheaper than to fetch y from memory.

Rounding: a variance taken as the mean of squares less the square of the mean is worthless where the
mean is large: all digits cancel. So each run of rows adds up distances from a center of its own,
the mean of its first sixteenth. That may not be the mean of the run, but it is never further from
it than 4 standard deviations, else that sixteenth alone would make the variance larger than it is;
so few digits are lost. The runs are combined by what Chan, Golub and LeVeque 1983 ("Algorithms for
computing the sample variance") show: the variance of all is the mean of the variances within the
runs plus the variance of their means. For the same reason z is not folded into x * scale +
(shift - mean * scale); and what is lost when the mean is rounded to the dtype of x is added to the
shift.

Work:     a few operations per number; the time goes into memory: moments read x once, sums read x
          and dy, normalize and input_grad read the same once more and write a result.
Threads:  one prange step owns a run of rows; its sums have a place of their own, and are added up
          in order. The runs are cut the same way whatever the number of threads.
Vectors:  rows of few channels are taken several at a time, as one wide row of at least WIDTH
          numbers; the numbers of a wide row are independent, so that they fill vector registers.
Versions: NumPy reference, Numba loops, CUDA (batch_norm.cu).
"""

import math

import numpy as np
from numba import prange

from . import cuda, sum_rows
from .compiling import compiled, compiled_parallel
from .kernel import Kernel
from .memory import empty

WIDTH = 128  # numbers in a wide row, at least
VECTOR = 16  # numbers in the widest register: the wide row is a multiple of it
RUN = 1 << 16  # numbers in a run, about: so long walks through memory that the CPU fetches ahead
ROWS = 64  # wide rows in a run, at least


def _axes(x):
    return tuple(range(x.ndim - 1))


def _moments_reference(x):
    x = x.astype(np.float64)
    return x.mean(axis=_axes(x)), x.var(axis=_axes(x))


def _line_reference(x, mean, scale, shift):
    return (x.astype(np.float64) - mean) * scale + shift


def _normalize_reference(x, mean, scale, shift, relu, shortcut=None):
    z = _line_reference(x, mean, scale, shift)
    z = z if shortcut is None else z + shortcut
    return (np.where(z < 0, 0, z) if relu else z).astype(x.dtype)


def _gated_reference(dy, x, mean, scale, shift, relu):
    z = _line_reference(x, mean, scale, shift)
    return np.where(z <= 0, 0, dy) if relu else dy.astype(np.float64)


def _sums_reference(dy, x, mean, scale, shift, relu):
    g = _gated_reference(dy, x, mean, scale, shift, relu)
    return np.stack([g.sum(axis=_axes(x)), (g * (x - mean)).sum(axis=_axes(x))])


def _input_grad_reference(dy, x, mean, scale, shift, relu, slopes):
    g = _gated_reference(dy, x, mean, scale, shift, relu)
    return (g * slopes[0] + (x - mean) * slopes[1] + slopes[2]).astype(x.dtype)


@compiled
def _fold(wide, channels):
    """channels[c] = sum of all numbers of a wide row that belong to channel c."""
    channels[:] = 0
    for at in range(np.uint64(0), np.uint64(wide.size), np.uint64(channels.size)):
        for c in range(np.uint64(channels.size)):
            channels[c] += wide[at + c]


@compiled
def _center(x, begin, end, center, mean):
    """The mean of the first sixteenth of a run, for each number of a wide row."""
    width = center.size
    rows = (end - begin + width - 1) // width
    end = min(end, begin + (rows + 15) // 16 * width)
    center[:] = 0
    for at in range(np.uint64(begin), np.uint64(end), np.uint64(width)):
        for k in range(min(np.uint64(width), np.uint64(end) - at)):
            center[k] += x[at + k]
    _fold(center, mean)
    for k in range(width):
        center[k] = mean[k % mean.size] * mean.size / (end - begin)


@compiled
def _quarter(begin, end, width):
    """A quarter of the whole wide rows between two places, in numbers."""
    return (
        (np.uint64(end) - np.uint64(begin)) // np.uint64(width) // np.uint64(4) * np.uint64(width)
    )


@compiled
def _add_distances(x, begin, end, center, total, squares):
    """total[k] += d,  squares[k] += d^2   with d = x - center, of each wide row.

    Four rows at a time: so total and squares are fetched and stored once for four of them. Each of
    the four walks through a quarter of the run of its own, line after line, because that is what
    the CPU expects when it fetches ahead.
    """
    end, width = np.uint64(end), np.uint64(center.size)
    quarter = _quarter(begin, end, width)
    for at in range(np.uint64(begin), np.uint64(begin) + quarter, width):
        one, two, three = at + quarter, at + quarter + quarter, at + quarter + quarter + quarter
        for k in range(width):
            d, e = x[at + k] - center[k], x[one + k] - center[k]
            f, g = x[two + k] - center[k], x[three + k] - center[k]
            total[k] += (d + e) + (f + g)
            squares[k] += (d * d + e * e) + (f * f + g * g)
    for at in range(np.uint64(begin) + np.uint64(4) * quarter, end, width):
        for k in range(min(width, end - at)):
            d = x[at + k] - center[k]
            total[k] += d
            squares[k] += d * d


@compiled
def _moments_run(x, begin, end, width, result):
    """Write (mean, sum of the squared distances from it) of the rows of one run to `result`."""
    mean, distances = result
    wide = np.zeros((3, width), x.dtype)
    center, total, squares = wide[0], wide[1], wide[2]
    _center(x, begin, end, center, mean)
    _add_distances(x, begin, end, center, total, squares)
    _fold(total, mean)
    _fold(squares, distances)
    for c in range(mean.size):
        off = mean[c] * mean.size / (end - begin)
        distances[c] -= off * mean[c]
        mean[c] = center[c] + off


@compiled
def _normalize_run(x, begin, end, line, shortcut, low, y):
    center, scale, shift = line
    for at in range(np.uint64(begin), np.uint64(end), np.uint64(center.size)):
        count = min(np.uint64(center.size), np.uint64(end) - at)
        if shortcut.size:
            for k in range(count):
                z = (x[at + k] - center[k]) * scale[k] + shift[k] + shortcut[at + k]
                y[at + k] = low if z < low else z
        else:
            for k in range(count):
                z = (x[at + k] - center[k]) * scale[k] + shift[k]
                y[at + k] = low if z < low else z


@compiled
def normalize_in_place(y, begin, end, line, shortcut, low):
    """The same where y is x, too; of two arrays that overlap, LLVM takes one number at a time."""
    center, scale, shift = line
    for at in range(np.uint64(begin), np.uint64(end), np.uint64(center.size)):
        count = min(np.uint64(center.size), np.uint64(end) - at)
        if shortcut.size:
            for k in range(count):
                z = (y[at + k] - center[k]) * scale[k] + shift[k] + shortcut[at + k]
                y[at + k] = low if z < low else z
        else:
            for k in range(count):
                z = (y[at + k] - center[k]) * scale[k] + shift[k]
                y[at + k] = low if z < low else z


@compiled
def _gated(dy, d, scale, shift, low, zero):
    """`dy` where relu lets it pass, else zero: a plain 0 would make 64 bits of numbers of 32."""
    return zero if d * scale + shift <= low else dy


@compiled
def _sums_run(dy, x, begin, end, line, low, result):
    center, scale, shift = line
    zero = x.dtype.type(0)
    wide = np.zeros((2, center.size), x.dtype)
    total, products = wide[0], wide[1]
    end, width = np.uint64(end), np.uint64(center.size)
    quarter = _quarter(begin, end, width)
    for at in range(np.uint64(begin), np.uint64(begin) + quarter, width):  # as above
        one, two, three = at + quarter, at + quarter + quarter, at + quarter + quarter + quarter
        for k in range(width):
            d, e = x[at + k] - center[k], x[one + k] - center[k]
            f, g = x[two + k] - center[k], x[three + k] - center[k]
            t = _gated(dy[at + k], d, scale[k], shift[k], low, zero)
            u = _gated(dy[one + k], e, scale[k], shift[k], low, zero)
            v = _gated(dy[two + k], f, scale[k], shift[k], low, zero)
            w = _gated(dy[three + k], g, scale[k], shift[k], low, zero)
            total[k] += (t + u) + (v + w)
            products[k] += (t * d + u * e) + (v * f + w * g)
    for at in range(np.uint64(begin) + np.uint64(4) * quarter, end, width):
        for k in range(min(width, end - at)):
            d = x[at + k] - center[k]
            t = _gated(dy[at + k], d, scale[k], shift[k], low, zero)
            total[k] += t
            products[k] += t * d
    _fold(total, result[0])
    _fold(products, result[1])


@compiled
def _input_grad_run(dy, x, begin, end, line, low, slopes, dx):
    center, scale, shift = line
    a, b, c = slopes
    zero = x.dtype.type(0)
    for at in range(np.uint64(begin), np.uint64(end), np.uint64(center.size)):
        for k in range(min(np.uint64(center.size), np.uint64(end) - at)):
            d = x[at + k] - center[k]
            g = _gated(dy[at + k], d, scale[k], shift[k], low, zero)
            dx[at + k] = g * a[k] + d * b[k] + c[k]


@compiled_parallel
def _moments_runs(x, length, width, results):
    for run in prange(results.shape[0]):
        begin, end = run * length, min((run + 1) * length, x.size)
        _moments_run(x, begin, end, width, (results[run, 0], results[run, 1]))


@compiled_parallel
def _normalize_runs(x, length, line, shortcut, low, y):
    for run in prange((x.size + length - 1) // length):
        begin, end = run * length, min((run + 1) * length, x.size)
        _normalize_run(x, begin, end, (line[0], line[1], line[2]), shortcut, low, y)


@compiled_parallel
def _sums_runs(dy, x, length, line, low, results):
    for run in prange(results.shape[0]):
        begin, end = run * length, min((run + 1) * length, x.size)
        sums = (results[run, 0], results[run, 1])
        _sums_run(dy, x, begin, end, (line[0], line[1], line[2]), low, sums)


@compiled_parallel
def _input_grad_runs(dy, x, length, line, low, slopes, dx):
    for run in prange((x.size + length - 1) // length):
        begin, end = run * length, min((run + 1) * length, x.size)
        coefficients = (slopes[0], slopes[1], slopes[2])
        _input_grad_run(dy, x, begin, end, (line[0], line[1], line[2]), low, coefficients, dx)


def wide_row(C):
    """How many numbers a wide row has: those of several rows, and a multiple of VECTOR."""
    least = math.lcm(C, VECTOR)
    return least * -(-WIDTH // least) if C < WIDTH else C


def _run_length(width):
    return width * max(ROWS, RUN // width)


@compiled
def _widen(rows, off, wide):
    """Repeat the numbers per channel, the last of them less off * rows[1], in each wide row."""
    for at in range(0, wide.shape[1], off.size):
        for c in range(off.size):
            wide[0, at + c], wide[1, at + c] = rows[0, c], rows[1, c]
            wide[2, at + c] = rows[2, c] - off[c] * rows[1, c]


def _widened(rows, off, dtype):
    """Three rows of numbers per channel as they are wanted beside wide rows; see _widen."""
    wide = empty((3, wide_row(len(off))), dtype)
    _widen(rows, off, wide)
    return wide


def _line(x, mean, scale, shift):
    """The three as they are wanted beside wide rows, and by how much rounding moves the mean."""
    rows = np.array([mean, scale, shift], np.float64)  # one call, which a small batch would notice
    with np.errstate(invalid="ignore"):  # infinite: the NaN that comes out says so
        off = rows[0] - rows[0].astype(x.dtype)
    return _widened(rows, off, x.dtype), off


def _low(relu, dtype):
    """What relu cuts off at; without relu NaN, as all comparisons with NaN are false."""
    return dtype.type(0 if relu else np.nan)


@compiled
def _combine(results, length, size, mean, variance):
    """The moments of all runs together, from those of each."""
    runs, _, C = results.shape
    R = size // C
    mean[:], variance[:] = 0, 0
    for run in range(runs):
        share = min(length, size - run * length) // C / R
        for c in range(C):
            mean[c] += results[run, 0, c] * share
    for run in range(runs):
        share = min(length, size - run * length) // C / R
        for c in range(C):
            off = results[run, 0, c] - mean[c]
            variance[c] += results[run, 1, c] / R + share * off * off


def _moments_cpu(x):
    C = x.shape[-1]
    width = wide_row(C)
    length = _run_length(width)
    results = np.empty((-(-x.size // length), 2, C))
    _moments_runs(x.reshape(-1), length, width, results)
    mean, variance = np.empty((2, C))
    _combine(results, length, x.size, mean, variance)
    return mean, variance


def _normalize_cpu(x, mean, scale, shift, relu, shortcut=None):
    y = empty(x.shape, x.dtype)
    if y.size == 0:  # of no channels there is no wide row
        return y
    line, _ = _line(x, mean, scale, shift)
    length = _run_length(line.shape[1])
    shortcut = empty((0,), x.dtype) if shortcut is None else shortcut.reshape(-1)
    _normalize_runs(x.reshape(-1), length, line, shortcut, _low(relu, x.dtype), y.reshape(-1))
    return y


def _sums_cpu(dy, x, mean, scale, shift, relu):
    line, off = _line(x, mean, scale, shift)
    length = _run_length(line.shape[1])
    results = np.empty((-(-x.size // length), 2, len(mean)))
    low = _low(relu, x.dtype)
    _sums_runs(dy.reshape(-1), x.reshape(-1), length, line, low, results)
    sums = results.sum(axis=0)
    sums[1] -= off * sums[0]
    return sums


def _input_grad_cpu(dy, x, mean, scale, shift, relu, slopes):
    dx = empty(x.shape, x.dtype)
    line, off = _line(x, mean, scale, shift)
    width = line.shape[1]
    args = dy.reshape(-1), x.reshape(-1), _run_length(width), line, _low(relu, x.dtype)
    _input_grad_runs(*args, _widened(slopes, off, x.dtype), dx.reshape(-1))
    return dx


def _chunks(x):
    """R, C and rows per chunk as the launches of this family want them, and their grid."""
    C = x.shape[-1]
    R = x.size // C if C else 0
    rows = sum_rows.rows_per_chunk(R)
    return (R, C, rows), (-(-R // rows), cuda.blocks(C, 32))


def _in_float64(*arrays):
    return tuple(array.astype(np.float64, copy=False) for array in arrays)


def _moments_gpu(x):
    sizes, grid = _chunks(x)
    chunks, C = grid[0], sizes[1]
    partials = cuda.empty((chunks, 2, C), np.float64, like=x)
    mean, variance = (cuda.empty((C,), np.float64, like=x) for _ in range(2))
    cuda.launch("batch_norm", "moments", grid, (32, 8), x, partials, *sizes)
    args = partials, mean, variance, *sizes, chunks
    cuda.launch("batch_norm", "combine", grid[1], (32, 32), *args)
    return mean, variance


def _normalize_gpu(x, mean, scale, shift, relu, shortcut=None):
    sizes, grid = _chunks(x)
    y = cuda.empty(x.shape, x.dtype, like=x)
    args = x, *_in_float64(mean, scale, shift), relu, shortcut, y, *sizes
    cuda.launch("batch_norm", "normalize", grid, (32, 8), *args)
    return y


def _sums_gpu(dy, x, mean, scale, shift, relu):
    sizes, grid = _chunks(x)
    partials = cuda.empty((grid[0], 2 * sizes[1]), np.float64, like=x)
    args = dy, x, *_in_float64(mean, scale, shift), relu, partials, *sizes
    cuda.launch("batch_norm", "sums", grid, (32, 8), *args)
    return sum_rows.forward(partials).reshape(2, sizes[1])


def _input_grad_gpu(dy, x, mean, scale, shift, relu, slopes):
    sizes, grid = _chunks(x)
    dx = cuda.empty(x.shape, x.dtype, like=x)
    mean, scale, shift, slopes = _in_float64(mean, scale, shift, slopes)
    args = dy, x, mean, scale, shift, relu, slopes, dx, *sizes
    cuda.launch("batch_norm", "input_grad", grid, (32, 8), *args)
    return dx


moments = Kernel(
    "batch_norm.moments", reference=_moments_reference, cpu=_moments_cpu, gpu=_moments_gpu
)
# normalize(x, mean, scale, shift, relu, shortcut): shortcut is of the shape of x, or None
normalize = Kernel(
    "batch_norm.normalize", reference=_normalize_reference, cpu=_normalize_cpu, gpu=_normalize_gpu
)
sums = Kernel("batch_norm.sums", reference=_sums_reference, cpu=_sums_cpu, gpu=_sums_gpu)
input_grad = Kernel(
    "batch_norm.input_grad",
    reference=_input_grad_reference,
    cpu=_input_grad_cpu,
    gpu=_input_grad_gpu,
)
