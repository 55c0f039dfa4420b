"""The state of a running fit, from which another one goes on to the same bits.

What decides all further steps: the weights; the optimizer's state and learning rate; the place in
the data, and the random numbers that have shuffled it; those of dropout and augmentation; the means
of the epoch so far; and what callbacks keep, the history among them.

It is written as a ".npz" file: arrays, and a text in JSON that says which array is what. Reading it
runs no code.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import random
from minicnn.backend import Array
from minicnn.layers import Layer
from minicnn.layers.nesting import parts_of

if TYPE_CHECKING:
    from minicnn.models.loop import Loop

BROKEN = (OSError, EOFError, ValueError, LookupError, TypeError, zipfile.BadZipFile)


class Backup:
    """The state of a fit between two steps.

    Args:
        tree: what `of` has put together.
    """

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree
        self.epoch: int = tree["epoch"]  # in which fit goes on
        self.step: int = tree["step"]  # with which it goes on
        self.logs: dict[str, Any] = tree["logs"]  # of the last epoch

    @classmethod
    def of(cls, loop: Loop) -> Backup:
        """The state of this fit."""
        model, optimizer, feed = loop.model, loop.model.optimizer, loop.feed
        assert optimizer is not None and feed is not None
        tree = {
            "epoch": loop.epoch,
            "step": loop.step,
            "logs": loop.logs,
            "weights": model.get_weights(),
            "optimizer": optimizer.state(),
            "exact": optimizer.exact_state(),
            "steps": feed.steps,
            "feed": feed.state(),
            "random": [stream.bit_generator.state for stream in streams_of(model)],
            "root": random.state(),
            "metrics": [metric.state() for metric in model.metrics],
            "callbacks": list(_states_of_callbacks(loop)),
        }
        return cls(tree)

    def begin(self, loop: Loop) -> None:
        """Let this fit, which has done nothing so far, be in that state.

        Raises:
            ValueError: the backup is of another model, or of other data.
        """
        tree, feed, streams = self._tree, loop.feed, len(list(streams_of(loop.model)))
        assert feed is not None
        if tree["steps"] != feed.steps or len(tree["random"]) != streams:
            raise ValueError(
                f"fit: the backup is of another training, with {tree['steps']} steps per epoch and "
                f"{len(tree['random'])} layers that draw random numbers; here there are "
                f"{feed.steps} and {streams}. Delete it to begin anew."
            )
        self.restore(loop)
        feed.load_state(tree["feed"])

    def restore(self, loop: Loop) -> None:
        """Let all but the place in the data be in that state.

        Raises:
            ValueError: the backup is of another model.
        """
        tree, model = self._tree, loop.model
        assert model.optimizer is not None
        try:
            model.set_weights(tree["weights"])
            model.optimizer.load_state(tree["optimizer"])
        except ValueError as error:
            raise ValueError(
                f"fit: the backup is of another model or optimizer. Delete it to begin anew. "
                f"{error}"
            ) from error
        model.optimizer.load_exact_state(tree["exact"])
        for stream, state in zip(streams_of(model), tree["random"], strict=True):
            stream.bit_generator.state = state
        random.load_state(tree["root"])
        for metric, saved in zip(model.metrics, tree["metrics"], strict=True):
            metric.load_state(saved)
        states = {(name, k): state for name, k, state in tree["callbacks"]}
        for (name, k), callback in _numbered_callbacks(loop):
            if (name, k) in states:
                callback.load_state(states[name, k])

    def to_bytes(self) -> bytes:
        """The content of a file."""
        arrays: list[Array] = []

        def by_number(value: Any) -> Any:
            if isinstance(value, np.generic):
                return value.item()
            if isinstance(value, np.ndarray):
                arrays.append(value)
                return {"array": len(arrays) - 1}
            raise TypeError(f"fit: cannot put {type(value).__name__} into a backup: {value!r}.")

        text = json.dumps(self._tree, default=by_number)
        content = io.BytesIO()
        named = {str(k): array for k, array in enumerate(arrays)}
        np.savez(content, allow_pickle=False, text=np.array(text), **named)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Backup:
        """Read what to_bytes has written.

        Raises:
            ValueError: it is something else, or broken.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                names = [name for name in file.files if name != "text"]
                arrays = {name: file[name] for name in names}
                text = str(file["text"])
            tree = json.loads(text, object_hook=lambda entry: _looked_up(entry, arrays))
            return cls(tree)
        except BROKEN as error:
            raise ValueError(
                f"fit: the backup cannot be read. It is broken, or no backup; delete it to begin "
                f"anew ({error})."
            ) from error


def _looked_up(entry: dict[str, Any], arrays: dict[str, Array]) -> Any:
    return arrays[str(entry["array"])] if set(entry) == {"array"} else entry


def streams_of(layer: Layer) -> Iterator[np.random.Generator]:
    """The random numbers of a layer and of all its parts."""
    yield from (value for value in vars(layer).values() if isinstance(value, np.random.Generator))
    for part in parts_of(layer):
        yield from streams_of(part)


def _numbered_callbacks(loop: Loop) -> Iterator[tuple[tuple[str, int], Any]]:
    """Each callback, with the name of its class and its number among those of this class."""
    count: Counter[str] = Counter()
    for callback in loop.callbacks.callbacks:
        name = type(callback).__name__
        yield (name, count[name]), callback
        count[name] += 1


def _states_of_callbacks(loop: Loop) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for (name, k), callback in _numbered_callbacks(loop):
        state = callback.state()
        if state:
            yield name, k, state
