"""The ladder of convolutions: every rung computes the same, and the program draws its picture."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import rungs

from minicnn.backend import kernels

ROOT = Path(__file__).parents[1]
RUNGS = (
    rungs.python_loops,
    rungs.numba_loops,
    rungs.numba_good_order,
    rungs.numpy_im2col,
    rungs.register_tile,
    rungs.threads,
    rungs.minicnn_kernel,
)
SHAPES = (  # of x, of weight
    ((1, 3, 3, 1), (3, 3, 1, 1)),
    ((3, 5, 6, 3), (3, 3, 3, 5)),
    ((2, 4, 19, 2), (3, 3, 2, 33)),  # more pixels than a tile has, one filter more than it has
    ((2, 5, 7, 4), (2, 4, 4, 7)),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.__name__)
def test_every_rung_computes_the_convolution(rung, shapes, dtype):
    rng = np.random.default_rng(0)
    x, weight = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    wide = (x.astype(np.float64), weight.astype(np.float64))
    place = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    expected = kernels.conv2d.forward.reference(*wide, None, False, *place)
    y = rung(x, weight)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=100 * np.finfo(dtype).eps)


def test_every_rung_says_what_it_gains():
    for rung in RUNGS:
        assert len(rung.__doc__.splitlines()) > 3


def run_ladder(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "benchmarks" / "conv_ladder.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


@pytest.mark.slow
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="LLVM's instructions cannot run as Python")
def test_the_program_prints_a_table_and_draws_the_roofline(tmp_path):
    picture = tmp_path / "new" / "ladder.png"
    size = ("--shape", "9", "5", "6", "3", "--filters", "5")
    table = run_ladder("--quick", *size, "--save", picture).stdout
    assert "convolution of (2, 5, 6, 3) with 5 filters" in table
    for name in ("Python loops", "NumPy im2col", "register tile", "threads", "minicnn's kernel"):
        assert name in table
    assert picture.read_bytes().startswith(b"\x89PNG")
