"""How long one waits: for the import, and for the first training step.

    python benchmarks/startup.py [--peers torch,keras]

Each figure is the median of several new processes, in which contestants take turns; the start of
Python itself is not counted. minicnn's kernels are compiled on the first use, and kept on disk: the
last case begins with an empty folder, as on a machine that has never run them.
"""

import statistics
import tempfile

import fresh
from harness import options, taking_part
from report import Outcome, Report, describe

STEP = ("tutorial", 64)
LIBRARIES = {"with_minicnn": "minicnn", "with_torch": "torch", "with_keras": "keras"}


def medians(who, rounds, measure):
    """{title: median of what measure(contestant) gives}; they take turns."""
    times = {contestant.title: [] for contestant in who}
    for _ in range(rounds):
        for contestant in who:
            times[contestant.title].append(measure(contestant))
    return {title: statistics.median(values) for title, values in times.items()}


def import_time(contestant):
    """Seconds for the import."""
    return fresh.measure(fresh.import_time, LIBRARIES[contestant.module])


def first_step(contestant):
    """Seconds from the import to the end of the first step."""
    return fresh.measure(fresh.first_step, contestant.module, *STEP, contestant.options)


def first_step_ever(contestant):
    """The same where no machine code is kept."""
    arguments = (contestant.module, *STEP, contestant.options)
    with tempfile.TemporaryDirectory() as folder:
        environment = {"MINICNN_HOME": folder, "NUMBA_CACHE_DIR": None}
        return fresh.measure(fresh.first_step, *arguments, **environment)


def main(arguments=None):
    """Measure."""
    parser = options(__doc__, peers=["torch", "keras"])
    parser.set_defaults(rounds=5)
    settings = parser.parse_args(arguments)
    rounds = 1 if settings.quick else settings.rounds
    who = [c for c in taking_part(settings) if c.options.get("layout") != "channels_last"]
    report = Report("startup", describe(settings.threads), unit="s")
    print(report.heading())
    first_step(who[0])  # so that the kernels are compiled and kept
    report.add(Outcome("import", medians(who, rounds, import_time)))
    report.add(Outcome("import and first step", medians(who, rounds, first_step)))
    if not settings.quick:
        ever = Outcome(
            "the same, with kernels to be compiled", medians(who[:1], 1, first_step_ever)
        )
        report.add(ever)
    if settings.save:
        print("written:", *report.save())


if __name__ == "__main__":
    main()
