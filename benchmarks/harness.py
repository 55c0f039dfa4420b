"""What all benchmarks have in common: options, a check that results agree, and a fair comparison.

A figure means little without a second one from the same run: machines differ, and other programs
disturb. So each benchmark

* gives all contestants the same task, and first compares what they compute;
* lets them take turns, each in a process of its own (workers.py), with the same number of threads;
* takes the median of all times, and divides those of the fastest peer by those of minicnn;
* says how much of the machine is used, for that is measured, too (machine.py).
"""

import argparse
import os
from dataclasses import dataclass

import contestants
import numpy as np
from report import Outcome, Report, describe
from workers import Worker, alternate

QUICK_SECONDS = 0.02


def options(description, peers):
    """A parser with the options that all benchmarks have.

    Args:
        description: the docstring of the benchmark.
        peers: whom it can be compared with.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--peers",
        default=",".join(peers),
        help="whom to compare with (default: %(default)s); '' for nobody",
    )
    parser.add_argument(
        "--threads", type=int, default=processors(), help="of each contestant (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=3, help="for each contestant and case (%(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=10, help="turns that each takes in it (%(default)s)"
    )
    parser.set_defaults(able=peers)
    parser.add_argument("--save", action="store_true", help="write to benchmarks/results/")
    parser.add_argument("--quick", action="store_true", help="small and short: does it run?")
    return parser


def processors():
    """How many threads this program is told to use, or else how many processors it may use."""
    told = os.environ.get("NUMBA_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    if told:
        return int(told)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def taking_part(settings):
    """The contestants of a run; from here on, every new process keeps to --threads."""
    os.environ["NUMBA_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(settings.threads)
    found = contestants.peers([name for name in settings.peers.split(",") if name], settings.able)
    if contestants.keras_backend():
        os.environ["KERAS_BACKEND"] = contestants.keras_backend()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no greetings
    return [contestants.MINICNN, *found]


@dataclass(frozen=True)
class Case:
    """What is compared.

    Args:
        title: what it is, in words.
        function: its name; every with_*.py has it, and it returns what is to be timed.
        args: its arguments.
        flops: multiplications and additions that it takes; 0 where that says nothing.
        bytes: what it must at least read from memory or write to it; 0 likewise.
        tolerance: by how much results may differ: the root mean square of the difference, as a
            share of that of the results. One wrong number in a million makes 1e-3.
        checked: how many runs one after the other are compared.
    """

    title: str
    function: str
    args: tuple
    flops: float = 0
    bytes: float = 0
    tolerance: float = 1e-4
    checked: int = 1


class Comparison:
    """Contestants at work: `with Comparison(...) as comparison: comparison.run(case)`.

    Args:
        name: of the benchmark, and of the files it writes.
        settings: the command line, as read by `options`.
        others: more contestants.
        brief: whether the report has a single line for each case.
    """

    def __init__(self, name, settings, others=(), brief=False):
        self.settings = settings
        if settings.quick:
            settings.rounds, settings.seconds = 1, QUICK_SECONDS
        found = [*taking_part(settings), *others]
        self.report = Report(name, describe(settings.threads), brief=brief)
        self.options = {contestant.title: contestant.options for contestant in found}
        self.workers = {contestant.title: Worker(contestant.module) for contestant in found}
        print(self.report.heading())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for worker in self.workers.values():
            worker.close()
        if kind is None and self.settings.save:
            print("written:", *self.report.save())

    def run(self, case):
        """Check that all compute the same, let them take turns, print and return the Outcome."""
        check_same(
            {
                title: worker.prepare(
                    case.checked, case.function, *case.args, **self.options[title]
                )
                for title, worker in self.workers.items()
            },
            case.tolerance,
        )
        times = alternate(
            self.workers, self.settings.rounds, self.settings.seconds / self.settings.rounds
        )
        if case.flops and not self.settings.quick:
            ours = self.workers[contestants.MINICNN.title]
            self.report.raise_peak(ours.call("machine.multiply_add_peak"))
        return self.report.add(Outcome(case.title, times, case.flops, case.bytes))


def check_same(results, tolerance):
    """Compare the results of all contestants with those of the first one.

    Args:
        results: {title: list of numbers, arrays, or lists of arrays}.
        tolerance: by how much they may differ, as a share of the root mean square.

    Raises:
        AssertionError: two differ; the message says which, and by how much.
    """
    (first, wanted), *others = ((title, _arrays(found)) for title, found in results.items())
    for title, found in others:
        for ours, theirs in zip(wanted, found, strict=True):
            _check_same(first, ours, title, theirs, tolerance)


def _arrays(results):
    """All numbers and arrays in a list, and in the lists in it, as arrays."""
    lists = (result if isinstance(result, list) else [result] for result in results)
    return [np.asarray(array) for found in lists for array in found]


def _check_same(first, ours, title, theirs, tolerance):
    if ours.shape != theirs.shape:
        raise AssertionError(
            f"{title} and {first} do not compute the same: the shapes are {theirs.shape} and "
            f"{ours.shape}."
        )
    size = max(np.linalg.norm(ours), np.finfo(np.float32).tiny)
    difference = np.linalg.norm(ours - theirs) / size
    if not difference <= tolerance:  # a NaN is not
        raise AssertionError(
            f"{title} and {first} do not compute the same: they differ by {difference:.1e} of the "
            f"root mean square, and {tolerance:.0e} is allowed for rounding."
        )
