"""Every message an op can raise: who, what came, what was wanted, how to mend it."""

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Tensor


def zeros(*shape):
    return Tensor(np.zeros(shape))


def cross_entropy(labels, shape=(2, 3), **settings):
    return ops.softmax_cross_entropy(zeros(*shape), labels, **settings)


MESSAGES = {
    "add, shapes": (
        lambda: zeros(2, 3) + zeros(2),
        ValueError,
        r"add: the shapes \(2, 3\) and \(2,\) do not fit together\. Counted from the last axis",
    ),
    "add, activation": (
        lambda: ops.add(zeros(2), zeros(2), activation="tanh"),
        ValueError,
        r"add: activation must be 'relu' or None, but is 'tanh'\.",
    ),
    "where, shapes": (
        lambda: ops.where(np.array([True, False]), zeros(3), 0.0),
        ValueError,
        r"where: the shapes \(2,\) and \(3,\) do not fit together",
    ),
    "where, condition": (
        lambda: ops.where(np.ones(3), zeros(3), 0.0),
        TypeError,
        r"where: the condition must consist of truth values, but is float64\. Write a comparison",
    ),
    "clip": (
        lambda: ops.clip(zeros(3), 1, 0),
        ValueError,
        r"clip: low must not be above high, but they are 1 and 0\.",
    ),
    "sum, axis": (
        lambda: zeros(2, 3).sum(axis=2),
        ValueError,
        r"sum: there is no axis 2 in a tensor of 2 axes\.",
    ),
    "softmax, axis": (
        lambda: ops.softmax(zeros(2), axis=-2),
        ValueError,
        r"softmax: there is no axis -2 in a tensor of 1 axes\.",
    ),
    "mean, axis twice": (
        lambda: zeros(2, 3).mean(axis=(1, -1)),
        ValueError,
        r"mean: axis=\(1, -1\) names an axis twice\.",
    ),
    "mean, of nothing": (
        lambda: zeros(2, 0).mean(axis=1),
        ValueError,
        r"mean: there are no numbers along axes \(1,\) of shape \(2, 0\)\.",
    ),
    "max, of nothing": (
        lambda: zeros(0).max(),
        ValueError,
        r"max: there are no numbers along axes \(0,\) of shape \(0,\)\.",
    ),
    "logsumexp, of nothing": (
        lambda: ops.logsumexp(zeros(0)),
        ValueError,
        r"logsumexp: there are no numbers",
    ),
    "broadcast_to": (
        lambda: ops.broadcast_to(zeros(2, 3), (2, 4)),
        ValueError,
        r"broadcast_to: a tensor of shape \(2, 3\) cannot be repeated to shape \(2, 4\)\. Each of",
    ),
    "broadcast_to, fewer axes": (
        lambda: ops.broadcast_to(zeros(1, 3), (3,)),
        ValueError,
        r"broadcast_to: a tensor of shape \(1, 3\) cannot be repeated to shape \(3,\)",
    ),
    "reshape": (
        lambda: ops.reshape(zeros(2, 3), (4, -1)),
        ValueError,
        r"reshape: x has shape \(2, 3\), which is 6 numbers; they do not fit into shape \(4, -1\)",
    ),
    "reshape, two unknown": (
        lambda: ops.reshape(zeros(4), (-1, -1)),
        ValueError,
        r"reshape: .* do not fit into shape \(-1, -1\)",
    ),
    "reshape, negative": (
        lambda: ops.reshape(zeros(4), (-2, -2)),
        ValueError,
        r"reshape: .* do not fit into shape \(-2, -2\)",
    ),
    "transpose": (
        lambda: ops.transpose(zeros(2, 3), (0,)),
        ValueError,
        r"transpose: x has 2 axes \(shape \(2, 3\)\), but axes=\(0,\)\.",
    ),
    "cast": (
        lambda: ops.cast(zeros(2), "int32"),
        TypeError,
        r"cast: wants a floating point type, but got int32, .* x\.numpy\(\)\.astype\('int32'\)\.",
    ),
    "concatenate, nothing": (
        lambda: ops.concatenate([]),
        ValueError,
        r"concatenate: wants at least one tensor, but got none\.",
    ),
    "concatenate, shapes": (
        lambda: ops.concatenate([zeros(2, 3), zeros(3, 3)], axis=1),
        ValueError,
        r"concatenate: all sizes but those along axis 1 must be equal, but the shapes are "
        r"\(2, 3\), \(3, 3\)\.",
    ),
    "stack, shapes": (
        lambda: ops.stack([zeros(2), zeros(3)]),
        ValueError,
        r"stack: the tensors must have one shape, but they have \(2,\), \(3,\)\.",
    ),
    "pad, pairs": (
        lambda: ops.pad(zeros(2, 3), ((1, 1), (1, 1), (1, 1))),
        ValueError,
        r"pad: wants a pair \(before, after\) for each of the 2 axes of x \(shape \(2, 3\)\), but",
    ),
    "pad, negative": (
        lambda: ops.pad(zeros(2), -1),
        ValueError,
        r"pad: wants whole widths of at least 0, but got -1\. To cut off, use x\[1:-1\]\.",
    ),
    "getitem, range": (
        lambda: zeros(2, 3)[2],
        IndexError,
        r"getitem: index 2 is out of bounds for axis 0 with size 2; the tensor has shape \(2, 3\)",
    ),
    "getitem, kind": (
        lambda: zeros(3)[np.array([0.5])],
        TypeError,
        r"getitem: an index must hold integers or truth values, but holds float64\.",
    ),
    "linear, shapes": (
        lambda: ops.linear(zeros(2, 3), zeros(4, 5)),
        ValueError,
        r"linear: wants x of \(N, C\) and weight of \(C, F\), but got \(2, 3\) and \(4, 5\)",
    ),
    "linear, bias": (
        lambda: ops.linear(zeros(2, 3), zeros(3, 5), zeros(3)),
        ValueError,
        r"linear: bias has shape \(3,\), but weight \(3, 5\) wants \(5,\)",
    ),
    "linear, activation": (
        lambda: ops.linear(zeros(2, 3), zeros(3, 5), activation="tanh"),
        ValueError,
        r"linear: activation must be 'relu' or None, but is 'tanh'",
    ),
    "linear, dtypes": (
        lambda: ops.linear(zeros(2, 3), Tensor(np.zeros((3, 5), np.float32))),
        TypeError,
        r"linear: x, weight and bias must all be float32 or all float64, but are float64, float32",
    ),
    "matmul, images": (
        lambda: zeros(2, 4, 4, 3) @ zeros(48, 10),
        ValueError,
        r"matmul: wants shapes \(\.\.\., N, C\) and \(\.\.\., C, F\), but got \(2, 4, 4, 3\) and "
        r"\(48, 10\): C is 3 and 48\. Images are flattened by reshape",
    ),
    "matmul, vectors": (
        lambda: zeros(3) @ zeros(2),
        ValueError,
        r"matmul: .* but got \(3,\) and \(2,\): C is 3 and 2\.",
    ),
    "matmul, numbers": (
        lambda: zeros() @ zeros(2, 3),
        ValueError,
        r"matmul: wants vectors or matrices, but got shapes \(\) and \(2, 3\)\. Numbers are",
    ),
    "matmul, batches": (
        lambda: zeros(2, 3, 4) @ zeros(5, 4, 3),
        ValueError,
        r"matmul: the shapes \(2,\) and \(5,\) do not fit together",
    ),
    "dropout, rate": (
        lambda: ops.dropout(zeros(2), rate=20, seed=0),
        ValueError,
        r"dropout: rate is a probability, from 0 to 1, but got 20\.",
    ),
    "dropout, mask": (
        lambda: ops.dropout(zeros(2, 3), 0.5, seed=0, noise_shape=(2, 2)),
        ValueError,
        r"broadcast_to: a tensor of shape \(2, 2\) cannot be repeated to shape \(2, 3\)",
    ),
    "softmax_cross_entropy, sequences": (
        lambda: cross_entropy(np.array([0, 1]), (2, 3, 4)),
        ValueError,
        r"softmax_cross_entropy: wants logits of shape \(N, K\), but got \(2, 3, 4\)\. Other axes",
    ),
    "softmax_cross_entropy, no classes": (
        lambda: cross_entropy(np.zeros((2, 0)), (2, 0)),
        ValueError,
        r"softmax_cross_entropy: wants logits of shape \(N, K\), but got \(2, 0\)",
    ),
    "softmax_cross_entropy, negative labels": (
        lambda: cross_entropy(np.array([-1, 2])),
        ValueError,
        r"softmax_cross_entropy: the labels reach from -1 to 2, but logits has 3 classes, from 0",
    ),
    "softmax_cross_entropy, large labels": (
        lambda: cross_entropy(np.array([[0], [3]])),
        ValueError,
        r"softmax_cross_entropy: the labels reach from 0 to 3, but logits has 3 classes, from 0 to",
    ),
    "softmax_cross_entropy, fractions": (
        lambda: cross_entropy(np.array([0.4, 1.0])),
        ValueError,
        r"softmax_cross_entropy: labels of shape \(2,\) must be integers, but one is 0\.4\.",
    ),
    "softmax_cross_entropy, NaN": (
        lambda: cross_entropy(np.array([1.0, np.nan])),
        ValueError,
        r"softmax_cross_entropy: labels of shape \(2,\) must be integers, but one is nan\.",
    ),
    "softmax_cross_entropy, shapes": (
        lambda: cross_entropy(np.zeros((2, 4))),
        ValueError,
        r"softmax_cross_entropy: wants labels of shape \(2,\), \(2, 1\) or \(2, 3\) for logits of "
        r"shape \(2, 3\), but got \(2, 4\)\.",
    ),
    "softmax_cross_entropy, count": (
        lambda: cross_entropy(np.zeros(3, int)),
        ValueError,
        r"softmax_cross_entropy: wants labels .* but got \(3,\)\.",
    ),
    "softmax_cross_entropy, kind": (
        lambda: cross_entropy(np.array(["cat", "dog"])),
        TypeError,
        r"softmax_cross_entropy: labels must be numbers, but are <U3\.",
    ),
    "softmax_cross_entropy, labels with gradient": (
        lambda: cross_entropy(Tensor(np.ones((2, 3)), requires_grad=True)),
        TypeError,
        r"softmax_cross_entropy: labels have no gradient, but got a tensor that wants one\. Use",
    ),
    "softmax_cross_entropy, smoothing": (
        lambda: cross_entropy(np.array([0, 1]), label_smoothing=1.5),
        ValueError,
        r"softmax_cross_entropy: label_smoothing lies from 0 to 1, but is 1\.5\.",
    ),
    "gather_pixels, no images": (
        lambda: ops.gather_pixels(Tensor(np.ones((2, 3))), [[0]], [[0]]),
        ValueError,
        r"gather_pixels: wants images, \(N, H, W, C\), but got shape \(2, 3\)\.",
    ),
    "gather_pixels, a table for another batch": (
        lambda: ops.gather_pixels(Tensor(np.ones((2, 3, 3, 1))), [[0]], [[0]]),
        ValueError,
        r"gather_pixels: rows must be a table with a row for each of 2 images, .* shape \(1, 1\)",
    ),
    "gather_pixels, a place that is none": (
        lambda: ops.gather_pixels(Tensor(np.ones((1, 3, 4, 1))), [[2]], [[0, 4]]),
        IndexError,
        r"gather_pixels: columns names number 4, but x has only 4, counted from 0\.",
    ),
    "warp, integers": (
        lambda: ops.warp(Tensor(np.zeros((1, 3, 3, 1), int)), np.zeros((1, 6))),
        TypeError,
        r"warp: .*int64",
    ),
    "max_pool2d, a window larger than the images": (
        lambda: ops.max_pool2d(zeros(1, 2, 4, 1), (3, 2)),
        ValueError,
        r"a window of 3 x 2 does not fit into an image of 2 x 4\. Use padding='same'",
    ),
    "warp, no images": (
        lambda: ops.warp(zeros(2, 3), np.zeros((2, 6))),
        ValueError,
        r"warp: wants images, \(N, H, W, C\), but got shape \(2, 3\)\.",
    ),
    "warp, transforms for another batch": (
        lambda: ops.warp(zeros(2, 3, 3, 1), np.zeros((1, 6))),
        ValueError,
        r"warp: wants six numbers for each of 2 images, but transforms has shape \(1, 6\)\.",
    ),
    "warp, an unknown word": (
        lambda: ops.warp(zeros(2, 3, 3, 1), np.zeros((2, 6)), fill_mode="reflct"),
        ValueError,
        r"warp: fill_mode must be one of .*, but is 'reflct'\. Did you mean 'reflect'\?",
    ),
    "warp, another unknown word": (
        lambda: ops.warp(zeros(2, 3, 3, 1), np.zeros((2, 6)), "cubic"),
        ValueError,
        r"warp: interpolation must be one of bilinear, nearest, but is 'cubic'\.",
    ),
    "resize, no images": (
        lambda: ops.resize(zeros(2, 3), (2, 2)),
        ValueError,
        r"resize: wants images, \(N, H, W, C\), but got shape \(2, 3\)\.",
    ),
    "resize, to nothing": (
        lambda: ops.resize(zeros(1, 2, 3, 1), (2, 0)),
        ValueError,
        r"resize: size must be \(rows, columns\), from 1 on, but is \(2, 0\)\.",
    ),
    "resize, an unknown method": (
        lambda: ops.resize(zeros(1, 2, 3, 1), (2, 2), "nearst"),
        ValueError,
        r"resize: method must be one of .*, but is 'nearst'\. Did you mean 'nearest'\?",
    ),
    "layer_norm, all axes": (
        lambda: ops.layer_norm(zeros(2, 3), zeros(2, 3), zeros(2, 3), (0, 1)),
        ValueError,
        r"layer_norm: wants numbers along axes \(0, 1\) and another axis beside them",
    ),
    "layer_norm, shapes": (
        lambda: ops.layer_norm(zeros(2, 3), zeros(3), zeros(2)),
        ValueError,
        r"layer_norm: beta has shape \(2,\), but x of shape \(2, 3\) wants \(3,\)\.",
    ),
    "layer_norm, dtypes": (
        lambda: ops.layer_norm(zeros(2, 3), Tensor(np.ones(3, np.float32)), zeros(3)),
        TypeError,
        r"layer_norm: gamma is float32, but x is float64\. Convert one\.",
    ),
    "group_norm, no channels": (
        lambda: ops.group_norm(zeros(2), zeros(0), zeros(0), 1),
        ValueError,
        r"group_norm: the 0 channels of x, .* cannot be divided into 1 equal groups\.",
    ),
    "group_norm, groups": (
        lambda: ops.group_norm(zeros(2, 3), zeros(3), zeros(3), 2),
        ValueError,
        r"group_norm: the 3 channels of x, .* cannot be divided into 2 equal groups\.",
    ),
    "conv2d_transpose, shapes": (
        lambda: ops.conv2d_transpose(zeros(1, 4, 4, 2), zeros(3, 3, 2, 5)),
        ValueError,
        r"conv2d_transpose: wants x \(N, I, J, C\) and weight \(P, Q, F, C\), but their shapes",
    ),
    "conv2d_transpose, bias": (
        lambda: ops.conv2d_transpose(zeros(1, 4, 4, 2), zeros(3, 3, 5, 2), zeros(2)),
        ValueError,
        r"conv2d_transpose: bias has shape \(2,\), but 5 channels want \(5,\)\.",
    ),
    "conv2d_transpose, dtypes": (
        lambda: ops.conv2d_transpose(zeros(1, 4, 4, 2), Tensor(np.ones((3, 3, 5, 2), np.float32))),
        TypeError,
        r"conv2d_transpose: x, weight and bias must be of one dtype, but are float64, float32",
    ),
    "conv2d_transpose, padding": (
        lambda: ops.conv2d_transpose(zeros(1, 4, 4, 2), zeros(3, 3, 5, 2), padding="full"),
        ValueError,
        r"conv2d_transpose: padding must be 'same' or 'valid', but is 'full'\.",
    ),
    "conv2d_transpose, dilation": (
        lambda: ops.conv2d_transpose(zeros(1, 4, 4, 2), zeros(3, 3, 5, 2), dilation=0),
        ValueError,
        r"conv2d_transpose: dilation must be .* but is 0",
    ),
    "conv2d_transpose, activation": (
        lambda: ops.conv2d_transpose(zeros(1, 4, 4, 2), zeros(3, 3, 5, 2), activation="tanh"),
        ValueError,
        r"conv2d_transpose: activation must be 'relu' or None, but is 'tanh'\.",
    ),
    "conv2d_transpose, output_padding": (
        lambda: ops.conv2d_transpose(
            zeros(1, 4, 4, 2), zeros(3, 3, 5, 2), strides=2, output_padding=(1, 2)
        ),
        ValueError,
        r"conv2d_transpose: output_padding must be from 0 to below the strides, \(2, 2\), but is",
    ),
    "conv2d_transpose, strides and dilation": (
        lambda: ops.conv2d_transpose(
            zeros(1, 4, 4, 2), zeros(3, 3, 5, 2), strides=2, dilation=(1, 2)
        ),
        ValueError,
        r"conv2d_transpose: strides \(2, 2\) and dilation \(1, 2\) cannot both be larger than 1",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message(name):
    call, error, text = MESSAGES[name]
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float16"])
@pytest.mark.parametrize("name", ["conv2d", "conv_pool", "max_pool2d", "average_pool2d"])
def test_kernels_of_windows_want_single_or_double_precision(name, dtype):
    x, weight = Tensor(np.ones((1, 4, 4, 2), dtype)), Tensor(np.ones((3, 3, 2, 4), dtype))
    inputs = (x, weight) if name.startswith("conv") else (x,)
    with pytest.raises(TypeError, match=rf"wants float32 or float64, but x is {dtype}\. Convert"):
        getattr(ops, name)(*inputs)


@pytest.mark.parametrize("dtype", ["int64", "float16", "longdouble"])
def test_other_precisions_go_by_way_of_numpy(dtype):
    x = np.array([[-1, 2], [3, 4]], dtype)
    results = [ops.matmul(Tensor(x), Tensor(x)), ops.sum(Tensor(x), axis=0), ops.relu(Tensor(x))]
    for result, expected in zip(results, [x @ x, x.sum(axis=0), np.maximum(x, 0)], strict=True):
        np.testing.assert_array_equal(result.data, expected)
        assert result.dtype == expected.dtype
