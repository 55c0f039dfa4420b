"""Watches: each looks for one mistake that a training would not complain about by itself.

They look before the first step, at the first few steps, or at numbers that are there anyway, so
that a step is no slower for them. What each of them says is on the page of its code: see explain.
"""

from minicnn.models.watches.fit_watches import FitWatches

__all__ = ["FitWatches"]
