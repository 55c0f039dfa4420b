"""Runs of neighbouring numbers in flat arrays: copied, added or cleared at the speed of memory.

Their indices are unsigned: of every other one Numba asks whether it counts from the end, as
Python's negative indices do, and the question keeps a loop from being vectorised.
"""

import numpy as np

from .compiling import compiled_part


@compiled_part
def copy_run(x, at_x, y, at_y, count):
    """y[at_y ...] = x[at_x ...], `count` numbers."""
    a, b = np.uint64(at_x), np.uint64(at_y)
    for k in range(np.uint64(count)):
        y[b + k] = x[a + k]


@compiled_part
def add_run(x, at_x, y, at_y, count):
    """y[at_y ...] += x[at_x ...], `count` numbers."""
    a, b = np.uint64(at_x), np.uint64(at_y)
    for k in range(np.uint64(count)):
        y[b + k] += x[a + k]


@compiled_part
def clear_run(y, at, count):
    """y[at ...] = 0, `count` numbers."""
    a = np.uint64(at)
    for k in range(np.uint64(count)):
        y[a + k] = 0
