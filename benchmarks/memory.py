"""How much memory training takes: minicnn against PyTorch and Keras.

    python benchmarks/memory.py [--network tutorial] [--batch-size 64]

Each contestant trains for some steps in a new process. What counts is the high-water mark of its
resident memory, as Linux keeps it (VmHWM): in all; without what was there before the network was
made; and without what was there after a step with one image, when all libraries are loaded. The
images themselves are part of it, for they are everywhere the same.
"""

import fresh
from harness import options, taking_part
from networks import NETWORKS
from report import Outcome, Report, describe

STEPS = 20
KINDS = ("in all", "since before the network was made", "since a step with one image")


def main(arguments=None):
    """Measure."""
    parser = options(__doc__, peers=["torch", "keras"])
    parser.add_argument("--network", choices=NETWORKS, default="tutorial")
    parser.add_argument("--batch-size", type=int, default=64)
    settings = parser.parse_args(arguments)
    steps = 1 if settings.quick else STEPS
    found = {}
    for c in taking_part(settings):
        work = (c.module, settings.network, settings.batch_size, c.options, steps)
        fresh.measure(fresh.memory, *work)  # compiling would count, too
        found[c.title] = fresh.measure(fresh.memory, *work)
    report = Report("memory", describe(settings.threads), unit="MB")
    print(report.heading())
    title = f"training {NETWORKS[settings.network].title}, {settings.batch_size} images"
    for k, kind in enumerate(KINDS):
        values = {contestant: values[k] for contestant, values in found.items()}
        report.add(Outcome(f"{title}: {kind}", values))
    if settings.save:
        print("written:", *report.save())


if __name__ == "__main__":
    main()
