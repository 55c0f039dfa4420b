"""Keras' module `saving`: models in files, and what makes classes of your own known to them."""

from minicnn.models.saving import load_model, save_model
from minicnn.models.serialization import deserialize_keras_object, serialize_keras_object
from minicnn.registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "register_keras_serializable",
    "save_model",
    "serialize_keras_object",
]
