"""Every op and its gradient against PyTorch, in float64: an opinion from outside."""

import numpy as np
import pytest
from cases import CASES, LABELS, MASK, SOFT_LABELS, TRANSFORMS, WEIGHTS

from minicnn.autograd import Tensor, grad

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional


def _nchw(x):
    return x.permute(0, 3, 1, 2)


def _nhwc(x):
    return x.permute(0, 2, 3, 1)


def _same(x, window, strides, fill=0.0):
    """PyTorch's images, padded as "same" does; F.conv2d knows it for strides of 1 only."""
    pads = []
    for size, length, stride in zip(x.shape[2:], window, strides, strict=True):
        missing = max((-(-size // stride) - 1) * stride + length - size, 0)
        pads = [missing // 2, missing - missing // 2, *pads]
    return F.pad(x, pads, value=fill)


def _conv2d(x, weight, bias=None, strides=(1, 1), padding="valid", **settings):
    x = _nchw(x)
    if padding == "same":
        x = _same(x, weight.shape[:2], strides)
    return _nhwc(F.conv2d(x, weight.permute(3, 2, 0, 1), bias, strides, **settings))


def _average_same(x, window, strides):
    total, count = (
        F.avg_pool2d(_same(images, (window, window), (strides, strides)), window, strides)
        for images in (_nchw(x), torch.ones_like(_nchw(x)))
    )
    return _nhwc(total / count)


def _dropped(name):
    """PyTorch draws other masks, so ours is read off what dropout makes of ones."""
    function, x = CASES[name]
    mask = torch.tensor(function(Tensor(np.ones_like(x))).data)
    return lambda x: x * mask


def _steepness_of_max_pool2d(x):
    y = F.max_pool2d(_nchw(x), 2)
    (dx,) = torch.autograd.grad((y**3).sum(), [x], create_graph=True)
    return dx**2


def _little_cnn(x, weight, bias, dense):
    y = F.max_pool2d(_nchw(_conv2d(x, weight, bias, padding="same").relu()), 2)
    return _cross_entropy(_nhwc(y).reshape(3, -1) @ dense)


def _cross_entropy(x, labels=LABELS, **settings):
    return F.cross_entropy(x, torch.tensor(labels), reduction="none", **settings)


def _batch_norm(x, gamma, beta):
    rows = F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, gamma, beta, training=True, eps=0.1)
    return rows.reshape(x.shape)


def _layer_norm_of_axes(x, gamma, beta):
    y = F.layer_norm(x.permute(0, 2, 3, 1), gamma.shape, gamma, beta, 0.1)
    return y.permute(0, 3, 1, 2)


def _transposed(x, weight, bias=None, strides=1, added=(0, 0, 0, 0)):
    y = F.conv_transpose2d(_nchw(x), weight.permute(3, 2, 0, 1), bias, strides)
    return _nhwc(F.pad(y, added))  # left, right, top, bottom; negative ones cut off


def _resized(x, size, **settings):
    return _nhwc(F.interpolate(_nchw(x), size, **settings))


def _warped(x, mode, padding_mode):
    _, H, W, _ = x.shape
    a = torch.tensor(TRANSFORMS)[:, :, None, None]
    i, j = torch.arange(H)[:, None], torch.arange(W)
    w, h = a[:, 0] * j + a[:, 1] * i + a[:, 2], a[:, 3] * j + a[:, 4] * i + a[:, 5]
    grid = torch.stack([(2 * w + 1) / W - 1, (2 * h + 1) / H - 1], dim=-1)
    return _nhwc(F.grid_sample(_nchw(x), grid, mode, padding_mode, align_corners=False))


def _end_of_block(x, gamma, beta, shortcut):
    return _batch_norm(x, gamma, beta) + shortcut


def _used_twice(y):
    return y * 2 + y**2


def _normalize(x, mean, variance, gamma, beta):
    return (x - mean) / (variance + 1e-3).sqrt() * gamma + beta


def _gathered_pixels(x):
    rows, columns = torch.tensor([[2, 0], [1, 1]]), torch.tensor([[0, -1, 3, 3], [2, 1, 0, -1]])
    n = torch.arange(2)[:, None, None]
    y = x[n, rows[:, :, None], columns[:, None, :]]
    return torch.where((columns < 0)[:, None, :, None], 0.5, y)


IN_TORCH = {
    "add": torch.add,
    "add, relu": lambda x, y: (x + y).relu(),
    "add, relu, used twice": lambda x, y: _used_twice((x + y).relu()),
    "add, a number": lambda x: 2 + x,
    "add, both stretched": torch.add,
    "subtract": torch.sub,
    "subtract, from a number": lambda x: 1 - x,
    "multiply": torch.mul,
    "multiply, by itself": lambda x: x * x * x,
    "divide": torch.div,
    "divide, a number": lambda x: 1 / x,
    "negative": torch.neg,
    "power": lambda x: x**3,
    "power, a root": lambda x: x**0.5,
    "power, negative": lambda x: x**-2,
    "power, of tensors": torch.pow,
    "power, of a number": lambda x: 2**x,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "abs": torch.abs,
    "maximum": torch.maximum,
    "maximum, a number": lambda x: x.clamp(min=0),
    "minimum": torch.minimum,
    "clip": lambda x: x.clamp(-1, 0.8),
    "where": lambda x, y: torch.where(torch.tensor(MASK), x, y),
    "where, a number": lambda x: torch.where(torch.tensor(MASK), x, 1.0),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "relu, used twice": lambda x: _used_twice(x.relu()),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": lambda x: F.elu(x, 0.7),
    "gelu": F.gelu,
    "gelu, approximate": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "reshape": lambda x: x.reshape(3, -1),
    "transpose": lambda x: x.permute(2, 0, 1),
    "flip": lambda x: x.flip(0, 2),
    "cast": torch.square,  # there and back again
    "concatenate": lambda *xs: torch.cat(xs, dim=1),
    "stack": lambda *xs: torch.stack(xs, dim=-1),
    "pad": lambda x: F.pad(x, (2, 3, 1, 0)),
    "pad, with ones": lambda x: F.pad(x, (0, 2, 0, 2), value=1.0),
    "getitem": lambda x: x[1],
    "getitem, slices": lambda x: x.flip(0)[:, 1:3, None],
    "getitem, dots": lambda x: x[..., -1],
    "getitem, integers": lambda x: x[[2, 0, 2, 2]],
    "getitem, pairs": lambda x: x[torch.arange(3), torch.tensor(LABELS)],
    "getitem, truth values": lambda x: x[torch.tensor(MASK)],
    "getitem, mixed": lambda x: x[:, [1, 1, 0], 1:],
    "sum": torch.sum,
    "sum, of axes": lambda x: x.sum((0, -1)),
    "mean": lambda x: x.mean(1, keepdim=True),
    "variance": lambda x: x.var((0, 2), correction=0),
    "max": torch.max,
    "max, of axes": lambda x: x.amax((2, 0)),
    "min": lambda x: x.amin(0, keepdim=True),
    "logsumexp": lambda x: x.logsumexp((0, 1)),
    "logsumexp, of an axis": lambda x: x.logsumexp(1, keepdim=True),
    "broadcast_to": lambda x: x.expand(4, 2, 3),
    "linear": lambda x, weight, bias: x @ weight + bias,
    "linear, relu": lambda x, weight: (x @ weight).relu(),
    **dict.fromkeys([name for name in CASES if name.startswith("matmul")], torch.matmul),
    "softmax": lambda x: x.softmax(-1),
    "softmax, of an axis": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "log_softmax, of an axis": lambda x: x.log_softmax(0),
    "softmax_cross_entropy": _cross_entropy,
    "softmax_cross_entropy, probabilities": lambda x: _cross_entropy(x, SOFT_LABELS),
    "softmax_cross_entropy, smoothed": lambda x: _cross_entropy(x, label_smoothing=0.1),
    "softmax_cross_entropy, weights": lambda x: _cross_entropy(x, WEIGHTS),
    "dropout": _dropped("dropout"),
    "dropout, of channels": _dropped("dropout, of channels"),
    "conv2d": _conv2d,
    "conv2d, same": lambda x, weight: _conv2d(x, weight, padding="same"),
    "conv2d, strides": lambda x, weight: _conv2d(x, weight, strides=(2, 3), padding="same"),
    "conv2d, dilation": lambda x, weight: _conv2d(x, weight, dilation=(2, 1)),
    "conv2d, groups": lambda x, weight, bias: _conv2d(x, weight, bias, padding="same", groups=2),
    "conv2d, relu": lambda x, weight, bias: _conv2d(x, weight, bias).relu(),
    "max_pool2d": lambda x: _nhwc(F.max_pool2d(_nchw(x), 2)),
    "max_pool2d, overlapping": lambda x: _nhwc(
        F.max_pool2d(_same(_nchw(x), (3, 3), (2, 2), fill=-torch.inf), 3, 2)
    ),
    "max_pool2d, steepness": _steepness_of_max_pool2d,
    "conv_pool": lambda x, weight, bias: _nhwc(
        F.max_pool2d(_nchw(_conv2d(x, weight, bias).relu()), 2)
    ),
    "conv_pool, overlapping": lambda x, weight: _nhwc(
        F.max_pool2d(
            _same(
                _nchw(_conv2d(x, weight, padding="same").relu()), (3, 3), (2, 2), fill=-torch.inf
            ),
            3,
            2,
        )
    ),
    "batch_norm": _batch_norm,
    "batch_norm, of rows": _batch_norm,
    "batch_norm, relu": lambda *given: _batch_norm(*given).relu(),
    "layer_norm": lambda x, gamma, beta: F.layer_norm(x, (5,), gamma, beta, 0.1),
    "layer_norm, of axes": _layer_norm_of_axes,
    "group_norm": lambda x, *line: _nhwc(F.group_norm(_nchw(x), 2, *line, 0.1)),
    "conv2d_transpose": lambda *given: _transposed(*given).relu(),
    "conv2d_transpose, same": lambda x, weight: _transposed(
        x, weight, strides=(2, 3), added=(0, 1, 0, -1)
    ),
    "conv2d_transpose, output_padding": lambda x, weight: _transposed(
        x, weight, strides=2, added=(0, 1, 0, 1)
    ).relu(),
    "resize": lambda x: _resized(x, (5, 3), mode="bilinear"),
    "resize, nearest": lambda x: _resized(x, (3, 6), mode="nearest-exact"),
    "resize, antialias": lambda x: _resized(x, (2, 3), mode="bilinear", antialias=True),
    "warp": lambda x: _warped(x - 0.5, "bilinear", "zeros") + 0.5,
    "warp, nearest": lambda x: _warped(x, "nearest", "reflection"),
    "batch_norm, shortcut": _end_of_block,
    "batch_norm, shortcut, relu": lambda *given: _end_of_block(*given).relu(),
    "batch_norm, shortcut, relu, used twice": lambda *given: _used_twice(
        _end_of_block(*given).relu()
    ),
    "normalize": _normalize,
    "normalize, relu": lambda *given: _normalize(*given).relu(),
    "normalize, shortcut, relu": lambda *given: (_normalize(*given[:5]) + given[5]).relu(),
    "gather_pixels": _gathered_pixels,
    "average_pool2d": lambda x: _nhwc(F.avg_pool2d(_nchw(x), 2)),
    "average_pool2d, overlapping": lambda x: _average_same(x, 3, 2),
    "little_cnn": _little_cnn,
}


def test_every_case_has_a_partner_in_pytorch():
    assert set(IN_TORCH) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_pytorch(name):
    function, *arrays = CASES[name]
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, their_y = function(*xs), IN_TORCH[name](*theirs)
    assert y.shape == tuple(their_y.shape)
    np.testing.assert_allclose(y.data, their_y.detach().numpy(), rtol=1e-10, atol=1e-12)

    seed = np.random.default_rng(0).normal(size=y.shape)
    dxs = grad(y, xs, seed=Tensor(seed))
    their_y.backward(torch.tensor(seed))
    for dx, x in zip(dxs, theirs, strict=True):
        np.testing.assert_allclose(dx.data, x.grad.numpy(), rtol=1e-10, atol=1e-12)
