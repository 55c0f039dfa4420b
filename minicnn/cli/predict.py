"""Ask a trained network what is in an image.

The network sees 32 x 32 pixels, so every image is resized to that, whatever its form.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from minicnn.backend import Array
from minicnn.cli import options
from minicnn.cli.image_files import read_image, resized
from minicnn.cli.networks import SIDE
from minicnn.cli.run_folder import latest_folder, read_run, trained_model

SUMMARY = "ask a trained network what is in an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options."""
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="a picture (PNG, JPEG ...; needs Pillow), or an array saved as .npy",
    )
    parser.add_argument(
        "--run",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="folder of the run (default: the newest minicnn-run* here)",
    )
    parser.add_argument(
        "--top",
        type=options.whole_number(at_least=1),
        default=3,
        metavar="N",
        help="how many classes to name (default: 3)",
    )
    options.add_device(parser)


def run(settings: argparse.Namespace) -> int:
    """Name the likeliest classes of each image; return the exit code."""
    folder = settings.folder or latest_folder()
    described = read_run(folder)
    options.choose_device(settings.device)
    model = trained_model(folder, described)
    images = [read_image(path) for path in settings.images]  # all of them, before anything is said
    inputs = np.stack([resized(image, SIDE) for image in images])
    print(f"{described.model!r} from {folder}, trained on {described.dataset}")
    for path, image, row in zip(
        settings.images, images, model.predict(inputs, verbose=0), strict=True
    ):
        height, width, _ = image.shape
        note = "" if height == width == SIDE else f", resized from {width} x {height} pixels"
        print(f"{path}{note}:")
        _print_likeliest(row, described.classes, settings.top)
    return 0


def _print_likeliest(probabilities: Array, classes: list[str], count: int) -> None:
    for k in np.argsort(-probabilities, kind="stable")[:count]:
        print(f"  {probabilities[k]:7.2%}  {classes[k]}")
