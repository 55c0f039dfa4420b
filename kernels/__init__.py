"""The numbers: arrays in, arrays out. Nothing here knows of tensors or gradients.

Each file holds one family of kernels: the formulas on top, a NumPy reference to read, then the same
sums as loops for Numba. Imports are relative, because this folder is installed as minicnn.kernels.

The families are imported when they are first used: Numba takes longer to import than all the rest.
So is the emulator, which few need.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from . import cuda, gpu, graphs, precision
from .kernel import Array, Kernel, is_gpu_array
from .memory import empty, zeros

if TYPE_CHECKING:  # for editors and mypy; at run time __getattr__ does the same, later
    from . import (
        adam,
        addition,
        augment,
        average_pool2d,
        batch_norm,
        chain,
        conv2d,
        conv_pool,
        dropout,
        emulator,
        layer_norm,
        matmul,
        max_pool2d,
        normal_cdf,
        relu,
        resize,
        rmsprop,
        rows,
        second_compiler,
        sgd,
        sigmoid,
        softmax,
        softmax_cross_entropy,
        sum_rows,
        threads,
        warp,
    )

FAMILIES = (
    "adam",
    "addition",
    "augment",
    "average_pool2d",
    "batch_norm",
    "chain",
    "conv2d",
    "conv_pool",
    "dropout",
    "layer_norm",
    "matmul",
    "max_pool2d",
    "normal_cdf",
    "relu",
    "resize",
    "rmsprop",
    "rows",
    "sgd",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "sum_rows",
    "warp",
)

__all__ = [
    "FAMILIES",
    "Array",
    "Kernel",
    "adam",
    "addition",
    "all_kernels",
    "augment",
    "average_pool2d",
    "batch_norm",
    "chain",
    "conv2d",
    "conv_pool",
    "cuda",
    "dropout",
    "empty",
    "emulator",
    "gpu",
    "graphs",
    "is_gpu_array",
    "layer_norm",
    "matmul",
    "max_pool2d",
    "normal_cdf",
    "precision",
    "relu",
    "resize",
    "rmsprop",
    "rows",
    "second_compiler",
    "sgd",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "sum_rows",
    "threads",
    "warp",
    "without_gpu_version",
    "zeros",
]


def __getattr__(name: str) -> ModuleType:
    if name in FAMILIES or name in ("emulator", "second_compiler", "threads"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def all_kernels() -> dict[str, Kernel]:
    """Every kernel by its name, as "conv2d.forward"."""
    modules = (importlib.import_module(f".{family}", __name__) for family in FAMILIES)
    found = (value for module in modules for value in vars(module).values())
    return {kernel.name: kernel for kernel in found if isinstance(kernel, Kernel)}


def without_gpu_version() -> list[str]:
    """The names of the kernels whose CUDA version is not written yet."""
    return [name for name, kernel in all_kernels().items() if kernel.gpu is None]
