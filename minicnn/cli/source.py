"""Print an op: its formula, forward and backward, and its kernels, as they stand in the files."""

from __future__ import annotations

import argparse

from minicnn import source_code
from minicnn.cli.problems import UserError

SUMMARY = "print formula, gradient and kernels of an op"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options."""
    parser.add_argument("op", metavar="OP", help="the name of an op, as conv2d or softmax")


def run(settings: argparse.Namespace) -> int:
    """Print it; return the exit code."""
    try:
        source_code.source(settings.op)
    except ValueError as error:
        raise UserError(str(error).removeprefix("source: ")) from error
    return 0
