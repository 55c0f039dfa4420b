"""How PyTorch does on a GPU what gpu_layers.py and gpu_step.py compare; see gpu_with_minicnn.py.

method: "eager", or "graphs": CUDA graphs by torch.compile(mode="reduce-overhead").
"""

import time

import networks
import numpy as np
import torch
import with_torch
from torch import nn

DEVICES = {"gpu": "cuda", "emulator": "cpu"}
LAYOUT = "channels_last"
SIZE, ROUNDS = 8192, 20  # of what `peaks` measures


def prepare(precision):
    """Allow TF32 or not, in products and in convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True  # its fastest convolution for each shape


def conv_map(device, precision, method, kind, shape):
    """One of the three maps of a convolution: "y", "dx" or "dw"."""
    prepare(precision)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x, weight, dy = networks.conv_arrays(shape)
    to = {"device": DEVICES[device], "dtype": dtype, "memory_format": torch.channels_last}
    x, dy = (torch.from_numpy(a).permute(0, 3, 1, 2).to(**to) for a in (x, dy))
    weight = torch.from_numpy(weight).permute(3, 2, 0, 1).to(**to)
    steps, border = [shape.s, shape.s], [shape.border, shape.border]
    arrangement = (steps, border, [1, 1], False, [0, 0], shape.groups)
    backward = torch.ops.aten.convolution_backward
    launch = {
        "y": lambda: nn.functional.conv2d(x, weight, None, steps, border, groups=shape.groups),
        "dx": lambda: backward(dy, x, weight, None, *arrangement, (True, False, False))[0],
        "dw": lambda: backward(dy, x, weight, None, *arrangement, (False, True, False))[1],
    }[kind]
    axes = (2, 3, 1, 0) if kind == "dw" else (0, 2, 3, 1)
    launch = _chosen(launch, method)

    def run():
        result = launch().permute(axes)
        _wait(device)
        return result

    return run


def train_step(device, precision, method, network, batch_size):
    """One step of training; gives the loss."""
    prepare(precision)
    network = networks.NETWORKS[network]
    place = DEVICES[device]
    net = with_torch.build(network, LAYOUT, softmax=False).to(place)
    net = torch.compile(net, mode="reduce-overhead") if method == "graphs" else net
    x, y = (tensor.to(place) for tensor in with_torch.images(network, batch_size, LAYOUT))
    if network.momentum:
        optimizer = torch.optim.SGD(net.parameters(), networks.RATE, network.momentum, fused=True)
    else:
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001, eps=1e-7, fused=True)

    def step():
        optimizer.zero_grad()
        with torch.autocast(place, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def results(function, runs, *args):
    """What `runs` runs one after the other return, as arrays and numbers of NumPy."""
    run = globals()[function](*args)
    found = [run() for _ in range(runs)]
    return [a.float().cpu().numpy() if isinstance(a, torch.Tensor) else a for a in found]


def why_absent(device):
    """The reason why PyTorch cannot take part, or ""."""
    if device == "gpu" and not torch.cuda.is_available():
        return "this PyTorch finds no GPU; install one for your CUDA: https://pytorch.org"
    return ""


def peaks(precision):
    """What the GPU can do: (multiplications and additions, bytes read and written) a second."""
    prepare(precision)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = torch.randn(2, SIZE, SIZE, device="cuda").to(dtype)
    products = 2 * SIZE**3 / _seconds(lambda: a @ b)
    return products, 2 * a.nbytes / _seconds(lambda: b.copy_(a))


def _seconds(call):
    """Of one call, the best of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return np.min(times)


def _chosen(launch, method):
    return torch.compile(launch, mode="reduce-overhead") if method == "graphs" else launch


def _wait(device):
    if device == "gpu":
        torch.cuda.synchronize()
