r"""Warnings that point at the line of the user's program, not at one of ours.

Every one has a code in brackets, by which it can be turned off, as Python turns off any warning:

    warnings.filterwarnings("ignore", r".*\[MC030\]")

`minicnn.explain("MC030")` prints what it means.
"""

import contextlib
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

_OURS = str(Path(__file__).parent), contextlib.__file__  # which runs our context managers
_said: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()  # to which model, which codes


def warn_user(message: str) -> None:
    """Issue a UserWarning for the line that called into minicnn."""
    warnings.warn(message, UserWarning, stacklevel=_depth_of_the_user())


def warn_once(model: Any, who: str, code: str, message: str) -> None:
    """Issue a UserWarning with a code, unless this model has been given one of this code before."""
    said = _said.setdefault(model, set())
    if code not in said:
        said.add(code)
        warn_user(f"{who} [{code}]: {message}")


def was_warned(model: Any, code: str) -> bool:
    """Whether a warning with this code has been issued for the model."""
    return code in _said.get(model, ())


def is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of minicnn, or what minicnn has put around it."""
    return frame.f_code.co_filename.startswith(_OURS)


def _depth_of_the_user() -> int:
    """How many calls lie between the user's line and warn_user, counted as `warnings` does."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and is_ours(frame):
        frame, depth = frame.f_back, depth + 1
    return depth
