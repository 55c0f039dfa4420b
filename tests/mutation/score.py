"""Plants mistakes into the library, one at a time, and counts those that the tests notice.

    python tests/mutation/score.py                        a sample of 200 of all
    python tests/mutation/score.py relu softmax --all     every one in files of these names
    python tests/mutation/score.py --folder minicnn/losses --sample 50 --seed 1

A mutant is a file with one mistake; see planting.py. It is caught if one of its doctests or a test
of its folder fails, or the trial takes longer than --seconds. (Without Keras and PyTorch, the tests
that compare with Keras do not help.) Those that survive are printed: each is a gap in the tests, or
a change that computes the same, as equivalent.txt explains. The exit code is 1 if there is a gap.
"""

from __future__ import annotations

import argparse
import inspect
import random
import sys
import time
from pathlib import Path

from planting import Mutant, mutants
from trial import ROOT, survivors

ONLY = ("-m", "not slow", "-k", "not emulator")
OPS = ("op_errors", "op_kernels", "ops", "activations", "engine", "gradients", "merging", "fusion")
WITNESSES = {  # folder: the tests that must notice, the quick ones first
    "minicnn/ops": OPS,
    "minicnn/losses": ("losses", "training_parts", "contract_training"),
    "minicnn/optimizers": ("optimizers", "training_parts", "contract_training"),
    "minicnn/metrics": ("metrics", "training_parts", "contract_training"),
    "kernels": ("op_kernels", "kernels", "simd", "sharing", "ops", "gradients", "optimizers"),
}
TOOLS = {"compiling", "warmup", "threads", "cuda", "gpu", "memory", "prefetch"}  # compute nothing


def files(folder: str, names: list[str]) -> list[Path]:
    """The files of a folder that compute something."""
    found = sorted((ROOT / folder).glob("*.py"))
    return [
        path
        for path in found
        if path.stem not in TOOLS | {"__init__"} and (not names or path.stem in names)
    ]


def equivalents() -> list[str]:
    """The beginnings of the names of mutants that compute the same."""
    lines = Path(__file__).with_name("equivalent.txt").read_text().splitlines()
    return [line.partition("   because ")[0] for line in lines if "   because " in line]


def tests_of(folder: str) -> list[str]:
    return [*(f"tests/test_{name}.py" for name in WITNESSES[folder]), *ONLY]


def score(folder: str, chosen: list[Mutant], seconds: float) -> tuple[int, int, int]:
    """Try the mutants of a folder, print survivors; returns how many are planted, caught, equal."""
    known = equivalents()
    planted = caught = equal = 0
    honest = chosen[0]._replace(source=chosen[0].path.read_text())
    if not all(survives for _, survives in survivors([honest], tests_of(folder), seconds)):
        sys.exit(f"{folder}: the tests fail without a mistake, too, so they would show nothing.")
    for mutant, survives in survivors(chosen, tests_of(folder), seconds):
        planted += 1
        caught += not survives
        if survives and any(str(mutant).startswith(name) for name in known):
            equal += 1
        elif survives:
            print(f"  survives: {mutant}", flush=True)
    return planted, caught, equal


def main() -> int:
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of files, without .py")
    parser.add_argument("--folder", choices=WITNESSES, action="append", help="default: all")
    parser.add_argument("--all", action="store_true", help="no sample")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600, help="after which a trial is caught")
    settings = parser.parse_args()
    everything = [
        (folder, mutant)
        for folder in settings.folder or WITNESSES
        for path in files(folder, settings.names)
        for mutant in mutants(path)
    ]
    count = len(everything) if settings.all else min(settings.sample, len(everything))
    chosen = random.Random(settings.seed).sample(everything, count)
    print(f"{count} of {len(everything)} mutants")
    totals, start = (0, 0, 0), time.monotonic()
    for folder in settings.folder or WITNESSES:
        of_folder = [mutant for where, mutant in chosen if where == folder]
        if of_folder:
            result = score(folder, of_folder, settings.seconds)
            planted, caught, equal = result
            print(f"{folder:20} {planted:5} planted {caught:5} caught {equal:5} compute the same")
            totals = tuple(map(sum, zip(totals, result, strict=True)))
    planted, caught, equal = totals
    print(f"{'all':20} {planted:5} planted {caught:5} caught {equal:5} compute the same")
    real = max(1, planted - equal)
    print(f"mutation score {caught / real:.1%}, in {(time.monotonic() - start) / 60:.0f} minutes")
    return int(caught < planted - equal)


if __name__ == "__main__":
    sys.exit(main())
