"""The tool that plants mistakes into the library: what it plants, and that it can tell."""

import ast
import re
import subprocess
import sys

import planting
import pytest
import score

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
        ("-dy", "(dy)"),
    ],
)
def test_each_usual_mistake_is_planted(found, before, after):
    (mutant,) = [m for m in found if (m.before, m.after) == (before, after)]
    assert mutant.source != SOURCE
    assert mutant.source.count("\n") == SOURCE.count("\n")


def test_a_mutant_differs_in_what_it_computes_only(found):
    assert len({m.source for m in found}) > 25
    for mutant in found:
        changed = ast.parse(mutant.source)
        assert ast.dump(changed) != ast.dump(ast.parse(SOURCE))
        assert '"""Say nothing: 1 + 1."""' in mutant.source
        assert 'raise ValueError(f"{x + 1}")' in mutant.source or "if False" in mutant.source


def test_every_folder_has_witnesses_that_exist():
    for folder, names in score.WITNESSES.items():
        assert score.files(folder, [])
        for name in names:
            assert (score.ROOT / "tests" / f"test_{name}.py").exists()


@pytest.mark.slow
def test_the_score_counts_what_the_tests_notice():
    """Before it counts, the program makes sure that the tests pass without a mistake."""
    words = "sgd --folder minicnn/optimizers --sample 4".split()
    program = [sys.executable, score.__file__, *words]
    done = subprocess.run(program, capture_output=True, text=True)
    found = re.findall(r"(\d+) planted +(\d+) caught +(\d+) compute", done.stdout)
    assert found, done.stdout + done.stderr
    planted, caught, equal = map(int, found[-1])
    assert planted == 4 and caught + equal + done.stdout.count("survives") == 4
    assert caught >= 2
