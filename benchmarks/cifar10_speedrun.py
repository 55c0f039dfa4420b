"""CIFAR-10 as well as possible in as little time as possible, with one small network.

    python benchmarks/cifar10_speedrun.py --device gpu      aims at 94 % of the test images
    python benchmarks/cifar10_speedrun.py --small           about 82 %, in minutes on a CPU

The ideas are those of speed records on this data set, written with layers that everybody knows:

* the first convolution is not learnt: its filters are the principal components of 2x2 patches,
  scaled so that its outputs are uncorrelated and of size 1 (whitening), and the same negated;
* convolutions begin as the identity as far as they have channels for it (dirac);
* GELU, batch normalization, max pooling; labels smoothed by 0.2; Nesterov's momentum with a
  learning rate that rises, then falls to zero;
* each image is mirrored in every other epoch, so that no two epochs in a row see the same
  (alternating flip), and cut out at a random place of its padded self;
* at the end, the answers for an image, its mirror image and both moved by a pixel are averaged.

Time counts from the first step to the last: data, compiling (by a step of another network) and the
test do not count, as in the records.

Source: Keller Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498,
for all of the ideas; the learning rate is our own.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time

import numpy as np

import minicnn
from minicnn import Sequential, datasets, initializers, layers, losses, optimizers, utils

PAD = 2  # pixels that images may move
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's channels
SMOOTHING = 0.2
WIDTHS = {"full": (64, 256, 256), "small": (32, 64, 64)}


class Dirac(initializers.Initializer):
    """As many filters as there are channels pass a channel on each; the others are random."""

    def values(self, shape):
        filters = initializers.HeUniform()(shape).astype(np.float64) / np.sqrt(2)
        height, width, channels, count = shape
        some = min(channels, count)
        filters[..., :some] = 0
        filters[height // 2, width // 2, range(some), range(some)] = 1
        return filters


def whitening_filters(x, size=2, floor=5e-4):
    """Filters whose outputs on patches of x are uncorrelated, of variance 1; and their negatives.

    Args:
        x: some images, (N, H, W, C).
        size: of the patches.
        floor: added to each variance, so that noise is not blown up.

    Returns:
        The kernel of a convolution, (size, size, C, 2 * size * size * C).
    """
    patches = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    patches = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * x.shape[3])
    variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
    filters = directions / np.sqrt(variances + floor)
    return np.concatenate([filters, -filters], axis=1).reshape(size, size, x.shape[3], -1)


def network(widths, filters):
    """Whitening; three groups of two convolutions; a linear classifier."""
    model = Sequential([layers.Input((32 + 2 * PAD, 32 + 2 * PAD, 3)), layers.RandomCrop(32, 32)])
    first = layers.Conv2D(filters.shape[-1], 2, use_bias=False, name="whiten", trainable=False)
    model.add(first)
    model.add(layers.Activation("gelu"))
    for width in widths:
        model.add(_convolution(width))
        model.add(layers.MaxPooling2D(2))
        model.add(_normalization())
        model.add(layers.Activation("gelu"))
        model.add(_convolution(width))
        model.add(_normalization())
        model.add(layers.Activation("gelu"))
    model.add(layers.MaxPooling2D(3))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, use_bias=False, name="head"))
    model.add(layers.Rescaling(1 / 9))
    first.set_weights([filters])
    return model


def _convolution(width):
    return layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer=Dirac())


def _normalization():
    return layers.BatchNormalization(momentum=0.6, epsilon=1e-12, scale=False)


def compiled(model, rate, steps):
    """Get a model ready: the rate rises to its top within a quarter of the steps."""
    rise = steps // 4
    schedule = optimizers.schedules.CosineDecay(
        0.2 * rate, steps - rise, warmup_target=rate, warmup_steps=rise
    )
    model.compile(
        optimizers.SGD(schedule, momentum=0.85, nesterov=True),
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
        metrics=["accuracy"],
    )
    return model


def prepared(images):
    """Images as numbers of mean 0 and size 1, with a reflected border of PAD pixels."""
    x = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.pad(x, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")


def mirrored(x):
    """The images with left and right exchanged."""
    return np.ascontiguousarray(x[:, :, ::-1])


def learn(model, x, y, settings):
    """Train; returns the seconds that it took."""
    coin = np.random.default_rng(settings.seed).random(len(x)) < 0.5
    views = [np.where(coin[:, None, None, None], mirrored(x), x)]
    views.append(mirrored(views[0]))
    start = time.perf_counter()
    for epoch in range(settings.epochs):
        logs = model.fit(views[epoch % 2], y, batch_size=settings.batch_size, verbose=0).history
        print(
            f"epoch {epoch + 1:2}: loss {logs['loss'][0]:.3f}, accuracy on what it learns from "
            f"{logs['accuracy'][0]:.1%}, {time.perf_counter() - start:.1f} s",
            flush=True,
        )
    return time.perf_counter() - start


def answers(model, x):
    """Scores for each class, averaged over an image, its mirror image, and both moved a little."""
    total = 0
    for move, weight in ((0, 0.5), (1, 0.25), (-1, 0.25)):
        moved = np.roll(x, (move, move), axis=(1, 2))  # the border is cut off by the network
        for view in (moved, mirrored(moved)):
            total = total + weight / 2 * model.predict(view, batch_size=500, verbose=0)
    return total


def options(arguments):
    """What the command line asks for, and what is usual where it says nothing."""
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--small", action="store_true", help="fewer filters, images and epochs")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--images", type=int, help="learn from the first so many")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rate", type=float, help="the highest learning rate")
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu", "emulator"])
    parser.add_argument("--policy", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args(arguments)
    usual = (6, 20_000, 250, 0.4) if settings.small else (10, 50_000, 1000, 1.5)
    for name, value in zip(("epochs", "images", "batch_size", "rate"), usual, strict=True):
        if getattr(settings, name) is None:
            setattr(settings, name, value)
    return settings


def main(arguments=None):
    """Train, test, and print accuracy and time."""
    settings = options(arguments)
    minicnn.set_device(settings.device)
    minicnn.set_dtype_policy(settings.policy)
    utils.set_random_seed(settings.seed)
    (x, y), (x_test, y_test) = datasets.cifar10.load_data()
    x, x_test = prepared(x[: settings.images]), prepared(x_test)
    y = utils.to_categorical(y[: settings.images], 10)
    filters = whitening_filters(x[:5000, PAD:-PAD, PAD:-PAD])
    widths, batch = WIDTHS["small" if settings.small else "full"], settings.batch_size
    model = network(widths, filters)
    steps = settings.epochs * -(-len(x) // batch)
    warmed_up = compiled(network(widths, filters), settings.rate, steps)
    warmed_up.fit(x[:batch], y[:batch], batch, verbose=0)
    compiled(model, settings.rate, steps)
    print(f"{model.count_params():,} weights, {len(x):,} images, {steps} steps", flush=True)
    seconds = learn(model, x, y, settings)
    accuracy = np.mean(answers(model, x_test).argmax(axis=1) == y_test[:, 0])
    print(f"{accuracy:.2%} of the test images, after {seconds:.1f} s on {settings.device}")
    return accuracy


if __name__ == "__main__":
    main()
