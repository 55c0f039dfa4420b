"""Details of layers that only a small mistake in their code would change."""

import numpy as np
import pytest

from minicnn import Input, Sequential, Tensor, layers, no_grad, regularizers


def test_elu_takes_any_alpha():
    y = layers.ELU(-0.5)(np.array([[-100.0, 3.0]]))
    np.testing.assert_allclose(y.numpy(), [[0.5, 3]])


def test_dense_gives_its_bias_where_there_are_no_features():
    dense = layers.Dense(2, bias_initializer="ones")
    np.testing.assert_array_equal(dense(np.ones((4, 0))).numpy(), np.ones((4, 2)))


@pytest.mark.parametrize(
    "layer",
    [layers.ReLU, layers.Flatten, lambda **keywords: layers.Dense(3, **keywords)],
)
def test_the_penalty_of_outputs_is_kept_in_the_config(layer):
    layer = layer(activity_regularizer=regularizers.L2(0.25))
    again = type(layer).from_config(layer.get_config())
    assert again.activity_regularizer.get_config() == {"l2": 0.25}
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("factor", [-1, 1])
@pytest.mark.parametrize("make", [layers.RandomBrightness, layers.RandomContrast])
def test_pixels_far_outside_of_the_range_are_noticed_on_either_side(make, factor):
    x = np.linspace(0, 255 * factor, 25).reshape(1, 5, 5, 1)
    with pytest.warns(UserWarning, match=r"\[MC033\]: value_range=\(0, 1\) does not fit images"):
        make(0.2, (0, 1))(x)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Cropping2D(1, name="edge"),
        layers.ZeroPadding2D(1, name="edge"),
        layers.RandomCrop(2, 2, name="edge"),
        layers.CenterCrop(2, 2, name="edge"),
        layers.RandomFlip(name="edge"),
    ],
)
@pytest.mark.parametrize("shape", [(None, 8, 8), (None, 2, 8, 8, 3)])
def test_what_changes_the_edges_of_images_wants_images(layer, shape):
    message = rf"layer 'edge' \({type(layer).__name__}\): wants images, .* but got shape"
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shape)


class Mixture(layers.Layer):
    """Adds the mean of a second input to a product of the first one and a kernel."""

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 4), "ones", name="kernel")

    def call(self, x, other):
        return x @ self.kernel + other.mean(axis=1, keepdims=True)


def test_a_layer_with_several_arguments_is_built_for_the_first():
    mixture = Mixture()
    y = mixture(Input((3,)), Input((5,)))
    assert y.shape == (None, 4) and mixture.input_shape == (None, 3)
    assert mixture.kernel.shape == (3, 4)


def test_a_backward_hook_that_returns_nothing_leaves_the_gradient_to_the_next_one():
    relu, seen = layers.ReLU(), []
    relu.register_backward_hook(lambda layer, dy: seen.append(dy.numpy().tolist()))
    relu.register_backward_hook(lambda layer, dy: dy * 2)
    relu.register_backward_hook(lambda layer, dy: seen.append(dy.numpy().tolist()))
    x = Tensor(np.array([[-1, 2]], np.float32), requires_grad=True)
    (relu(x) * 3).sum().backward()
    assert seen == [[[3, 3]], [[6, 6]]] and x.grad.numpy().tolist() == [[0, 6]]


def column_by_column(shape, dtype=None):
    return np.asfortranarray(np.arange(np.prod(shape), dtype=dtype).reshape(shape))


def every_other(shape, dtype=None):
    return np.arange(2 * shape[0], dtype=dtype)[::2]


@pytest.mark.parametrize(
    "settings", [{"kernel_initializer": column_by_column}, {"bias_initializer": every_other}]
)
@pytest.mark.parametrize("position", [0, 1])
def test_weights_may_lie_in_memory_in_any_order(settings, position):
    given = [{}, {}]
    given[position] = settings
    model = Sequential([Input((4,)), *(layers.Dense(4, **each) for each in given)])
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    with no_grad():
        y = model(x)
    for weight in model.weights:
        weight.assign(np.ascontiguousarray(weight.numpy()))
    np.testing.assert_allclose(y.numpy(), model(x).numpy(), rtol=1e-5)
