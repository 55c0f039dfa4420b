"""Options that several commands share, and how their words are checked."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minicnn.backend import DEVICES, set_device
from minicnn.cli.problems import UserError
from minicnn.suggest import lookup


def whole_number(at_least: int) -> Callable[[str], int]:
    """Make a type for argparse: whole numbers from `at_least` on.

    >>> whole_number(at_least=1)("12")
    12
    """

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = at_least - 1
        if value < at_least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {at_least} on, but is {text!r}."
            )
        return value

    return parse


def positive_number(text: str) -> float:
    """Return the number above 0 that is written in `text`; a type for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, but is {text!r}.")
    return value


def name_in(kind: str, table: Mapping[str, Any]) -> Callable[[str], str]:
    """Make a type for argparse: the names in a table, with a hint when one is misspelt."""

    def parse(text: str) -> str:
        try:
            lookup(kind, text, table)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return parse


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add --data, the place of a data set on this machine."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="folder or archive that holds cifar10, if minicnn does not find it by itself",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where to compute; auto takes the GPU if there is one, the emulator runs the kernels "
        "for the GPU on the CPU, very slowly (default: auto)",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add --verbose, with the values of `fit`."""
    parser.add_argument(
        "--verbose",
        choices=["auto", "0", "1", "2"],
        default="auto",
        help="0: only the result, 1: a progress bar, 2: a line per epoch, "
        "auto: 1 on a terminal and 2 elsewhere (default: auto)",
    )


def verbosity(settings: argparse.Namespace) -> int | str:
    """What `fit` and `evaluate` are to be given for --verbose."""
    return "auto" if settings.verbose == "auto" else int(settings.verbose)


def choose_device(name: str) -> None:
    """Compute on this device from now on.

    Raises:
        UserError: it cannot be had.
    """
    try:
        set_device(name)
    except RuntimeError as error:
        raise UserError(str(error)) from None
