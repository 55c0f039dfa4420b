"""How much memory training takes: minicnn against PyTorch and Keras.

    python benchmarks/memory.py [--network tutorial] [--batch-size 64]

Each contestant trains for some steps in a new process. What counts is the high-water mark of its
resident memory, as Linux keeps it (VmHWM), of the whole program from its start to its end. Beside
this stands how much came on top of a step with one image, when all is loaded that is ever loaded:
that is what the batch takes. The images are part of it, for they are everywhere the same.

How much there was before the network was made says nothing, because libraries load their parts at
different times. PyTorch 2.13 has 218 of its 357 MB after its import. minicnn imports Numba when the
first kernel is called, so that `import minicnn` is quick; for the tutorial's network, its resident
memory grows like this, in MB (Linux, Python 3.11, NumPy 2.4, Numba 0.68):

     25    Python and NumPy
     36    + minicnn
     92    + Numba
    115    + all files of kernels
    154    + Numba's preparations for the first kernel that it loads or compiles
    172    + the kernels' machine code, and a step with one image
    196    + 20 steps with 64 images; after the first of them it grows no more
"""

import fresh
from harness import options, taking_part
from networks import NETWORKS
from report import Outcome, Report, describe

STEPS = 20
KINDS = ("the whole process", "on top of a step with one image")


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
