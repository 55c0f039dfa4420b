"""Keras' public helpers: pictures from files, one-hot labels, one seed for everything."""

from typing import TYPE_CHECKING

from minicnn.late import imported_late
from minicnn.registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from minicnn.utils.numerical import normalize, set_random_seed, to_categorical
from minicnn.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from minicnn.utils.progbar import Progbar
from minicnn.utils.session import clear_session
from minicnn.utils.splitting import split_dataset

if TYPE_CHECKING:
    from minicnn.utils.files import get_file
    from minicnn.utils.image_dataset import image_dataset_from_directory
    from minicnn.utils.images import array_to_img, img_to_array, load_img, save_img

__all__ = [
    "Progbar",
    "array_to_img",
    "clear_session",
    "custom_object_scope",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "normalize",
    "pack_x_y_sample_weight",
    "register_keras_serializable",
    "save_img",
    "set_random_seed",
    "split_dataset",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


__getattr__ = imported_late(
    __name__,
    {
        "get_file": "minicnn.utils.files",
        "image_dataset_from_directory": "minicnn.utils.image_dataset",
        **dict.fromkeys(
            ("array_to_img", "img_to_array", "load_img", "save_img"), "minicnn.utils.images"
        ),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
