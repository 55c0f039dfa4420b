"""Measure a trained network on the test images of its data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minicnn.cli import data, options
from minicnn.cli.run_folder import latest_folder, read_run, trained_model

SUMMARY = "measure a trained network on the test images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="RUN_DIR",
        help="folder of the run (default: the newest minicnn-run* here)",
    )
    options.add_data(parser)
    options.add_device(parser)
    options.add_verbose(parser)


def run(settings: argparse.Namespace) -> int:
    """Evaluate the network of a run; return the exit code."""
    folder = settings.folder or latest_folder()
    described = read_run(folder)
    options.choose_device(settings.device)
    model = trained_model(folder, described)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    place = settings.data or described.data
    data.check(described.dataset, place, train_images=None)
    images = data.load(described.dataset, place, train_images=0)
    scores: Any = model.evaluate(
        images.x_test, images.y_test, verbose=options.verbosity(settings), return_dict=True
    )
    print(
        f"{folder}: {described.model!r} on {len(images.x_test):,} test images of "
        f"{described.dataset}: loss {scores['loss']:.4f}, test accuracy {scores['accuracy']:.4f}"
    )
    return 0
