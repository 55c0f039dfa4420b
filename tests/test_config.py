"""The names that programs written for Keras expect at the top, and the settings."""

import minicnn
from minicnn import config, initializers, layers, losses, metrics, optimizers, regularizers


def test_base_classes_stand_at_the_top_as_in_keras():
    assert minicnn.Layer is layers.Layer and minicnn.Metric is metrics.Metric
    assert minicnn.Loss is losses.Loss and minicnn.Optimizer is optimizers.Optimizer
    assert minicnn.Initializer is initializers.Initializer
    assert minicnn.Regularizer is regularizers.Regularizer


def test_settings_are_those_of_keras():
    assert (config.epsilon(), config.image_data_format()) == (1e-7, "channels_last")
    before = config.floatx()
    config.set_floatx("float64")
    try:
        assert (
            minicnn.floatx() == config.floatx() == "float64" and layers.Dense(1).dtype == "float64"
        )
    finally:
        config.set_floatx(before)
