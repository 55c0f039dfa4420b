"""Who takes part in a benchmark: minicnn, and the peers that are installed here."""

import importlib.util
import os
from dataclasses import dataclass, field

BACKENDS = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}  # of Keras
NEEDED = {"torch": ["torch"], "keras": ["keras"], "onnxruntime": ["onnxruntime", "onnx"]}


@dataclass(frozen=True)
class Contestant:
    """One that takes part.

    Args:
        title: how reports call it.
        module: where its functions are; all with_*.py have functions of the same names.
        options: more arguments for these functions.
    """

    title: str
    module: str
    options: dict = field(default_factory=dict)


MINICNN = Contestant("minicnn", "with_minicnn")


def is_minicnn(title):
    """Whether a contestant of this title is minicnn, in whichever way it is called."""
    return title.startswith(MINICNN.title)


def peers(names, able):
    """The contestants for names as in --peers; prints which ones are missing, and how to mend it.

    Args:
        names: those that are wanted.
        able: those that can do what is measured.

    Raises:
        ValueError: there is no peer of a name.
    """
    found = []
    for name in names:
        if name not in NEEDED:
            raise ValueError(f"--peers: wants some of {', '.join(NEEDED)}, but got {name!r}.")
        hint = missing(name)
        if name not in able:
            print(f"{name} does not take part: it does not do what is measured here.")
        elif hint:
            print(f"{name} does not take part: it is not installed. {hint}")
        else:
            found += _contestants(name)
    return found


def missing(name):
    """What to do so that a peer can take part; "" if it can."""
    absent = [module for module in NEEDED[name] if not is_installed(module)]
    if absent:
        return f"To mend it: pip install {' '.join(absent)}"
    if name == "keras" and keras_backend() is None:
        return "Keras needs a backend: pip install tensorflow-cpu"
    return ""


def keras_backend():
    """The backend that Keras is told to use, or else the first one that is installed."""
    chosen = os.environ.get("KERAS_BACKEND")
    return chosen or next((name for name in BACKENDS if is_installed(name)), None)


def is_installed(module):
    """Whether a module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def _contestants(name):
    if name == "torch":
        return [
            Contestant("PyTorch", "with_torch", {"layout": "default"}),
            Contestant("PyTorch, channels_last", "with_torch", {"layout": "channels_last"}),
        ]
    if name == "keras":
        return [Contestant(f"Keras on {BACKENDS[keras_backend()]}", "with_keras")]
    return [Contestant("ONNX Runtime", "with_onnxruntime")]
