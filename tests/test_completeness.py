"""Nothing is forgotten: every kernel has its versions, its header and its test."""

import importlib
from pathlib import Path

import pytest
import test_cuda
import test_kernels
import test_op_kernels

from minicnn.backend import kernels

ROOT = Path(__file__).parents[1]
KERNELS = kernels.all_kernels()
TESTED = {
    *test_kernels.EVERY,
    *(name.partition(",")[0] for name in test_op_kernels.CALLS),
    "chain.forward",  # test_kernels.py, too, but its weights come in links
    "adam.step",  # the optimizers' kernels: test_optimizers.py
    "rmsprop.step",
    "sgd.step",
}


def test_every_kernel_is_compared_with_its_reference():
    assert set(KERNELS) == TESTED


def test_every_file_of_kernels_is_a_family_or_a_tool():
    tools = {"__init__", "compiling", "correlate", "geometry", "kernel", "memory", "simd"}
    tools |= {"channel_code", "channel_tiles", "depthwise", "packing", "planning", "runs", "spread"}
    tools |= {"list_tiles", "prefetch", "row_tiles", "sharing", "sweep", "threads", "warmup"}
    tools |= {"aligned_loops", "registers", "tile_code", "winners", "cuda", "exponential", "gpu"}
    tools |= {"chain_plan", "largest", "part_compiler", "precision"}
    tools |= {"second_compiler", "graphs"}
    files = {path.stem for path in ROOT.glob("kernels/*.py")}
    assert files == tools | set(kernels.FAMILIES)


@pytest.mark.parametrize("family", kernels.FAMILIES)
def test_every_family_has_a_header_that_says_who_owns_what(family):
    header = importlib.import_module(f"minicnn.kernels.{family}").__doc__
    for part in ("Work:", "Threads:", "Versions:"):
        assert part in header


def test_every_kernel_is_compiled_ahead_by_the_warmup():
    warmup = importlib.import_module("minicnn.kernels.warmup")
    assert {name for name, _ in warmup.calls("float32")} == set(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_called_what_it_is(name):
    family, _, function = name.partition(".")
    assert getattr(importlib.import_module(f"minicnn.kernels.{family}"), function) is KERNELS[name]


def test_every_kernel_has_a_version_for_the_gpu():
    assert kernels.without_gpu_version() == []


def test_every_gpu_version_is_compared_with_its_reference():
    tested = {name.partition(",")[0] for name in test_cuda.CALLS} | set(test_cuda.ELSEWHERE)
    assert tested == set(KERNELS)
