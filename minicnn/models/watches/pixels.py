"""MC030: pixels from 0 to 255, for a model that does not bring them to numbers around 1."""

from __future__ import annotations

from typing import Any

from minicnn.layers import Layer, Normalization, Rescaling
from minicnn.layers.nesting import parts_of
from minicnn.layers.structure import leaves
from minicnn.models.checks import looks_like_pixels
from minicnn.notices import warn_once


def warn_of_pixels(model: Layer, x: Any) -> None:
    """Say that the inputs, those of a first batch, are pixels as images on disk have them."""
    pixels = next(filter(looks_like_pixels, leaves(x)), None)
    if pixels is None or _scales(model):
        return
    warn_once(
        model,
        "fit",
        "MC030",
        f"the inputs span 0 to {pixels.max():.0f}, and weights are made for numbers around 1. "
        f"Divide them: x / 255; or begin the model with Rescaling(1 / 255).",
    )


def _scales(layer: Layer) -> bool:
    return isinstance(layer, Rescaling | Normalization) or any(map(_scales, parts_of(layer)))
