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
from minicnn.kernels import compiling, threads  # noqa: E402

compiles = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
RELU = "import numpy as np; from minicnn.backend import kernels; "
RELU += "print(kernels.relu.forward(np.array([-1.0, 2.0])))"


def python(code, **environment):
    names = ("NUMBA_CACHE_DIR", "MINICNN_HOME", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
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
def test_processes_that_compile_at_the_same_time_write_different_files(tmp_path):
    for dtype in ("float32", "float64"):
        for path in tmp_path.glob("numba/*/**/*.nbi"):
            path.unlink()  # as if the second had looked before the first one had written
        python(RELU.replace("[-1.0, 2.0]", f"[-1.0, 2.0], '{dtype}'"), MINICNN_HOME=str(tmp_path))
    assert len(list(tmp_path.glob("numba/*/**/relu._forward_run*.nbc"))) == 2


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
    before = compiling.fingerprint()
    assert compiling.fingerprint() == before
    read = Path.read_bytes
    changed = lambda path: read(path) + b"#" * (path.name == "simd.py")  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", changed)
    assert compiling.fingerprint() != before


@compiles
def test_a_division_by_zero_is_infinite_in_kernels():
    @compiling.compiled
    def divide(x, y):
        return x / y

    assert divide(1.0, 0.0) == float("inf")


# --- parts: what has machine code only within kernels


@compiles
def test_a_part_is_not_made_into_machine_code(monkeypatch):
    monkeypatch.setattr(compiling, "cache_folder", lambda: None)  # or it might be there already

    @compiling.compiled_part
    def double(x):
        return 2 * x

    @compiling.compiled
    def quadruple(x):
        return double(double(x))

    assert quadruple(3.0) == 12.0
    found = double.dispatcher.overloads, quadruple.overloads
    part, kernel = (next(iter(versions.values())).library for versions in found)
    assert kernel._compiled and not getattr(part, "_compiled", False)


@compiles
def test_kernels_are_made_from_parts_that_were_kept(tmp_path):
    product = "matmul.multiply(np.eye(2), np.ones((2, 2)), np.array([-1.0, 2.0]), True)"
    code = f"import numpy as np; from minicnn.backend import kernels; print(kernels.{product})"
    first = python(code, MINICNN_HOME=str(tmp_path))
    kept = set(tmp_path.glob("numba/*/**/*.nbc"))
    for path in tmp_path.glob("numba/*/**/sweep._sweep-*.nbi"):
        path.unlink()
    again = python(code, MINICNN_HOME=str(tmp_path))
    assert again.stdout == first.stdout == "[[0. 3.]\n [0. 3.]]\n"
    (kernel,) = set(tmp_path.glob("numba/*/**/*.nbc")) - kept
    assert kernel.name.startswith("sweep._sweep-")


# --- what the user is told


class Compiled:
    """What Numba reports of a function that is compiled."""

    def __init__(self, module):
        function = type("function", (), {"__module__": module})
        self.data = {"dispatcher": type("dispatcher", (), {"py_func": function})}


def test_a_terminal_is_told_which_kernel_is_compiled(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    notice = compiling._Notice()
    for family in ("relu", "adam"):
        event = Compiled(f"minicnn.kernels.{family}")
        notice.on_start(event)
        notice.on_start(event)  # on the way, a kernel compiles what it calls
        notice.on_end(event)
        notice.on_end(event)
    first, second = "machine: kernel 1, relu ...", "machine: kernel 2, adam ..."
    err = capsys.readouterr().err
    assert first in err and second in err and err.count("compiling") == 2
    assert err.endswith("\r\x1b[K")  # and the line is empty again


def test_other_peoples_functions_are_nobodys_business(capsys):
    notice = compiling._Notice()
    notice.on_start(Compiled("their.module"))
    notice.on_end(Compiled("their.module"))
    assert capsys.readouterr().err == "" and notice.count == 0


# --- compiling ahead

TRAINING = """
import sys
import numpy as np
from minicnn import layers
from minicnn.cli.networks import build
from minicnn.models import Sequential
rng = np.random.default_rng(0)
y = rng.integers(0, 10, 70)
for given in ("uint8", "float32", "float64"):
    x = rng.random((70, 32, 32, 3)).astype(given)
    model = build("small", 10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, verbose=0, validation_split=0.5)
    model.predict(x, verbose=0)
model = Sequential([
    layers.Input((32, 32, 3)),
    layers.RandomFlip(),
    layers.RandomTranslation(0.1, 0.1),
    layers.RandomCrop(30, 30),
    layers.ZeroPadding2D(),
    layers.Conv2D(6, 3, strides=2, padding="same", activation="gelu"),
    layers.Conv2D(8, 3, groups=2, use_bias=False),
    layers.ReLU(),
    layers.AveragePooling2D(2),
    layers.MaxPooling2D(3, strides=1, padding="same"),
    layers.Dropout(0.3),
    layers.Flatten(),
    layers.Dense(20, activation="relu"),
    layers.Dense(10, activation="softmax"),
])
for optimizer in ("sgd", "rmsprop", "adam"):
    model.compile(optimizer, "categorical_crossentropy")
    model.fit(x, np.eye(10)[y], batch_size=32, verbose=0)
print(sys.modules["minicnn.kernels.compiling"].notice.count, "functions compiled")
"""


@compiles
@pytest.mark.slow
def test_after_a_warmup_training_compiles_nothing(tmp_path):
    home = {"MINICNN_HOME": str(tmp_path)}
    warmup = python("from minicnn.cli import main; main(['warmup'])", **home)
    assert int(warmup.stdout.splitlines()[-1].split()[0]) > 20
    assert python(TRAINING, **home).stdout == "0 functions compiled\n"


# --- threads

PROCESSORS = numba.config.NUMBA_DEFAULT_NUM_THREADS
THREADS = "from minicnn.backend import kernels; kernels.relu; import numba; "
THREADS += "from minicnn.kernels.threads import who_decides; "
THREADS += "print(numba.get_num_threads(), who_decides())"


@pytest.mark.skipif(PROCESSORS == 1, reason="with one processor, there is nothing to limit")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "1"}, "1 OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "1,4"}, "1 OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "4096"}, f"{PROCESSORS} one for each processor"),
        ({}, f"{PROCESSORS} one for each processor"),
        ({"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}, "2 NUMBA_NUM_THREADS"),
    ],
)
def test_the_number_of_threads_follows_the_environment(environment, expected):
    result = python(THREADS, **environment)
    assert result.stdout.startswith(expected) and result.stderr == ""


def test_who_sets_the_number_of_threads_in_the_program_is_named():
    before = numba.get_num_threads()
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("with one thread, there is nothing to limit")
    numba.set_num_threads(1)
    try:
        assert threads.who_decides() == "numba.set_num_threads"
        assert threads.thread_count() == 1
    finally:
        numba.set_num_threads(before)
    assert threads.thread_count() == before


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5", "2,", "2,x"])
def test_nonsense_in_omp_num_threads_is_told_and_ignored(text, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.warns(UserWarning, match=f"OMP_NUM_THREADS must be .* but is '{text}'; it is ign"):
        assert threads.openmp_limit() is None


@pytest.mark.parametrize(("text", "limit"), [("3", 3), (" 3 ", 3), ("3, 2", 3), ("", None)])
def test_omp_num_threads_is_read_as_openmp_does(text, limit, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads.openmp_limit() == limit


@compiles
def test_serial_kernels_may_run_beside_a_training_in_numbas_simplest_thread_layer():
    code = """
import threading, numba, numpy as np
from minicnn.backend import kernels
from minicnn.cli.networks import build
x, y, end = np.zeros((64, 32, 32, 3)), np.zeros(64, int), threading.Event()
def gather():
    while not end.is_set():
        kernels.rows.gather(x, np.arange(64), "float32")
beside = threading.Thread(target=gather)
beside.start()
model = build("small", 10)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, batch_size=16, epochs=3, verbose=0)
end.set()
beside.join()
print(numba.threading_layer())
"""
    assert python(code, NUMBA_THREADING_LAYER="workqueue").stdout == "workqueue\n"
