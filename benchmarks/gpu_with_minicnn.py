"""How minicnn does on a GPU, or on the emulator, what gpu_layers.py and gpu_step.py compare.

The functions of gpu_with_torch.py have the same names. Each returns a function to be timed, which
waits for the device before it returns.
"""

import networks
import with_minicnn

from minicnn import allow_tf32, set_device, set_dtype_policy
from minicnn.backend import get_device, kernels


def prepare(device, precision):
    """Choose where to compute, and how exactly: "float32", "tf32" or "bfloat16"."""
    set_device(device)
    allow_tf32(precision == "tf32")
    set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else None)


def conv_map(device, precision, method, kind, shape):
    """One of the three maps of a convolution: "y", "dx" or "dw"; there is no `method` to choose."""
    prepare(device, precision)
    xp = _module()
    x, weight, dy = map(xp.asarray, networks.conv_arrays(shape))
    border = (shape.border, shape.border)
    where = ((shape.s, shape.s), (border, border), (1, 1), shape.groups)
    conv2d = kernels.conv2d
    launch = {
        "y": lambda: conv2d.forward(x, weight, None, False, *where),
        "dx": lambda: conv2d.input_grad(dy, weight, x.shape, *where),
        "dw": lambda: conv2d.weight_grad(x, dy, weight.shape, *where),
    }[kind]

    def run():
        with kernels.precision.rounding_to("bfloat16" if precision == "bfloat16" else "float32"):
            result = launch()
        _wait()
        return result

    return run


def train_step(device, precision, method, network, batch_size):
    """One step of training; gives the loss."""
    prepare(device, precision)
    return with_minicnn.train_step(network, batch_size)


def results(function, runs, *args):
    """What `runs` runs one after the other return, as arrays and numbers of NumPy."""
    run = globals()[function](*args)
    found = [run() for _ in range(runs)]
    return [array.get() if hasattr(array, "get") else array for array in found]


def _module():
    if get_device() == "emulator":
        return kernels.emulator
    import cupy

    return cupy


def _wait():
    if get_device() == "gpu":
        _module().cuda.Device().synchronize()
