"""Train a network, and save its weights, its learning curves and pictures of its predictions.

Ctrl-C ends the training; what the network has learnt until then is saved.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from minicnn import __version__, random, visualize
from minicnn.anomaly import Anomaly
from minicnn.backend import get_device
from minicnn.callbacks import ModelCheckpoint
from minicnn.cli import data, options
from minicnn.cli.data import CLASS_NAMES, Data
from minicnn.cli.networks import NETWORKS, build
from minicnn.cli.problems import UserError
from minicnn.cli.run_folder import CURVES, DEFAULT, PREDICTIONS, WEIGHTS, Run, new_folder
from minicnn.models import Sequential
from minicnn.optimizers import Adam

SUMMARY = "train a network on shapes10 or CIFAR-10"
DRAWN = 16  # test images in the picture of predictions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options."""
    parser.add_argument(
        "--dataset",
        type=options.name_in("dataset", CLASS_NAMES),
        default="shapes10",
        metavar="NAME",
        help="shapes10, which the program paints itself, or cifar10 (default: shapes10)",
    )
    options.add_data(parser)
    parser.add_argument(
        "--train-images",
        type=options.whole_number(at_least=1),
        metavar="N",
        help="learn from the first N images only, for a quick try (default: from all)",
    )
    parser.add_argument(
        "--model",
        type=options.name_in("model", NETWORKS),
        default="small",
        metavar="NAME",
        help=f"the network: {', '.join(NETWORKS)} (default: small)",
    )
    for name, kind, default, meaning in (
        ("--epochs", options.whole_number(at_least=1), 6, "how often to see all images"),
        ("--batch-size", options.whole_number(at_least=1), 64, "images in one step"),
        ("--learning-rate", options.positive_number, 0.001, "size of the steps of Adam"),
        ("--seed", options.whole_number(at_least=0), 0, "decides all that is random"),
    ):
        parser.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{meaning} (default: {default})"
        )
    options.add_device(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(DEFAULT),
        metavar="DIR",
        help="folder for the results; if a run is there already, a number is appended "
        f"(default: {DEFAULT})",
    )
    options.add_verbose(parser)


def run(settings: argparse.Namespace) -> int:
    """Train, save, draw; return the exit code."""
    data.check(settings.dataset, settings.data, settings.train_images)
    options.choose_device(settings.device)
    with new_folder(settings.output, _described(settings)) as folder:
        return _train(settings, folder)


def _described(settings: argparse.Namespace, **results: Any) -> Run:
    names = ("epochs", "batch_size", "learning_rate", "seed", "train_images")
    return Run(
        settings.model,
        settings.dataset,
        list(CLASS_NAMES[settings.dataset]),
        None if settings.data is None else os.path.abspath(settings.data.expanduser()),
        {"minicnn": __version__} | {name: getattr(settings, name) for name in names} | results,
    )


def _train(settings: argparse.Namespace, folder: Path) -> int:
    images = data.load(settings.dataset, settings.data, settings.train_images)
    random.set_seed(settings.seed)
    model = build(settings.model, len(CLASS_NAMES[settings.dataset]))
    model.compile(
        Adam(settings.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    if settings.verbose != "0":
        _announce(settings, model, images, folder)
    finished = _learn(settings, model, images, folder / WEIGHTS)
    steps = 0 if model.optimizer is None else model.optimizer.iterations
    if steps == 0:
        print(
            "Interrupted before the first step: nothing was learnt, so nothing is saved.",
            file=sys.stderr,
        )
        return 130
    model.save_weights(folder / WEIGHTS)
    try:
        return _report(settings, model, images, folder, finished)
    except KeyboardInterrupt:
        print(
            f"Interrupted: the weights are saved in {shown(folder)}, but the test accuracy and the "
            f"pictures are missing. For the former: minicnn evaluate {shown(folder)}",
            file=sys.stderr,
        )
        return 130


def _announce(settings: argparse.Namespace, model: Sequential, images: Data, folder: Path) -> None:
    import numba

    threads = numba.get_num_threads()
    cpu = f"the CPU, {threads} thread{'s' * (threads > 1)}"
    where = {"cpu": cpu, "gpu": "the GPU", "emulator": "an emulated GPU"}[get_device()]
    print(
        f"minicnn {__version__}: training {settings.model!r} ({model.count_params():,} weights) on "
        f"{settings.dataset}, {len(images.x_train):,} images, on {where}.\n"
        f"Files go to {shown(folder)}. Ctrl-C ends the training and keeps what is learnt.",
        flush=True,
    )


def _learn(settings: argparse.Namespace, model: Sequential, images: Data, weights: Path) -> bool:
    """Train, and save the weights after each epoch; return False if Ctrl-C has ended it.

    Raises:
        UserError: numbers have become infinite or NaN.
    """
    try:
        model.fit(
            images.x_train,
            images.y_train,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            verbose=options.verbosity(settings),
            callbacks=[ModelCheckpoint(weights, save_weights_only=True)],
            validation_data=(images.x_test, images.y_test),
        )
    except KeyboardInterrupt:
        return False
    except Anomaly as error:
        kept = f" The weights of the last whole epoch are in {shown(weights.parent)}."
        raise UserError(
            f"{error}\nSo try a smaller --learning-rate.{kept if weights.exists() else ''}"
        ) from error
    return True


def _report(
    settings: argparse.Namespace, model: Sequential, images: Data, folder: Path, finished: bool
) -> int:
    """Measure, draw, and say how it went in the last line; return the exit code."""
    scores: Any = model.evaluate(images.x_test, images.y_test, verbose=0, return_dict=True)
    epochs = 0 if model.history is None else len(model.history.epoch)
    code = 0 if finished else 130
    try:
        _described(settings, epochs_completed=epochs, test_accuracy=scores["accuracy"]).write(
            folder
        )
        _draw(settings, model, images, folder)
    except (OSError, ImportError) as error:  # the weights are safe; the result must still be told
        print(f"minicnn train: {error}", file=sys.stderr)
        code = 1
    end = "" if finished else f"Interrupted after {epochs} of {settings.epochs} epochs. "
    print(f"{end}Test accuracy: {scores['accuracy']:.4f}. Weights and pictures: {shown(folder)}")
    return code


def _draw(settings: argparse.Namespace, model: Sequential, images: Data, folder: Path) -> None:
    if model.history is not None and model.history.epoch:
        visualize.learning_curves(model.history, folder / CURVES)
    probabilities = model.predict(images.x_test[:DRAWN], verbose=0)
    visualize.predictions(
        images.x_test[:DRAWN],
        images.y_test[:DRAWN],
        probabilities,
        CLASS_NAMES[settings.dataset],
        folder / PREDICTIONS,
    )


def shown(folder: Path) -> str:
    """The folder as a user would write it: relative, if it lies below the working folder."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
