"""Plants mistakes into the library, one at a time, and counts those that the tests notice.

    python tests/mutation/score.py                        a sample of 200 of all
    python tests/mutation/score.py relu softmax --all     every one in files of these names
    python tests/mutation/score.py --folder minicnn/losses --all
    python tests/mutation/score.py --folder minicnn/losses --all --explained

A mutant is a file with one mistake; see planting.py. It is caught if a doctest of its folder or one
of the folder's tests fails, or never ends. Kernels are tried as plain Python first. (Without Keras
and PyTorch, the tests that compare with them do not help.) Those that survive are printed: each is
a gap in the tests, or a change that computes the same, as the files in equivalent/ explain. These
are not tried again, since who survives takes all tests; but with --explained they alone are, and
those that are caught are printed: their explanation is wrong. The exit code is 1 if anything is.

The folder minicnn stands for the files in it, without those of the folders within: the engine, and
what losses and layers share. The folder cuda stands for the .cu files of kernels/, which the
emulator runs; it needs g++.
"""

from __future__ import annotations

import argparse
import inspect
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import planting
import planting_cuda
from planting import Mutant
from trial import ROOT, Quick, from_scratch
from trial_cuda import OnEmulator

TRAINING = " training_parts contract_training"
CAPTURED = " step_graphs"  # on the emulator, but quick
WITNESSES = {  # folder: the tests that must notice
    "minicnn": "engine gradients ops op_errors op_details ops_like_numpy hooks backward_hooks"
    " anomaly calculus checkpointing activations arguments constraints regularizers initializers"
    " losses loss_formulas metrics metric_formulas metric_details image_layers scaling devices"
    " mixed_precision reproducibility serialization config gradcheck gradcheck_limits images"
    + TRAINING
    + CAPTURED,
    "minicnn/ops": "op_errors op_details window_ops norm_ops ops_like_numpy op_kernels ops"
    " activations engine gradients merging fusion batch_norm" + CAPTURED,
    "minicnn/layers": "layers layer_gradients layer_settings noise config arguments regularizers"
    " costs beginning beginning_of_graphs depthwise_links fusion image_layers augmentation"
    " batch_norm scaling subclassing merging functional sequential nesting hooks backward_hooks"
    " layer_details layer_limits" + CAPTURED,
    "minicnn/losses": "losses loss_formulas" + TRAINING + CAPTURED,
    "minicnn/optimizers": "optimizers optimizer_formulas optimizer_options schedules"
    + TRAINING
    + CAPTURED,
    "minicnn/metrics": "metrics metric_formulas metric_details counting_metrics" + TRAINING,
    "kernels": "op_kernels kernels simd optimizer_formulas optimizers cuda gpu_kernels"
    " gpu_convolution norm_kernels warp_kernels short_sweeps short_poolings short_chains plans"
    " plans_of_chains plans_of_correlations plans_of_depthwise plans_of_sweeps registers"
    " tile_code row_tiles list_tiles channel_tiles calling_kernels sharing graphs exponential",
    "cuda": "cuda gpu_kernels gpu_edges gpu_norm_edges gpu_window_edges gpu_convolution"
    " gpu_convolution_edges warp_kernels",
}
COMPILED = "ops gradients"  # what else tests kernels that are compiled
TOOLS = {"compiling", "warmup", "threads", "cuda", "gpu", "memory", "prefetch"}  # compute nothing
TOOLS |= {"part_compiler", "second_compiler", "graphs"}
TOOLS |= {"__main__", "describing", "explanation", "files", "late", "notices", "source_code"}
ONLY = "not emulator"
SLOW_AS_PYTHON = (
    "(kernels or cuda or optimizer) and (random or larger_than or many or tutorial or caches"
    " or ahead or (long and not along))"
)


def files(folder: str, names: list[str]) -> list[Path]:
    """The files of a folder that compute something."""
    if folder == "cuda":
        found = sorted((ROOT / "kernels").glob("*.cu"))
    else:
        found = sorted((ROOT / folder).glob("*.py"))
    return [
        path
        for path in found
        if path.stem not in TOOLS | {"__init__"} and (not names or path.stem in names)
    ]


def mutants(path: Path) -> Iterator[Mutant]:
    return (planting_cuda if path.suffix == ".cu" else planting).mutants(path)


def equivalents(folder: str) -> set[str]:
    """The names of a folder's mutants that compute the same; the reasons stand below them."""
    path = Path(__file__).with_name("equivalent") / f"{Path(folder).name}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line for line in lines if line and not line.startswith(" ")}


def survivors(folder: str, chosen: list[Mutant], at_once: int) -> tuple[list[Mutant], int]:
    """The mutants of a folder that no test notices, and how many there are that compile."""
    if not chosen:
        return [], 0
    tests = [*_test_files(WITNESSES[folder]), "-m", "not slow"]
    if folder == "cuda":
        return _apart(_on_emulator, chosen, tests, at_once)
    plain = folder == "kernels"
    tests = [*map(str, files(folder, [])), *tests]
    only = f"{ONLY} and not ({SLOW_AS_PYTHON})" if plain else ONLY
    found, unsure = _apart(_quick, folder, chosen, [*tests, "-k", only], at_once, plain)
    unsure += [mutant for mutant in found if mutant.is_race]  # plain Python has one thread
    found = [mutant for mutant in found if not mutant.is_race]
    if unsure:
        print(f"  {len(unsure)} are tried from scratch", file=sys.stderr, flush=True)
        tests += _test_files(COMPILED) if plain else []
        found += _apart(from_scratch, unsure, [*tests, "-k", only], at_once)
    return found, len(chosen)


def _on_emulator(chosen: list[Mutant], tests: list[str], at_once: int) -> tuple[list[Mutant], int]:
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # a process that has threads cannot be forked
    trials = OnEmulator(ROOT / "kernels", chosen, at_once)
    trials.run(tests)
    return trials.survivors + trials.unsure, len(trials.mutants)


def _test_files(names: str) -> list[str]:
    return [f"tests/test_{name}.py" for name in names.split()]


def _quick(
    folder: str, chosen: list[Mutant], tests: list[str], at_once: int, plain: bool
) -> tuple[list[Mutant], list[Mutant]]:
    if plain:
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    trials = Quick(ROOT / folder, chosen, at_once)
    trials.run(tests)
    return trials.survivors, trials.unsure


def _apart(function, *arguments):
    """What a function returns in a process where nothing has been imported."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def score(folder: str, chosen: list[Mutant], at_once: int) -> tuple[int, int, int]:
    """Try the mutants of a folder, print survivors; returns how many are planted, caught, equal."""
    explained = _explained(folder, chosen)
    tried = [mutant for mutant in chosen if mutant not in explained]
    gaps, count = survivors(folder, tried, at_once)
    for mutant in sorted(gaps):
        print(f"  survives: {mutant}", flush=True)
    return count + len(explained), count - len(gaps), len(explained)


def wrongly_explained(folder: str, chosen: list[Mutant], at_once: int) -> list[Mutant]:
    """The mutants of a folder that compute the same, as is said, and are caught."""
    explained = _explained(folder, chosen)
    surviving, _ = survivors(folder, explained, at_once)
    return sorted(mutant for mutant in explained if mutant not in surviving)


def _explained(folder: str, chosen: list[Mutant]) -> list[Mutant]:
    known = equivalents(folder)
    return [mutant for mutant in chosen if f"{mutant.path.name} {mutant.signature}" in known]


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
    parser.add_argument("--explained", action="store_true", help="only those that compute the same")
    parser.add_argument("--at-once", type=int, default=2, metavar="PROCESSES")
    settings = parser.parse_args()
    os.chdir(ROOT)
    os.environ["NUMBA_NUM_THREADS"] = "1"  # of each trial, or those of several would get in the way
    everything = [
        (folder, mutant)
        for folder in settings.folder or WITNESSES
        for path in files(folder, settings.names)
        for mutant in mutants(path)
    ]
    count = len(everything) if settings.all else min(settings.sample, len(everything))
    chosen = random.Random(settings.seed).sample(everything, count)
    print(f"{count} of {len(everything)} mutants")
    of_folders = {
        folder: [mutant for where, mutant in chosen if where == folder]
        for folder in settings.folder or WITNESSES
    }
    judge = _judge_explanations if settings.explained else _judge_tests
    return judge({folder: found for folder, found in of_folders.items() if found}, settings.at_once)


def _judge_tests(of_folders: dict[str, list[Mutant]], at_once: int) -> int:
    """Print the score of each folder and of all; returns the exit code."""
    totals, start = (0, 0, 0), time.monotonic()
    for folder, chosen in of_folders.items():
        result = score(folder, chosen, at_once)
        planted, caught, equal = result
        print(f"{folder:20} {planted:5} planted {caught:5} caught {equal:5} compute the same")
        totals = tuple(map(sum, zip(totals, result, strict=True)))
    planted, caught, equal = totals
    print(f"{'all':20} {planted:5} planted {caught:5} caught {equal:5} compute the same")
    real = max(1, planted - equal)
    print(f"mutation score {caught / real:.1%}, in {(time.monotonic() - start) / 60:.0f} minutes")
    return int(caught < planted - equal)


def _judge_explanations(of_folders: dict[str, list[Mutant]], at_once: int) -> int:
    """Print the explanations that are wrong; returns the exit code."""
    count = 0
    for folder, chosen in of_folders.items():
        for mutant in wrongly_explained(folder, chosen, at_once):
            print(f"  is caught: {mutant}", flush=True)
            count += 1
    print(f"{count} explanations are wrong")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
