"""The matrix product, of single matrices and of whole batches of them."""

import numpy as np

from minicnn.autograd import Op, Tensor
from minicnn.backend import Array, kernels
from minicnn.ops import operands
from minicnn.ops.reduce import broadcast_to
from minicnn.ops.shape import Transpose, reshape


class MultiplyMatrices(Op):
    """y = x weight, for each pair of matrices;   dx = dy weight^T,   dw = x^T dy."""

    def forward(self, x: Array, weight: Array) -> Array:
        if x.dtype not in (np.float32, np.float64):
            return x @ weight
        if x.ndim == 2:
            return kernels.matmul.multiply(x, weight, None, False)
        if kernels.is_gpu_array(x):
            return x @ weight  # cuBLAS takes all pairs at once
        # so would NumPy, but its bits depend on the number of threads
        y = np.empty((*x.shape[:-1], weight.shape[-1]), x.dtype)
        for k in np.ndindex(x.shape[:-2]):
            y[k] = kernels.matmul.multiply(x[k], weight[k], None, False)
        return y

    def backward(self, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = self.inputs
        dx = MultiplyMatrices()(dy, _transposed(weight)) if x.requires_grad else None
        dw = MultiplyMatrices()(_transposed(x), dy) if weight.requires_grad else None
        return dx, dw


def matmul(x: Tensor | Array, weight: Tensor | Array) -> Tensor:
    """Multiply two matrices, or each matrix of one batch by its partner of another.

        y[n,f] = sum over c of  x[n,c] * weight[c,f]

    Each x meets every column of its row in weight, and each weight every row of x:

        dx[n,c] = sum over f of  dy[n,f] * weight[c,f]          dx = dy weight^T
        dw[c,f] = sum over n of  x[n,c] * dy[n,f]               dw = x^T dy

    Axes before the last two count the matrices of a batch; they are broadcast by NumPy's rules. A
    vector counts as a matrix of one row on the left and of one column on the right, and this axis
    is left out of the result.

    Args:
        x: (..., N, C) or (C,).
        weight: (..., C, F) or (C,).

    Returns:
        (..., N, F), without N or F where x or weight was a vector.

    Raises:
        ValueError: an operand is a single number, or they disagree about C, or about the batch.

    >>> matmul(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]]))
    Tensor([[11.]])
    """
    x, weight = operands.of_one_dtype(x, weight)
    _check(x, weight)
    if x.ndim == 1:
        y = matmul(reshape(x, (1, -1)), weight)
        return reshape(y, (*y.shape[:-2], *y.shape[-1:])) if weight.ndim > 1 else reshape(y, ())
    if weight.ndim == 1:
        return reshape(matmul(x, reshape(weight, (-1, 1))), x.shape[:-1])
    if x.ndim > 2 and weight.ndim == 2:  # one large product instead of many small ones
        rows = MultiplyMatrices()(reshape(x, (-1, x.shape[-1])), weight)
        return reshape(rows, (*x.shape[:-1], weight.shape[-1]))
    batch = operands.common_shape("matmul", x.shape[:-2], weight.shape[:-2])
    x = broadcast_to(x, (*batch, *x.shape[-2:]))
    weight = broadcast_to(weight, (*batch, *weight.shape[-2:]))
    return MultiplyMatrices()(x, weight)


def _check(x: Tensor, weight: Tensor) -> None:
    """The last axis of x must be the first of each matrix of `weight`."""
    if not x.ndim or not weight.ndim:
        raise ValueError(
            f"matmul: wants vectors or matrices, but got shapes {x.shape} and {weight.shape}. "
            f"Numbers are multiplied by *."
        )
    C = weight.shape[-2] if weight.ndim > 1 else weight.shape[0]
    if x.shape[-1] != C:
        raise ValueError(
            f"matmul: wants shapes (..., N, C) and (..., C, F), but got {x.shape} and "
            f"{weight.shape}: C is {x.shape[-1]} and {C}. "
            f"Images are flattened by reshape(x, (x.shape[0], -1))."
        )


def _transposed(x: Tensor) -> Tensor:
    """Rows and columns of each matrix exchanged."""
    return Transpose((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))(x)
