"""Metrics of which class was taken for which: confusion matrix, accuracy per class, IoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.backend import Array
from minicnn.metrics.metric import Metric
from minicnn.pairing import fitting_weights, numbers

TINY = 1e-7


class _Matrix(Metric):
    """Counts how often each class was taken for each.

    Args:
        num_classes: how many there are.
        name: under which it is reported.

    Raises:
        ValueError: num_classes is no whole number above 0.
    """

    def __init__(self, num_classes: int, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(
                f"{type(self).__name__}: num_classes must be a whole number above 0, but is "
                f"{num_classes!r}."
            )
        self.num_classes = num_classes
        self.reset_state()

    def reset_state(self) -> None:
        self.counts = np.zeros((self.num_classes, self.num_classes))  # true class, answer

    def count(self, truth: Array, answers: Array, weights: Any) -> None:
        """Take answers into account; of any shape, class numbers all of them."""
        if weights is None:
            weights = np.ones(())
        else:
            weights = fitting_weights(self.name, weights, truth.shape)
        weights = np.broadcast_to(weights, truth.shape).ravel()
        truth, answers = truth.ravel().astype(np.intp), answers.ravel().astype(np.intp)
        K = self.num_classes
        inside = (truth >= 0) & (truth < K) & (answers >= 0) & (answers < K)
        pairs = truth[inside] * K + answers[inside]
        self.counts += np.bincount(pairs, weights[inside], minlength=K * K).reshape(K, K)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_classes": self.num_classes}


class ConfusionMatrix(_Matrix):
    """How often each class was taken for each: a row per true class, a column per answer.

    Not in Keras. minicnn.visualize.confusion_matrix draws it.

    Args:
        num_classes: how many there are.
        name: under which it is reported.

    Raises:
        ValueError: num_classes is no whole number above 0; or labels and outputs do not fit.

    >>> ConfusionMatrix(2)([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    array([[1., 0.],
           [1., 1.]])
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = numbers(self.name, y_true), numbers(self.name, y_pred)
        K = self.num_classes
        if y_pred.shape[-1:] != (K,) or y_pred.ndim < 2:
            raise ValueError(
                f"{self.name}: wants outputs of shape (N, {K}), but got {y_pred.shape}."
            )
        if y_true.shape == y_pred.shape:
            y_true = y_true.argmax(axis=-1)
        if y_true.shape == (*y_pred.shape[:-1], 1):
            y_true = y_true[..., 0]
        if y_true.shape != y_pred.shape[:-1]:
            raise ValueError(
                f"{self.name}: wants class numbers (N,) or one-hot labels (N, {K}) for outputs of "
                f"shape {y_pred.shape}, but got {y_true.shape}."
            )
        self.count(y_true, y_pred.argmax(axis=-1), sample_weight)

    def result(self) -> Any:
        return self.counts.copy()


class PerClassAccuracy(ConfusionMatrix):
    """The share of the samples of each class for which the answer was right. Not in Keras.

    Args:
        num_classes: how many there are.
        name: under which it is reported.

    Returns one number per class, NaN for a class that has not come.

    Raises:
        ValueError: num_classes is no whole number above 0; or labels and outputs do not fit.

    >>> PerClassAccuracy(2)([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    array([1. , 0.5])
    """

    def result(self) -> Any:
        samples = self.counts.sum(axis=1)
        none = np.full(self.num_classes, np.nan)
        return np.divide(self.counts.diagonal(), samples, out=none, where=samples > 0)


class IoU(_Matrix):
    """Intersection over union: how well regions that were called a class cover those that are it.

        tp / (tp + fp + fn),  the mean of it over the target classes that occur

    Differs from Keras where sample weights are no whole numbers: Keras cuts them off.

    Args:
        num_classes: how many there are.
        target_class_ids: the classes that count.
        name: under which it is reported.
        dtype: means nothing here.
        ignore_class: a label whose places do not count, or None.
        sparse_y_true: whether labels are class numbers, and not one-hot.
        sparse_y_pred: whether outputs are class numbers, and not scores per class.
        axis: along which one-hot labels and scores lie.

    Raises:
        ValueError: num_classes is no whole number above 0, or there is no such class.

    >>> round(IoU(2, [0])([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    direction = "max"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name)
        self.target_class_ids = list(target_class_ids)
        for target in self.target_class_ids:
            if not 0 <= target < num_classes:
                raise ValueError(
                    f"{type(self).__name__}: there is no class {target} among {num_classes}."
                )
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = numbers(self.name, y_true), numbers(self.name, y_pred)
        truth = y_true if self.sparse_y_true else y_true.argmax(axis=self.axis)
        answers = y_pred if self.sparse_y_pred else y_pred.argmax(axis=self.axis)
        if truth.size != answers.size:
            raise ValueError(
                f"{self.name}: {truth.size} labels do not fit {answers.size} answers, from shapes "
                f"{y_true.shape} and {y_pred.shape}. Are sparse_y_true and sparse_y_pred right?"
            )
        answers = answers.reshape(truth.shape)
        if self.ignore_class is not None:
            truth = np.where(truth == self.ignore_class, -1, truth)
        self.count(truth, answers, sample_weight)

    def result(self) -> float:
        right = self.counts.diagonal()
        union = (self.counts.sum(axis=0) + self.counts.sum(axis=1) - right)[self.target_class_ids]
        right = right[self.target_class_ids]
        occurs = union > 0
        return float((right / (union + TINY))[occurs].sum() / (occurs.sum() + TINY))

    def get_config(self) -> dict[str, Any]:
        own = ("target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return super().get_config() | {name: getattr(self, name) for name in own}


class MeanIoU(IoU):
    """The mean of intersection over union over all classes that occur; see IoU.

    Args:
        num_classes: how many there are.
        name: under which it is reported.
        dtype: means nothing here.
        ignore_class: a label whose places do not count, or None.
        sparse_y_true: whether labels are class numbers, and not one-hot.
        sparse_y_pred: whether outputs are class numbers, and not scores per class.
        axis: along which one-hot labels and scores lie.

    >>> round(MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            range(num_classes if isinstance(num_classes, int) else 0),
            name,
            dtype,
            ignore_class,
            sparse_y_true,
            sparse_y_pred,
            axis,
        )

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "target_class_ids")


class BinaryIoU(IoU):
    """Intersection over union for yes and no, told apart by a threshold; see IoU.

    Args:
        target_class_ids: which of 0, for no, and 1, for yes, count.
        threshold: where a yes begins; the threshold itself is a yes.
        name: under which it is reported.
        dtype: means nothing here.

    >>> round(BinaryIoU()([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 4)
    0.5833
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        scores = np.asarray(numbers(self.name, y_pred), np.float32)
        super().update_state(y_true, scores >= np.float32(self.threshold), sample_weight)

    def get_config(self) -> dict[str, Any]:
        own = ("target_class_ids", "threshold")
        return {"name": self.name} | {name: getattr(self, name) for name in own}


class OneHotIoU(IoU):
    """Intersection over union for one-hot labels; see IoU.

    Args:
        num_classes: how many there are.
        target_class_ids: the classes that count.
        name: under which it is reported.
        dtype: means nothing here.
        ignore_class: a label whose places do not count, or None.
        sparse_y_pred: whether outputs are class numbers, and not scores per class.
        axis: along which labels and scores lie.

    >>> metric = OneHotIoU(2, [0])
    >>> round(metric([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), 4)
    0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """The mean of intersection over union over all classes, for one-hot labels; see IoU.

    Args:
        num_classes: how many there are.
        name: under which it is reported.
        dtype: means nothing here.
        ignore_class: a label whose places do not count, or None.
        sparse_y_pred: whether outputs are class numbers, and not scores per class.
        axis: along which labels and scores lie.

    >>> metric = OneHotMeanIoU(2)
    >>> round(metric([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), 4)
    0.5
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


def _without(config: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != name}
