"""The networks that `--model` offers, for images of 32 x 32 pixels in three colors."""

from collections.abc import Callable

from minicnn.layers import AveragePooling2D, Conv2D, Dense, Flatten, Input, Layer, MaxPooling2D
from minicnn.models import Sequential

SIDE = 32  # pixels
IMAGE = (SIDE, SIDE, 3)


def _small(classes: int) -> list[Layer]:
    """The CNN of the Keras tutorial on CIFAR-10."""
    return [
        Conv2D(32, (3, 3), activation="relu"),
        MaxPooling2D((2, 2)),
        Conv2D(64, (3, 3), activation="relu"),
        MaxPooling2D((2, 2)),
        Conv2D(128, (3, 3), activation="relu"),
        MaxPooling2D((2, 2)),
        Flatten(),
        Dense(128, activation="relu"),
        Dense(classes, activation="softmax"),
    ]


def _lenet(classes: int) -> list[Layer]:
    """In the manner of LeNet-5; LeCun et al. 1998, doi:10.1109/5.726791."""
    return [
        Conv2D(6, (5, 5), activation="tanh"),
        AveragePooling2D((2, 2)),
        Conv2D(16, (5, 5), activation="tanh"),
        AveragePooling2D((2, 2)),
        Flatten(),
        Dense(120, activation="tanh"),
        Dense(84, activation="tanh"),
        Dense(classes, activation="softmax"),
    ]


def _linear(classes: int) -> list[Layer]:
    """One matrix: what can be told from single pixels alone. The yardstick for the others."""
    return [Flatten(), Dense(classes, activation="softmax")]


NETWORKS: dict[str, Callable[[int], list[Layer]]] = {
    "small": _small,
    "lenet": _lenet,
    "linear": _linear,
}


def build(name: str, classes: int) -> Sequential:
    """Build a network with fresh weights.

    >>> build("small", classes=10).count_params()
    160202
    """
    return Sequential([Input(IMAGE), *NETWORKS[name](classes)], name=name)
