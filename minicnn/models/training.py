"""The training loop: compile, fit, evaluate, predict, and the same for a single batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from minicnn import optimizers
from minicnn.autograd import no_grad
from minicnn.callbacks import Callback, CallbackList, History
from minicnn.layers.arguments import whole_number
from minicnn.layers.calling import placeholders, shapes_of
from minicnn.layers.shapes import is_shape
from minicnn.layers.structure import is_nested, leaves, mapped
from minicnn.models.backup import Backup
from minicnn.models.batches import Batch, Batches, Feed, checked, converted
from minicnn.models.captured import StepGraphs
from minicnn.models.class_weights import class_weights
from minicnn.models.keywords import hints_at_misspelt_keywords
from minicnn.models.loop import AnyScores, Loop, as_numpy, packed_data
from minicnn.models.output_scores import OutputScores
from minicnn.models.progress import observed
from minicnn.models.scores import Scores, sole
from minicnn.models.sources import (
    all_labels,
    batches_of,
    split_off,
    training_batches,
    validation_batches,
)
from minicnn.models.steps import OWN_LOSSES, Steps
from minicnn.models.validation import Validation
from minicnn.models.watches.accuracy_gap import note_accuracy_gap, remember_data
from minicnn.models.watches.last_activation import check_last_activation
from minicnn.models.watches.pixels import warn_of_pixels
from minicnn.models.watches.shared_rows import warn_of_shared_rows
from minicnn.models.watches.trainability import note_reset_of_optimizer

Callbacks: TypeAlias = "Callback | Iterable[Callback] | None"
Results: TypeAlias = "float | list[float] | dict[str, float]"


class Trainer(Steps):
    """A layer that can be trained: the half of Model that does not care what it is made of.

    >>> import numpy as np
    >>> from minicnn import layers
    >>> from minicnn.models import Sequential
    >>> x = np.array([[1.0], [2.0], [3.0]])
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    >>> model.compile(optimizers.SGD(0.1), loss="mse")
    >>> history = model.fit(x, 5 * x, epochs=30, verbose=0)
    >>> round(model.predict([[10.0]], verbose=0).item(), 3), len(history.history["loss"])
    (50.0, 30)
    """

    @hints_at_misspelt_keywords
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Sequence[Any] | Mapping[str, Any] | None = None,
        weighted_metrics: Sequence[Any] | Mapping[str, Any] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to train: what is minimized, by whom, and what is measured.

        Args:
            optimizer: a name, as "adam", or an object.
            loss: a name, as "categorical_crossentropy", an object, or a function of labels and
                outputs.
            loss_weights: a number that the loss is multiplied by.
            metrics: names, objects or functions; sample weights do not count in them.
            weighted_metrics: the same, but sample weights count.
            run_eagerly: True is the same as jit_compile=False.
            steps_per_execution: means nothing here, nor does auto_scale_loss.
            jit_compile: whether a step of training on a GPU becomes a CUDA graph, which launches
                all kernels at once: True, False, or "auto", which is True where all layers and
                losses are minicnn's own. Where that cannot be, a warning says why, and the step is
                done kernel by kernel. On a CPU it means nothing.
            auto_scale_loss: see steps_per_execution.

        Raises:
            ValueError: a name is unknown.
            TypeError: something is of the wrong kind.
        """
        step_graphs = StepGraphs(False if run_eagerly else jit_compile)
        self._settings = (loss, loss_weights, metrics, weighted_metrics)
        scores = self._new_scores(self.names_of_outputs())
        new_optimizer = optimizers.get(optimizer)
        check_last_activation(self, scores)
        note_reset_of_optimizer(self, new_optimizer)
        self.optimizer = new_optimizer
        self.loss = loss
        self._scores = scores
        self.step_graphs = step_graphs

    def names_of_outputs(self) -> Any:
        """The names of the outputs, in the structure in which the model gives them.

        A single name, where there is one output; None, where it is not known yet.
        """
        return None

    def _new_scores(self, names: Any) -> AnyScores:
        """Scores for a model whose outputs have these names."""
        loss, loss_weights, metrics, weighted_metrics = self._settings
        if is_nested(names) and len(leaves(names)) > 1:
            keys = sorted(names) if isinstance(names, dict) else []
            flat = keys if len(keys) == len(leaves(names)) else leaves(names)
            return OutputScores(flat, names, loss, loss_weights, metrics, weighted_metrics)
        if names is None and is_nested(sole(loss)):
            return Scores()  # until the outputs are known
        return Scores(loss, loss_weights, metrics, weighted_metrics)

    @hints_at_misspelt_keywords
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
    ) -> History:
        """Train the model.

        Ctrl-C ends the training between two steps: the weights are those of the last whole step,
        and `model.history` has the epochs that were completed.

        Args:
            x: inputs, (samples, ...); or anything that yields batches (x, y) or (x, y, weight).
            y: labels, one row per sample.
            batch_size: samples in a step; None means 32. The last batch may be smaller.
            epochs: number of the last epoch; how often all samples are seen, unless initial_epoch
                is set.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line per epoch, "auto" for 1 on
                a terminal or in a notebook and 2 elsewhere.
            callbacks: see minicnn.callbacks.
            validation_split: the share of samples, cut off from the end before anything is
                shuffled, that is not trained with but evaluated after each epoch.
            validation_data: (x, y) or (x, y, weight), or what yields batches, to be evaluated
                after each epoch.
            shuffle: whether each epoch takes the samples in a new order.
            class_weight: {class number: how much a sample of it counts in the loss}.
            sample_weight: how much each sample counts in the loss, (samples,).
            initial_epoch: number of the first epoch, for a training that goes on.
            steps_per_epoch: batches in an epoch; None: all that there are.
            validation_steps: batches of a validation; None: all that there are.
            validation_batch_size: samples in a batch of a validation; None means batch_size.
            validation_freq: after how many epochs to validate, or a list of epochs.

        Returns:
            A History: its `history` has a list of numbers for each result.

        Raises:
            ValueError: the data does not fit together or to the model, or holds a NaN; the model
                is not compiled; an argument has a bad value.
            TypeError: something is of the wrong kind.
        """
        epochs = whole_number("fit [MC054]", "epochs", epochs)
        initial_epoch = whole_number("fit", "initial_epoch", initial_epoch, at_least=0)
        _check_counts("fit", batch_size=batch_size, steps_per_epoch=steps_per_epoch)
        _check_counts("fit", validation_batch_size=validation_batch_size)
        self._compiled("fit")
        weights = class_weights(class_weight, sample_weight, "fit")
        labels = not self.overrides("train_step")
        given = self._arranged(x, y, sample_weight)
        batches = training_batches(given, batch_size, shuffle, labels)
        held_out: Batches | None = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            held_out = validation_batches(validation_data, size, self._arranged)
        elif validation_split:
            held_out = split_off(batches, validation_split, validation_batch_size or batch_size)
        feed = Feed(batches, steps_per_epoch)
        warn_of_pixels(self, self._get_ready(feed, "fit").x)
        validation = None
        if held_out is not None:
            validation = Validation(
                held_out, validation_steps, validation_freq, epochs - initial_epoch
            )
            self._get_ready(validation.feed(), "fit: validation_data")
            warn_of_shared_rows(self, batches, held_out)
        scores = self._compiled("fit")
        remember_data(self, None if validation_split else x)
        own = CallbackList(callbacks)
        if not self.overrides("train_step"):
            own.check_names(_names_in_logs(scores.names, validated=validation is not None))
        self.history = History()
        watching = [*own.callbacks, self.history]
        with observed(self, watching, verbose, feed.steps, epochs) as observers:
            self._loop = Loop(self, scores, observers)
            try:
                self._loop.fit(feed, validation, range(initial_epoch, epochs), weights)
            finally:
                self._loop = None
        return self.history

    def backup(self) -> bytes:
        """The state of the fit that is running, for go_on_from; to be called by a callback.

        Raises:
            RuntimeError: no fit is running.
        """
        return Backup.of(self._running_loop("backup")).to_bytes()

    def go_on_from(self, content: bytes) -> None:
        """Let the fit that begins go on from a backup; to be called by a callback's on_train_begin.

        Args:
            content: what `backup` has returned.

        Raises:
            RuntimeError: no fit is running.
            ValueError: content is broken.
        """
        self._running_loop("go_on_from").resumed = Backup.from_bytes(content)

    def _running_loop(self, who: str) -> Loop:
        if self._loop is None:
            raise RuntimeError(f"{who}: no fit is running. Call it in a callback's method.")
        return self._loop

    @hints_at_misspelt_keywords
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
    ) -> Results:
        """Compute the loss and the metrics for data, without learning from it.

        Args:
            x: inputs, or what yields batches; see fit.
            y: labels.
            batch_size: samples that are computed at once; None means 32.
            verbose: see fit.
            sample_weight: how much each sample counts in the loss.
            steps: how many batches to take; None: all that there are.
            callbacks: see minicnn.callbacks.
            return_dict: whether to return a dict.

        Returns:
            The loss, if there are no metrics; the list of `metrics_names`; or a dict.

        Raises:
            ValueError: as for fit.
            TypeError: as for fit.
        """
        self._compiled("evaluate")
        _check_counts("evaluate", batch_size=batch_size, steps=steps)
        given, labels = self._arranged(x, y, sample_weight), not self.overrides("test_step")
        feed = Feed(batches_of(given, batch_size, "evaluate", labels), steps)
        self._get_ready(feed, "evaluate")
        scores = self._compiled("evaluate")
        with observed(self, CallbackList(callbacks).callbacks, verbose, feed.steps) as observers:
            logs = Loop(self, scores, observers).evaluate(feed)
        note_accuracy_gap(self, x, logs)
        return self._reported(logs, return_dict)

    @hints_at_misspelt_keywords
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Any:
        """Compute the outputs for inputs, batch by batch.

        Args:
            x: inputs, or what yields batches of them.
            batch_size: samples that are computed at once; None means 32.
            verbose: see fit.
            steps: how many batches to take; None: all that there are.
            callbacks: see minicnn.callbacks.

        Returns:
            An array with one row per sample; a list or dict of them, if the model has several
            outputs.

        Raises:
            ValueError: x does not fit to the model, is empty or holds a NaN.
            TypeError: x holds no numbers.
        """
        _check_counts("predict", batch_size=batch_size, steps=steps)
        given = self._arranged(x, None, None)
        feed = Feed(batches_of(given, batch_size, "predict", labels=False), steps)
        self._get_ready(feed, "predict")
        with observed(self, CallbackList(callbacks).callbacks, verbose, feed.steps) as observers:
            return Loop(self, Scores(), observers).predict(feed)

    @hints_at_misspelt_keywords
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Results:
        """Do one training step.

        Args:
            x: the inputs of one batch.
            y: its labels.
            sample_weight: how much each sample counts in the loss.
            class_weight: {class number: how much a sample of it counts in the loss}.
            return_dict: whether to return a dict.

        Returns:
            Loss and metrics of this batch, before the step; see evaluate.

        Raises:
            ValueError: as for fit.
            TypeError: as for fit.
        """
        self._compiled("train_on_batch")
        weights = class_weights(class_weight, sample_weight, "train_on_batch")
        labels = not self.overrides("train_step")
        batch = self._ready_batch(x, y, sample_weight, "train_on_batch", labels)
        loop = Loop(self, self._compiled("train_on_batch"), CallbackList())
        loop.reset()
        loop.train_step(weights.applied_to(batch) if weights else batch, self.variables_to_train())
        return self._reported(loop.results(), return_dict)

    @hints_at_misspelt_keywords
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Results:
        """Compute the loss and the metrics of one batch, without learning from it.

        Args:
            x: the inputs of one batch.
            y: its labels.
            sample_weight: how much each sample counts in the loss.
            return_dict: whether to return a dict.

        Returns:
            Loss and metrics of this batch; see evaluate.

        Raises:
            ValueError: as for fit.
            TypeError: as for fit.
        """
        self._compiled("test_on_batch")
        labels = not self.overrides("test_step")
        batch = self._ready_batch(x, y, sample_weight, "test_on_batch", labels)
        loop = Loop(self, self._compiled("test_on_batch"), CallbackList())
        loop.reset()
        loop.test_step(batch)
        return self._reported(loop.results(), return_dict)

    @hints_at_misspelt_keywords
    def predict_on_batch(self, x: Any) -> Any:
        """Compute the outputs for one batch of inputs.

        Args:
            x: the inputs.

        Returns:
            An array with one row per sample.

        Raises:
            ValueError: x does not fit to the model, is empty or holds a NaN.
            TypeError: x holds no numbers.
        """
        batch = converted(checked(self._arranged(x, None, None)[0], who="predict_on_batch"))
        with no_grad():
            return mapped(as_numpy, self.predict_step(packed_data(batch)))

    def _arranged(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """What the user gave; for a model of one input or output without a list around it.

        A list of arrays is then one array, whose rows they are, as a list of numbers is.
        """
        return x, y, sample_weight

    def forget_shapes_of_labels(self) -> None:
        """Find out again which accuracy is meant, because the model has changed."""
        if self._scores is not None:
            self._scores.forget_choice()

    def _get_ready(self, feed: Feed, who: str) -> Batch:
        """Build the model for the first batch, and see whether data and model fit together."""
        first = feed.peek()
        if first is None:
            raise ValueError(f"{who} [MC054]: there is no batch in what x yields.")
        self.ensure_built(shapes_of(first.x))
        labels = all_labels(feed.batches, first)
        if self._scores is not None and labels is not None:
            self._fit_scores_to(labels, who)
        return first

    def _fit_scores_to(self, labels: Any, who: str) -> None:
        if any(map(self.overrides, OWN_LOSSES)) and self._settings[0] is None:
            return  # the model computes what it likes from them
        shapes = self.output_shape
        if self.names_of_outputs() is None and not is_shape(shapes):
            self._scores = self._scores_for_results(shapes)
        assert self._scores is not None
        self._scores.check_labels(labels, shapes, who)
        self._scores.choose(labels, shapes)

    def _scores_for_results(self, shapes: Any) -> AnyScores:
        """Scores for a model that gives a structure of results, which only now are known."""
        if isinstance(self._scores, OutputScores):
            return self._scores
        tensors = placeholders(shapes, self.dtype)
        counted = iter(range(1, len(leaves(tensors)) + 1))
        return self._new_scores(mapped(lambda _: f"output_{next(counted)}", tensors))

    def _ready_batch(self, x: Any, y: Any, sample_weight: Any, who: str, labels: bool) -> Batch:
        if y is None and labels:
            raise ValueError(f"{who}: y is missing, the labels: {who}(x, y).")
        batch = converted(checked(*self._arranged(x, y, sample_weight), who))
        self.ensure_built(shapes_of(batch.x))
        if batch.y is not None:
            self._check_kind(batch.y, who)
        return batch

    def _check_kind(self, labels: Any, who: str) -> None:
        """Look at the labels of a batch, if they are of another kind than the last ones.

        The step itself looks at their values.
        """
        kind = [(array.shape[1:], array.dtype) for array in leaves(labels)], self.output_shape
        if self._scores is None or kind != self._scores.kind_of_labels:
            self._fit_scores_to(labels, who)
            assert self._scores is not None
            self._scores.kind_of_labels = kind

    def _reported(self, logs: dict[str, float], return_dict: bool) -> Results:
        if return_dict:
            return logs
        order = self.metrics_names
        if not logs.keys() >= set(order):  # those of a step of the model's own
            order = [metric.name for metric in self.metrics if metric.name in logs]
            order += sorted(logs.keys() - set(order))
        results = [logs[name] for name in order]
        return results if len(results) > 1 else results[0]


def _check_counts(who: str, **counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None:
            whole_number(f"{who} [MC054]", name, count)


def _names_in_logs(names: list[str], validated: bool) -> list[str]:
    """What the logs hold at the end of an epoch."""
    return sorted(names) + [f"val_{name}" for name in sorted(names) if validated]
