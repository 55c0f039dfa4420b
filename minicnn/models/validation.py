"""When and with what the model is evaluated while it trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minicnn.layers.arguments import whole_number
from minicnn.models.batches import Batches, Feed, StreamBatches


class Validation:
    """The plan for the validation of a fit.

    Args:
        batches: what to evaluate; each time from the beginning.
        steps: how many batches to take, or None for all.
        frequency: after how many epochs, or a list of epochs, counted from 1.

    Raises:
        ValueError: an argument has a bad value, or the batches cannot be read as often as needed.
    """

    def __init__(
        self, batches: Batches, steps: int | None, frequency: int | Iterable[int], epochs: int
    ) -> None:
        self._batches = batches
        self._steps = steps
        if not isinstance(frequency, Iterable):
            whole_number("fit [MC054]", "validation_freq", frequency)
        self._frequency = set(frequency) if isinstance(frequency, Iterable) else frequency
        if steps is not None:
            whole_number("fit [MC054]", "validation_steps", steps)
        once = isinstance(batches, StreamBatches) and isinstance(batches.source, Iterator)
        if once and steps is None and epochs > 1:
            raise ValueError(
                "fit: validation_data is a generator, which can be read only once, or never ends. "
                "Give validation_steps, or a list of batches."
            )

    def is_due(self, epoch: int) -> bool:
        """Whether to validate after this epoch; the first is number 0."""
        if isinstance(self._frequency, set):
            return epoch + 1 in self._frequency
        return (epoch + 1) % self._frequency == 0

    def feed(self) -> Feed:
        """The batches of one validation."""
        return Feed(self._batches, self._steps)
