"""Devices: where arrays are born, how they move, and a training that is the same everywhere."""

import importlib.util
import re
import sys
import types

import numpy as np
import pytest

from minicnn import Tensor, backend, layers, ops, optimizers, random
from minicnn.autograd import grad
from minicnn.backend import get_device, kernels, set_device
from minicnn.models import Sequential, load_model
from minicnn.variable import Variable

emulator = kernels.emulator
needs_emulator = pytest.mark.skipif(
    bool(emulator.why_unavailable()), reason=emulator.why_unavailable()
)
ORDERS = [("forward", 0), ("reverse", 0), ("shuffle", 1)]


@pytest.fixture(autouse=True)
def _the_device_as_it_was():
    before = get_device()
    yield
    set_device(before)


def little_cnn():
    return Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def images(count=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, count)


def compiled_cnn():
    random.set_seed(1)
    model = little_cnn()
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def losses_on(device, steps):
    set_device(device)
    model, (x, y) = compiled_cnn(), images()
    return [model.train_on_batch(x, y)[0] for _ in range(steps)], model


def test_a_training_has_the_losses_of_the_cpu(device):
    if device == "cpu":
        pytest.skip("it is what the others are compared with")
    wanted, on_cpu = losses_on("cpu", steps=20)
    losses, model = losses_on(device, steps=20)
    assert model.device == device and on_cpu.device == "cpu"
    assert wanted[-1] < 0.7 * wanted[0]
    np.testing.assert_allclose(losses, wanted, atol=1e-4)
    x, _ = images()
    np.testing.assert_allclose(model.predict(x, verbose=0), on_cpu.predict(x, verbose=0), atol=1e-3)


@needs_emulator
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_training_does_not_depend_on_the_order_of_threads(order):
    with emulator.thread_order("forward"):
        wanted, first = losses_on("emulator", steps=2)
    with emulator.thread_order(*order):
        losses, second = losses_on("emulator", steps=2)
    assert losses == wanted
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fit_evaluate_and_predict(device):
    set_device(device)
    model, (x, y) = compiled_cnn(), images(20)
    held_out = (-x, y)
    history = model.fit(x, y, batch_size=8, epochs=2, validation_data=held_out, verbose=0).history
    assert np.isfinite(history["loss"]).all() and len(history["val_accuracy"]) == 2
    _, accuracy = model.evaluate(x, y, verbose=0)
    answers = model.predict(x, verbose=0)
    assert type(answers) is np.ndarray
    assert accuracy == pytest.approx((answers.argmax(axis=1) == y).mean())


def test_bytes_are_gathered_on_the_device_and_become_floats_there(device, monkeypatch):
    set_device(device)
    random.set_seed(0)
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    seen = []
    gather = kernels.rows.gather

    def watched(x, places, dtype):
        seen.append((backend.device_of(x), x.dtype))
        return gather(x, places, dtype)

    monkeypatch.setattr(kernels.rows, "gather", watched)
    x = np.arange(10, dtype=np.uint8).reshape(5, 2)
    model.fit(x, np.zeros((5, 1)), batch_size=2, verbose=0)
    assert seen == [(device, np.uint8)] * 3


def test_a_data_set_without_room_stays_on_the_cpu(monkeypatch):
    x = np.zeros(1000, np.uint8)
    monkeypatch.setattr(backend, "_device", "gpu")
    monkeypatch.setattr(kernels.gpu, "free_bytes", lambda: 3999)
    assert backend.kept_on_device(x) is x
    monkeypatch.setattr(backend, "born", lambda x: "on the GPU")
    monkeypatch.setattr(kernels.gpu, "free_bytes", lambda: 4000)
    assert backend.kept_on_device(x) == "on the GPU"


def test_tensors_are_born_on_the_device(device):
    for data in ([1.0, 2.0], np.ones(2), 3.0):
        assert Tensor(data).device == device
    assert Variable(np.ones(2)).device == device
    assert Tensor([1.0], device="cpu").device == "cpu"


def test_tensors_move_and_come_back(device):
    x = Tensor([1.0, 2.0], requires_grad=True, device="cpu")
    y = x.to(device)
    assert (y.device, y.requires_grad, y.op) == (device, True, None)
    assert type(y.numpy()) is np.ndarray
    assert y.to("cpu").device == "cpu"
    np.testing.assert_array_equal(y.to("cpu").numpy(), x.numpy())


def test_results_and_gradients_stay_where_their_inputs_are(device):
    for here in {device, "cpu"}:
        x = Tensor([1.0, 2.0], True, here)
        y = ops.sum(ops.relu(x) * 3 + np.ones(2, np.float32))
        (dx,) = grad(y, [x])
        assert (y.device, dx.device, y.detach().device) == (here,) * 3
        assert dx.numpy().tolist() == [3, 3]


def test_assigned_numbers_go_to_the_device_of_the_variable(device):
    w = Variable(np.zeros(2, np.float32))
    w.assign(np.ones(2))
    w.assign_add(Tensor([1.0, 2.0], device="cpu"))
    w.assign_sub(np.ones(2))
    assert w.device == device and w.numpy().tolist() == [1, 2]


def test_a_model_moves_with_its_optimizer(device):
    set_device("cpu")
    x, y = images()
    model, other = compiled_cnn(), compiled_cnn()
    for _ in range(2):
        model.train_on_batch(x, y)
        other.train_on_batch(x, y)
    assert model.to(device) is model and model.device == device
    moved, stayed = model.train_on_batch(x, y), other.train_on_batch(x, y)
    np.testing.assert_allclose(moved, stayed, atol=1e-4)
    model.to("cpu")
    for one, two in zip(model.optimizer.state(), other.optimizer.state(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_a_model_is_saved_from_a_device_and_loaded_on_another(device, tmp_path):
    set_device(device)
    model, (x, y) = compiled_cnn(), images()
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    set_device("cpu")
    loaded, fresh = load_model(tmp_path / "model.keras"), compiled_cnn()
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert loaded.device == "cpu"
    for one, two, three in zip(
        model.get_weights(), loaded.get_weights(), fresh.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    set_device(device)
    again = load_model(tmp_path / "model.keras")
    assert again.device == device
    assert again.test_on_batch(x, y) == model.test_on_batch(x, y)
    again.train_on_batch(x, y)


@needs_emulator
def test_an_array_of_another_device_in_a_kernel_is_refused():
    with pytest.raises(TypeError, match=r"addition\.forward: its arrays must live on one device"):
        kernels.addition.forward(emulator.ones(3), np.ones(3), False)


@pytest.mark.parametrize("who", [set_device, Tensor(1.0).to, little_cnn().to])
def test_an_unknown_device_is_refused(who):
    with pytest.raises(ValueError, match=r"wants one of .*cpu, gpu, emulator, but got 'tpu'"):
        who("tpu")


@pytest.fixture
def no_cupy(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "cupy" else find(name, *a)
    )
    kernels.gpu.why_no_gpu.cache_clear()
    yield
    kernels.gpu.why_no_gpu.cache_clear()


def test_without_cupy_an_error_says_what_to_install(no_cupy):
    for who in (set_device, Tensor(1.0).to, little_cnn().to):
        with pytest.raises(RuntimeError, match=r"CuPy is not installed: pip install .*cuda13"):
            who("gpu")
    set_device("auto")
    assert get_device() == "cpu"


def a_cupy(driver, built_for=13000, sees_a_gpu=True):
    """What the reasons are made from; the numbers are those of CUDA."""
    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: driver, runtimeGetVersion=lambda: built_for
    )
    return types.SimpleNamespace(
        cuda=types.SimpleNamespace(runtime=runtime, is_available=lambda: sees_a_gpu)
    )


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (a_cupy(driver=0), "there is no NVIDIA driver. .* install its driver"),
        (a_cupy(driver=12040), r"for CUDA 12\.4 and CuPy .* CUDA 13\.0\. Update .*cuda12"),
        (a_cupy(driver=13020, sees_a_gpu=False), "finds no GPU. Is CUDA_VISIBLE_DEVICES set"),
        (a_cupy(driver=13020), "^$"),
        (a_cupy(driver=13020, built_for=12090), "^$"),
    ],
)
def test_the_reason_why_there_is_no_gpu_names_the_cure(cupy, reason):
    assert re.search(reason, kernels.gpu._why_not_with(cupy))


def test_a_cupy_that_cannot_be_imported_is_no_crash(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    kernels.gpu.why_no_gpu.cache_clear()
    try:
        assert "libcudart.so.13 is missing). Install it anew: pip" in kernels.gpu.why_no_gpu()
    finally:
        kernels.gpu.why_no_gpu.cache_clear()


class OutOfMemoryError(MemoryError):
    """What CuPy raises, as far as anybody looks at it."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"  # where the real one lives


def test_a_gpu_without_memory_says_what_to_do(monkeypatch):
    def full(self, x, training=None):
        raise OutOfMemoryError("allocating 8 bytes")

    set_device("cpu")
    model, (x, y) = compiled_cnn(), images()
    monkeypatch.setattr(layers.Dropout, "call", full)
    with pytest.raises(MemoryError, match=r"GPU has no memory left. Use smaller batches .* 8 byt"):
        model.fit(x, y, verbose=0)


def test_a_kernel_says_so_itself_where_no_fit_is_around_it():
    class OnGpu:
        __cuda_array_interface__, shape = {}, (8,)

    def full(x):
        raise OutOfMemoryError("allocating 8 bytes")

    with pytest.raises(MemoryError, match=r"GPU has no memory left. .* CuPy says: alloc"):
        kernels.Kernel("square.forward", reference=full, cpu=full, gpu=full)(OnGpu())


def test_other_lack_of_memory_is_not_blamed_on_the_gpu():
    with pytest.raises(MemoryError, match="^the CPU$"), kernels.gpu.memory_explained():
        raise MemoryError("the CPU")


@needs_emulator
def test_a_variable_moves():
    variable = Variable(np.ones(3, np.float32))
    variable.move("emulator")
    assert backend.device_of(variable.data) == variable.device == "emulator"


@needs_emulator
def test_a_detached_tensor_stays_where_it_is():
    set_device("emulator")  # where new ones are born
    assert Tensor(np.ones(3), device="cpu").detach().device == "cpu"


def test_of_arrays_that_are_not_numpys_the_gpu_is_the_device():
    class OnGpu:
        __cuda_array_interface__ = {}

    assert backend.device_of(OnGpu()) == "gpu"


def test_without_a_compiler_the_emulator_says_what_to_install(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATOR_CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match=r"the emulator cannot be used, because .*apt install g"):
        set_device("emulator")
