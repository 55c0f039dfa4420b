"""The loop itself: a training step, an epoch, a fit. This is the file to read first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from minicnn.autograd import Tensor, grad, no_grad
from minicnn.backend import Array, kernels, on_cpu
from minicnn.callbacks import CallbackList, Logs
from minicnn.layers.structure import leaves, mapped, packed
from minicnn.models.backup import Backup
from minicnn.models.batches import Batch, Feed
from minicnn.models.class_weights import ClassWeights
from minicnn.models.interrupts import interrupts_held
from minicnn.models.output_scores import OutputScores
from minicnn.models.scores import Scores
from minicnn.models.validation import Validation
from minicnn.models.watches import FitWatches
from minicnn.notices import warn_user
from minicnn.utils import pack_x_y_sample_weight
from minicnn.variable import Variable

if TYPE_CHECKING:
    from minicnn.models.steps import Steps

AnyScores: TypeAlias = Scores | OutputScores


class Loop:
    """Goes with a model through batches.

    Args:
        model: a model that is built and, but for predictions, compiled.
        scores: keeps up loss and metrics.
        callbacks: are told of everything.
    """

    def __init__(self, model: Steps, scores: AnyScores, callbacks: CallbackList) -> None:
        self.model = model
        self.scores = scores
        self.callbacks = callbacks
        self._own_logs: Logs | None = None  # of the last step, if the model defines it itself
        self._has_own_train_step = model.overrides("train_step")
        self._has_own_test_step = model.overrides("test_step")
        self._has_own_loss = model.overrides("compute_loss")
        self.feed: Feed | None = None  # what fit trains with
        self.epoch = self.step = 0  # with which fit goes on
        self.logs: Logs = {}  # of the last epoch
        self.resumed: Backup | None = None  # where fit begins, if not at its beginning
        self.watches: FitWatches | None = None  # of fit

    def train_step(self, batch: Batch, variables: list[Variable]) -> None:
        """Do a step, as it stands here or as the model defines it itself."""
        if self._has_own_train_step:
            self._own_logs = plain_logs(self.model.train_step(packed_data(batch)))
        else:
            self.usual_train_step(batch, variables)

    def usual_train_step(self, batch: Batch, variables: list[Variable]) -> None:
        """Go forward, go backward, change the weights."""
        optimizer = self.model.optimizer
        assert optimizer is not None
        value, outputs, gradients = self._passed(batch, variables)
        if self.watches is not None:
            self.watches.before_update(value, gradients, batch)
        if variables:
            with interrupts_held():
                optimizer.apply(gradients, variables)
        self.scores.update(value, batch, outputs)

    def passes(self, batch: Batch, variables: list[Variable]) -> tuple[Tensor, Any, list[Tensor]]:
        """Go forward and backward: the loss, the outputs, and the gradients of variables."""
        y_pred = self.model(batch.x, training=True)
        loss = self.loss_of(batch, y_pred, training=True)
        assert self.model.optimizer is not None
        scaled = self.model.optimizer.scale_loss(loss)
        return loss, y_pred, grad(scaled, variables) if variables else []

    def _passed(self, batch: Batch, variables: list[Variable]) -> tuple[float, Any, list[Tensor]]:
        """The results of `passes` that outlive the step; its ops, and their memory, are gone."""
        graph = self.model.step_graphs.graph_for(self, batch, variables)
        if graph is not None:
            return graph.run(self, batch)
        loss, y_pred, gradients = self.passes(batch, variables)
        return loss.item(), mapped(Tensor.numpy, y_pred), gradients

    @property
    def is_watched_closely(self) -> bool:
        """Whether these are the first steps of a fit, which are looked at more closely."""
        return self.watches is not None and self.watches.are_looking

    def test_step(self, batch: Batch) -> None:
        """Evaluate a batch, as it stands here or as the model defines it itself."""
        if self._has_own_test_step:
            with no_grad():
                self._own_logs = plain_logs(self.model.test_step(packed_data(batch)))
        else:
            self._own_logs = None
            self.usual_test_step(batch)

    def usual_test_step(self, batch: Batch) -> None:
        """Go forward, and see how good the outputs are."""
        with no_grad():
            y_pred = self.model(batch.x)
            loss = self.loss_of(batch, y_pred, training=False)
        self.scores.update(loss.item(), batch, mapped(Tensor.numpy, y_pred))

    def loss_of(self, batch: Batch, y_pred: Any, training: bool) -> Tensor:
        """The loss of a batch, with what regularization adds to it."""
        if not self._has_own_loss:
            return self.scores.of_batch(batch, y_pred, self.model.losses)
        return self.model.compute_loss(batch.x, batch.y, y_pred, batch.weight, training=training)

    def results(self) -> Logs:
        """The means so far; or what the model's own step has returned last."""
        return self.scores.results() if self._own_logs is None else self._own_logs

    def reset(self) -> None:
        """Begin a new epoch or evaluation."""
        self._own_logs = None
        self.scores.reset()
        self.model.reset_metrics()

    @kernels.gpu.memory_explained()
    def fit(
        self,
        feed: Feed,
        validation: Validation | None,
        epochs: range,
        class_weights: ClassWeights | None,
    ) -> None:
        """Train for these epochs, unless a callback ends it before."""
        self.model.stop_training = False
        self.feed = feed
        variables = self.model.variables_to_train()
        self.watches = FitWatches(self, variables)
        self.callbacks.on_train_begin()
        if self.resumed is not None:
            self.resumed.begin(self)
            self.logs, epochs = self.resumed.logs, range(self.resumed.epoch, epochs.stop)
        for self.epoch in epochs:
            if not self._is_interrupted() and feed.peek() is None:
                break
            epoch, first = self.epoch, self._first_step()
            logs = self._train_epoch(feed, variables, class_weights, first)
            if validation is not None and validation.is_due(epoch):
                results = self.evaluate(validation.feed())
                logs |= {f"val_{name}": value for name, value in results.items()}
                logs = dict(sorted(logs.items()))
            self.callbacks.on_epoch_end(epoch, logs)
            self.logs = logs
            if self.model.stop_training or feed.ran_out:
                break
            self._settle(epoch + 1, 0)
        if feed.ran_out:
            warn_user(
                "fit: the data has run out, so training ends early. A generator can be read only "
                "once: let it never end and give steps_per_epoch, or give what can be read again, "
                "as a list of batches."
            )
        if variables and self.model.optimizer is not None:
            self.model.optimizer.finalize_variable_values(variables)
        self.callbacks.on_train_end(self.logs)

    def _first_step(self) -> int:
        """Begin an epoch, or go on in one that was interrupted; return the step to begin with."""
        self.callbacks.on_epoch_begin(self.epoch)
        if self.resumed is not None and self._is_interrupted():
            self.resumed.restore(self)  # again, as on_epoch_begin may have changed something
            return self.resumed.step
        self.reset()
        return 0

    def _is_interrupted(self) -> bool:
        """Whether fit goes on in the middle of this epoch."""
        resumed = self.resumed
        return resumed is not None and resumed.epoch == self.epoch and resumed.step > 0

    def _settle(self, epoch: int, step: int) -> None:
        self.epoch, self.step = epoch, step
        self.callbacks.settled(epoch, step)

    def _train_epoch(
        self,
        feed: Feed,
        variables: list[Variable],
        class_weights: ClassWeights | None,
        first: int,
    ) -> Logs:
        epoch = self.epoch
        for number, batch in enumerate(feed.epoch(first), first):
            self.callbacks.on_train_batch_begin(number)
            self.train_step(class_weights.applied_to(batch) if class_weights else batch, variables)
            self.callbacks.on_train_batch_end(number, self.results())
            if self.model.stop_training:
                break
            self._settle(epoch, number + 1)
        return self.results()

    @kernels.gpu.memory_explained()
    def evaluate(self, feed: Feed) -> Logs:
        """Loss and metrics of all batches."""
        self.reset()
        self.callbacks.on_test_begin()
        for number, batch in enumerate(feed.epoch()):
            self.callbacks.on_test_batch_begin(number)
            self.test_step(batch)
            self.callbacks.on_test_batch_end(number, self.results())
        logs = self.results()
        self.callbacks.on_test_end(logs)
        return logs

    @kernels.gpu.memory_explained()
    def predict(self, feed: Feed) -> Any:
        """The outputs for all batches, as one array, or in the structure of the outputs."""
        found: list[Any] = []
        self.callbacks.on_predict_begin()
        for number, batch in enumerate(feed.epoch()):
            self.callbacks.on_predict_batch_begin(number)
            with no_grad():
                found.append(mapped(as_numpy, self.model.predict_step(packed_data(batch))))
            self.callbacks.on_predict_batch_end(number, {"outputs": found[-1]})
        self.callbacks.on_predict_end()
        columns = zip(*map(leaves, found), strict=True)
        return packed(found[0], [np.concatenate(arrays) for arrays in columns])


def packed_data(batch: Batch) -> Any:
    """The batch in the form in which a model's own step gets it."""
    return pack_x_y_sample_weight(batch.x, batch.y, batch.weight)


def as_numpy(output: Any) -> Array:
    """The numbers of a tensor, or of what a model's own step has returned in its place."""
    return output.numpy() if isinstance(output, Tensor) else on_cpu(output)


def plain_logs(logs: Any) -> Logs:
    """What a model's own step has returned, with Python numbers.

    Raises:
        TypeError: it is no dict of numbers.

    >>> plain_logs({"loss": Tensor(0.5)})
    {'loss': 0.5}
    """
    if not isinstance(logs, dict):
        raise TypeError(
            f"train_step and test_step must return a dict, as {{'loss': loss}}, but one has "
            f"returned {type(logs).__name__}."
        )
    return {name: float(value) for name, value in sorted(logs.items())}
