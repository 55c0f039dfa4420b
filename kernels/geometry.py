"""What sweeps have in common: where a window stands, and how its data are laid out for tiles.

A window moves over images (sweep.py, spread.py, correlate.py):

    h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Windows that hang over the border would need a question per pixel. Instead a band of rows is copied
with zeros around it, into scratch memory that stays in the cache.
"""

from typing import NamedTuple

from .compiling import compiled_part
from .runs import clear_run, copy_run

BAND_BYTES = 1 << 19  # of input rows in one task; with few rows, filters would be fetched often


class Geometry(NamedTuple):
    """Who stands where: counts and distances, all of them whole numbers."""

    N: int  # images,
    H: int  # their rows,
    W: int  # columns
    C: int  # and channels
    P: int  # rows of the window,
    Q: int  # columns
    K: int  # and channels: C / groups
    F: int  # filters of one group
    I: int  # places of the window, down
    J: int  # and across
    s: int  # steps of the window, down
    t: int  # and across
    d: int  # distance between its rows
    e: int  # and columns
    top: int  # zeros above the image
    left: int  # and on its left
    groups: int = 1
    band: int = 1  # rows of y in one task
    at_once: int = 1  # images in one task; correlate only
    width: int = 1  # vectors side by side in a tile
    tiles: int = 0  # the address of the compiled tiles
    across: int = 0  # size of a tile that takes the columns of a window at once, or 0: no such one

    @property
    def hangs_over(self) -> bool:
        """Whether a window reaches over the border."""
        below = self.s * (self.I - 1) + self.d * (self.P - 1) - self.top >= self.H
        right = self.t * (self.J - 1) + self.e * (self.Q - 1) - self.left >= self.W
        return self.top > 0 or self.left > 0 or below or right

    def band_size(self, rows: int) -> int:
        """How many numbers of x lie under the windows of `rows` rows of y."""
        return rows_under(self, rows) * columns_under(self) * self.C

    def fitting_rows(self, itemsize: int) -> int:
        """How many rows of y a task can have, so that what lies under them stays in the cache."""
        one, two = self.band_size(1), self.band_size(2)
        return min(self.I, 1 + max(0, BAND_BYTES // itemsize - one) // max(1, two - one))


@compiled_part
def share_of(worker, workers, tasks):
    """The tasks of one worker: neighbours, so that two workers seldom touch the same memory."""
    return range(worker * tasks // workers, (worker + 1) * tasks // workers)


@compiled_part
def copy_band(x, where, channels, g, band, at):
    """Copy what lies under some rows of windows, with zeros around it; of each pixel a slice.

    where: (n, first, rows): the image, the first row of windows, how many.
    channels: (k, count): the slice begins at channel k; (0, C) is the whole pixel.
    """
    (n, first, rows), (k, count) = where, channels
    across = columns_under(g)
    begin = min(max(g.left, 0), across)  # columns of zeros on the left
    end = min(max(g.left + g.W, begin), across)  # from here on zeros again
    for r in range(rows_under(g, rows)):
        h = g.s * first + r - g.top
        to = at + r * across * count
        if h < 0 or h >= g.H:
            clear_run(band, to, across * count)
            continue
        clear_run(band, to, begin * count)
        source = ((n * g.H + h) * g.W - g.left) * g.C + k
        if count == g.C:
            copy_run(x, source + begin * count, band, to + begin * count, (end - begin) * count)
        else:
            for w in range(begin, end):
                copy_run(x, source + w * g.C, band, to + w * count, count)
        clear_run(band, to + end * count, (across - end) * count)


@compiled_part
def paste_band(band, at, x, n, g):
    """Copy what lies under all windows back to an image, without the borders; 0 where none is."""
    rows, across = rows_under(g, g.I), columns_under(g)
    begin, end = max(0, -g.left), min(g.W, across - g.left)  # the columns that windows reach
    for h in range(g.H):
        r, to = h + g.top, (n * g.H + h) * g.W * g.C
        if r < 0 or r >= rows:
            clear_run(x, to, g.W * g.C)
            continue
        clear_run(x, to, begin * g.C)
        source = at + (r * across + g.left + begin) * g.C
        copy_run(band, source, x, to + begin * g.C, (end - begin) * g.C)
        clear_run(x, to + end * g.C, (g.W - end) * g.C)


@compiled_part
def rows_under(g, rows):
    """How many rows of x lie under `rows` rows of windows."""
    return g.s * (rows - 1) + g.d * (g.P - 1) + 1


@compiled_part
def columns_under(g):
    """How many columns of x lie under a row of windows."""
    return g.t * (g.J - 1) + g.e * (g.Q - 1) + 1


@compiled_part
def three_loops(g, row):
    """Counts and steps in x of the sum over a window: (A, B, K, x_a, x_b, x_k).

    The columns of a window without gaps are neighbours in memory: one long run instead of Q.
    """
    if g.e == 1 and g.groups == 1 and not g.across:
        return g.P, 1, g.Q * g.K, g.d * row, 0, 1
    return g.P, g.Q, g.K, g.d * row, g.e * g.C, 1


@compiled_part
def runs_of_tiles(count, most, together):
    """How many runs of tiles there are in a row of `count` pixels; see run_of_tiles."""
    tiles = (count + most - 1) // most
    if tiles <= 0:
        return 0
    return (2 if count % tiles > 0 else 1) if together else tiles


@compiled_part
def run_of_tiles(run, count, most, together):
    """One run of the tiles that a row is cut into: (first pixel, tiles, pixels in each of them).

    No tile has more than `most` pixels. Their sizes differ by 1 at most, the larger ones come last.

    together: whether all tiles of one size are a run, or each is one of its own.
    """
    tiles = (count + most - 1) // most
    size, larger = count // tiles, count % tiles
    smaller = tiles - larger
    if together:
        return (0, smaller, size) if run == 0 else (smaller * size, larger, size + 1)
    return run * size + max(0, run - smaller), 1, size + (1 if run >= smaller else 0)
