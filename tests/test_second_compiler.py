"""The second process, which compiles while the first training begins."""

import sys
import time

import numba
import numpy as np
import pytest
from test_start_up import compiles, python

from minicnn import layers
from minicnn.backend import kernels
from minicnn.models import Sequential

second_compiler = kernels.second_compiler
kernels.relu  # noqa: B018  imports Numba, and compiling.py with it
from minicnn.kernels import compiling, threads, warmup  # noqa: E402

WEIGHTS = np.zeros(3, "float32")
X, Y = np.zeros((1, 2)), np.zeros((1, 1))


@pytest.fixture
def model():
    """A model whose kernels have been loaded."""
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y)
    return model


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The commands that are started, where nothing has been compiled and two threads may work."""
    commands = []

    class Process:
        def __init__(self, command, **settings):
            commands.append(command)

        def terminate(self):
            commands.append("terminate")

        def wait(self):
            commands.append("wait")

    monkeypatch.setattr(second_compiler.subprocess, "Popen", Process)
    monkeypatch.setattr(second_compiler.atexit, "register", lambda end, process: end(process))
    monkeypatch.setattr(compiling, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    second_compiler._begin.cache_clear()
    yield commands
    second_compiler._begin.cache_clear()


def test_it_is_started_once_for_a_folder_and_a_dtype_and_ends_with_the_first(started):
    second_compiler.begin(WEIGHTS)
    (python, _, code), *end = started
    assert python == sys.executable and code.endswith("compile_kernels('float32')")
    assert end == ["terminate", "wait"]
    second_compiler.begin(WEIGHTS)
    second_compiler._begin.cache_clear()  # as in the next process
    second_compiler.begin(WEIGHTS)
    assert len(started) == 3
    second_compiler.begin(WEIGHTS.astype("float64"))
    assert len(started) == 6 and started[3][2].endswith("compile_kernels('float64')")


def test_the_first_training_starts_it(model, started):
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    assert not started
    model.train_on_batch(X, Y)
    assert len(started) == 3


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (compiling, "cache_folder", lambda: None),
        (threads, "thread_count", lambda: 1),
        (numba.config, "DISABLE_JIT", 1),
        (sys, "executable", "/usr/bin/blender"),
        (sys, "executable", None),
    ],
)
def test_it_is_not_started_where_it_cannot_help(module, name, value, started, monkeypatch):
    monkeypatch.setattr(module, name, value)
    second_compiler.begin(WEIGHTS)
    assert not started


def test_training_on_a_gpu_does_without(started):
    second_compiler.begin(type("OnGPU", (), {"__cuda_array_interface__": {}})())
    assert not started


def test_it_compiles_what_a_warmup_does_the_last_first(monkeypatch):
    called, names = [], [name for name, _ in warmup.calls("float32")]
    for wanted in second_compiler.LAST_FIRST:
        assert wanted in names
    notes = {name: lambda *given, name=name: called.append((name, given)) for name in names}
    monkeypatch.setattr(warmup, "all_kernels", lambda: notes)
    monkeypatch.setattr(second_compiler.os, "nice", lambda step: called.append(step))
    second_compiler.compile_kernels("float64")
    nice, *calls = called
    assert nice == 19
    found = [name for name, _ in calls]
    assert list(dict.fromkeys(found)) == list(second_compiler.LAST_FIRST)
    assert found.count("relu.backward") == names.count("relu.backward") == 2
    assert {a.dtype.name for a in calls[0][1] if isinstance(a, np.ndarray)} == {"float64"}


@compiles
@pytest.mark.skipif(threads.thread_count() == 1, reason="needs a second processor")
def test_what_it_compiles_is_found_on_the_disk(tmp_path):
    code = f"""
import pathlib, time, numpy as np
from minicnn.backend import kernels
kernels.second_compiler.begin(np.zeros(3, "float32"))
limit = time.monotonic() + 100
while time.monotonic() < limit:
    if list(pathlib.Path({str(tmp_path)!r}).glob("numba/*/**/adam._step_loops*.nbi")):
        break
    time.sleep(0.1)
kernels.adam.step(*np.zeros((4, 8), "float32"), np.zeros(0, "float32"), 0.1, 0, 0.9, 0.999, 0.1)
"""
    start = time.monotonic()
    assert python(code, MINICNN_HOME=str(tmp_path)).stderr == ""  # or it would say that it compiles
    assert time.monotonic() - start < 100
