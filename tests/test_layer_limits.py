"""Limits of layers: the smallest and the largest value, the empty, the open and the last one."""

from types import SimpleNamespace

import numpy as np
import pytest

from minicnn import layers
from minicnn.layers import Input
from minicnn.models import Model

# -- noise


@pytest.mark.parametrize("rate", [1, 1.5, -0.1])
def test_alpha_dropout_cannot_drop_everything(rate):
    with pytest.raises(ValueError, match="AlphaDropout: rate must be from 0 to below 1, but is"):
        layers.AlphaDropout(rate)


def test_a_rate_of_zero_drops_nothing_whatever_is_drawn():
    layer, x = layers.AlphaDropout(0.0), np.ones((2, 3), np.float32)
    layer._random = SimpleNamespace(random=np.zeros)  # 0 is drawn too rarely to wait for it
    np.testing.assert_array_equal(layer(x, training=True).numpy(), x)


# -- symbolic tensors


def test_a_symbolic_tensor_takes_the_shape_of_another_whose_batch_is_open():
    one, other = Input((4,)), Input((2, 2))
    model = Model([one, other], one.reshape(other.shape) + other)
    x, y = np.arange(12.0).reshape(3, 4), np.ones((3, 2, 2))
    np.testing.assert_array_equal(model([x, y]).numpy(), x.reshape(3, 2, 2) + 1)
    np.testing.assert_array_equal(
        Model.from_config(model.get_config())([x, y]).numpy(), x.reshape(3, 2, 2) + 1
    )
