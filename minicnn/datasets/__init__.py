"""Data sets: `cifar10`, small photographs, and `shapes10`, which the program paints itself."""

from minicnn.datasets import cifar10, shapes10

__all__ = ["cifar10", "shapes10"]
