"""The command line: `minicnn train`, `evaluate`, `predict` and `doctor`, one file each."""

from minicnn.cli.program import main

__all__ = ["main"]
