"""What tensors say of themselves."""

import numpy as np
import pytest

from minicnn import Tensor, layers
from minicnn.backend import kernels

EMULATED = pytest.mark.skipif(
    bool(kernels.emulator.why_unavailable()), reason=kernels.emulator.why_unavailable()
)


def test_up_to_20_numbers_are_shown_one_by_one():
    assert repr(Tensor(3.5)) == "Tensor(3.5)"
    assert repr(Tensor([[1.0, 2.0], [3.0, np.nan]])) == "Tensor([[ 1.  2.]\n [ 3. nan]])"
    assert repr(Tensor(np.arange(20), device="cpu")).startswith("Tensor([ 0  1  2")
    assert repr(Tensor(np.zeros((0, 100)))) == "Tensor([])"


def test_more_are_told_in_one_line():
    x = np.float32([-2.0] * 12 + [4.0] * 12).reshape(2, 3, 4)
    text = "Tensor(shape=(2, 3, 4), float32, min -2, mean 1, max 4, std 3"
    assert repr(Tensor(x)) == f"{text})"
    assert repr(Tensor(x, requires_grad=True)) == f"{text}, requires_grad=True)"
    assert str(Tensor(x)) == f"{text})"


def test_what_is_not_finite_is_counted_and_left_out_of_the_rest():
    x = np.float32([1.0] * 21 + [np.nan] * 3 + [np.inf, -np.inf])
    assert repr(Tensor(x)) == (
        "Tensor(shape=(26,), float32, min 1, mean 1, max 1, std 0, 3 NaN, 2 inf)"
    )
    assert repr(Tensor(x[:24])).endswith("std 0, 3 NaN)")
    assert repr(Tensor(np.full(30, np.inf))) == "Tensor(shape=(30,), float64, 30 inf)"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (np.arange(30) % 3 == 0, "bool, 10 True"),
        (np.full(21, 255, np.uint8), "uint8, min 255, mean 255, max 255, std 0"),
        (np.full(21, 2**62), f"int64, min {2**62}, mean 4.612e+18, max {2**62}, std 0"),
        (np.full(21, 60000, np.float16), "float16, min 6e+04, mean 6e+04, max 6e+04, std 0"),
        (np.full(21, 3e38, np.float32), "float32, min 3e+38, mean 3e+38, max 3e+38, std 0"),
        (np.full(21, 1.7e308), "float64, min 1.7e+308, mean inf, max 1.7e+308, std inf"),
        (np.full(21, 1 + 1j), "complex128"),
        (np.array(["a"] * 21), "<U1"),
    ],
)
def test_numbers_of_all_kinds_can_be_told(data, wanted):
    assert repr(Tensor(data)) == f"Tensor(shape={data.shape}, {wanted})"


@EMULATED
def test_numbers_on_a_device_are_copied_once(monkeypatch):
    x = np.float32([-2.0] * 12 + [4.0] * 12)
    tensor, copies = Tensor(x, device="emulator"), []
    get = type(tensor.data).get
    monkeypatch.setattr(type(tensor.data), "get", lambda array: copies.append(1) or get(array))
    assert repr(tensor) == repr(Tensor(x))
    assert len(copies) == 1
    assert repr(Tensor([1.0, 2.0], device="emulator")) == "Tensor([1. 2.])"


def test_a_large_tensor_in_a_message_takes_one_line():
    with pytest.raises(ValueError, match=r"but got Tensor\(shape=\(5, 5\), .*\)\. Use it in call"):
        layers.ReLU().add_loss(Tensor(np.ones((5, 5))))
