"""Read-only locks: an array that a graph needs for its gradients must not change under it.

NumPy itself then refuses the in-place edit, with "assignment destination is read-only", in the very
line that would have made a gradient silently wrong.
"""

import numpy as np

from minicnn.backend import Array

_holders: dict[int, int] = {}  # id of an array that was locked here -> how many ops hold it


def hold(array: Array) -> None:
    """Make `array` read-only until everybody who held it has released it.

    The caller must keep a reference to it meanwhile. An array that is read-only anyway stays so,
    and CuPy has no such flag: both are left alone.
    """
    key = id(array)
    if key in _holders:
        _holders[key] += 1
    elif isinstance(array, np.ndarray) and array.flags.writeable:
        array.setflags(write=False)
        _holders[key] = 1


def release(array: Array) -> None:
    """Take one hold off; the last one makes the array writeable again."""
    key = id(array)
    holders = _holders.get(key)
    if holders is None:
        return
    if holders > 1:
        _holders[key] = holders - 1
    else:
        del _holders[key]
        try:
            array.setflags(write=True)
        except ValueError:
            pass  # a view, while the array that it looks into is held: it stays read-only
