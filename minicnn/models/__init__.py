"""Models: Sequential, Model, what trains them, and what they can show and save."""

from minicnn.models.cloning import clone_model, model_from_json
from minicnn.models.functional import Functional
from minicnn.models.model import Model
from minicnn.models.safetensors import load_safetensors, read_safetensors
from minicnn.models.saving import load_model, save_model
from minicnn.models.sequential import Sequential

__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "load_safetensors",
    "model_from_json",
    "read_safetensors",
    "save_model",
]
