"""What all tests share: the devices they run on, and the same random numbers in every run."""

import pytest

from minicnn import random
from minicnn.backend import get_device, set_device

collect_ignore = ["contract.py"]  # a program, which needs Keras; test_contract_layers.py runs it


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Skip what needs a kernel whose CUDA version is missing; test_completeness.py lists those."""
    try:
        return (yield)
    except NotImplementedError as error:
        if "its GPU version is not written yet" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(autouse=True)
def _the_same_random_numbers():
    random.set_seed(0)
