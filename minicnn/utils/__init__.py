"""Keras' public helpers: one-hot labels and one seed for everything."""

from minicnn.utils.numerical import set_random_seed, to_categorical

__all__ = ["set_random_seed", "to_categorical"]
