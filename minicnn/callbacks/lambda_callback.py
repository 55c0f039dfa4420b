"""LambdaCallback: a callback made of plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicnn.callbacks.callback import Callback
from minicnn.suggest import did_you_mean

MOMENTS = [name for name in dir(Callback) if name.startswith("on_")]


class LambdaCallback(Callback):
    """Calls your functions at the moments of a training, without a class of your own.

    Args:
        on_epoch_begin: a function of epoch and logs.
        on_epoch_end: a function of epoch and logs.
        on_train_begin: a function of logs.
        on_train_end: a function of logs.
        on_train_batch_begin: a function of batch and logs.
        on_train_batch_end: a function of batch and logs.
        **others: functions for the other moments of Callback, by their names.

    Raises:
        ValueError: there is no such moment.

    >>> tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> tell.on_epoch_end(3, {"loss": 0.5})
    3 0.5
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **others: Callable[..., Any],
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for name, function in given.items():
            if name not in MOMENTS:
                raise ValueError(
                    f"LambdaCallback: there is no {name!r}.{did_you_mean(name, MOMENTS)} "
                    f"It has: {', '.join(MOMENTS)}."
                )
            if function is not None:
                setattr(self, name, function)
