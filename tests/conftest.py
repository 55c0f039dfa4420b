"""What all tests share: the devices they run on, and the same random numbers in every run."""

import os
import re
import sys

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # threads that wait shall leave the cores to other workers
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from minicnn import random  # noqa: E402
from minicnn.backend import get_device, set_device  # noqa: E402

collect_ignore = ["contract.py"]  # a program, which needs Keras; test_contract_layers.py runs it
collect_ignore_glob = ["scripts/*"]  # programs; test_scripts.py runs them


@pytest.fixture(params=["cpu", "emulator", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    """The name of a device; the test is skipped, with the reason, where it cannot be had."""
    before = get_device()
    try:
        set_device(request.param)
    except RuntimeError as reason:
        pytest.skip(str(reason))
    yield request.param
    set_device(before)


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """An empty home folder and an empty working folder; no variable leads to data sets."""
    for name in filter(re.compile(r"MINICNN_(HOME|.*_URL)|KERAS_HOME").fullmatch, [*os.environ]):
        monkeypatch.delenv(name)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(work)
    return home


@pytest.fixture(autouse=True)
def _a_judge_that_is_right():
    """PyTorch computes without oneDNN, where a test has imported it.

    On some CPUs that of PyTorch 2.13 computes wrong gradients for a 1x1 convolution with strides:
    those of the weights, if x lies in memory as NHWC.
    """
    if torch := sys.modules.get("torch"):
        torch.backends.mkldnn.enabled = False


@pytest.fixture(autouse=True)
def _the_same_random_numbers():
    random.set_seed(0)
