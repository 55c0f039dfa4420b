"""MC020 and MC022: does the activation of the last layer fit the loss?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicnn import activations
from minicnn.layers import Activation, Conv2D, Dense, Layer, Softmax
from minicnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from minicnn.models.scores import Scores
from minicnn.notices import warn_once

if TYPE_CHECKING:
    from minicnn.models.loop import AnyScores
    from minicnn.models.steps import Steps

FITTING = {
    BinaryCrossentropy: "sigmoid",
    CategoricalCrossentropy: "softmax",
    SparseCategoricalCrossentropy: "softmax",
}


def check_last_activation(model: Steps, scores: AnyScores) -> None:
    """Look at the last layer of a model of one output, if it is known, and at the loss.

    Raises:
        ValueError: the last layer is linear, and the loss wants probabilities.
    """
    layer = _last_layer(model)
    wanted = FITTING.get(type(scores.loss)) if isinstance(scores, Scores) else None  # type: ignore[arg-type]
    if layer is None or wanted is None:
        return
    loss: Any = scores.loss
    activation = _activation_of(layer)
    is_flat = len(layer.output_shape) == 2  # else a forgotten Flatten is the mistake to speak of
    if activation is activations.linear and not loss.from_logits and is_flat:
        raise ValueError(
            f"compile [MC020]: the loss {loss.name!r} wants probabilities, but the last layer, "
            f"{layer.name!r}, has no activation that makes some: add activation={wanted!r} to it, "
            f"or from_logits=True to the loss."
        )
    if activation is not activations.softmax:
        return
    units = layer.output_shape[-1]
    if units == 1:
        warn_once(
            model,
            "compile",
            "MC022",
            f"the softmax of {layer.name!r} has a single output, which is always 1. For two "
            f"classes, use 'sigmoid' and binary_crossentropy.",
        )
    elif wanted == "sigmoid":
        warn_once(
            model,
            "compile",
            "MC022",
            f"binary_crossentropy takes each of the {units} outputs of the softmax of "
            f"{layer.name!r} for a question of its own. Use categorical_crossentropy.",
        )


def _last_layer(model: Any) -> Layer | None:
    """The layer that makes the only output; None, if there are several or none is known."""
    try:
        outputs = model.outputs
    except AttributeError:
        return None
    return outputs[0].node.layer if len(outputs) == 1 else None


def _activation_of(layer: Layer) -> Any:
    if type(layer) is Softmax:
        return activations.softmax
    return layer.activation if type(layer) in (Dense, Conv2D, Activation) else None  # type: ignore[attr-defined]
