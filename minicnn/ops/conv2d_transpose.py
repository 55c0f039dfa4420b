"""conv2d_transpose: what conv2d does to gradients, done to images. Its ops are those of conv2d."""

from typing import NamedTuple

from minicnn.autograd import Tensor
from minicnn.ops.arithmetic import add
from minicnn.ops.conv2d import Arrangement, InputGradient
from minicnn.ops.relu import relu
from minicnn.ops.window import Pair, check_numbers, pair


class Growth(NamedTuple):
    """How rows or columns of an image grow: N become (N - 1) * stride + window, less a cut."""

    stride: int
    window: int  # K, gaps included
    padding: str
    surplus: int | None  # Keras' output_padding

    def size(self, rows: int) -> int:
        """How many rows come out."""
        full = (rows - 1) * self.stride + self.window
        if self.surplus is not None:
            cut = 2 * (self.window // 2) if self.padding == "same" else 0
            return full - cut + self.surplus
        if self.padding == "same":
            return rows * self.stride
        return full + max(self.stride - self.window, 0)

    def cut(self, rows: int) -> tuple[int, int]:
        """How many rows are cut off above and below; where some are added instead, none."""
        spare = max((rows - 1) * self.stride + self.window - self.size(rows), 0)
        return spare // 2, spare - spare // 2


def conv2d_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Pair = 1,
    padding: str = "valid",
    output_padding: Pair | None = None,
    dilation: Pair = 1,
    activation: str | None = None,
) -> Tensor:
    """Let every pixel of an image draw the pattern of a filter, as strongly as the pixel is bright.

        y[n,h,w,f] = bias[f] + sum over i, j, p, q, c of  x[n,i,j,c] * weight[p,q,f,c]

        where  h = s*i + d*p - top  and  w = t*j + e*q - left.

    So images grow by the strides. This is the formula by which conv2d turns dy into dx, with the
    filters of that conv2d; and conv2d turns the dy of this function into its dx:

        dx = conv2d(dy, weight),   dweight = the weight gradient of conv2d for the image dy and x

    Args:
        x: images, (N, I, J, C).
        weight: filters, (P, Q, F, C): as for a conv2d from F to C channels.
        bias: one number per output channel, (F,).
        strides: distance (s, t) between the patterns of neighbours, or one number for both.
        padding: "valid" keeps all that is drawn; "same" cuts the border, such that H = s * I.
        output_padding: rows and columns to be added below and to the right of what is drawn, from
            0 to below the strides. It replaces the sizes above: H = (I-1) * s + K + output_padding
            for "valid", less 2 * (K // 2) for "same", where K = d * (P-1) + 1.
        dilation: distances (d, e) between the rows and columns of a pattern. Strides and dilation
            cannot both be larger than 1, as in Keras.
        activation: "relu" cuts y off below zero in the same pass; None leaves it.

    Returns:
        (N, H, W, F) with H = (I - 1) * s + max(K, s) for "valid".

    Raises:
        ValueError: x is not (N, I, J, C), disagrees with weight about C, or a setting is not
            possible.
        TypeError: x, weight and bias are not all float32 or all float64.

    Kernels: kernels/conv2d.py.
    Source: Zeiler et al. 2010, doi:10.1109/CVPR.2010.5539957; Dumoulin and Visin 2016,
        arXiv:1603.07285.

    >>> import numpy as np
    >>> x, weight = Tensor(np.ones((1, 4, 4, 8))), Tensor(np.ones((3, 3, 2, 8)))
    >>> conv2d_transpose(x, weight, strides=2, padding="same").shape
    (1, 8, 8, 2)
    """
    who = "conv2d_transpose"
    _check(x, weight, bias)
    if activation not in (None, "relu"):
        raise ValueError(f"{who}: activation must be 'relu' or None, but is {activation!r}.")
    rows, columns = grow(who, weight.shape[:2], strides, padding, output_padding, dilation)
    N, I, J, _ = x.shape
    y_shape = (N, rows.size(I), columns.size(J), weight.shape[2])
    steps, cuts = (rows.stride, columns.stride), (rows.cut(I), columns.cut(J))
    arrangement = Arrangement(steps, cuts, pair(who, "dilation", dilation), groups=1)
    y = InputGradient(y_shape, arrangement)(x, weight)
    if bias is not None:
        return add(y, bias, activation=activation)
    return relu(y) if activation else y


def grow(
    who: str,
    window: tuple[int, ...],
    strides: Pair,
    padding: str,
    output_padding: Pair | None,
    dilation: Pair,
) -> tuple[Growth, Growth]:
    """Check the settings, and turn them into how rows and columns grow."""
    steps, gaps = pair(who, "strides", strides), pair(who, "dilation", dilation)
    if padding not in ("same", "valid"):
        raise ValueError(f"{who}: padding must be 'same' or 'valid', but is {padding!r}.")
    if max(steps) > 1 and max(gaps) > 1:
        raise ValueError(
            f"{who}: strides {steps} and dilation {gaps} cannot both be larger than 1."
        )
    added = (output_padding,) * 2 if isinstance(output_padding, int | None) else output_padding
    if len(added) != 2 or any(
        more is not None and not 0 <= more < s for more, s in zip(added, steps, strict=True)
    ):
        raise ValueError(
            f"{who}: output_padding must be from 0 to below the strides, {steps}, but is "
            f"{output_padding}."
        )
    spreads = [d * (size - 1) + 1 for d, size in zip(gaps, window, strict=True)]
    rows, columns = (
        Growth(s, spread, padding, more)
        for s, spread, more in zip(steps, spreads, added, strict=True)
    )
    return rows, columns


def _check(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    who = "conv2d_transpose"
    check_numbers(who, x)
    if x.ndim != 4 or weight.ndim != 4 or x.shape[3] != weight.shape[3]:
        raise ValueError(
            f"{who}: wants x (N, I, J, C) and weight (P, Q, F, C), but their shapes are {x.shape} "
            f"and {weight.shape}."
        )
    F = weight.shape[2]
    if bias is not None and bias.shape != (F,):
        raise ValueError(f"{who}: bias has shape {bias.shape}, but {F} channels want ({F},).")
    dtypes = [tensor.dtype for tensor in (x, weight, bias) if tensor is not None]
    if any(dtype != x.dtype for dtype in dtypes):
        raise TypeError(
            f"{who}: x, weight and bias must be of one dtype, but are "
            f"{', '.join(str(dtype) for dtype in dtypes)}."
        )
