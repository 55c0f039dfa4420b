"""How PyTorch does what is compared, eagerly as most people use it, in either memory layout.

For windows with a stride, PyTorch puts the odd row of zeros in front of the image, Keras behind it.
To see the same under its windows, PyTorch then gets all images and weights mirrored: the numbers
that come out are the same, and neither side has to copy an image to give it a border of its own.
"""

import os

import networks
import numpy as np
import torch
from torch import nn

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

LAYOUTS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "softmax": lambda: nn.Softmax(1)}


class ResidualBlock(nn.Module):
    """relu(body(x) + shortcut(x)); see networks.Residual."""

    def __init__(self, body, shortcut, stride):
        super().__init__()
        self.body, self.shortcut, self.stride = body, shortcut, stride

    def forward(self, x):
        y = self.body(x)
        if self.stride > 1:  # in mirrored images, Keras' first pixel is the last
            first = self.stride - 1
            x = x[:, :, first :: self.stride, first :: self.stride]
        return torch.relu(y + self.shortcut(x))


class Mean(nn.Module):
    """The mean of each channel."""

    def forward(self, x):
        return x.mean((2, 3))


def build(network, layout, softmax):
    """The network with the weights that all sides start from; without softmax it gives logits."""
    shape, chain = network.image_shape, network.layers
    modules = _modules(chain, shape)
    if not softmax:
        modules.pop()
    net = nn.Sequential(*modules)
    learning = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))]
    arrays = [found for found in networks.weights(network) if found]
    with torch.no_grad():
        for module, found in zip(learning, _translated(network, arrays), strict=True):
            for target, array in zip(_places(module), found, strict=True):
                target.copy_(torch.from_numpy(array.copy()))
    return net.to(memory_format=LAYOUTS[layout])


def _modules(chain, shape):
    """PyTorch's modules for a chain of layers that sees images of this shape."""
    found = []
    for layer in chain:
        after = networks.steps([layer], shape)[-1].after
        found += _module(layer, shape, after)
        if getattr(layer, "activation", None):
            found.append(ACTIVATIONS[layer.activation]())
        shape = after
    return found


def _module(layer, before, after):
    match layer:
        case networks.Conv(F, P, s, padding, bias):
            border = P // 2 if padding == "same" else 0
            return [nn.Conv2d(before[2], F, P, s, border, bias=bias)]
        case networks.Depthwise(P, s):
            C = before[2]
            return [nn.Conv2d(C, C, P, s, P // 2, groups=C, bias=False)]
        case networks.Norm(momentum, epsilon):
            return [nn.BatchNorm2d(before[2], epsilon, 1 - momentum)]
        case networks.Activate(name):
            return [ACTIVATIONS[name]()]
        case networks.Pool("max", size):
            return [nn.MaxPool2d(size)]
        case networks.Pool("average", size):
            return [nn.AvgPool2d(size)]
        case networks.GlobalAverage():
            return [Mean()]
        case networks.Flatten():
            return [nn.Flatten()]
        case networks.Dense(units):
            return [nn.Linear(before[0], units)]
        case networks.Residual(body, shortcut):
            return [_residual(body, shortcut, before)]
    raise NotImplementedError(layer)


def _residual(body, shortcut, before):
    """A block; where the shortcut has a stride, the block takes every second pixel itself."""
    stride = shortcut[0].stride if shortcut else 1
    if shortcut:
        shortcut = (shortcut[0]._replace(stride=1), *shortcut[1:])
    parts = (nn.Sequential(*_modules(chain, before)) for chain in (body, shortcut))
    return ResidualBlock(*parts, stride)


def _places(module):
    """The tensors of a module in Keras' order."""
    if isinstance(module, nn.BatchNorm2d):
        return [module.weight, module.bias, module.running_mean, module.running_var]
    return list(module.parameters())


def _translated(network, arrays):
    """Keras' weights in PyTorch's order of axes; the first product behind Flatten sees C, H, W."""
    flip = -1 if is_mirrored(network) else 1
    flattened = None
    for step in networks.steps(network.layers, network.image_shape):
        match step.layer:
            case networks.Flatten():
                flattened = step.before
            case networks.Conv():
                kernel, *bias = arrays.pop(0)
                yield [kernel[::flip, ::flip].transpose(3, 2, 0, 1), *bias]
            case networks.Depthwise():
                (kernel,) = arrays.pop(0)
                yield [kernel[::flip, ::flip].transpose(2, 3, 0, 1)]
            case networks.Dense(units):
                matrix, bias = arrays.pop(0)
                if flattened:
                    images = matrix.reshape(*flattened, units)[::flip, ::flip]
                    matrix = images.transpose(2, 0, 1, 3).reshape(-1, units)
                    flattened = None
                yield [matrix.T, bias]
            case networks.Norm():
                yield arrays.pop(0)


def is_mirrored(network):
    """Whether there are windows with a stride and zeros around."""
    found = [step.layer for step in networks.steps(network.layers, network.image_shape)]
    strided = [
        x for x in found if isinstance(x, networks.Conv | networks.Depthwise) and x.stride > 1
    ]
    return any(isinstance(x, networks.Depthwise) or x.padding == "same" for x in strided)


def images(network, count, layout):
    """The images and labels of all sides as PyTorch wants them: (N, C, H, W)."""
    x, y = networks.images(network, count)
    flip = -1 if is_mirrored(network) else 1
    return _as_images(x[:, ::flip, ::flip], layout), torch.from_numpy(y)


def trainer(network, layout):
    """A function that makes one step with a batch, and gives the loss."""
    net = build(network, layout, softmax=False)
    if network.momentum:
        optimizer = torch.optim.SGD(net.parameters(), networks.RATE, network.momentum)
    else:
        optimizer = torch.optim.Adam(net.parameters(), lr=0.001, eps=1e-7)  # Keras' settings

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def train_step(network, batch_size, layout):
    """One step of training; gives the loss."""
    network = networks.NETWORKS[network]
    step = trainer(network, layout)
    x, y = images(network, batch_size, layout)
    return lambda: step(x, y)


def inference(network, batch_size, layout):
    """The probabilities for one batch of images."""
    network = networks.NETWORKS[network]
    net = build(network, layout, softmax=True).eval()
    x, _ = images(network, batch_size, layout)

    def call():
        with torch.inference_mode():
            return net(x).numpy()

    return call


def epoch(network, count, batch_size, layout):
    """An epoch of training; gives the mean loss."""
    network = networks.NETWORKS[network]
    step = trainer(network, layout)
    x, y = networks.bright_images(network, count)
    x, y = _as_images(x, layout), torch.from_numpy(y)

    def run():
        total = 0
        for rows in torch.randperm(count).split(batch_size):
            total += step(x[rows], y[rows]) * len(rows)
        return total / count

    return run


def conv_map(kind, shape, layout):
    """One of the three maps of a convolution: "y", "dx" or "dw"."""
    x, weight, dy = networks.conv_arrays(shape)
    x, dy = (_as_images(array, layout) for array in (x, dy))
    weight = _as_filters(weight, layout)
    stride, border = [shape.s, shape.s], [shape.border, shape.border]

    def forward():
        y = nn.functional.conv2d(x, weight, None, stride, border, groups=shape.groups)
        return y.permute(0, 2, 3, 1).numpy()

    def backward(*wanted):
        arrangement = (stride, border, [1, 1], False, [0, 0], shape.groups)
        return torch.ops.aten.convolution_backward(dy, x, weight, None, *arrangement, wanted)

    return {
        "y": forward,
        "dx": lambda: backward(True, False, False)[0].permute(0, 2, 3, 1).numpy(),
        "dw": lambda: backward(False, True, False)[1].permute(2, 3, 1, 0).numpy(),
    }[kind]


def conv_layer(shape, layout):
    """A pass through a convolution with bias and relu, and back; see layers.py."""
    x, weight, bias, dy = networks.conv_layer_arrays(shape)
    x, dy = (_as_images(array, layout) for array in (x, dy))
    x.requires_grad = shape.C > 3
    weights = [_as_filters(weight, layout), torch.from_numpy(bias)]

    def forward():
        y = nn.functional.conv2d(x, *weights, shape.s, shape.border)
        return nn.functional.relu(y, inplace=True)

    return _pass(forward, x, weights, dy)


def separable_block(depthwise, pointwise, layout):
    """A pass through MobileNet's block and back; see layers.py."""
    flip = -1 if depthwise.s > 1 else 1
    x, filters, *middle, mixing, gamma, beta, dy = networks.separable_arrays(depthwise, pointwise)
    x, dy = (_as_images(array[:, ::flip, ::flip], layout) for array in (x, dy))
    x.requires_grad = True
    filters, mixing = (_as_filters(a[::flip, ::flip], layout) for a in (filters, mixing))
    middle, last = ([torch.from_numpy(a) for a in line] for line in (middle, (gamma, beta)))
    stride, border, groups = depthwise.s, depthwise.border, depthwise.groups

    def forward():
        y = nn.functional.conv2d(x, filters, None, stride, border, groups=groups)
        y = nn.functional.conv2d(_normalize(y, *middle), mixing)
        return _normalize(y, *last)

    return _pass(forward, x, [filters, *middle, mixing, *last], dy, flip)


def _normalize(x, gamma, beta):
    y = nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3)
    return nn.functional.relu(y, inplace=True)


def _pass(forward, x, weights, dy, flip=1):
    """y, and the gradients of x, if it wants one, and of the weights; with Keras' axes."""
    for weight in weights:
        weight.requires_grad = True
    wanted = [x, *weights] if x.requires_grad else weights

    def run():
        y = forward()
        gradients = torch.autograd.grad(y, wanted, dy)
        images = [y.detach(), *gradients[: -len(weights)]]
        arrays = [image.permute(0, 2, 3, 1).numpy()[:, ::flip, ::flip] for image in images]
        return arrays + [_as_weight(dw, flip) for dw in gradients[-len(weights) :]]

    return run


def _as_weight(tensor, flip):
    if tensor.ndim < 4:
        return tensor.numpy()
    return tensor.permute(2, 3, 1, 0).numpy()[::flip, ::flip]


def _as_images(array, layout):
    return _as_tensor(array.transpose(0, 3, 1, 2), layout)


def _as_filters(array, layout):
    return _as_tensor(array.transpose(3, 2, 0, 1), layout)


def _as_tensor(array, layout):
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.contiguous(memory_format=LAYOUTS[layout])
