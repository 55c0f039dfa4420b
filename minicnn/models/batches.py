"""Batches of what users give to fit, evaluate and predict: arrays, generators, data loaders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sized
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, beside, floatx, kept_on_device, kernels
from minicnn.layers.structure import leaves, mapped, paths
from minicnn.models.checks import as_array, check_finite, check_rows

BATCH_SIZE = 32  # where nobody says otherwise
GATHERED = (np.dtype("uint8"), np.dtype("float32"), np.dtype("float64"))  # by rows.gather


class Batch(NamedTuple):
    """Inputs, labels and weights of some samples, the batch axis in front.

    Models of several inputs or outputs have lists, tuples or dicts of arrays here.
    """

    x: Any
    y: Any = None
    weight: Any = None

    @property
    def rows(self) -> int:
        """How many samples these are."""
        return len(self.x if isinstance(self.x, np.ndarray) else leaves(self.x)[0])


class ArrayBatches:
    """Cuts batches out of arrays, which stay as they are: only a batch is copied and converted.

    There is no thread that would make the next batch meanwhile. To cut a batch of 64 images of
    CIFAR-10 takes 0.05 ms, half a percent of the step of a small CNN, which keeps all cores busy;
    and whatever a thread did, it would take from them. Tried on two cores, with the next two
    batches made ahead, an epoch took 1 to 3 % longer, because the two threads also wait for each
    other in handing over.

    Args:
        data: all samples, checked by `checked`.
        batch_size: samples in a batch; the last one may be smaller.
        order: draws a new order for each epoch; None keeps that of the arrays.

    >>> [batch.x.tolist() for batch in ArrayBatches(Batch(np.arange(5)), batch_size=2)]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """

    def __init__(
        self, data: Batch, batch_size: int = BATCH_SIZE, order: np.random.Generator | None = None
    ) -> None:
        self.batch_size = batch_size
        self.order = order
        self.use(data)

    def use(self, data: Batch) -> None:
        """Take other samples."""
        self.data = data
        self._kept: Batch | None = None
        self.steps: int | None = math.ceil(data.rows / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        count = self.data.rows
        order = None if self.order is None else self.order.permutation(count)
        data = self._at_hand()
        for start in range(0, count, self.batch_size):
            place = slice(start, start + self.batch_size)
            yield converted(_rows(data, place if order is None else order[place]))

    def _at_hand(self) -> Batch:
        """The samples with inputs on the GPU, if new arrays are born there and it has room.

        Labels and weights are few, and checked in each step: that is done on the CPU.
        """
        if self._kept is None:
            self._kept = self.data._replace(x=mapped(kept_on_device, self.data.x))
        return self._kept


def _rows(data: Batch, place: slice | Array) -> Batch:
    y = None if data.y is None else mapped(lambda array: array[place], data.y)
    weight = None if data.weight is None else mapped(lambda array: array[place], data.weight)
    return Batch(mapped(lambda array: _rows_of_inputs(array, place), data.x), y, weight)


def _rows_of_inputs(x: Array, place: slice | Array) -> Array:
    """x[place]; the kernel converts rows to floatx() while it copies them, which NumPy does after.

    It is compiled for few types of numbers, and would have to copy the whole of an x whose rows do
    not lie one behind the other.
    """
    if isinstance(place, slice) or not x.flags.c_contiguous or x.dtype not in GATHERED:
        return x[place if isinstance(place, slice) else beside(place, x)]
    return kernels.rows.gather(x, beside(place, x), floatx())


class StreamBatches:
    """Takes batches from anything that yields them: (x, y), (x, y, weight), or x alone.

    The source is asked for its next batch on the main thread, between two steps: so it may do
    whatever it likes, and call kernels as well.

    Args:
        source: a generator, a list of batches, a data loader, an object with __getitem__.
        who: for messages: "fit".
        labels: whether a batch without labels is an error.
    """

    def __init__(self, source: Any, who: str, labels: bool) -> None:
        self.source = source
        self.who = who
        self.labels = labels
        self.steps = len(source) if isinstance(source, Sized) else None

    def __iter__(self) -> Iterator[Batch]:
        for number, item in enumerate(self._items()):
            yield converted(self._checked(item, f"{self.who}: batch {number}"))

    def _items(self) -> Iterable[Any]:
        if isinstance(self.source, Iterable):
            return self.source
        return (self.source[k] for k in range(len(self.source)))

    def _checked(self, item: Any, who: str) -> Batch:
        parts = tuple(item) if isinstance(item, tuple | list) else (item,)
        fewest = 2 if self.labels else 1
        if not fewest <= len(parts) <= 3:
            wanted = "(x, y) or (x, y, weight)" if self.labels else "x, (x, y) or (x, y, weight)"
            raise ValueError(f"{who} must be {wanted}, but it has {len(parts)} parts.")
        x, y, weight = (*parts, None, None)[:3]
        return checked(x, y, weight, who)


Batches: TypeAlias = "ArrayBatches | StreamBatches"


def checked(x: Any, y: Any = None, weight: Any = None, who: str = "fit") -> Batch:
    """Check arrays that belong together: one of each kind, or a list, tuple or dict of them.

    Raises:
        TypeError: one of them holds no numbers.
        ValueError: their lengths differ, they are empty, or hold a NaN.
    """
    data = Batch(
        as_arrays(f"{who}: x", x),
        None if y is None else as_arrays(f"{who}: y", y),
        None if weight is None else as_arrays(f"{who}: sample_weight", weight),
    )
    named: dict[str, Array] = {}
    for name, value in {"x": data.x, "y": data.y, "sample_weight": data.weight}.items():
        if value is not None:
            named |= zip(paths(value, name), leaves(value), strict=True)
    check_rows(named, who)
    for path, array in named.items():
        check_finite(f"{who}: {path}", array)
    return data


def as_arrays(name: str, value: Any) -> Any:
    """What a user gave, as an array, or a list, tuple or dict of arrays."""
    if not holds_arrays(value):
        return as_array(name, value)
    if isinstance(value, dict):
        return {key: as_arrays(f"{name}[{key!r}]", entry) for key, entry in value.items()}
    return type(value)([as_arrays(f"{name}[{k}]", entry) for k, entry in enumerate(value)])


def holds_arrays(value: Any) -> bool:
    """Whether this is a list, tuple or dict of arrays, and not itself the rows of an array.

    >>> holds_arrays([np.ones(3), np.ones(3)]), holds_arrays([[1, 2], [3, 4]])
    (True, False)
    """
    if isinstance(value, dict):
        return True
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(entry.ndim > 0 if hasattr(entry, "ndim") else holds_arrays(entry) for entry in value)


def converted(batch: Batch) -> Batch:
    """The batch with inputs, weights and all labels that are no integers in floatx()."""
    dtype = np.dtype(floatx())

    def as_float(array: Array) -> Array:
        return array.astype(dtype, copy=False)

    def as_label(array: Array) -> Array:
        return as_float(array) if array.dtype.kind == "f" else array

    y = None if batch.y is None else mapped(as_label, batch.y)
    weight = None if batch.weight is None else mapped(as_float, batch.weight)
    return Batch(mapped(as_float, batch.x), y, weight)


def is_stream(x: Any, y: Any = None) -> bool:
    """Whether x yields batches, and is not the array of all samples.

    >>> is_stream(np.zeros((4, 2))), is_stream([[1, 2], [3, 4]]), is_stream(iter([]))
    (False, False, True)
    >>> is_stream([(np.zeros((4, 2)), np.zeros(4))])
    True
    """
    if isinstance(x, Tensor | np.ndarray | dict | set | str) or hasattr(x, "__array__"):
        return False
    if isinstance(x, list | tuple):
        return y is None and len(x) > 0 and all(isinstance(item, tuple) for item in x)
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and isinstance(x, Sized))


def split(data: Batch, fraction: float, who: str = "fit") -> tuple[Batch, Batch]:
    """Cut off the last samples for validation.

    Args:
        data: all samples.
        fraction: how much of them to cut off.
        who: for messages.

    Raises:
        ValueError: fraction is not between 0 and 1, or nothing would be left on one side.

    >>> training, validation = split(Batch(np.arange(10)), 0.25)
    >>> len(training.x), len(validation.x)
    (7, 3)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"{who}: validation_split must be between 0 and 1, but is {fraction!r}.")
    count = data.rows
    first = math.floor(count * (1 - fraction))
    if first in (0, count):
        empty = "training" if first == 0 else "validation"
        raise ValueError(
            f"{who}: validation_split={fraction} leaves no sample of {count} for {empty}."
        )
    return _rows(data, slice(0, first)), _rows(data, slice(first, None))


class Feed:
    """Hands out batches, epoch by epoch.

    Args:
        batches: where they come from.
        steps: how many make an epoch. Data that ends within an epoch is begun anew, and the next
            epoch goes on where this one has stopped. None: an epoch is all that there is.

    >>> feed = Feed(ArrayBatches(Batch(np.arange(3)), batch_size=1), steps=2)
    >>> [batch.x.item() for _ in range(3) for batch in feed.epoch()]
    [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]
    """

    def __init__(self, batches: Batches, steps: int | None = None) -> None:
        self.batches = batches
        self._wanted = steps
        self._running: Iterator[Batch] = iter(())
        self._peeked: Batch | None = None
        self.steps = batches.steps if steps is None else steps
        self.ran_out = False  # before all wanted steps were done
        self._note_beginning()

    def peek(self) -> Batch | None:
        """The next batch, which stays the next; None if there are no more."""
        self._peeked = self._next()
        self.ran_out = self._peeked is None
        return self._peeked

    def epoch(self, first: int = 0) -> Iterator[Batch]:
        """The batches of the next epoch; fewer than `steps` if the data has run out.

        Args:
            first: the step to begin with, in an epoch that was interrupted.
        """
        steps = itertools.count(first) if self._wanted is None else range(first, self._wanted)
        for step in steps:
            begins = step == 0 or self._wanted is not None  # whether data that ended begins anew
            batch = self._next() if begins else next(self._running, None)
            if batch is None:
                self.ran_out = self._wanted is not None
                self._note_beginning()
                return
            self._taken += 1
            yield batch

    def _next(self) -> Batch | None:
        peeked, self._peeked = self._peeked, None
        batch = peeked or next(self._running, None)
        if batch is None:
            self._note_beginning()
            self._running = iter(self.batches)
            batch = next(self._running, None)  # of a generator, nothing is left then
        return batch

    def _note_beginning(self) -> None:
        """Note from which random numbers the next order will be drawn."""
        order = getattr(self.batches, "order", None)
        self._order: Any = None if order is None else order.bit_generator.state
        self._taken = 0  # batches since then

    def state(self) -> dict[str, Any]:
        """The place in the data, and how it is shuffled; see load_state."""
        return {"order": self._order, "taken": self._taken}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what state() has returned, by going through the batches up to there.

        No batch may have been taken so far.

        >>> feed = Feed(ArrayBatches(Batch(np.arange(3)), batch_size=1))
        >>> feed.load_state({"order": None, "taken": 2})
        >>> [batch.x.item() for batch in feed.epoch(first=2)]
        [2.0]
        """
        if isinstance(self.batches, ArrayBatches):
            if self.batches.order is not None:
                self.batches.order.bit_generator.state = state["order"]
            self._running = iter(self.batches)
        else:  # a generator cannot be begun anew
            peeked = [] if self._peeked is None else [self._peeked]
            self._running = itertools.chain(peeked, self._running)
        self._peeked = None
        self._note_beginning()
        self._taken = sum(1 for _ in itertools.islice(self._running, state["taken"]))
