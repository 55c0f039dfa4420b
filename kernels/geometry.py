"""What sweeps have in common: where a window stands, and how its data are laid out for tiles.

A window moves over images (sweep.py, spread.py, correlate.py):

    h = s*i + d*p - top  and  w = t*j + e*q - left;  outside the image x is 0.

Windows that hang over the border would need a question per pixel. Instead a band of rows is copied
with zeros around it, into scratch memory that stays in the cache.
"""

import functools
from typing import NamedTuple

from .compiling import compiled
from .packing import block_count, padded
from .runs import clear_run, copy_run
from .simd import MOST_PIXELS, WIDTHS, lanes, most_pixels

BAND_BYTES = 1 << 18  # of input rows in one task: a share of the second-level cache
FILTERS_BYTES = 1 << 19  # of the filters in one task
TASKS_PER_WORKER = 4  # so that threads of unequal speed finish together
LONGEST_ROW = (
    8 * MOST_PIXELS
)  # of pixels whose rows we may choose: short ones are shared out evenly
IN_FLIGHT = 12  # multiply-adds that a CPU wants to have under way at a time

MOST = tuple(most_pixels(width) if width in WIDTHS else 0 for width in range(max(WIDTHS) + 1))


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

    @property
    def hangs_over(self) -> bool:
        """Whether a window reaches over the border."""
        below = self.s * (self.I - 1) + self.d * (self.P - 1) - self.top >= self.H
        right = self.t * (self.J - 1) + self.e * (self.Q - 1) - self.left >= self.W
        return self.top > 0 or self.left > 0 or below or right

    def band_size(self, rows: int) -> int:
        """How many numbers of x lie under the windows of `rows` rows of y."""
        across = self.t * (self.J - 1) + self.e * (self.Q - 1) + 1
        return (self.s * (rows - 1) + self.d * (self.P - 1) + 1) * across * self.C

    def rows_per_task(self, itemsize: int, tasks: int) -> int:
        """As many rows as fit into the cache, but so few that there are `tasks` tasks."""
        one, two = self.band_size(1), self.band_size(2)
        fitting = 1 + max(0, BAND_BYTES // itemsize - one) // max(1, two - one)
        bands = -(-tasks // self.N)
        return max(1, min(self.I, fitting, -(-self.I // bands)))


def flattened(g):
    """The same work, if windows of one pixel take every pixel, with rows that fill the tiles."""
    if (g.P, g.Q, g.s, g.t, g.top, g.left) != (1, 1, 1, 1, 0, 0):
        return g
    if (g.H, g.W) != (g.I, g.J):  # pixels on the right or below are left out
        return g
    rows, columns = _cut_into_rows(g.N * g.I * g.J, g.J)
    return g._replace(N=1, H=rows, W=columns, I=rows, J=columns)


@functools.cache
def _cut_into_rows(pixels, as_given):
    """(rows, pixels in a row): rows of one size, so that as few tiles as possible have gaps."""

    def share_in_use(columns):
        return columns / (-(-columns // MOST_PIXELS) * MOST_PIXELS)

    possible = [n for n in range(1, LONGEST_ROW + 1) if pixels % n == 0]
    columns = max([*possible, as_given], key=lambda n: (share_in_use(n), n))
    return pixels // columns, columns


def best_width(vectors, pixels):
    """How many vectors wide the tiles should be, for a number of filter vectors and of pixels.

    A step of a tile costs pixels * width multiply-adds and pixels + width loads, the CPU does two
    of each at a time, and too few multiply-adds wait for one another.
    """

    def share_of_peak(width):
        pieces = -(-pixels // MOST[width])
        m = pixels / pieces
        return m * width / max(m * width, m + width, IN_FLIGHT)

    return max((w for w in WIDTHS if w <= max(1, vectors)), key=share_of_peak)


def even_share(blocks, wanted):
    """The smallest number of equal shares of `blocks` from `wanted` on, or else a share each."""
    return next((n for n in range(wanted, blocks) if blocks % n == 0), blocks)


def shares_of_filters(g, dtype, workers, rows):
    """Into how many shares the filters of a group are cut for the tasks, of how many blocks.

    So many that a share stays in the cache, and that there is work for all where rows are few.
    """
    blocks = block_count(g.F, g.width, lanes(dtype))
    size = g.P * g.Q * g.K * padded(g.F, lanes(dtype)) * dtype.itemsize
    wanted = max(-(-size // FILTERS_BYTES), TASKS_PER_WORKER * workers // rows)
    return even_share(blocks, max(1, wanted)), blocks


@compiled
def copy_band(x, n, first, rows, g, band, at):
    """Copy what lies under `rows` rows of windows, from row `first` on, with zeros around it."""
    across = columns_under(g)
    begin = min(max(g.left, 0), across)  # columns of zeros on the left
    end = min(max(g.left + g.W, begin), across)  # from here on zeros again
    for r in range(g.s * (rows - 1) + g.d * (g.P - 1) + 1):
        h = g.s * first + r - g.top
        inside = 0 <= h < g.H
        source = ((n * g.H + h) * g.W - g.left) * g.C
        to = at + r * across * g.C
        if inside:
            clear_run(band, to, begin * g.C)
            copy_run(x, source + begin * g.C, band, to + begin * g.C, (end - begin) * g.C)
            clear_run(band, to + end * g.C, (across - end) * g.C)
        else:
            clear_run(band, to, across * g.C)


@compiled
def columns_under(g):
    """How many columns of x lie under a row of windows."""
    return g.t * (g.J - 1) + g.e * (g.Q - 1) + 1


@compiled
def three_loops(g, row):
    """Counts and steps in x of the sum over a window: (A, B, K, x_a, x_b, x_k).

    The columns of a window without gaps are neighbours in memory: one long run instead of Q.
    """
    if g.e == 1 and g.groups == 1:
        return g.P, 1, g.Q * g.K, g.d * row, 0, 1
    return g.P, g.Q, g.K, g.d * row, g.e * g.C, 1
