"""Batch normalisation: its kernels against the reference, its ops against PyTorch, its layer."""

import numba
import numpy as np
import pytest

from minicnn import Tensor, grad, layers, models, ops
from minicnn.backend import get_device, kernels, set_device

batch_norm = kernels.batch_norm
# channels below, at and above a vector; one row, rows left over from four, several runs
SHAPES = [(1, 16), (5, 3), (67, 1), (4, 9, 8, 7), (30, 20, 20, 3), (9, 8, 8, 64), (3, 5, 2048)]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def arguments(shape, dtype):
    """x, dy, (mean, scale, shift) and slopes for channels that differ widely."""
    C = shape[-1]
    x = (normal(1, *shape) * np.linspace(0.1, 3, C) + np.linspace(-2, 5, C)).astype(dtype)
    line = normal(2, C), normal(3, C), normal(4, C)
    return x, normal(5, *shape).astype(dtype), line, normal(6, 3, C)


def ours(x, gamma, beta, **settings):
    """What ops.batch_norm makes of x."""
    return ops.batch_norm(x, gamma, beta, **settings)[0]


# -- kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_moments_agree_with_the_reference(shape, dtype):
    x, *_ = arguments(shape, dtype)
    results = zip(batch_norm.moments(x), batch_norm.moments.reference(x), strict=True)
    for result, expected in results:
        assert result.dtype == np.float64
        accuracy = 20 * np.finfo(dtype).eps
        np.testing.assert_allclose(result, expected, rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_other_kernels_agree_with_the_reference(shape, dtype, relu):
    x, dy, line, slopes = arguments(shape, dtype)
    z = batch_norm.normalize.reference(x.astype(float), *line, False)
    dy[np.abs(z) < 1e-4] = 0  # where rounding decides about relu
    calls = {
        batch_norm.normalize: (x, *line, relu),
        batch_norm.sums: (dy, x, *line, relu),
        batch_norm.input_grad: (dy, x, *line, relu, slopes),
    }
    for kernel, args in calls.items():
        result, expected = kernel(*args), kernel.reference(*args)
        assert result.dtype == (np.float64 if kernel is batch_norm.sums else dtype)
        tolerance = (
            np.finfo(dtype).eps * 4 * np.abs(expected).max() * np.sqrt(x.size / len(line[0]))
        )
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance, err_msg=kernel.name)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_shortcut_is_added_on_the_way(shape, dtype, relu):
    x, shortcut, line, _ = arguments(shape, dtype)
    args = (x, *line, relu, shortcut)
    result, expected = batch_norm.normalize(*args), batch_norm.normalize.reference(*args)
    assert result.dtype == dtype
    tolerance = 4 * np.finfo(dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("relu", [False, True])
def test_the_number_of_threads_changes_no_bit(relu):
    x, dy, line, slopes = arguments((64, 32, 32, 5), "float32")  # ten runs

    def results():
        yield from batch_norm.moments(x)
        yield batch_norm.normalize(x, *line, relu)
        yield batch_norm.normalize(x, *line, relu, dy)
        yield batch_norm.sums(dy, x, *line, relu)
        yield batch_norm.input_grad(dy, x, *line, relu, slopes)

    threads = numba.get_num_threads()
    many = list(results())
    numba.set_num_threads(1)
    try:
        one = list(results())
    finally:
        numba.set_num_threads(threads)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("mean", "deviation"), [(1e4, 0.05), (-3e5, 1.0), (1e-3, 1e-6)])
def test_a_tiny_variance_beside_a_huge_mean_is_found_in_float32(mean, deviation):
    x = (mean + deviation * normal(0, 50, 30, 30, 4)).astype(np.float32)
    found, variance = batch_norm.moments(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found, exact.mean(axis=(0, 1, 2)), rtol=1e-10)
    one, zero = Tensor(np.ones(4, np.float32)), Tensor(np.zeros(4, np.float32))
    y = ours(Tensor(x), one, zero, epsilon=0).numpy().astype(np.float64)
    expected = (exact - exact.mean(axis=(0, 1, 2))) / exact.std(axis=(0, 1, 2))
    np.testing.assert_allclose(y, expected, rtol=0, atol=3e-6)


def test_the_variance_survives_a_center_that_is_far_off():
    # the first sixteenth of the run, which makes the center, differs from all the rest
    x = np.full((1024, 16), 101_000, np.float32) + normal(0, 1024, 16).astype(np.float32)
    x[:64] -= 1000
    _, variance = batch_norm.moments(x)
    np.testing.assert_allclose(variance, x.astype(float).var(axis=0), rtol=1e-5)
    naive = (x * x).mean(axis=0) - x.mean(axis=0) ** 2
    assert np.abs(naive / variance - 1).max() > 1e-3


# -- ops


def test_values_worked_out_by_hand():
    # channel 0: mean 2, variance 1; channel 1: mean 4, variance 4, and epsilon makes it 16
    x = Tensor([[1.0, 2.0], [3.0, 6.0]])
    y, mean, variance = ops.batch_norm(x, Tensor([2.0, 4.0]), Tensor([10.0, 0.0]), epsilon=0)
    np.testing.assert_allclose(y.numpy(), [[8, -4], [12, 4]])
    assert mean.tolist() == [2, 4] and variance.tolist() == [1, 4]
    y = ours(x, Tensor([2.0, 4.0]), Tensor([0.0, 1.0]), epsilon=12, activation="relu")
    np.testing.assert_allclose(y.numpy(), [[0, 0], [2 / np.sqrt(13), 3]], rtol=1e-6)
    y = ops.normalize(x, *(Tensor(a) for a in ([1.0, 2.0], [0.0, 3.0], [6.0, 2.0], [0.0, 1.0])), 1)
    np.testing.assert_allclose(y.numpy(), [[0, 1], [12, 5]])


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5), (4, 7, 6, 3), (16, 16, 16, 16)], ids=str)
def test_output_and_gradients_are_those_of_pytorch(shape, dtype, relu):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    C = shape[-1]
    x, dy = (2 + 3 * normal(1, *shape)).astype(dtype), normal(2, *shape).astype(dtype)
    gamma, beta = normal(3, C).astype(dtype), normal(4, C).astype(dtype)
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    z = torch.nn.functional.batch_norm(
        theirs[0].movedim(-1, 1), None, None, *theirs[1:], training=True, eps=0.01
    ).movedim(1, -1)
    dy[np.abs(z.detach().numpy()) < 1e-4] = 0  # where rounding decides about relu
    y = z.relu() if relu else z
    expected = [y, *torch.autograd.grad(y, theirs, torch.tensor(dy))]
    inputs = [Tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    out = ours(*inputs, epsilon=0.01, activation="relu" if relu else None)
    for result, wanted in zip([out, *grad(out, inputs, Tensor(dy))], expected, strict=True):
        assert result.dtype == dtype
        wanted = wanted.detach().numpy()
        tolerance = 100 * np.finfo(dtype).eps * np.abs(wanted).max()
        np.testing.assert_allclose(result.numpy(), wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("training", [False, True])
def test_with_a_shortcut_or_with_an_addition_of_its_own_all_is_the_same(training, activation):
    layer = layers.BatchNormalization()
    x, shortcut, dy = (Tensor(normal(k, 4, 5, 6, 3).astype("float32"), k < 3) for k in (1, 2, 3))
    together = layer.normalize(x, training, activation, shortcut)  # builds it, as a call does
    apart = ops.add(layer(x, training), shortcut, activation=activation)
    inputs = [x, shortcut, layer.gamma, layer.beta]
    pairs = zip(grad(together, inputs, dy), grad(apart, inputs, dy), strict=True)
    for ours, theirs in [(together, apart), *pairs]:
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-5)


def test_a_shortcut_by_hand():
    x, one, two = Tensor([[1.0], [3.0]]), Tensor([1.0]), Tensor([2.0])
    y, _, _ = ops.batch_norm(x, two, one, 0.0, "relu", shortcut=Tensor([[0.5], [4.0]]))
    np.testing.assert_allclose(y.numpy(), [[0], [7]])
    y = ops.normalize(x, one, one, two, one, 3.0, shortcut=Tensor([[0.5], [4.0]]))
    np.testing.assert_allclose(y.numpy(), [[1.5], [7]])


def test_a_constant_channel_becomes_beta():
    x = Tensor(np.full((6, 2, 2, 3), 7, np.float32), requires_grad=True)
    beta = Tensor(np.array([1, 2, 3], np.float32))
    y = ours(x, Tensor(np.ones(3, np.float32)), beta)
    np.testing.assert_array_equal(y.numpy(), np.broadcast_to(beta.numpy(), x.shape))
    (dx,) = grad(ops.sum(y * y), [x])
    np.testing.assert_allclose(dx.numpy(), 0, atol=1e-5)


def test_one_row_becomes_beta_and_has_no_gradient():
    x = Tensor(normal(0, 1, 5), requires_grad=True)
    y = ours(x, Tensor(np.ones(5)), Tensor(np.arange(5.0)))
    np.testing.assert_array_equal(y.numpy(), [np.arange(5)])
    assert not grad(ops.sum(y * y), [x])[0].numpy().any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_nan_stays_visible_and_in_its_channel(bad, activation):
    x = normal(0, 40, 3, 3, 5).astype(np.float32)
    x[20, 1, 1, 2] = bad
    one = Tensor(np.ones(5, np.float32))
    y = ours(Tensor(x), one, one, activation=activation).numpy()
    assert np.isnan(y[..., 2]).all()
    assert np.isfinite(np.delete(y, 2, axis=-1)).all()


def test_x_without_gradient_gets_none():
    x, gamma = Tensor(normal(0, 6, 3)), Tensor(np.ones(3), requires_grad=True)
    y = ours(x, gamma, Tensor(np.zeros(3)))
    (dgamma,) = grad(ops.sum(y * y), [gamma])
    expected = 2 * (y.numpy() ** 2).sum(axis=0)
    np.testing.assert_allclose(dgamma.numpy(), expected)


def channels(*sizes, dtype=np.float32):
    return [Tensor(np.ones(size, dtype)) for size in sizes]


def test_errors_of_the_ops():
    x = Tensor(np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"batch_norm: gamma has shape \(2,\), but 3 channels"):
        ops.batch_norm(x, *channels(2, 3))
    with pytest.raises(ValueError, match=r"normalize: beta has shape \(4,\), but 3 channels"):
        ops.normalize(x, *channels(3, 3, 3, 4))
    with pytest.raises(TypeError, match="batch_norm: gamma is float64, but x is float32"):
        ops.batch_norm(x, *channels(3, 3, dtype=np.float64))
    with pytest.raises(TypeError, match="batch_norm: wants float32 or float64, but x is int64"):
        ops.batch_norm(Tensor(np.ones((4, 3), np.int64)), *channels(3, 3))
    with pytest.raises(ValueError, match=r"batch_norm: x has shape \(0, 3\), so there are no rows"):
        ops.batch_norm(Tensor(np.ones((0, 3), np.float32)), *channels(3, 3))
    with pytest.raises(ValueError, match="normalize: wants x of at least two axes"):
        ops.normalize(Tensor(np.ones(3, np.float32)), *channels(3, 3, 3, 3))
    with pytest.raises(ValueError, match="batch_norm: activation must be 'relu' or None.*'tanh'"):
        ops.batch_norm(x, *channels(3, 3), activation="tanh")
    with pytest.raises(
        ValueError, match=r"shortcut has shape \(4, 2\), but x has \(4, 3\).*1x1 conv"
    ):
        ops.batch_norm(x, *channels(3, 3), shortcut=Tensor(np.ones((4, 2), np.float32)))
    with pytest.raises(TypeError, match="normalize: shortcut is float64, but x is float32"):
        ops.normalize(x, *channels(3, 3, 3, 3), shortcut=Tensor(np.ones((4, 3))))


# -- the layer


def test_training_moves_the_averages_and_inference_uses_them():
    layer, x = layers.BatchNormalization(momentum=0.75, dtype="float64"), 5 + 2 * normal(0, 30, 4)
    layer(x)
    assert not layer.moving_mean.numpy().any()  # inference moves nothing
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.75 + 0.25 * x.var(axis=0))
    moved = (x - layer.moving_mean.numpy()) / np.sqrt(layer.moving_variance.numpy() + 0.001)
    np.testing.assert_allclose(layer(x).numpy(), moved)
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    assert [w.name for w in layer.non_trainable_weights] == ["moving_mean", "moving_variance"]


def test_a_frozen_layer_works_as_in_inference():
    layer, x = layers.BatchNormalization(), 5 + normal(0, 30, 4).astype(np.float32)
    before = layer(x).numpy()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True).numpy(), before)
    assert not layer.moving_mean.numpy().any()
    assert layer.trainable_weights == []
    names = [weight.name for weight in layer.non_trainable_weights]
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    assert np.abs(layer(x, training=True).numpy() - before).max() > 1


def test_gradients_pass_through_a_frozen_layer():
    layer, x = layers.BatchNormalization(trainable=False), Tensor(normal(0, 3, 4), True)
    layer.ensure_built((3, 4))
    layer.set_weights([np.full(4, 6.0), np.zeros(4), np.ones(4), np.full(4, 8.999)])
    (dx,) = grad(ops.sum(layer(x, training=True)), [x])
    np.testing.assert_allclose(dx.numpy(), 2, rtol=1e-6)


def test_a_step_that_moves_the_averages_does_not_spoil_an_older_graph():
    layer, x = layers.BatchNormalization(), Tensor(normal(0, 6, 4).astype(np.float32), True)
    y = layer(x)
    layer(x, training=True)
    assert np.isfinite(grad(ops.sum(y), [x])[0].numpy()).all()


def test_fit_in_a_model_of_which_only_the_rest_learns():
    model = models.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(3, 3, trainable=False),
            layers.BatchNormalization(trainable=False),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    before = model.get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(normal(0, 20, 6, 6, 2), np.arange(20) % 2, epochs=2, verbose=0)
    for k, (now, then) in enumerate(zip(model.get_weights(), before, strict=True)):
        assert np.array_equal(now, then) == (k < 6)


def test_summary_counts_the_averages_as_non_trainable():
    model = models.Sequential([layers.Input((8, 8, 3)), layers.BatchNormalization()])
    texts = []
    model.summary(print_fn=texts.append)
    assert " Total params: 12 (48.00 B)\n Trainable params: 6 (24.00 B)" in texts[0]
    assert " Non-trainable params: 6 (24.00 B)" in texts[0]


def test_errors_of_the_layer():
    with pytest.raises(ValueError, match=r"axis=1 is not supported for inputs of shape \(None, 3"):
        layers.BatchNormalization(axis=1)(np.ones((2, 3, 4)))
    with pytest.raises(TypeError, match="BatchNormalization: axis must be an integer"):
        layers.BatchNormalization(axis="channels")
    with pytest.raises(ValueError, match="BatchNormalization: momentum must be"):
        layers.BatchNormalization(momentum=1.5)
    with pytest.raises(ValueError, match="synchronized=True is not supported"):
        layers.BatchNormalization(synchronized=True)
    with pytest.raises(ValueError, match="renorm=True is not supported"):
        layers.BatchNormalization(renorm=True)
    with pytest.raises(ValueError, match="wants 3 numbers on the last axis"):
        layers.BatchNormalization(input_shape=(3,))(np.ones((2, 4)))
    with pytest.raises(ValueError, match="must know the size of the last axis"):
        layers.BatchNormalization().build((None, 4, None))
    with pytest.raises(ValueError, match="wants inputs of at least two axes"):
        layers.BatchNormalization()(np.ones(4))


def test_without_gamma_and_beta_it_stays_where_its_input_is():
    layer, x = layers.BatchNormalization(center=False, scale=False), normal(0, 4, 3)
    layer(x)
    before = get_device()
    set_device("emulator")
    try:
        y = layer(Tensor(x, device="cpu"), training=True)
    finally:
        set_device(before)
    assert y.device == "cpu"
