"""Models: Sequential, what trains it, and what it can show and save."""

from minicnn.models.model import Model
from minicnn.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
