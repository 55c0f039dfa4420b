"""The ladder: one 3x3 convolution, from Python loops to the speed of the machine.

    python benchmarks/conv_ladder.py [--save] [--shape 64 15 15 32] [--filters 64]

rungs.py holds the versions, to be read one after the other; here they are checked, timed in turn in
one run, and set beside what the machine can do (machine.py) and what PyTorch does. Times are
medians. Python gets a slice of the work, for all of it would take minutes; its time is scaled up.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding
import numba
import numpy as np
import rungs
from machine import FLOPS, memory_bandwidth, multiply_add_peak
from roofline import Machine, Point, draw, percent

import minicnn
from minicnn.backend import Array, kernels

WINDOW = 3
PICTURE = Path(__file__).parent / "results" / "conv_ladder.png"


class Contender(NamedTuple):
    """What takes part: a rung, or a peer."""

    name: str
    function: Callable[[Array, Array], Any]
    is_slow: bool = False  # gets a slice of the work
    copies: bool = False  # writes and reads a copy of every window
    is_peer: bool = False


RUNGS = (
    Contender("Python loops", rungs.python_loops, is_slow=True),
    Contender("Numba loops", rungs.numba_loops),
    Contender("Numba, good order", rungs.numba_good_order),
    Contender("NumPy im2col", rungs.numpy_im2col, copies=True),
    Contender("register tile", rungs.register_tile),
    Contender("threads", rungs.threads),
    Contender("minicnn's kernel", rungs.minicnn_kernel),
)


def peers(x, weight):
    """PyTorch in both layouts, where it is installed; its arrays are made before the clock runs."""
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed, so it is not compared with.", file=sys.stderr)
        return ()
    import torch

    torch.set_num_threads(numba.get_num_threads())

    def contender(name, layout):
        images = torch.tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        filters = torch.tensor(weight).permute(3, 2, 0, 1).contiguous(memory_format=layout)

        def convolve(x, weight):
            with torch.inference_mode():
                return torch.nn.functional.conv2d(images, filters).permute(0, 2, 3, 1)

        return Contender(name, convolve, is_peer=True)

    return (
        contender("PyTorch, default layout", torch.contiguous_format),
        contender("PyTorch, channels_last", torch.channels_last),
    )


def flops(x, weight):
    """How many operations the convolution of x takes; a multiply-add counts as two."""
    N, H, W, _ = x.shape
    P, Q, C, F = weight.shape
    return FLOPS * N * (H - P + 1) * (W - Q + 1) * P * Q * C * F


def bytes_moved(contender, x, weight):
    """How many bytes must go to or from memory: each array once, a copy of the windows twice."""
    N, H, W, C = x.shape
    P, Q, _, F = weight.shape
    pixels = N * (H - P + 1) * (W - Q + 1)
    copied = 2 * pixels * P * Q * C if contender.copies else 0
    return x.itemsize * (x.size + weight.size + pixels * F + copied)


def check(contender, x, weight):
    """Compare with the sum in float64.

    Raises:
        AssertionError: they differ by more than rounding explains.
    """
    place = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    wide = (x.astype(np.float64), weight.astype(np.float64))
    expected = kernels.conv2d.forward.reference(*wide, None, False, *place)
    atol = 1e-5 * np.abs(expected).max()
    given = np.asarray(contender.function(x, weight))
    np.testing.assert_allclose(given, expected, rtol=0, atol=atol, err_msg=contender.name)


def median_times(contenders, x, weight, repeats):
    """Seconds per contender for the whole of x, timed in turn.

    Each computes twice, and the second time counts: the first time, its arrays have to come back
    into the caches, from which those of the others have driven them.
    """
    some = x[:1, :WINDOW, : WINDOW + 1]  # two pixels of y
    times = {contender.name: [] for contender in contenders}
    for _ in range(repeats):
        for contender in contenders:
            images = some if contender.is_slow else x
            contender.function(images, weight)
            start = time.perf_counter()
            contender.function(images, weight)
            seconds = time.perf_counter() - start
            times[contender.name].append(seconds * flops(x, weight) / flops(images, weight))
    return {name: statistics.median(values) for name, values in times.items()}


def what_the_machine_can():
    """The bounds, as they are now."""
    return Machine(multiply_add_peak(), multiply_add_peak(threads=1), memory_bandwidth())


def measure(x, weight, repeats):
    """What the machine can do, and one Point per contender."""
    contenders = (*RUNGS, *peers(x, weight))
    print("checking all versions (the first time, compiling them) ...", file=sys.stderr)
    for contender in contenders:
        few = x[:1, :WINDOW, : WINDOW + 1] if contender.is_slow else x
        check(contender, few, weight)
    before = what_the_machine_can()
    seconds = median_times(contenders, x, weight, repeats)
    after = what_the_machine_can()  # clocks change, and neighbours come and go
    machine = Machine(*map(max, before, after))
    work = flops(x, weight)
    points = [
        Point(c.name, seconds[c.name], work, work / bytes_moved(c, x, weight), c.is_slow, c.is_peer)
        for c in contenders
    ]
    return machine, points


def print_table(machine, points):
    """One line per contender: time, speed, share of the peak, gain over the rung before."""
    print(f"{'':25}{'time':>12}{'GFLOP/s':>10}{'of peak':>10}{'x rung before':>16}")
    before = None
    for point in points:
        gain = f"{before.seconds / point.seconds:.1f}" if before and not point.is_peer else ""
        mark = " *" if point.is_scaled else ""
        print(
            f"{point.name + mark:25}{point.seconds * 1e3:9,.2f} ms{point.speed / 1e9:10,.3g}"
            f"{percent(point.speed / machine.peak):>10}{gain:>16}"
        )
        before = point
    print("* measured on two pixels of the output, scaled up")
    if max(point.speed for point in points) > machine.peak:
        print("A version was faster than the peak: the machine is busy elsewhere. Measure again.")


def main():
    """Check, time, print, and draw if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = ("N", "H", "W", "C")
    parser.add_argument("--shape", type=int, nargs=4, default=(64, 15, 15, 32), metavar=sizes)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15, help="of each version")
    parser.add_argument("--quick", action="store_true", help="two images, timed three times")
    parser.add_argument("--save", type=Path, nargs="?", const=PICTURE, help="draw the roofline")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.shape, arguments.repeats = (2, *arguments.shape[1:]), 3

    rng = np.random.default_rng(0)
    weight_shape = (WINDOW, WINDOW, arguments.shape[3], arguments.filters)
    x = rng.normal(size=arguments.shape).astype(np.float32)
    weight = rng.normal(size=weight_shape).astype(np.float32)
    machine, points = measure(x, weight, arguments.repeats)

    cpu, threads = llvmlite.binding.get_host_cpu_name(), numba.get_num_threads()
    versions = f"minicnn {minicnn.__version__}, NumPy {np.__version__}, Numba {numba.__version__}"
    task = f"{WINDOW}x{WINDOW} convolution of {x.shape} with {arguments.filters} filters, float32"
    print(f"{cpu}, {threads} threads; {versions}")
    print(f"{task}, median times")
    print(f"peak {machine.peak / 1e9:.0f} GFLOP/s, memory {machine.bandwidth / 1e9:.0f} GB/s")
    print_table(machine, points)
    if arguments.save:
        draw(machine, points, f"{task}, {cpu}, {threads} threads", arguments.save)


if __name__ == "__main__":
    main()
