"""One convolution, written seven times: from loops in Python to the speed of the machine.

    y[n,i,j,f] = sum over p, q, c of  x[n,i+p,j+q,c] * weight[p,q,c,f]

x is (N, H, W, C), weight (P, Q, C, F), y (N, I, J, F) with I = H - P + 1 and J = W - Q + 1: no
padding, steps of one pixel. Every rung does the same N*I*J * P*Q*C*F multiply-adds. Read them one
after the other: each changes one thing, and its docstring says what that gains. conv_ladder.py
measures them.
"""

import numpy as np
from minicnn.kernels.compiling import compiled, compiled_parallel
from minicnn.kernels.registers import lanes
from minicnn.kernels.simd import most_pixels, tile, tiles
from numba import prange

from minicnn.backend import kernels

WIDTH = 2  # vectors side by side in a tile


def python_loops(x, weight):
    """Write the formula down as loops in Python.

    For each multiply-add the interpreter looks up what `*` and `+` mean for these objects, and
    makes new objects for the results: two hundred nanoseconds of that for one of work.
    """
    y = _empty_output(x, weight)
    _formula(x, weight, y)
    return y


def numba_loops(x, weight):
    """Compile the loops of the first rung, as they are, to machine code.

    No interpreter, no objects. But the innermost loop is one long sum: each addition waits for the
    one before, some cycles each, and the weights it reads lie F numbers apart. So the compiler can
    put no vectors to use, and the core does next to nothing but wait.
    """
    y = _empty_output(x, weight)
    _compiled_formula(x, weight, y)
    return y


def numba_good_order(x, weight):
    """Put the loop over the filters innermost.

    Its steps do not wait for one another, and neighbouring f are neighbours in memory: the compiler
    makes vector instructions of them, 16 filters at a time with AVX-512. What is slow now is that
    the sums live in memory: each multiply-add loads a sum, loads a weight, and stores the sum.
    """
    y = _empty_output(x, weight)
    _filters_innermost(x, weight, y)
    return y


def numpy_im2col(x, weight):
    """Copy what lies under each window into a row, and multiply two matrices.

    The product is the work of a library, which keeps its sums in registers and uses all cores; the
    next two rungs show how. The price of having it do the work: each pixel is copied P*Q times (the
    name means "image to columns"), and the copy goes out to memory and comes back.
    """
    P, Q, C, F = weight.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, (P, Q), axis=(1, 2))  # (N,I,J,C,P,Q)
    N, I, J = windows.shape[:3]
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(N * I * J, P * Q * C)
    return (rows @ weight.reshape(P * Q * C, F)).reshape(N, I, J, F)


def register_tile(x, weight):
    """Keep the sums in registers: those of up to 14 pixels times two vectors of filters.

    A tile of sums stays in the registers for the whole of P*Q*C steps. In each step, two vectors of
    weights serve all pixels, and one pixel serves both vectors: 14 + 2 loads for 28 multiply-adds,
    and no stores. kernels/simd.py explains how that is said to the compiler.
    """
    return _with_tiles(_on_one_thread, x, weight)


def threads(x, weight):
    """Let each core take some of the images.

    No two threads write the same place, so there is nothing to wait for, and nothing to lock.
    """
    return _with_tiles(_on_all_threads, x, weight)


def minicnn_kernel(x, weight):
    """Use the kernel that minicnn trains with: kernels/conv2d.py.

    The same tiles. In addition it packs the weights in the order in which tiles read them, chooses
    the shape of the tile by that of the layer, cuts weights that outgrow the cache into pieces and
    single images into bands of rows, uses memory again instead of asking for fresh pages, and knows
    padding, strides, dilation and groups. For a simple case like this one, much of that is idle.
    """
    return kernels.conv2d.forward(x, weight, None, False, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def _empty_output(x, weight):
    (N, H, W, _), (P, Q, _, F) = x.shape, weight.shape
    return np.empty((N, H - P + 1, W - Q + 1, F), x.dtype)


def _formula(x, weight, y):
    N, I, J, F = y.shape
    P, Q, C, _ = weight.shape
    for n in range(N):
        for i in range(I):
            for j in range(J):
                for f in range(F):
                    total = y.dtype.type(0)
                    for p in range(P):
                        for q in range(Q):
                            for c in range(C):
                                total += x[n, i + p, j + q, c] * weight[p, q, c, f]
                    y[n, i, j, f] = total


_compiled_formula = compiled(_formula)


@compiled
def _filters_innermost(x, weight, y):
    N, I, J, F = y.shape
    P, Q, C, _ = weight.shape
    for n in range(N):
        for i in range(I):
            for j in range(J):
                sums = y[n, i, j]
                sums[:] = 0
                for p in range(P):
                    for q in range(Q):
                        for c in range(C):
                            pixel, filters = x[n, i + p, j + q, c], weight[p, q, c]
                            for f in range(F):
                                sums[f] += pixel * filters[f]


def _with_tiles(run, x, weight):
    """Fill y by `run`, with as many filters as fill whole tiles."""
    F, count = weight.shape[3], WIDTH * lanes(x.dtype)
    padded = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, -F % count)))
    y = _empty_output(x, padded)
    run(x, padded, y, np.zeros(count, x.dtype), most_pixels(WIDTH), tiles(x.dtype))
    return y[..., :F]


@compiled
def _on_one_thread(x, weight, y, zeros, most, compiled_tiles):
    for n in range(x.shape[0]):
        _tiles_of_image(n, x, weight, y, zeros, most, compiled_tiles)


@compiled_parallel
def _on_all_threads(x, weight, y, zeros, most, compiled_tiles):
    for n in prange(x.shape[0]):
        _tiles_of_image(n, x, weight, y, zeros, most, compiled_tiles)


@compiled
def _tiles_of_image(n, x, weight, y, zeros, most, compiled_tiles):
    (_, H, W, C), (P, Q, _, F), (_, I, J, _) = x.shape, weight.shape, y.shape
    pixels, filters, sums = x.reshape(-1), weight.reshape(-1), y.reshape(-1)
    loops = (1, P, Q * C, 0, W * C, 1, C, F, F)  # counts, then steps, as simd.py has them
    for f in range(0, F, zeros.size):  # outermost, so that few weights are in use at a time
        for i in range(I):
            for j in range(0, J, most):
                shape = (1, min(most, J - j), WIDTH)
                at_x, at_y = ((n * H + i) * W + j) * C, ((n * I + i) * J + j) * F + f
                given = (pixels, at_x, filters, f, zeros, 0, sums, at_y, False, -np.inf, loops)
                tile(compiled_tiles, shape, *given)
