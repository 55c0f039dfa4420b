"""Start-up: what an import loads, where machine code is kept, and what the user is told."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from minicnn.backend import kernels

ROOT = Path(__file__).parents[1]
kernels.relu  # noqa: B018  imports Numba, and compiling.py with it
from minicnn.kernels import compiling  # noqa: E402

compiles = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
RELU = "import numpy as np; from minicnn.backend import kernels; "
RELU += "print(kernels.relu.forward(np.array([-1.0, 2.0])))"


def python(code, **environment):
    names = ("NUMBA_CACHE_DIR", "MINICNN_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_import_leaves_the_heavy_libraries_for_later():
    heavy = ["numba", "matplotlib", "h5py", "PIL", "tarfile", "urllib.request", "http.client"]
    code = f"import minicnn, sys; print([name for name in {heavy} if name in sys.modules])"
    assert python(code).stdout == "[]\n"


@compiles
def test_machine_code_is_kept_in_minicnns_folder_and_the_user_is_told_once(tmp_path):
    first = python(RELU, MINICNN_HOME=str(tmp_path))
    again = python(RELU, MINICNN_HOME=str(tmp_path))
    assert first.stdout == again.stdout == "[0. 2.]\n"
    assert first.stderr.count("minicnn: compiling kernels, once for this machine") == 1
    assert again.stderr == ""
    assert list(tmp_path.glob("numba/*/**/*.nbi"))
    assert not list(ROOT.glob("kernels/__pycache__/*.nbi"))


@compiles
def test_numbas_own_setting_comes_first(tmp_path):
    python(RELU, MINICNN_HOME=str(tmp_path / "unused"), NUMBA_CACHE_DIR=str(tmp_path / "numba"))
    assert list(tmp_path.glob("numba/**/*.nbi"))
    assert not (tmp_path / "unused").exists()


@compiles
def test_without_a_folder_it_works_all_the_same(tmp_path):
    (tmp_path / "file").touch()
    result = python(RELU, MINICNN_HOME=str(tmp_path / "file"))
    assert result.stdout == "[0. 2.]\n"


@compiles
def test_other_peoples_functions_keep_their_own_folder(tmp_path):
    code = f"{RELU}; import numba; print(repr(numba.config.CACHE_DIR))"
    assert python(code, MINICNN_HOME=str(tmp_path)).stdout.endswith("''\n")


def test_the_folder_is_named_after_the_text_of_all_kernels(monkeypatch):
    before = compiling._fingerprint()
    assert compiling._fingerprint() == before
    read = Path.read_bytes
    changed = lambda path: read(path) + b"#" * (path.name == "simd.py")  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", changed)
    assert compiling._fingerprint() != before


@compiles
def test_a_division_by_zero_is_infinite_in_kernels():
    @compiling.compiled
    def divide(x, y):
        return x / y

    assert divide(1.0, 0.0) == float("inf")
