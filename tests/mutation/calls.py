"""Notes which functions of a folder are called, and by which test.

A mistake in a function can be noticed only by a test that calls it; all others need not be run.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

Place = tuple[str, int]  # file, and the line where the function or its first decorator begins


def place(code: CodeType) -> Place:
    return code.co_filename, code.co_firstlineno


class Calls:
    """The functions that have been called since the last question."""

    def __init__(self, folder: Path):
        self._folder, self._called = str(folder), set[Place]()

    def listen(self) -> None:
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def stop(self) -> None:
        threading.setprofile(None)
        sys.setprofile(None)

    def since(self) -> list[Place]:
        called, self._called = self._called, set()
        return sorted(called)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self._folder):
            self._called.add(place(frame.f_code))
