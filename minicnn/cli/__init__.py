"""The command line: `minicnn train`, `evaluate`, `predict` ..., one file each."""

from minicnn.cli.program import main

__all__ = ["main"]
