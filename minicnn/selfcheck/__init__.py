"""minicnn checks itself: examples of all ops and layers, and what is done with them."""

from minicnn.selfcheck.everything import gradcheck_all
from minicnn.selfcheck.precision import scaled_error

__all__ = ["gradcheck_all", "scaled_error"]
