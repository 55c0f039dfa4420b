"""The loop itself: a training step, an epoch, a fit. This is the file to read first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minicnn.autograd import grad, no_grad
from minicnn.backend import Array
from minicnn.callbacks import CallbackList, Logs
from minicnn.models.batches import Batch, Feed
from minicnn.models.class_weights import ClassWeights
from minicnn.models.interrupts import interrupts_held
from minicnn.models.notices import warn_user
from minicnn.models.scores import Scores
from minicnn.models.validation import Validation
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.training import Trainer


class Loop:
    """Goes with a model through batches.

    Args:
        model: a model that is built and, but for predictions, compiled.
        scores: keeps up loss and metrics.
        callbacks: are told of everything.
    """

    def __init__(self, model: Trainer, scores: Scores, callbacks: CallbackList) -> None:
        self.model = model
        self.scores = scores
        self.callbacks = callbacks

    def train_step(self, batch: Batch, variables: list[Variable]) -> None:
        """Go forward, go backward, change the weights."""
        y_pred = self.model(batch.x, training=True)
        loss = self.scores.of_batch(batch, y_pred, self.model.losses)
        gradients = grad(loss, variables) if variables else []
        value, outputs = loss.item(), y_pred.numpy()
        del loss, y_pred  # and with them the graph, so that its memory serves the next step
        if variables:
            assert self.model.optimizer is not None
            with interrupts_held():
                self.model.optimizer.apply(gradients, variables)
        self.scores.update(value, batch, outputs)

    def test_step(self, batch: Batch) -> None:
        """Go forward, and see how good the outputs are."""
        with no_grad():
            y_pred = self.model(batch.x)
            loss = self.scores.of_batch(batch, y_pred, self.model.losses)
        self.scores.update(loss.item(), batch, y_pred.numpy())

    def fit(
        self,
        feed: Feed,
        validation: Validation | None,
        epochs: range,
        class_weights: ClassWeights | None,
    ) -> None:
        """Train for these epochs, unless a callback ends it before."""
        self.model.stop_training = False
        variables = self.model.variables_to_train()
        logs: Logs = {}
        self.callbacks.on_train_begin()
        for epoch in epochs:
            if feed.peek() is None:
                break
            self.callbacks.on_epoch_begin(epoch)
            logs = self._train_epoch(feed, variables, class_weights)
            if validation is not None and validation.is_due(epoch):
                results = self.evaluate(validation.feed())
                logs = logs | {f"val_{name}": value for name, value in results.items()}
            self.callbacks.on_epoch_end(epoch, logs)
            if self.model.stop_training or feed.ran_out:
                break
        if feed.ran_out:
            warn_user(
                "fit: the data has run out, so training ends early. A generator can be read only "
                "once: let it never end and give steps_per_epoch, or give what can be read again, "
                "as a list of batches."
            )
        self.callbacks.on_train_end(logs)

    def _train_epoch(
        self, feed: Feed, variables: list[Variable], class_weights: ClassWeights | None
    ) -> Logs:
        self.scores.reset()
        for number, batch in enumerate(feed.epoch()):
            self.callbacks.on_train_batch_begin(number)
            self.train_step(class_weights.applied_to(batch) if class_weights else batch, variables)
            self.callbacks.on_train_batch_end(number, self.scores.results())
            if self.model.stop_training:
                break
        return self.scores.results()

    def evaluate(self, feed: Feed) -> Logs:
        """Loss and metrics of all batches."""
        self.scores.reset()
        self.callbacks.on_test_begin()
        for number, batch in enumerate(feed.epoch()):
            self.callbacks.on_test_batch_begin(number)
            self.test_step(batch)
            self.callbacks.on_test_batch_end(number, self.scores.results())
        logs: Logs = self.scores.results()
        self.callbacks.on_test_end(logs)
        return logs

    def predict(self, feed: Feed) -> Array:
        """The outputs for all batches, as one array."""
        found = []
        self.callbacks.on_predict_begin()
        for number, batch in enumerate(feed.epoch()):
            self.callbacks.on_predict_batch_begin(number)
            with no_grad():
                found.append(self.model(batch.x).numpy())
            self.callbacks.on_predict_batch_end(number, {"outputs": found[-1]})
        self.callbacks.on_predict_end()
        return np.concatenate(found)
