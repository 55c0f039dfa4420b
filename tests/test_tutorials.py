"""Lessons and the code in the documents run, and say what is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn import utils
from minicnn.datasets import cifar10, shapes10

ROOT = Path(__file__).parents[1]
LESSONS = sorted(ROOT.glob("tutorials/[0-9]*.py"))
PARTS = ("**Goal:**", "Predict first", "Exercise", "Break it", "Summary", "What to read next")


def run_lesson(path, folder, fast):
    return subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MINICNN_FAST": "1" if fast else "0"},
        capture_output=True,
        text=True,
    )


def python_blocks(document):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.M)


def test_every_lesson_is_run_by_a_test():
    assert [path.stem for path in LESSONS] == ["00_ten_minutes", "04_gradient_checks"]


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_number_in_a_lesson_is_true(path, tmp_path):
    done = run_lesson(path, tmp_path, fast=False)  # its own checks compare them
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_its_parts(path):
    text = path.read_text()
    places = [text.find(part) for part in PARTS]
    assert -1 not in places and places == sorted(places)


def test_lesson_0_draws_saves_and_breaks(tmp_path):
    done = run_lesson(ROOT / "tutorials/00_ten_minutes.py", tmp_path, fast=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "lesson-0").iterdir()} == {
        "before.png",
        "curves.png",
        "after.png",
        "lesson.weights.h5",
    }
    assert "same predictions: True" in done.stdout
    assert "One input only? Add the batch axis: x[None]." in done.stdout


def test_lesson_4_shows_which_checks_lie(tmp_path):
    done = run_lesson(ROOT / "tutorials/04_gradient_checks.py", tmp_path, fast=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "lesson-4"
    assert {path.name for path in folder.iterdir()} == {
        "error_against_h.png",
        "mistakes_and_checks.png",
        "report.html",
    }
    assert all(path.stat().st_size <= 150_000 for path in folder.iterdir())
    said = done.stdout
    for mistake in ("softmax: gradient 0", "transpose: not put back", "conv2d: upstream reversed"):
        assert re.search(f"{mistake} +with ones: passes", said)
        assert re.search(f"{mistake} +with random g: caught", said)
    assert "best step in float64: 1e-05" in said
    assert "1.001 times the gradient passes in float32: True" in said
    assert "1.001 times the gradient passes in float64: False" in said
    assert "differences say 0.5 at 0; relu passes my check: False" in said
    assert "this check proved nothing about x" in said
    assert re.search("g = 1 +is mistaken about  8 of 13", said)
    assert re.search("gradcheck +is mistaken about  0 of 13", said)
    assert "the gradients of hypotenuse are right, and so are theirs" in said
    assert "gradient for a: it is the gradient for b (the two are swapped)" in said


@pytest.mark.slow
def test_the_exercise_of_lesson_4_is_unsolved_and_can_be_solved(tmp_path):
    lesson = (ROOT / "tutorials/04_gradient_checks.py").read_text()
    stub = "    return passes(f, x, np.ones)\n"
    assert lesson.count(stub) == 1
    solved = tmp_path / "solved.py"
    solved.write_text(lesson.replace(stub, "    return gradcheck(f, x, raise_on_fail=False).ok\n"))
    assert "Passed: never mistaken." in run_lesson(solved, tmp_path, fast=True).stdout
    solved.write_text(lesson.replace(stub, "    return passes(f, x, random_signed)\n"))
    said = run_lesson(solved, tmp_path, fast=True).stdout  # it knows no kinks
    assert "accused: relu at 0 (right)" in said and "Not there yet: go on." in said


@pytest.fixture
def _a_small_cifar10(monkeypatch):
    (x, y), test = shapes10.load_data(n_train=128, n_test=64)
    monkeypatch.setattr(cifar10, "load_data", lambda: ((x, y), test))


@pytest.mark.usefixtures("_a_small_cifar10")
def test_the_code_in_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras_tutorial, photos, tensors, inside = python_blocks("README.md")
    names = {}
    exec(keras_tutorial, names)
    assert len(names["history"].history["val_accuracy"]) == 10
    assert 0 <= names["test_accuracy"] <= 1 and names["model"].count_params() == 160_202
    assert (tmp_path / "cifar10.weights.h5").exists()
    for number in range(100):
        folder = tmp_path / "photos" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        utils.save_img(folder / f"{number}.png", np.full((20, 30, 3), number), scale=False)
    exec(photos, names)
    assert len(names["model"].history.history["val_accuracy"]) == 5
    exec(tensors, names)
    assert np.allclose(names["slope"].numpy(), [3, 12, 27])
    exec(inside, names)


def test_the_code_in_contributing_runs():
    (example,) = python_blocks("CONTRIBUTING.md")
    names = {}
    exec(example, names)
    x = np.linspace(-3, 3, 7)
    wanted = x * np.tanh(np.log1p(np.exp(x)))
    assert np.allclose(names["mish"](names["Tensor"](x)).numpy(), wanted)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_documents_name_only_files_that_exist(document):
    text = (ROOT / document).read_text()
    named = re.findall(r"(?:minicnn|kernels|tests|tutorials|benchmarks)/[\w/]*\w(?:\.\w+)*", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_shows_a_picture_of_at_most_150_kb():
    (picture,) = re.findall(r"!\[.+?\]\((.+?)\)", (ROOT / "README.md").read_text())
    assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
    assert (ROOT / picture).stat().st_size <= 150_000
