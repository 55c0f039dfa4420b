"""Starting over, in the middle of a program."""

import gc

from minicnn.layers.names import reset_names


def clear_session(free_memory: bool = True) -> None:
    """Let automatic names count from zero again: the next Conv2D is "conv2d".

    Models that exist stay as they are, and are usable. There is nothing else to forget: weights and
    graphs belong to the objects that hold them, and go when those go.

    Args:
        free_memory: whether to collect at once what nothing refers to any more.

    >>> from minicnn import layers
    >>> clear_session(); layers.Dense(3).name, layers.Dense(3).name
    ('dense', 'dense_1')
    """
    reset_names()
    if free_memory:
        gc.collect()
