"""Keras' settings for a whole program, as far as there is a choice."""

from minicnn.backend import floatx, set_floatx

__all__ = ["epsilon", "floatx", "image_data_format", "set_floatx"]


def epsilon() -> float:
    """The small number that keeps logarithms and divisions away from zero.

    >>> epsilon()
    1e-07
    """
    return 1e-7


def image_data_format() -> str:
    """How images are laid out: (batch, height, width, channels), and in no other way.

    >>> image_data_format()
    'channels_last'
    """
    return "channels_last"
