"""SwapEMAWeights: evaluates with the averages of the weights that the optimizer keeps."""

from __future__ import annotations

from typing import Any

from minicnn.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the averages into the model for evaluations and predictions, and takes them out after.

    The optimizer must keep them: compile with Adam(use_ema=True), for one.

    Args:
        swap_on_epoch: whether to put them in at the end of each epoch already, so that callbacks
            that save the model save the averages.

    Raises:
        ValueError: the optimizer keeps no averages.

    >>> SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
    True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._averages_are_in = False

    def _let_averages_be_in(self, wanted: bool) -> None:
        if self._averages_are_in != wanted:
            self.model.optimizer.swap_averages()
            self._averages_are_in = wanted

    def state(self) -> dict[str, Any]:
        return {"averages_are_in": self._averages_are_in}

    def load_state(self, state: dict[str, Any]) -> None:
        self._averages_are_in = state["averages_are_in"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._let_averages_be_in(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.swap_on_epoch:
            return
        self._let_averages_be_in(True)
        if epoch == self.params["epochs"] - 1 or self.model.stop_training:
            # fit ends by giving the model the averages, in whose place its own weights are now
            self.model.optimizer.restart_averages()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._let_averages_be_in(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._let_averages_be_in(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._let_averages_be_in(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._let_averages_be_in(False)
