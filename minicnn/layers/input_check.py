"""Does an input fit a layer? If not, the message guesses the mistake and says how to mend it."""

import math

from minicnn.layers.shapes import Shape

CHANNELS_FIRST = "[MC002] This looks like channels-first: use np.transpose(x, (0, 2, 3, 1))."
ONE_INPUT = "[MC001] One input only? Add the batch axis: x[None]."


def check_images(title: str, shape: Shape) -> None:
    """Check that `shape` is that of images.

    Raises:
        ValueError: it is not (batch, height, width, channels).
    """
    if len(shape) == 4:
        return
    hint = "Flat images? Put Reshape((height, width, channels)) before this layer."
    if len(shape) == 3:
        grey = shape[-1] is None or shape[-1] > 4  # hardly anybody has images 1 to 4 pixels wide
        hint = "Grey images? Add the channel axis: x[..., None]." if grey else ONE_INPUT
    raise ValueError(
        f"{title}: wants images, (batch, height, width, channels), but got shape {shape}. {hint}"
    )


def check_features(title: str, shape: Shape) -> None:
    """Check that `shape` has a batch axis and at least one more.

    Raises:
        ValueError: it has not.
    """
    if len(shape) < 2:
        raise ValueError(
            f"{title}: wants inputs of at least two axes, (batch, features), but got shape "
            f"{shape}. {ONE_INPUT} Or one number per input? Use x[:, None]."
        )


def check_last_axis(title: str, shape: Shape, built_for: Shape) -> None:
    """Check that the last axis is as long as that of the shape that a layer was built for.

    Raises:
        ValueError: it is not.
    """
    wanted = built_for[-1]
    if shape and (wanted is None or shape[-1] in (wanted, None)):
        return
    hint = f"Give it inputs of shape {built_for}, or make a new layer for {shape}."
    if len(shape) == 4 and shape[1] == wanted:
        hint = CHANNELS_FIRST
    raise ValueError(
        f"{title}: wants {wanted} numbers on the last axis, because it was built for inputs of "
        f"shape {built_for}, but got shape {shape}. {hint}"
    )


def known_channels(title: str, shape: Shape) -> int:
    """Return the size of the last axis, which decides about the shape of the weights.

    Raises:
        ValueError: it is None.
    """
    if shape[-1] is None:
        raise ValueError(
            f"{title}: must know the size of the last axis to make its weights, but the input has "
            f"shape {shape}. Give it in input_shape."
        )
    return shape[-1]


def size_of_sample(title: str, shape: Shape) -> int:
    """Return how many numbers one sample has: the product of all sizes but that of the batch.

    Raises:
        ValueError: one of them is None.

    >>> size_of_sample("layer 'conv2d' (Conv2D)", (None, 8, 8, 3))
    192
    """
    sizes = [size for size in shape[1:] if size is not None]
    if len(sizes) < len(shape) - 1:
        raise ValueError(
            f"{title}: cannot count what it takes for one sample, as shape {shape} leaves sizes "
            f"open. Give all but the batch."
        )
    return math.prod(sizes)
