"""Mixed precision: products of rounded operands, all else in float32, on all devices."""

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, grad, layers, models, ops
from minicnn.backend import kernels

to_bfloat16 = kernels.precision.to_bfloat16


@pytest.fixture(autouse=True)
def _policy_as_it_was():
    yield
    minicnn.set_dtype_policy(None)
    minicnn.allow_tf32(False)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_layer_rounds_what_it_multiplies_and_nothing_else():
    layer = layers.Dense(5, dtype="mixed_bfloat16", bias_initializer="random_normal")
    x = normal(1, 4, 7)
    y = layer(x).numpy()
    weight, bias = layer.get_weights()
    assert weight.dtype == y.dtype == np.float32
    expected = to_bfloat16(x).astype(np.float64) @ to_bfloat16(weight).astype(np.float64) + bias
    np.testing.assert_allclose(y, expected, atol=1e-6)
    assert np.abs(y - (x @ weight + bias)).max() > 1e-4


@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "Dense"])
def test_the_way_back_rounds_as_the_way_forward_did(kind):
    settings = {"Conv2D": (4, 3), "DepthwiseConv2D": (3,), "Dense": (6,)}[kind]
    layer = getattr(layers, kind)(*settings, dtype="mixed_bfloat16")
    x = Tensor(normal(1, 2, 6, 6, 3) if kind != "Dense" else normal(1, 8, 5), requires_grad=True)
    y = layer(x)
    weight, dy = layer.trainable_weights[0], normal(2, *y.shape)
    dx, dw, db = grad(y, [x, weight, layer.trainable_weights[1]], seed=Tensor(dy))

    plain = getattr(layers, kind)(*settings)
    rounded = Tensor(to_bfloat16(x.data), requires_grad=True)
    plain(rounded)
    plain.set_weights([to_bfloat16(w) for w in layer.get_weights()])
    expected = grad(
        plain(rounded), [rounded, plain.trainable_weights[0]], seed=Tensor(to_bfloat16(dy))
    )
    for one, other in zip((dx, dw), expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(  # a sum is no product
        db.numpy(), dy.reshape(-1, dy.shape[-1]).sum(axis=0), rtol=1e-5, atol=1e-5
    )


def test_second_derivatives_round_as_well():
    layer = layers.Dense(1, use_bias=False, dtype="mixed_bfloat16")
    x = Tensor(normal(1, 3, 4), requires_grad=True)
    y = layer(x)
    seed = Tensor(normal(2, 3, 1), requires_grad=True)
    (dx,) = grad(y, [x], seed=seed, create_graph=True)
    more = normal(3, *dx.shape)
    (back,) = grad(dx, [seed], seed=Tensor(more))
    expected = to_bfloat16(more) @ to_bfloat16(layer.kernel.numpy())
    np.testing.assert_allclose(back.numpy(), expected, atol=1e-6)


def tiny():
    """A convolution with a pooling, which are computed in one, and a product."""
    network = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    return models.Sequential([layers.Input((8, 8, 2)), *network, layers.Dense(3)])


def outputs_of(model, x):
    """In training, in inference, and layer by layer."""
    one_by_one = Tensor(x)
    for layer in model.layers:
        one_by_one = layer(one_by_one)
    return model(x, training=True).numpy(), model.predict(x, verbose=0), one_by_one.numpy()


def test_layers_computed_together_round_as_they_do_alone():
    minicnn.set_dtype_policy("mixed_bfloat16")
    model, x = tiny(), normal(1, 5, 8, 8, 2)
    together, inference, alone = outputs_of(model, x)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(inference, alone, atol=1e-5)
    minicnn.set_dtype_policy(None)
    exact = tiny()
    exact.set_weights(model.get_weights())
    assert np.abs(exact.predict(x, verbose=0) - alone).max() > 1e-4


def test_a_layer_with_a_dtype_of_its_own_keeps_it_inside_a_mixed_model():
    minicnn.set_dtype_policy("mixed_bfloat16")
    last = layers.Dense(3, dtype="float32")
    model = models.Sequential([layers.Input((7,)), last])
    x = normal(1, 4, 7)
    weight, bias = last.get_weights()
    np.testing.assert_allclose(model.predict(x, verbose=0), x @ weight + bias, atol=1e-6)
    np.testing.assert_allclose(model(x).numpy(), x @ weight + bias, atol=1e-6)


def test_a_mixed_model_learns_and_keeps_its_policy_in_its_configuration():
    minicnn.set_dtype_policy("mixed_bfloat16")
    model = tiny()
    model.compile(minicnn.optimizers.Adam(0.02), "mse")
    x, y = normal(1, 32, 8, 8, 2), normal(2, 32, 3)
    losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    assert all(weight.dtype == np.float32 for weight in model.weights)
    minicnn.set_dtype_policy(None)
    again = models.Sequential.from_config(model.get_config())
    assert [layer.dtype_policy for layer in again.layers] == ["mixed_bfloat16"] * 4
    assert again.layers[0].dtype == "float32"


def test_all_devices_round_alike(device):
    minicnn.set_dtype_policy("mixed_bfloat16")
    x, weight = normal(1, 2, 5, 5, 3), normal(2, 3, 3, 3, 4)
    with kernels.precision.rounding_to("bfloat16"):
        y = ops.conv2d(Tensor(x), Tensor(weight)).numpy()
        alone = ops.conv2d(Tensor(x), Tensor(weight[:, :, :1, :3].copy()), groups=3).numpy()
    for result, filters, groups in ((y, weight, 1), (alone, weight[:, :, :1, :3], 3)):
        args = (to_bfloat16(x), to_bfloat16(filters), None, False)
        where = ((1, 1), ((0, 0), (0, 0)), (1, 1), groups)
        expected = kernels.conv2d.forward.reference(*args, *where)
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_float64_is_never_rounded():
    x, weight = np.random.default_rng(0).normal(size=(2, 4, 4))
    with kernels.precision.rounding_to("bfloat16"):
        y = kernels.matmul.multiply(x, weight, None, False)
    np.testing.assert_allclose(y, x @ weight, atol=1e-13)


def test_a_cpu_knows_no_tf32():
    x, weight = normal(1, 4, 4), normal(2, 4, 4)
    before = kernels.matmul.multiply(x, weight, None, False).copy()
    minicnn.allow_tf32(True)
    assert kernels.precision.allows_tf32()
    np.testing.assert_array_equal(kernels.matmul.multiply(x, weight, None, False), before)


def test_rounding_goes_to_the_nearest_and_keeps_what_is_no_number():
    x = np.float32([1 + 2**-8, 1 + 3 * 2**-8, -1.003, np.inf, -np.inf, np.nan, 3.4e38, 0])
    wanted = np.float32([1, 1 + 2**-6, -1, np.inf, -np.inf, np.nan, np.inf, 0])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(to_bfloat16(x), wanted)


def test_an_unknown_policy_is_an_error():
    with pytest.raises(ValueError, match=r"set_dtype_policy: wants one of float32, .*'mixed_flo"):
        minicnn.set_dtype_policy("mixed_float16")
    with pytest.raises(ValueError, match="Dense: dtype must be one of .*mixed_bfloat16, but is 'm"):
        layers.Dense(3, dtype="mixed_float16")
