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
    testing,
    utils,
    visualize,
)
from minicnn.autograd import Op, Tensor, Watcher, grad, no_grad, watch
from minicnn.backend import floatx, get_device, set_device, set_floatx
from minicnn.gradcheck import GradientError, GradReport, check_gradient, gradcheck
from minicnn.layers import Input
from minicnn.models import Model, Sequential
from minicnn.selfcheck import gradcheck_all, scaled_error
from minicnn.variable import Variable

__version__ = "0.1.0"

__all__ = [
    "GradReport",
    "GradientError",
    "Input",
    "Model",
    "Op",
    "Sequential",
    "Tensor",
    "Variable",
    "Watcher",
    "activations",
    "callbacks",
    "check_gradient",
    "constraints",
    "datasets",
    "floatx",
    "get_device",
    "grad",
    "gradcheck",
    "gradcheck_all",
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
    "scaled_error",
    "set_device",
    "set_floatx",
    "testing",
    "utils",
    "visualize",
    "watch",
]
