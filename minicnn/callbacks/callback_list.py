"""CallbackList: several callbacks that act as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minicnn.callbacks.callback import Callback, Logs
from minicnn.callbacks.monitor import MonitorCallback


class CallbackList(Callback):
    """Several callbacks that act as one, in their order.

    Args:
        callbacks: callbacks, or a single one, or None.
        model: what they are to see as `self.model`.
        params: what they are to see as `self.params`.

    Raises:
        TypeError: one of them is no Callback.
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        model: Any = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        alone = callbacks is None or not isinstance(callbacks, Iterable)
        found = ([] if callbacks is None else [callbacks]) if alone else list(callbacks)  # type: ignore[arg-type]
        for callback in found:
            _check_kind(callback)
        self.callbacks: list[Callback] = found  # type: ignore[assignment]
        self.set_model(model)
        self.set_params(params or {})

    def check_names(self, names: Sequence[str]) -> None:
        """Check that what the callbacks watch will be there.

        A callback that somebody else wrote may add entries of its own to the logs. Then nobody
        can know the names now, and what is missing shows at the end of the first epoch.

        Args:
            names: the keys that the logs will have at the end of an epoch.

        Raises:
            ValueError: a callback watches something else.
        """
        names = [*names, *(name for c in self.callbacks for name in c.adds_to_logs)]
        monitors = [c for c in self.callbacks if isinstance(c, MonitorCallback)]
        for callback in monitors:
            callback.names = names
        if all(c.on_epoch_end.__module__.startswith("minicnn.") for c in self.callbacks):
            for callback in monitors:
                callback.check_names(names)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def settled(self, epoch: int, step: int) -> None:
        for callback in self.callbacks:
            callback.settled(epoch, step)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_begin(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_end(logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_begin(logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_end(logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_batch_begin(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_batch_end(batch, logs)


def _check_kind(callback: Any) -> None:
    if isinstance(callback, Callback):
        return
    if isinstance(callback, type) and issubclass(callback, Callback):
        name = callback.__name__
        raise TypeError(f"callbacks: {name} is a class. Give an object of it: {name}().")
    raise TypeError(
        f"callbacks: wants Callback objects, but got {callback!r}. Derive your class from "
        f"minicnn.callbacks.Callback."
    )
