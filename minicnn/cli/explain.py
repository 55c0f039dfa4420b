"""Explain the code of an error or a warning: what it means, and how to mend it.

The code stands in brackets in the message: [MC003]. Without a code, all are listed.
"""

from __future__ import annotations

import argparse

from minicnn.cli.problems import UserError
from minicnn.explanation import explain

SUMMARY = "explain the code of an error"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the argument."""
    parser.add_argument("code", nargs="?", help="as MC003")


def run(settings: argparse.Namespace) -> int:
    """Print the page; return the exit code."""
    try:
        explain(settings.code)
    except ValueError as error:
        raise UserError(str(error).removeprefix("explain: ")) from error
    return 0
