"""What benchmarks say: lines on the screen, and with --save JSON, a chart, and Markdown tables.

    python benchmarks/report.py

prints a table, as the README has it, for each file in benchmarks/results/.
"""

import datetime
import importlib.metadata
import json
import math
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import contestants
import llvmlite.binding
from workers import Worker

import minicnn

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("numpy", "numba", "torch", "keras", "tensorflow", "onnxruntime")
UNITS = {"ms": 1e-3, "s": 1, "MB": 1e6}
BAR = 0.2  # inches
CACHE = 1 << 25  # bytes of the last-level cache, about: what is smaller may stay there


@dataclass(frozen=True)
class Outcome:
    """What came out of a comparison.

    Args:
        title: what was compared.
        values: {contestant: median time in seconds}, or bytes; less is better.
        flops: multiplications and additions that it takes.
        bytes: what must be read and written, at least: from and to memory, or the last-level
            cache if it is so little that it may stay there.
    """

    title: str
    values: dict
    flops: float = 0
    bytes: float = 0

    @property
    def ours(self):
        """The value of minicnn."""
        return self.values[contestants.MINICNN.title]

    @property
    def ratio(self):
        """The value of the best peer divided by that of minicnn; None if there is no peer."""
        peers = [v for title, v in self.values.items() if not contestants.is_minicnn(title)]
        return min(peers) / self.ours if peers else None

    def share_of_peak(self, machine):
        """How many of the multiply-adds that the machine could do minicnn does; None if unknown."""
        peak = machine.get("flops_per_second")  # of a GPU only PyTorch tells it
        return self.flops / self.ours / peak if self.flops and peak else None

    def share_of_roof(self, machine):
        """How near minicnn is to what memory and arithmetic together allow: the roofline."""
        return self.least_seconds(machine) / self.ours if self.flops else None

    def least_seconds(self, machine):
        """The time that no program can beat."""
        return max(self.flops / machine["flops_per_second"], self._seconds_to_move(machine))

    def waits_for_bytes(self, machine):
        """Whether moving the bytes takes longer than computing."""
        return self._seconds_to_move(machine) > self.flops / machine["flops_per_second"]

    @property
    def fits_the_cache(self):
        """Whether what is read and written may stay in the last-level cache from run to run."""
        return self.bytes <= CACHE

    def _seconds_to_move(self, machine):
        source = "cached_bytes_per_second" if self.fits_the_cache else "bytes_per_second"
        return self.bytes / machine.get(source, math.inf)  # older records lack the first


class Report:
    """Prints outcomes as they come, and writes them down.

    Args:
        name: of the benchmark, and of the files that are written.
        machine: see `describe`; or of a GPU what it is, "gpu", and with PyTorch what it can do.
        unit: one of UNITS; "MB" for memory.
        brief: whether an outcome is printed in one line, with the best peer only.
    """

    def __init__(self, name, machine, unit="ms", brief=False):
        self.name, self.machine, self.unit, self.brief = name, machine, unit, brief
        self.outcomes = []

    def heading(self):
        """Who measured, where, and what the machine can do."""
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        return f"{in_words(self.machine)}\n{used}"

    def raise_peak(self, flops_per_second):
        """Take a later measurement into account: other programs can only have lowered the first."""
        self.machine["flops_per_second"] = max(self.machine["flops_per_second"], flops_per_second)

    def add(self, outcome):
        """Keep an outcome, print it, and return it."""
        self.outcomes.append(outcome)
        if self.brief:
            best = f", {outcome.ratio:.2f}" if outcome.ratio else ""
            ours = f"{outcome.ours / UNITS[self.unit]:9.3f} {self.unit}"
            print(f"{outcome.title:44}{ours}{best}{self._shares(outcome)}", flush=True)
            return outcome
        print(f"\n{outcome.title}{self._shares(outcome)}")
        for title, value in outcome.values.items():
            print(f"  {title:26}{value / UNITS[self.unit]:10.3f} {self.unit}")
        if outcome.ratio:
            print(f"  best peer / minicnn: {outcome.ratio:.2f}", flush=True)
        return outcome

    def _shares(self, outcome):
        """How near to the limits of the machine minicnn comes, in words."""
        share = outcome.share_of_peak(self.machine)
        if share is None:
            return ""
        words = f", {share:.0%} of peak"
        if outcome.waits_for_bytes(self.machine):
            share = outcome.share_of_roof(self.machine)
            where = "the cache" if outcome.fits_the_cache else "memory"
            words += f", {share:.0%} of what {where} allows"
        return words

    def record(self):
        """All of it, as JSON can hold it."""
        return {
            "benchmark": self.name,
            "date": datetime.date.today().isoformat(),
            "machine": self.machine,
            "versions": versions(),
            "unit": self.unit,
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
        }

    def save(self):
        """Write a JSON file and a chart; return their paths."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(self.record(), indent=1) + "\n")
        return path, draw(self.record(), path.with_suffix(".png"))


def describe(threads):
    """What the machine is, and what it can do; measured before others are at work."""
    worker = Worker(contestants.MINICNN.module)
    try:
        return {
            "cpu": processor_name(),
            "architecture": llvmlite.binding.get_host_cpu_name(),
            "threads": threads,
            "flops_per_second": worker.call("machine.multiply_add_peak"),
            "bytes_per_second": worker.call("machine.memory_bandwidth"),
            "cached_bytes_per_second": worker.call("machine.shared_cache_bandwidth"),
        }
    finally:
        worker.close()


def in_words(machine):
    """One line about the machine."""
    who = _name(machine)
    if "cpu" in machine:
        who = f"{machine['cpu']} ({machine['architecture']}), {machine['threads']} threads"
    if "flops_per_second" not in machine:
        return who
    return (
        f"{who}; {machine['flops_per_second'] / 1e9:.0f} GFLOP/s of multiply-adds, "
        f"{machine['bytes_per_second'] / 1e9:.0f} GB/s from and to memory"
    )


def processor_name():
    """What the processor calls itself."""
    file = Path("/proc/cpuinfo")  # Linux only
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions():
    """Of Python, minicnn, and those PACKAGES that are installed."""
    found = {"Python": platform.python_version(), "minicnn": minicnn.__version__}
    for name in PACKAGES:
        for package in (name, f"{name}-cpu"):
            try:
                found[name] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def outcomes_of(record):
    """The outcomes in a record."""
    return [Outcome(**outcome) for outcome in record["outcomes"]]


def columns(record):
    """The titles of all contestants in a record, in order."""
    return list(dict.fromkeys(title for o in outcomes_of(record) for title in o.values))


def draw(record, path):
    """Draw each value as a bar, with minicnn's as the unit, for cases differ a thousandfold."""
    from matplotlib.figure import Figure

    outcomes, titles = outcomes_of(record), columns(record)
    thickness = 1 / (len(titles) + 1)
    figure = Figure((9, 1.5 + BAR * len(outcomes) / thickness), layout="constrained")
    axes = figure.subplots()
    for k, title in enumerate(titles):
        rows = [row for row, outcome in enumerate(outcomes) if title in outcome.values]
        lengths = [outcomes[row].values[title] / outcomes[row].ours for row in rows]
        axes.barh([row + k * thickness for row in rows], lengths, thickness, label=title)
    middle = (len(titles) - 1) * thickness / 2
    axes.set_yticks([row + middle for row in range(len(outcomes))], [o.title for o in outcomes])
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    what = "memory" if record["unit"] == "MB" else "time"
    axes.set_xlabel(f"{what}, in units of what minicnn needs: shorter is better")
    axes.set_title(f"{record['date']}: {_name(record['machine'])}", fontsize=10)
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=100)
    return path


def _name(machine):
    return machine["gpu"] if "gpu" in machine else f"{machine['cpu']}, {machine['threads']} threads"


def markdown(record):
    """A table with a row for each case, as Markdown."""
    machine, titles = record["machine"], columns(record)
    used = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines = [
        f"`{record['benchmark']}`, {record['date']}: {in_words(machine)}. {used}.",
        "",
        _row([record["unit"], *titles, "best peer / minicnn", "share of peak"]),
        _row(["---", *["---:"] * (len(titles) + 2)]),
    ]
    for outcome in outcomes_of(record):
        values = [outcome.values.get(title) for title in titles]
        shown = ["" if v is None else f"{v / UNITS[record['unit']]:.4g}" for v in values]
        ratio, share = outcome.ratio, outcome.share_of_peak(machine)
        ends = [f"{ratio:.2f}" if ratio else "", f"{share:.0%}" if share else ""]
        lines.append(_row([outcome.title, *shown, *ends]))
    return "\n".join(lines)


def _row(cells):
    return f"| {' | '.join(cells)} |"


def main():
    """Print a table for each file."""
    for path in sorted(RESULTS.glob("*.json")):
        print(markdown(json.loads(path.read_text())), end="\n\n")


if __name__ == "__main__":
    main()
