"""What gpu_layers.py and gpu_step.py have in common: as harness.py, on a GPU.

minicnn and PyTorch, eager and as CUDA graphs, first show that they compute the same, then take
turns, each in a process of its own. Medians count. The peaks are measured in the same run: by
PyTorch's matrix product in the same precision, and by a copy. --save writes a file for each
precision to results/.

With --device emulator minicnn's CUDA kernels run on the CPU, and so does PyTorch: that shows that
the results agree; nothing is timed, because no such time means anything.
"""

import argparse
import os
import sys
from dataclasses import dataclass

import contestants
from harness import check_same
from report import Outcome, Report
from workers import Worker, alternate

from minicnn.backend import kernels

PRECISIONS = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 3e-2}  # how far results may differ
OURS, EAGER, GRAPHS = "minicnn", "PyTorch", "PyTorch, CUDA graphs"


@dataclass(frozen=True)
class Case:
    """What is compared; as in harness.py.

    Args:
        title: what it is, in words.
        function: of gpu_with_minicnn.py and gpu_with_torch.py.
        args: its last arguments, behind device, precision and method.
        flops: multiplications and additions that it takes.
        bytes: what it must at least read and write.
        checked: how many runs one after the other are compared.
        looser: by what factor results may differ more than those of one product.
    """

    title: str
    function: str
    args: tuple
    flops: float
    bytes: float = 0
    checked: int = 1
    looser: float = 1


def options(description):
    """A parser with the options of both benchmarks."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--device", choices=["gpu", "emulator"], default="gpu")
    parser.add_argument("--precision", choices=PRECISIONS, help="only this one")
    parser.add_argument("--no-torch", action="store_true", help="minicnn alone")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each side and case")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each takes in it")
    parser.add_argument("--save", action="store_true", help="write to benchmarks/results/")
    return parser


class Comparison:
    """Contestants at work: `with Comparison(name, settings) as comparison: comparison.run(case)`.

    Args:
        name: of the benchmark, and of the files it writes.
        settings: the command line, as read by `options`.
    """

    def __init__(self, name, settings):
        reason = kernels.gpu.why_no_gpu() if settings.device == "gpu" else ""
        if reason:
            sys.exit(
                f"This benchmark needs a GPU, and none can be used here: {reason}\nOn a machine "
                f"with one run the same command; --device emulator only shows that it runs."
            )
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self.name, self.settings = name, settings
        self.ways = {OURS: (Worker("gpu_with_minicnn"), "eager")}
        if not settings.no_torch and self._torch_can():
            self.ways[EAGER] = (Worker("gpu_with_torch"), "eager")
            if settings.device == "gpu":
                self.ways[GRAPHS] = (Worker("gpu_with_torch"), "graphs")
        self.reports = {}  # by precision

    def _torch_can(self):
        reason = "it is not installed" if not contestants.is_installed("torch") else ""
        if not reason:
            worker = Worker("gpu_with_torch")
            reason = worker.call("gpu_with_torch.why_absent", self.settings.device)
            worker.close()
        if reason:
            print(f"PyTorch does not take part: {reason}.")
        return not reason

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for worker, _ in self.ways.values():
            worker.close()
        if kind is None and self.settings.save:
            print("written:", *[path for report in self.reports.values() for path in report.save()])

    def run(self, case):
        """Check and time a case in all precisions, and print what came out for each."""
        wanted = self.settings.precision
        for precision in [wanted] if wanted else PRECISIONS:
            self._check(case, precision)
            title = f"{case.title}, {precision}"
            if self.settings.device == "gpu":
                times = self._times(case, precision)
                self._report(precision).add(Outcome(title, times, case.flops, case.bytes))
            else:
                who = " and ".join(self.ways)
                print(f"{title}: {who} have computed it; with a GPU, times stand here", flush=True)

    def _check(self, case, precision):
        found = {}
        for title, (worker, method) in self.ways.items():
            args = (self.settings.device, precision, method, *case.args)
            call = f"{worker.module}.results"
            found[title] = worker.call(call, case.function, case.checked, *args)
        check_same(found, PRECISIONS[precision] * case.looser)

    def _times(self, case, precision):
        for worker, method in self.ways.values():
            worker.prepare(0, case.function, self.settings.device, precision, method, *case.args)
        workers = {title: worker for title, (worker, _) in self.ways.items()}
        turns = self.settings.rounds
        return alternate(workers, turns, self.settings.seconds / turns)

    def _report(self, precision):
        """What a precision is reported in; its first outcome says what the GPU can do in it."""
        if precision not in self.reports:
            machine = {"gpu": kernels.gpu.description()}
            if EAGER in self.ways:
                worker, _ = self.ways[EAGER]
                products, copies = worker.call("gpu_with_torch.peaks", precision)
                machine |= {"flops_per_second": products, "bytes_per_second": copies}
            report = self.reports[precision] = Report(f"{self.name}_{precision}", machine)
            print(f"{report.heading()}, {precision}")
        return self.reports[precision]
