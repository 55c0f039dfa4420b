"""Warnings that point at the line of the user's program, not at one of ours."""

import sys
import warnings
from pathlib import Path

_OURS = str(Path(__file__).parents[1])


def warn_user(message: str) -> None:
    """Issue a UserWarning for the line that called into minicnn."""
    warnings.warn(message, UserWarning, stacklevel=_depth_of_the_user())


def _depth_of_the_user() -> int:
    """How many calls lie between the user's line and warn_user, counted as `warnings` does."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame, depth = frame.f_back, depth + 1
    return depth
