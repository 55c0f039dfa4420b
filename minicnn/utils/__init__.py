"""Keras' public helpers: one-hot labels, one seed for everything, the data of a training step."""

from minicnn.registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from minicnn.utils.numerical import set_random_seed, to_categorical
from minicnn.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight

__all__ = [
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "pack_x_y_sample_weight",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
