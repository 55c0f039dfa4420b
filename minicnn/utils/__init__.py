"""Keras' public helpers: one-hot labels, one seed for everything, the data of a training step."""

from minicnn.utils.numerical import set_random_seed, to_categorical
from minicnn.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight

__all__ = [
    "pack_x_y_sample_weight",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
