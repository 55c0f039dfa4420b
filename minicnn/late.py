"""Names of a package that are imported when somebody first asks for them; see PEP 562.

What few programs need, such as the reading of pictures, would make every program start later.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def imported_late(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package.

    Args:
        package: its name.
        homes: for each name the module that has it; or the module itself, if that is its name.

    >>> find = imported_late("minicnn", {"datasets": "minicnn.datasets"})
    >>> find("datasets").__name__
    'minicnn.datasets'
    >>> find("data")
    Traceback (most recent call last):
    AttributeError: module 'minicnn' has no attribute 'data'
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = importlib.import_module(homes[name])
        found = home if homes[name] == f"{package}.{name}" else getattr(home, name)
        setattr(sys.modules[package], name, found)  # the next time, nobody has to ask
        return found

    return find
