"""Batches of pictures that are read from disk while the network computes.

A few threads read ahead, one picture at a time: Pillow decodes it and NumPy resizes it, both
without Python's global lock. No kernel runs there, for only the main thread may enter those that
share work. The order of the batches does not depend on which thread is quicker.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, floatx, kernels
from minicnn.datasets.image_files import WHO, LabeledFiles
from minicnn.datasets.pictures import Reading

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

THREADS = min(4, os.cpu_count() or 1)
AHEAD = 2  # batches that are read while the network computes on another one
LABEL_MODES = ("int", "categorical", "binary")


class ImageStream:
    """Pictures in files as batches for fit, evaluate and predict; may be gone through again.

    Each time gives all of them: `images`, or `(images, labels)`. When the loop is left early, by
    break or by an exception, the reading stops.

    Args:
        files: paths, and classes as numbers.
        reading: what becomes of a picture.
        label_mode: "int" gives int32 (N,), "categorical" one-hot rows (N, K), "binary" (N, 1), both
            of floatx(); None gives no labels.
        class_names: the names of the K classes, by number; None if there are no labels.
        batch_size: N; None gives single pictures without a batch axis.
        order: draws a new order each time; None keeps that of the files.

    Raises:
        ValueError: while going through, a file cannot be read as a picture.
        ImportError: Pillow is not installed.
    """

    def __init__(
        self,
        files: LabeledFiles,
        reading: Reading,
        label_mode: str | None = None,
        class_names: list[str] | None = None,
        batch_size: int | None = 32,
        order: np.random.Generator | None = None,
    ) -> None:
        self.file_paths, self.labels = files
        self.class_names = class_names
        self.reading, self.label_mode = reading, label_mode
        self.batch_size, self.order = batch_size, order

    def __len__(self) -> int:
        return -(-len(self.file_paths) // (self.batch_size or 1))

    def __repr__(self) -> str:
        shape = (self.batch_size, *self.reading.shape)
        return f"ImageStream({len(self.file_paths)} files, images {shape}, {self.class_names})"

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        count, size = len(self.file_paths), self.batch_size or 1
        order = np.arange(count) if self.order is None else self.order.permutation(count)
        return self._read([order[k : k + size] for k in range(0, count, size)])

    def take(self, count: int) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        """The first batches only."""
        return itertools.islice(self, count)

    def _read(self, batches: list[Array]) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(THREADS, "minicnn-images")
        waiting: deque[tuple[Array, Array, list[Future[None]]]] = deque()
        try:
            for rows in batches:
                waiting.append((rows, *self._begin(rows, pool)))
                if len(waiting) > AHEAD:
                    yield self._finished(*waiting.popleft())
            while waiting:
                yield self._finished(*waiting.popleft())
        finally:  # also when the loop is left early
            pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, rows: Array, pool: Executor) -> tuple[Array, list[Future[None]]]:
        images = kernels.empty((len(rows), *self.reading.shape), floatx())

        def read(place: int, path: str) -> None:
            images[place] = self.reading.read(path, WHO)

        return images, [pool.submit(read, k, self.file_paths[row]) for k, row in enumerate(rows)]

    def _finished(
        self, rows: Array, images: Array, reading: list[Future[None]]
    ) -> Tensor | tuple[Tensor, Tensor]:
        for picture in reading:
            picture.result()  # raises what has happened in the thread
        x = Tensor(images if self.batch_size else images[0])
        if self.labels is None or self.label_mode is None:
            return x
        y = self._encoded(self.labels[rows])
        return x, Tensor(y if self.batch_size else y[0])

    def _encoded(self, labels: Array) -> Array:
        if self.label_mode == "int":
            return labels
        if self.label_mode == "binary":
            return labels[:, None].astype(floatx())
        classes = np.arange(len(self.class_names or ()))
        return (labels[:, None] == classes).astype(floatx())
