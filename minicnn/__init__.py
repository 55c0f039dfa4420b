"""A deep learning framework to read to the bottom: Keras outside, Numba and CUDA inside.

>>> import minicnn
>>> x = minicnn.Tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
Tensor([2. 4.])
"""

from typing import TYPE_CHECKING

from minicnn import (
    activations,
    callbacks,
    config,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    regularizers,
    saving,
)
from minicnn.anomaly import detect_anomaly
from minicnn.autograd import (
    Op,
    Tensor,
    Watcher,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    watch,
)
from minicnn.backend import (
    allow_tf32,
    dtype_policy,
    floatx,
    get_device,
    set_device,
    set_dtype_policy,
    set_floatx,
)
from minicnn.calculus import hessian, hvp, jacobian, jvp, vjp
from minicnn.checkpointing import checkpoint
from minicnn.explanation import explain
from minicnn.gradcheck import GradientError, GradReport, check_gradient, gradcheck
from minicnn.initializers import Initializer
from minicnn.late import imported_late
from minicnn.layers import Input, Layer
from minicnn.losses import Loss
from minicnn.metrics import Metric
from minicnn.models import Model, Sequential
from minicnn.optimizers import Optimizer
from minicnn.regularizers import Regularizer
from minicnn.source_code import source
from minicnn.tracing import trace
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn import datasets, testing, utils, visualize
    from minicnn.selfcheck import gradcheck_all, scaled_error

__version__ = "0.1.0"

__all__ = [
    "GradReport",
    "GradientError",
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Op",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Tensor",
    "Variable",
    "Watcher",
    "activations",
    "allow_tf32",
    "callbacks",
    "check_gradient",
    "checkpoint",
    "config",
    "constraints",
    "datasets",
    "detect_anomaly",
    "dtype_policy",
    "enable_grad",
    "explain",
    "floatx",
    "get_device",
    "grad",
    "gradcheck",
    "gradcheck_all",
    "hessian",
    "hvp",
    "initializers",
    "is_grad_enabled",
    "jacobian",
    "jvp",
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
    "set_dtype_policy",
    "set_floatx",
    "source",
    "testing",
    "trace",
    "utils",
    "visualize",
    "vjp",
    "watch",
]


__getattr__ = imported_late(
    __name__,
    {
        **{name: f"minicnn.{name}" for name in ("datasets", "testing", "utils", "visualize")},
        **dict.fromkeys(("gradcheck_all", "scaled_error"), "minicnn.selfcheck"),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
