"""One training step of the tutorial CNN: minicnn against PyTorch, side by side in one run.

    python benchmarks/train_step.py [--batch-size 64] [--steps 60]

Both start from the same weights. First three steps are made by both, and the losses must agree;
then the steps are timed in turn, so that a busy machine disturbs all alike. Printed are medians,
and the ratio that counts: PyTorch's faster layout divided by minicnn.
"""

import argparse
import statistics
import time

import llvmlite.binding
import numba
import numpy as np
import torch
from torch import nn

import minicnn
from minicnn import layers, models, utils

CLASSES = 10


def tutorial_cnn():
    """The network of Keras' CNN tutorial, with a wider last part."""
    model = models.Sequential(
        [
            minicnn.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


class Flatten(nn.Module):
    """Flattens in the order of NHWC, so that the dense weights mean the same in both."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def the_same_in_torch(model):
    """PyTorch's network, with a copy of the weights of `model`."""
    net = nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, CLASSES)),
    )
    for parameter, array in zip(net.parameters(), model.get_weights(), strict=True):
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
        parameter.data = torch.tensor(array.transpose(axes).copy())
    return net


def torch_step(model, x, y, layout):
    """A function that makes one step and returns the loss."""
    net = the_same_in_torch(model).to(memory_format=layout)
    images = torch.tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, eps=1e-7)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main():
    """Compare, then time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()

    utils.set_random_seed(0)
    torch.set_num_threads(numba.get_num_threads())
    rng = np.random.default_rng(0)
    x = rng.random((arguments.batch_size, 32, 32, 3), dtype=np.float32)
    y = rng.integers(0, CLASSES, arguments.batch_size)
    model = tutorial_cnn()
    steps = {
        "PyTorch, default layout": torch_step(model, x, y, torch.contiguous_format),
        "PyTorch, channels_last": torch_step(model, x, y, torch.channels_last),
        "minicnn": lambda: model.train_on_batch(x, y),
    }
    for _ in range(3):
        losses = [step() for step in steps.values()]
        np.testing.assert_allclose(losses, losses[0], rtol=1e-4)

    times = {name: [] for name in steps}
    for _ in range(arguments.steps):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)

    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{llvmlite.binding.get_host_cpu_name()}, {numba.get_num_threads()} threads; ", end="")
    print(f"minicnn {minicnn.__version__}, PyTorch {torch.__version__}, Numba {numba.__version__}")
    print(f"training step of the tutorial CNN, batch {arguments.batch_size}, median times")
    for name, seconds in medians.items():
        print(f"{name:25} {seconds * 1e3:8.2f} ms")
    peer = min(seconds for name, seconds in medians.items() if name != "minicnn")
    print(f"minicnn is {peer / medians['minicnn']:.2f} times as fast as the faster PyTorch")


if __name__ == "__main__":
    main()
