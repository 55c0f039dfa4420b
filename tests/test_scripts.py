"""Programs written for Keras run with other import lines only, and come to the same numbers.

The programs in tests/scripts set weights of their own, and leave what they found in `results`. The
one that cannot, because it augments and drops out at random, says itself what it should reach.
"""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import minicnn

SCRIPTS = sorted(Path(__file__).parent.glob("scripts/*.py"))
IMPORTS = {
    r"^import keras$": "import minicnn as keras",
    r"^from keras import": "from minicnn import",
    r"^from torch\.autograd import grad$": "from minicnn import grad",
}


def for_minicnn(text):
    """The program with other import lines; nothing else may be changed."""
    for line, ours in IMPORTS.items():
        text = re.sub(line, ours, text, flags=re.MULTILINE)
    assert not re.search(r"^(import|from) (keras|torch)", text, re.MULTILINE)
    return text


def small_cifar10():
    """Stands in for CIFAR-10: the class is how bright an image is in which color."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (160, 1)).astype(np.uint8)
    colors = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [150, 150, 150]])
    noise = rng.integers(-40, 40, (160, 32, 32, 3))
    images = (colors[labels[:, 0]][:, None, None] + noise).astype(np.uint8)
    return (images[:128], labels[:128]), (images[128:], labels[128:])


def run(text, path, library, monkeypatch, folder):
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(library.datasets.cifar10, "load_data", small_cifar10)
    library.utils.clear_session()
    names = {"__name__": f"script_{path.stem}"}
    exec(compile(text, str(path), "exec"), names)
    return names["results"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs_with_other_import_lines(path, monkeypatch, tmp_path):
    assert run(for_minicnn(path.read_text()), path, minicnn, monkeypatch, tmp_path / "ours")


@pytest.mark.filterwarnings("ignore")  # what Keras and PyTorch warn each other of
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_it_comes_to_the_numbers_of_keras(path, monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="PyTorch, on which Keras runs here, is not installed")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras imports warns of itself
        keras = pytest.importorskip("keras", reason="Keras is not installed")
    text = path.read_text()
    wanted = run(text, path, keras, monkeypatch, tmp_path / "theirs")
    came = run(for_minicnn(text), path, minicnn, monkeypatch, tmp_path / "ours")
    assert list(came) == list(wanted)
    for name in wanted:
        assert_alike(name, came[name], wanted[name])


def assert_alike(name, came, wanted):
    if isinstance(wanted, list | tuple) and wanted and not isinstance(wanted[0], float | int):
        assert len(came) == len(wanted), name
        for one, other in zip(came, wanted, strict=True):
            assert_alike(name, one, other)
    elif isinstance(wanted, str):
        assert came == wanted, name
    else:
        np.testing.assert_allclose(came, wanted, rtol=2e-4, atol=2e-5, err_msg=name)
