"""Objects as they stand in Keras' files: their class, and the arguments that make them again.

    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3, ...},
     "registered_name": None, "build_config": {"input_shape": [None, 4]}}

Reading such a thing runs no code but the constructors of classes that are known: those of minicnn,
and those of the user's own that are registered or were handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, cast

import numpy as np

from minicnn import initializers, layers, losses, metrics, optimizers, regularizers
from minicnn.autograd import Tensor
from minicnn.layers import InputLayer, Layer
from minicnn.layers.operators import OPERATORS, Operator
from minicnn.layers.shapes import is_shape
from minicnn.registry import custom_object_scope, get_registered_name, mentioned, saved_function
from minicnn.suggest import did_you_mean

PLAIN = (bool, int, float, str, type(None))
FAMILIES: dict[str, Callable[[Any], Any]] = {  # of objects that are no layers, by their modules
    "initializers": initializers.get,
    "losses": losses.get,
    "metrics": metrics.get,
    "optimizers": optimizers.get,
    "regularizers": regularizers.get,
}
LAMBDA = (
    "Requested the deserialization of a Python lambda. This carries a potential risk of arbitrary "
    "code execution, so minicnn never does it, with safe_mode or without. Use a layer of your own, "
    "registered with @register_keras_serializable()."
)


def serialize_keras_object(thing: Any) -> Any:
    """Describe an object by numbers, words, lists and dicts.

    Args:
        thing: a layer, model, loss, metric, optimizer, initializer or regularizer; a function that
            is registered; an array; or lists and dicts of these.

    Raises:
        ValueError: it cannot be described.

    >>> serialize_keras_object(layers.Flatten(name="flat"))["class_name"]
    'Flatten'
    """
    if isinstance(thing, PLAIN):
        return thing
    if isinstance(thing, list | tuple):
        return [serialize_keras_object(entry) for entry in thing]
    if isinstance(thing, dict):
        return {key: serialize_keras_object(entry) for key, entry in thing.items()}
    if isinstance(thing, slice):
        ends = {name: getattr(thing, name) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": ends}
    if thing is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, np.ndarray | Tensor):
        array = np.asarray(thing)
        config = {"value": array.tolist(), "dtype": array.dtype.name}
        return {"class_name": "__numpy__", "config": config}
    if isinstance(thing, Layer):
        return _saved_layer(thing)
    if isinstance(thing, FunctionType):
        return saved_function(thing)
    if hasattr(thing, "get_config"):
        return {**_class_of(thing), "config": serialize_keras_object(thing.get_config())}
    raise ValueError(f"{thing!r} cannot be saved: it has no get_config.")


def _saved_layer(layer: Layer) -> dict[str, Any]:
    config = layer.get_config()
    if isinstance(config.get("dtype"), str) and not isinstance(layer, InputLayer):
        policy = {"module": "keras", "class_name": "DTypePolicy"}
        config["dtype"] = {**policy, "config": {"name": config["dtype"]}, "registered_name": None}
    saved = {**_class_of(layer), "config": serialize_keras_object(config)}
    saved |= layer.get_further_config()
    return saved


def _class_of(thing: Any) -> dict[str, Any]:
    """The entries that name the class of an object, in the order in which Keras has them."""
    cls = type(thing)
    module, _, registered = cls.__module__, None, get_registered_name(cls)
    if cls.__name__ == "Functional" and module.startswith("minicnn."):
        module = "keras.src.models.functional"
    elif cls.__name__ == "Sequential" and module.startswith("minicnn."):
        module, registered = "keras", ""
    elif isinstance(thing, Operator):
        module = "keras.src.ops.numpy"
    elif module.startswith("minicnn."):
        family = "layers" if isinstance(thing, Layer) else module.split(".")[1]
        module, registered = f"keras.{family}", ""
    return {
        "module": module,
        "class_name": cls.__name__,
        "config": None,
        "registered_name": registered or None,
    }


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """Make an object from what serialize_keras_object, or that of Keras, has returned.

    Args:
        config: the description.
        custom_objects: classes and functions of the user's own, by name.
        safe_mode: here for Keras' sake; reading never runs code, whatever it is.

    Raises:
        ValueError: a class is unknown, or the description holds code.
        TypeError: it is no such description, or its arguments are wrong.

    >>> saved = serialize_keras_object(layers.Dense(3, name="three"))
    >>> deserialize_keras_object(saved).units
    3
    """
    with custom_object_scope(custom_objects or {}):
        return _read(config)


def _read(config: Any) -> Any:
    if isinstance(config, PLAIN):
        return config
    if isinstance(config, list | tuple):
        return [_read(entry) for entry in config]
    if not isinstance(config, dict):
        raise TypeError(f"deserialize_keras_object: cannot make anything of {config!r}.")
    if "class_name" not in config or "config" not in config:
        return {key: _read(entry) for key, entry in config.items()}
    kind, inner = config["class_name"], config["config"]
    if kind in ("__lambda__", "Lambda"):
        raise ValueError(LAMBDA)
    if kind == "__slice__":
        return slice(*(_read(inner.get(name)) for name in ("start", "stop", "step")))
    if kind == "__ellipsis__":
        return Ellipsis
    if kind in ("__numpy__", "__tensor__"):
        return _array(inner["value"], inner["dtype"])
    if kind == "DTypePolicy":
        return config
    return _read_object(config)


def _array(value: Any, dtype: Any) -> Any:
    if np.dtype(dtype).kind not in "fiub":  # text could claim any length
        raise ValueError(f"a config wants an array of numbers, but says that it is of {dtype!r}.")
    return np.asarray(value, dtype)


def _read_object(config: dict[str, Any]) -> Any:
    own = mentioned(config)
    if own is not None:
        return own if config["class_name"] == "function" else _made(own, config)
    package, *modules = str(config.get("module") or "").split(".")
    family = next((module for module in modules if module in FAMILIES), None)
    if package == "keras" and family is not None:
        return FAMILIES[family](config)
    return _made(_known_class(config), config)


def _known_class(config: dict[str, Any]) -> Any:
    """The class of minicnn of this name."""
    from minicnn import models  # here, because its files need this one

    kind, module = config["class_name"], str(config.get("module") or "keras.layers")
    known = {name: getattr(layers, name) for name in layers.__all__}
    known = {name: thing for name, thing in known.items() if isinstance(thing, type)}
    known |= {name: getattr(models, name) for name in ("Functional", "Model", "Sequential")}
    known = OPERATORS if module.startswith("keras.src.ops") else known
    if kind in known and module.partition(".")[0] == "keras":
        return known[kind]
    raise ValueError(
        f"Could not locate class {kind!r}.{did_you_mean(str(kind), known)} If it is a class of "
        f"your own, register it with @register_keras_serializable(), or hand it over: "
        f"custom_objects={{{kind!r}: {kind}}}."
    )


def _made(cls: Any, config: dict[str, Any]) -> Any:
    inner = config["config"]
    if not isinstance(inner, dict) or not hasattr(cls, "from_config"):
        raise TypeError(
            f"{config['class_name']}: cannot be made of a config of {type(inner).__name__}."
        )
    thing: Any = cls.from_config(_as_arguments(inner))
    if isinstance(thing, Layer):
        shape: Any = (config.get("build_config") or {}).get("input_shape")
        if not thing.built and is_shape(shape):
            thing.ensure_built(tuple(shape))
        if config.get("compile_config"):
            cast(Any, thing).compile_from_config(config["compile_config"])
    return thing


def _as_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with descriptions of arrays and functions replaced by them.

    Descriptions of other objects are left to the constructors, which know what is meant.
    """
    return {key: _argument(value) for key, value in config.items()}


def _argument(value: Any) -> Any:
    kind = value.get("class_name") if isinstance(value, dict) else None
    if kind in ("__lambda__", "Lambda", "__numpy__", "__tensor__"):
        return _read(value)
    if kind == "function":
        return mentioned(value) or value["config"]
    return value
