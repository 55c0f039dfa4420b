"""The form in which train_step gets its data: x, (x, y) or (x, y, sample_weight)."""

from typing import Any


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Inputs, labels and sample weights of what train_step, test_step or predict_step is given.

    Args:
        data: x, (x, y) or (x, y, sample_weight).

    Returns:
        Three things; None for what is missing.

    Raises:
        ValueError: it is a tuple of another length.

    >>> unpack_x_y_sample_weight(("x", "y")), unpack_x_y_sample_weight("x")
    (('x', 'y', None), ('x', None, None))
    """
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"unpack_x_y_sample_weight: wants x, (x, y) or (x, y, sample_weight), but got a tuple "
            f"of {len(data)}."
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The opposite of unpack_x_y_sample_weight.

    Args:
        x: inputs.
        y: labels, or None.
        sample_weight: weights of the samples, or None.

    >>> pack_x_y_sample_weight("x", "y"), pack_x_y_sample_weight("x")
    (('x', 'y'), 'x')
    """
    if y is None:
        return (x,) if isinstance(x, tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)
