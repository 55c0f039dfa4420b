"""Data sets: photographs, digits and clothes that others published, and one painted by the program.

`cifar10`, `cifar100`, `mnist` and `fashion_mnist` are found or downloaded; `shapes10` is painted.
"""

from minicnn.datasets import cifar10, cifar100, fashion_mnist, mnist, shapes10

__all__ = ["cifar10", "cifar100", "fashion_mnist", "mnist", "shapes10"]
