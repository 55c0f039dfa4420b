"""Steps of training: what happens to one batch. A model can define its own."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import Any

from minicnn.autograd import Tensor
from minicnn.backend import kernels
from minicnn.callbacks import CallbackList, History
from minicnn.layers import Layer
from minicnn.layers.structure import mapped
from minicnn.metrics import Metric
from minicnn.models.batches import Batch
from minicnn.models.captured import StepGraphs
from minicnn.models.loop import AnyScores, Loop, as_numpy
from minicnn.notices import warn_user
from minicnn.optimizers import Optimizer
from minicnn.utils import unpack_x_y_sample_weight
from minicnn.variable import Variable

OWN_LOSSES = ("train_step", "compute_loss")  # a model that defines one may have no other loss


class Steps(Layer):
    """A layer that knows how to learn from a batch, and to be judged by one; see Model."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.optimizer: Optimizer | None = None
        self.loss: Any = None
        self.history: History | None = None  # of the last fit
        self.stop_training = False
        self._settings: tuple[Any, ...] = (None,)  # of compile: the loss and what belongs to it
        self._scores: AnyScores | None = None
        self._loop: Loop | None = None  # of the fit that is running
        self.step_graphs = StepGraphs(wanted=False)  # until compile says what is wanted

    def to(self, device: str) -> Steps:
        """Put all weights, and the state of the optimizer, on a device; returns the model.

        The model computes there from now on, whatever set_device says.

        Args:
            device: "cpu", "gpu" or "emulator".

        Raises:
            ValueError: there is no such device.
            RuntimeError: it cannot be had; the message says why, and how to mend it.
        """
        super().to(device)
        if self.optimizer is not None:
            self.optimizer.move(device)
        return self

    @property
    def metrics(self) -> list[Any]:
        """What keeps a mean: that of the loss, the metrics of compile, and own attributes."""
        found = [] if self._scores is None else self._scores.trackers
        return found + [value for value in vars(self).values() if isinstance(value, Metric)]

    @property
    def metrics_names(self) -> list[str]:
        """The names of what evaluate returns: "loss", then the metrics.

        Differs from Keras 3, which gives ["loss", "compile_metrics"].
        """
        return [] if self._scores is None else self._scores.names

    def reset_metrics(self) -> None:
        """Let all metrics begin anew."""
        for metric in self.metrics:
            metric.reset_state()

    def overrides(self, method: str) -> bool:
        """Whether the class of the model defines this method itself."""
        return getattr(type(self), method) is not getattr(Steps, method)

    def train_step(self, data: Any) -> Mapping[str, Any]:
        """Do one training step: a subclass can do it in its own way.

        It computes outputs with self(x, training=True), a loss, gradients with minicnn.grad, and
        hands these to the optimizer; what it returns is printed, and kept in the History:

            def train_step(self, data):
                x, y = data
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
                gradients = grad(loss, self.trainable_weights)
                self.optimizer.apply(gradients, self.trainable_weights)
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss)
                    else:
                        metric.update_state(y, y_pred)
                return {metric.name: metric.result() for metric in self.metrics}

        A loop without fit does the same, with any model:

            for x, y in batches:
                loss = loss_function(y, model(x, training=True))
                optimizer.apply(grad(loss, weights), weights)

        Args:
            data: x, (x, y) or (x, y, sample_weight), as arrays; see
                utils.unpack_x_y_sample_weight.

        Returns:
            Numbers by name, the means over the epoch so far.
        """
        scores, batch = self._step_with(data)
        Loop(self, scores, CallbackList()).usual_train_step(batch, self.variables_to_train())
        return scores.results()

    def test_step(self, data: Any) -> Mapping[str, Any]:
        """Evaluate one batch: a subclass can do it in its own way.

        Args:
            data: see train_step.

        Returns:
            Numbers by name, the means over all batches so far.
        """
        scores, batch = self._step_with(data)
        Loop(self, scores, CallbackList()).usual_test_step(batch)
        return scores.results()

    def predict_step(self, data: Any) -> Any:
        """Compute the outputs for one batch: a subclass can do it in its own way.

        Args:
            data: the inputs; or (inputs, ...).

        Returns:
            A tensor with one row per sample, or a structure of such tensors.
        """
        return self(unpack_x_y_sample_weight(data)[0])

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of one batch, which is minimized: a subclass can compute another one.

        Args:
            x: the inputs.
            y: labels.
            y_pred: what the model has computed from the inputs.
            sample_weight: how much each sample counts.
            training: whether this is a training step.

        Returns:
            A single number: the loss of compile, and all that self.losses has.

        Raises:
            ValueError: there is neither.
        """
        if self._scores is not None and self._scores.loss is not None:
            return self._scores.of_batch(Batch(x, y, sample_weight), y_pred, self.losses)
        if not self.losses:
            raise ValueError(
                f"compute_loss: {self.title} has no loss. Give compile one, or use add_loss in "
                f"the call of a layer."
            )
        return functools.reduce(operator.add, self.losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, float]:
        """Let the metrics of compile see a batch, and return the means over the epoch so far.

        Args:
            x: the inputs.
            y: labels.
            y_pred: what the model has computed from the inputs.
            sample_weight: how much each sample counts.
        """
        scores = self._compiled("compute_metrics")
        scores.update_metrics(Batch(x, y, sample_weight), mapped(as_numpy, y_pred))
        return scores.results()

    def _step_with(self, data: Any) -> tuple[AnyScores, Batch]:
        return self._compiled("train_step"), Batch(*unpack_x_y_sample_weight(data))

    def variables_to_train(self) -> list[Variable]:
        """The weights that the optimizer is to change; it is told of them if they are new to it."""
        variables = self.trainable_weights
        if not variables:
            warn_user(f"{self.title}: has no weights that training could change. Is all frozen?")
        elif self.optimizer is not None:
            self.optimizer.build(variables)
            kernels.second_compiler.begin(variables[0].data)
        return variables

    def _compiled(self, who: str) -> AnyScores:
        if self._scores is None:
            raise ValueError(
                f"{who}: {self.title} is not compiled. Call model.compile(optimizer='adam', "
                f"loss=...) first."
            )
        if self._settings[0] is None and not any(map(self.overrides, OWN_LOSSES)):
            raise ValueError(
                f"{who} [MC023]: {self.title} was compiled without a loss, so there is nothing to "
                f"minimize. Compile it with loss='categorical_crossentropy', for one."
            )
        return self._scores
