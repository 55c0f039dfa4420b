"""The tool that plants mistakes into the library: what it plants, and that it can tell."""

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import forking
import planting
import pytest
import score
import trial

SOURCE = '''"""A module."""

def forward(x, *, n=2):
    """Say nothing: 1 + 1."""
    if x < 3:
        raise ValueError(f"{x + 1}")
    for k in range(n):
        x += k * 2.0
    return np.sum(x, axis=0)


def backward(dy):
    return dy * 2, -dy


def give(worker, sums):
    sums[worker, 0] = 1
'''


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(SOURCE)
    return list(planting.mutants(path))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x < 3", "(x <= 3)"),
        ("3", "4"),
        ("range(n)", "(range(n - 1))"),
        ("x += k * 2.0", "x -= k * 2.0"),
        ("x += k * 2.0", "x = k * 2.0"),
        ("x += k * 2.0", "pass"),
        ("k * 2.0", "(k / 2.0)"),
        ("2.0", "3.0"),
        ("np.sum(x, axis=0)", "(np.sum(x))"),
        ("return dy * 2, -dy", "return (dy * 2) * 0, -dy"),
        ("return dy * 2, -dy", "return dy * 2, -(-dy)"),
        ("return dy * 2, -dy", "return -dy, dy * 2"),
        ("return dy * 2, -dy", "return (dy * 2) * self.inputs[0].shape[0], -dy"),
        ("return dy * 2, -dy", "return dy * 2, (-dy)[::-1]"),
        ("return dy * 2, -dy", "return (dy * 2).detach(), -dy"),
        ("return dy * 2, -dy", "return dy * 2, (-dy).astype('float32')"),
        ("-dy", "(dy)"),
        ("sums[worker, 0]", "(sums[0, 0])"),
    ],
)
def test_each_usual_mistake_is_planted(found, before, after):
    (mutant,) = [m for m in found if (m.before, m.after) == (before, after)]
    assert mutant.source != SOURCE
    assert mutant.source.count("\n") == SOURCE.count("\n")


def test_a_race_is_told_from_other_mistakes(found):
    (race,) = [mutant for mutant in found if mutant.is_race]
    assert race.before == "sums[worker, 0]"


def test_a_question_is_answered_where_it_is_asked(tmp_path):
    path = tmp_path / "example.py"
    path.write_text("def f(x):\n    return 1 / x if x else 0\n")
    planted = {mutant.after for mutant in planting.mutants(path)}
    assert {"1 / x if True else 0", "1 / x if False else 0"} <= planted


def test_no_gradient_is_left_as_none(tmp_path):
    path = tmp_path / "example.py"
    path.write_text("def backward(dy):\n    return dy, None\n")
    planted = {mutant.after for mutant in planting.mutants(path)}
    assert "return (dy)[::-1], None" in planted
    assert not any("(None)" in after for after in planted)


def test_a_mutant_differs_in_what_it_computes_only(found):
    assert len({m.source for m in found}) > 25
    for mutant in found:
        changed = ast.parse(mutant.source)
        assert ast.dump(changed) != ast.dump(ast.parse(SOURCE))
        assert '"""Say nothing: 1 + 1."""' in mutant.source
        assert 'raise ValueError(f"{x + 1}")' in mutant.source or "if False" in mutant.source


def test_a_mutant_that_loops_for_ever_is_ended_soon(monkeypatch):
    def loop():
        while True:
            pass

    monkeypatch.setattr(trial, "_limit", lambda seconds: seconds / 10)
    quick = trial.Quick(score.ROOT / "minicnn", [], 1)
    monkeypatch.setattr(quick, "_plant", lambda mutant: None)
    monkeypatch.setattr(quick, "_fails", lambda item, following: loop())
    ((_, status),) = forking.forked([(None, [(None, 1.0)])], quick._try, lambda job: 3600, 1)
    assert status == -signal.SIGPROF


def test_every_folder_has_witnesses_that_exist():
    for folder, names in score.WITNESSES.items():
        assert score.files(folder, [])
        for name in names.split():
            assert (score.ROOT / "tests" / f"test_{name}.py").exists()


def test_another_copy_of_the_library_is_not_tested(tmp_path):
    trial.must_be_this_checkout(tmp_path / "a.py", tmp_path / "b" / ".." / "a.py")
    with pytest.raises(
        RuntimeError, match=r"b.py should be tested, but .*a.py. Install this folder"
    ):
        trial.must_be_this_checkout(tmp_path / "a.py", tmp_path / "b.py")


@pytest.mark.slow
def test_the_score_counts_what_the_tests_notice():
    """Before it counts, the program makes sure that the tests pass without a mistake."""
    words = "shape --folder minicnn/ops --sample 5".split()
    program = [sys.executable, score.__file__, *words]
    done = subprocess.run(program, capture_output=True, text=True)
    found = re.findall(r"(\d+) planted +(\d+) caught +(\d+) compute", done.stdout)
    assert found, done.stdout + done.stderr
    planted, caught, equal = map(int, found[-1])
    assert planted == caught + equal + done.stdout.count("survives") == 5
    assert caught >= 2


LIBRARY = """
import functools


@functools.lru_cache
def half(x):
    return x / 2.0


def adder(step):
    def add(x):
        return x + step
    return add


STEP = half(3)
add = adder(1)


def unused(x):
    return x * 2
"""
WITNESS = """
from library import STEP, add, half


def test_half():
    assert half(8) == 4


def test_add():
    assert add(1) == 2
"""


def test_quick_trials_and_thorough_ones_notice_mistakes(tmp_path):
    """In functions that remember, in inner functions, and in those that no test calls."""
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "test_it.py").write_text(WITNESS)
    (tmp_path / "try_it.py").write_text(
        "from pathlib import Path\n"
        "import planting, trial\n"
        "if __name__ == '__main__':\n"
        "    here = Path.cwd()\n"
        "    mutants = list(planting.mutants(here / 'library.py'))\n"
        "    scratch = sorted(trial.from_scratch(mutants, ['test_it.py'], 2))\n"
        "    quick = trial.Quick(here, mutants, 2)\n"
        "    quick.run(['test_it.py'])\n"
        "    for found in (mutants, scratch, quick.survivors, quick.unsure):\n"
        "        print([mutant.function for mutant in found])\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(score.__file__).parent)])
    done = subprocess.run(
        [sys.executable, "try_it.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.splitlines() == [
        "['half', 'half', 'unused', 'unused', 'unused', 'add']",
        "['unused', 'unused', 'unused']",
        "[]",
        "['unused', 'unused', 'unused']",
    ], done.stdout + done.stderr
