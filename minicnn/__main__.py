"""Lets `python -m minicnn` do what the command `minicnn` does."""

import sys

from minicnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
