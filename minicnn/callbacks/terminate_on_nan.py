"""TerminateOnNaN: ends a training whose loss is no number any more."""

from __future__ import annotations

import math

from minicnn.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends the training when the loss is infinite or not a number (NaN).

    Args:
        raise_error: whether to raise an error then, and not only to stop.

    Raises:
        RuntimeError: the loss is no number, and raise_error is set.

    >>> TerminateOnNaN().raise_error
    False
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"TerminateOnNaN: the loss is {loss} at batch {batch}. A smaller learning rate, or "
                f"clipnorm=1.0 for the optimizer, may help."
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
