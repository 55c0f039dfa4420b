"""The confusion matrix: which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicnn.backend import Array
from minicnn.visualize.picture import GREY, INK, FilePath, Picture, new_figure


def confusion_matrix(
    labels: Array,
    answers: Array,
    class_names: Sequence[str] | None = None,
    normalize: bool = False,
    path: FilePath = None,
) -> Picture:
    """Draw how often each class was taken for each: a row per true class, a column per answer.

    What stands on the diagonal is right. The darker a field, the larger its share of its row.

    Args:
        labels: the true classes: numbers (N,) or (N, 1), or one-hot (N, K).
        answers: what `predict` returns, (N, K), or class numbers, (N,).
        class_names: the K names; None for the numbers.
        normalize: whether to write shares of each row instead of counts.
        path: where to save a PNG.

    Returns:
        The picture.

    Raises:
        ValueError: the arrays do not fit together, or there are no labels.
        OSError: the file cannot be written.

    >>> picture = confusion_matrix([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    >>> [text.get_text() for text in picture.figure.axes[0].texts]
    ['1', '0', '1', '1']
    """
    truth, found = _as_classes(np.asarray(labels)), _as_classes(np.asarray(answers))
    if truth.shape != found.shape or not truth.size:
        raise ValueError(
            f"confusion_matrix: wants one answer per label, but got {np.shape(labels)} labels and "
            f"{np.shape(answers)} answers."
        )
    K = max(int(truth.max()), int(found.max())) + 1
    if np.ndim(answers) == 2:
        K = max(K, np.shape(answers)[1])
    names = [str(k) for k in range(K)] if class_names is None else list(class_names)
    if len(names) < K or truth.min() < 0:
        raise ValueError(
            f"confusion_matrix: labels and answers must be from 0 to {len(names) - 1}, one for "
            f"each class name, but go from {truth.min()} to {K - 1}."
        )
    counts = np.bincount(truth * len(names) + found, minlength=len(names) ** 2)
    return _drawn(counts.reshape(len(names), len(names)), names, normalize, path)


def _as_classes(values: Array) -> Array:
    """Class numbers (N,) of numbers, of one-hot rows or of probabilities."""
    if values.ndim == 2:
        values = values.argmax(axis=1) if values.shape[1] > 1 else values[:, 0]
    return values.astype(np.intp)


def _drawn(counts: Array, names: list[str], normalize: bool, path: FilePath) -> Picture:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    K = len(names)
    figure = new_figure(width=1.6 + 0.55 * K, height=1.3 + 0.5 * K)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(K, K):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{share:.0%}" if normalize else f"{counts[row, column]}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > 0.5 else INK if counts[row, column] else GREY,
            weight="bold" if row == column else "normal",
        )
    axes.set_xticks(range(K), names, rotation=45 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(K), names)
    axes.set_xlabel("answer", color=GREY)
    axes.set_ylabel("true class", color=GREY)
    right = int(counts.diagonal().sum())
    axes.set_title(f"{right} of {counts.sum()} right", loc="left", color=INK, fontweight="bold")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return Picture(figure, path)
