"""A deep learning framework to read to the bottom: Keras outside, Numba and CUDA inside.

>>> import minicnn
>>> x = minicnn.Tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
Tensor([2. 4.])
"""

from minicnn import (
    activations,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    regularizers,
    saving,
    utils,
    visualize,
)
from minicnn.autograd import Op, Tensor, Watcher, grad, no_grad, watch
from minicnn.backend import (
    allow_tf32,
    dtype_policy,
    floatx,
    get_device,
    set_device,
    set_dtype_policy,
    set_floatx,
)
from minicnn.gradcheck import check_gradient
from minicnn.layers import Input
from minicnn.models import Model, Sequential
from minicnn.variable import Variable

__version__ = "0.1.0"

__all__ = [
    "Input",
    "Model",
    "Op",
    "Sequential",
    "Tensor",
    "Variable",
    "Watcher",
    "activations",
    "allow_tf32",
    "callbacks",
    "check_gradient",
    "constraints",
    "datasets",
    "dtype_policy",
    "floatx",
    "get_device",
    "grad",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "no_grad",
    "ops",
    "optimizers",
    "regularizers",
    "saving",
    "set_device",
    "set_dtype_policy",
    "set_floatx",
    "utils",
    "visualize",
    "watch",
]
