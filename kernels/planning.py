"""How work is cut up: rows that fill the tiles, tiles of the right width, tasks for all threads.

Plain Python, done once for each shape and remembered; the numbers are those of a CPU that does two
multiply-adds of vectors per cycle, as most do.
"""

import functools

from .simd import MOST_PIXELS, WIDTHS, most_pixels

LONGEST_ROW = 8 * MOST_PIXELS  # of those that we may choose: short ones are shared out evenly
IN_FLIGHT = 10  # multiply-adds that a CPU wants to have under way at a time
LOAD_COST = 1 / 8  # of a multiply-add, for a load that waits for none
ABOUT_EQUAL = 0.97
TASK_CYCLES = 1000  # to begin a task
SHARES_PER_WORKER = 4  # of the filters, at most
VECTOR_CYCLES = 2  # to fetch a vector of filters from afar, or to copy one

MOST = tuple(most_pixels(width) if width in WIDTHS else 0 for width in range(max(WIDTHS) + 1))


@functools.lru_cache(maxsize=1024)
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


def best_width(vectors, pixels, widest=False):
    """How many vectors wide the tiles should be, for a number of filter vectors and of pixels.

    Of those that are about equally fast the narrowest, or the widest.

    A step of a tile costs pixels * width multiply-adds and pixels + width loads, the CPU does two
    of each at a time, and too few multiply-adds wait for one another. Loads disturb a little even
    where they are fewer: of tiles with 8 sums, 2 vectors times 4 pixels are faster than 1 times 8.
    """

    def share_of_peak(width):
        pieces = -(-pixels // MOST[width])
        m = pixels / pieces
        loads = m + width
        return m * width / (max(m * width, loads, IN_FLIGHT) + loads * LOAD_COST)

    shares = {w: share_of_peak(w) for w in WIDTHS if w <= max(1, vectors)}
    enough = ABOUT_EQUAL * max(shares.values())
    good = [w for w, share in shares.items() if share >= enough]
    return max(good) if widest else min(good)


def cut(images, rows, fitting, blocks, workers, cycles):
    """Rows per task and shares of the filters, for which the busiest worker is done first.

    Args:
        images: their number; a task works on one of them.
        rows: of an image.
        fitting: the most rows that a task may have.
        blocks: of filters, as packing.py makes them; a task takes a share of them.
        workers: who take the tasks in turn.
        cycles: function of rows and blocks, about how long a task takes.
    """

    def finish(choice):
        band, shares = choice
        tasks = images * -(-rows // band) * shares
        return -(-tasks // workers) * cycles(band, -(-blocks // shares))

    bands = sorted({-(-rows // n) for n in range(1, rows + 1)}, reverse=True)
    shares = range(1, min(blocks, SHARES_PER_WORKER * workers) + 1)
    return min(((b, n) for n in shares for b in bands if b <= max(1, fitting)), key=finish)
