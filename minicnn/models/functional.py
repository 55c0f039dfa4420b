"""Functional: what Model(inputs, outputs) makes."""

from minicnn.models.model import Model


class Functional(Model):
    """A model that is made of symbolic inputs and outputs; see Model, which makes it.

    Args:
        inputs: see Model.
        outputs: see Model.
        name: None counts: "functional", "functional_1", ...
        trainable: False freezes all layers.
        **keywords: see Layer.

    >>> from minicnn import layers
    >>> x = layers.Input((8,))
    >>> type(Model(x, layers.Dense(2)(x))).__name__
    'Functional'
    """
