"""The training part of what Keras users rely on, as tables: each entry with its arguments.

test_contract_training.py runs every line of them beside Keras.

    python tests/contract_training.py        does that, and prints how many entries agree
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EMA = {"use_ema": True, "ema_momentum": 0.8}

COMMON = [  # arguments that every optimizer takes
    {},
    {"weight_decay": 0.1},
    {"clipnorm": 1.0},
    {"clipvalue": 0.5},
    {"global_clipnorm": 1.0},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 3},
    EMA,
    EMA | {"ema_overwrite_frequency": 3},
    EMA | {"ema_overwrite_frequency": 2, "gradient_accumulation_steps": 2, "weight_decay": 0.1},
]

OPTIMIZERS = {  # name -> settings of its own
    "SGD": [
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    "RMSprop": [
        {"rho": 0.7},
        {"momentum": 0.9},
        {"centered": True, "epsilon": 1e-3},
        {"momentum": 0.9, "centered": True, "use_ema": True},
    ],
    "Adam": [{"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}, {"amsgrad": True}],
    "AdamW": [{"weight_decay": 0.5, "global_clipnorm": 0.5}, {"amsgrad": True}],
    "Adagrad": [{"initial_accumulator_value": 0.5, "epsilon": 1e-3}],
    "Adadelta": [{"rho": 0.8, "epsilon": 1e-2}],
    "Adamax": [{"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}],
    "Nadam": [{"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}],
    "Ftrl": [
        {"learning_rate_power": -0.7, "initial_accumulator_value": 0.3},
        {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1},
        {"l2_shrinkage_regularization_strength": 0.1, "beta": 0.2},
    ],
    "Lion": [{"beta_1": 0.8, "beta_2": 0.95}],
    "Lamb": [{"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}],
    "Muon": [
        {"nesterov": False, "momentum": 0.8, "rms_rate": None},
        {"ns_steps": 3, "adam_lr_ratio": 0.5, "adam_weight_decay": None},
        {"exclude_layers": ["kernel"], "adam_beta_1": 0.8, "adam_beta_2": 0.9, "epsilon": 1e-3},
        {"muon_a": 2.0, "muon_b": -1.5, "muon_c": 0.5, "exclude_embeddings": False},
    ],
}

SCHEDULES = {  # name -> settings
    "ExponentialDecay": [
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5},
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ],
    "InverseTimeDecay": [
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5},
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ],
    "PiecewiseConstantDecay": [
        {"boundaries": [5], "values": [0.1, 0.01]},
        {"boundaries": [3, 8, 20], "values": [0.1, 0.02, 0.03, 0.001]},
    ],
    "PolynomialDecay": [
        {"initial_learning_rate": 0.1, "decay_steps": 12},
        {"initial_learning_rate": 0.1, "decay_steps": 12, "end_learning_rate": 0.05, "power": 2.0},
        {"initial_learning_rate": 0.1, "decay_steps": 5, "cycle": True},
    ],
    "CosineDecay": [
        {"initial_learning_rate": 0.1, "decay_steps": 15},
        {"initial_learning_rate": 0.1, "decay_steps": 15, "alpha": 0.25},
        {
            "initial_learning_rate": 0.01,
            "decay_steps": 15,
            "warmup_target": 0.1,
            "warmup_steps": 6,
        },
    ],
    "CosineDecayRestarts": [
        {"initial_learning_rate": 0.1, "first_decay_steps": 4},
        {"initial_learning_rate": 0.1, "first_decay_steps": 4, "t_mul": 1.0, "m_mul": 0.5},
        {
            "initial_learning_rate": 0.1,
            "first_decay_steps": 3,
            "t_mul": 1.5,
            "m_mul": 0.8,
            "alpha": 0.1,
        },
    ],
}

LOSSES = {  # name -> (kind of data, settings)
    "MeanSquaredError": [("numbers", {})],
    "MeanAbsoluteError": [("numbers", {})],
    "MeanAbsolutePercentageError": [("numbers", {})],
    "MeanSquaredLogarithmicError": [("positive", {})],
    "Huber": [("numbers", {}), ("numbers", {"delta": 0.4})],
    "LogCosh": [("numbers", {})],
    "CosineSimilarity": [("numbers", {}), ("numbers", {"axis": 1}), ("maps", {"axis": 1})],
    "KLDivergence": [("distributions", {})],
    "Poisson": [("positive", {})],
    "Hinge": [("bits", {}), ("signs", {})],
    "SquaredHinge": [("bits", {}), ("signs", {})],
    "CategoricalHinge": [("one-hot logits", {})],
    "BinaryCrossentropy": [
        ("bits", {}),
        ("bits", {"label_smoothing": 0.2}),
        ("bit logits", {"from_logits": True, "label_smoothing": 0.1}),
        ("bit maps", {"axis": 1}),
    ],
    "CategoricalCrossentropy": [
        ("one-hot", {}),
        ("one-hot", {"label_smoothing": 0.2}),
        ("one-hot logits", {"from_logits": True, "label_smoothing": 0.1}),
        ("channels first", {"axis": 1, "from_logits": True}),
    ],
    "SparseCategoricalCrossentropy": [
        ("classes", {}),
        ("class logits", {"from_logits": True}),
        ("class logits", {"from_logits": True, "ignore_class": 2}),
        ("class maps", {"from_logits": True, "ignore_class": 255}),
    ],
    "BinaryFocalCrossentropy": [
        ("bits", {}),
        ("bits", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}),
        ("bit logits", {"from_logits": True, "label_smoothing": 0.1, "axis": -1}),
    ],
    "CategoricalFocalCrossentropy": [
        ("one-hot", {}),
        ("one-hot", {"alpha": 0.6, "gamma": 1.0, "label_smoothing": 0.2}),
        ("one-hot logits", {"from_logits": True, "axis": -1}),
    ],
}
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "none", None, "mean_with_sample_weight"]

METRICS = {  # name -> (kind of data, settings)
    "Accuracy": [("equal", {})],
    "BinaryAccuracy": [("bits", {}), ("bits", {"threshold": 0.2})],
    "CategoricalAccuracy": [("one-hot", {})],
    "SparseCategoricalAccuracy": [("classes", {})],
    "TopKCategoricalAccuracy": [("one-hot", {"k": 2})],
    "SparseTopKCategoricalAccuracy": [("classes", {"k": 3})],
    "MeanSquaredError": [("numbers", {})],
    "MeanAbsoluteError": [("numbers", {})],
    "RootMeanSquaredError": [("numbers", {})],
    "MeanAbsolutePercentageError": [("numbers", {})],
    "MeanSquaredLogarithmicError": [("positive", {})],
    "LogCoshError": [("numbers", {})],
    "CosineSimilarity": [("numbers", {}), ("numbers", {"axis": -1})],
    "R2Score": [
        ("numbers", {}),
        ("numbers", {"class_aggregation": None}),
        ("numbers", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    ],
    "KLDivergence": [("distributions", {})],
    "Poisson": [("positive", {})],
    "Hinge": [("signs", {})],
    "SquaredHinge": [("signs", {})],
    "CategoricalHinge": [("one-hot logits", {})],
    "BinaryCrossentropy": [
        ("bits", {"label_smoothing": 0.1}),
        ("bit logits", {"from_logits": True}),
    ],
    "CategoricalCrossentropy": [
        ("one-hot", {"label_smoothing": 0.1}),
        ("one-hot logits", {"from_logits": True, "axis": -1}),
    ],
    "SparseCategoricalCrossentropy": [
        ("classes", {}),
        ("class logits", {"from_logits": True, "ignore_class": 2}),
    ],
    "Precision": [
        ("bits", {}),
        ("bits", {"thresholds": [0.1, 0.25]}),
        ("bits", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}),
        ("bits", {"top_k": 2}),
        ("bits", {"top_k": 2, "thresholds": 0.25, "class_id": 3}),
        ("bits", {"class_id": 1, "thresholds": 0.2}),
    ],
    "Recall": [
        ("bits", {}),
        ("bits", {"thresholds": [0.1, 0.25]}),
        ("bits", {"top_k": 2}),
        ("bits", {"class_id": 1, "thresholds": 0.2}),
    ],
    "TruePositives": [("bits", {}), ("bits", {"thresholds": [0.1, 0.3]})],
    "TrueNegatives": [("bits", {}), ("bits", {"thresholds": 0.1})],
    "FalsePositives": [("bits", {}), ("bits", {"thresholds": [0.0, 0.5, 1.0]})],
    "FalseNegatives": [("bits", {}), ("bits", {"thresholds": [0.1, 0.3]})],
    "AUC": [
        ("bits", {}),
        ("bits", {"num_thresholds": 7, "summation_method": "minoring"}),
        ("bits", {"thresholds": [0.1, 0.2, 0.6], "summation_method": "majoring"}),
        ("bits", {"curve": "PR"}),
        ("bits", {"curve": "PR", "summation_method": "majoring"}),
        ("bits", {"curve": "PRGAIN"}),
        ("bits", {"multi_label": True, "num_labels": 5}),
        ("bits", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5, 0.0, 1.0]}),
        ("bits", {"multi_label": True, "curve": "PR", "thresholds": [0.1, 0.3]}),
        ("bits", {"label_weights": [1.0, 2.0, 0.5, 0.0, 1.0]}),
        ("bit logits", {"from_logits": True}),
    ],
    "SensitivityAtSpecificity": [
        ("bits", {"specificity": 0.5}),
        ("bits", {"specificity": 0.7, "num_thresholds": 20, "class_id": 2}),
    ],
    "SpecificityAtSensitivity": [("bits", {"sensitivity": 0.5, "num_thresholds": 1})],
    "PrecisionAtRecall": [("bits", {"recall": 0.5})],
    "RecallAtPrecision": [("bits", {"precision": 0.4, "class_id": 0})],
    "F1Score": [
        ("one-hot", {}),
        ("one-hot", {"average": "macro"}),
        ("bits", {"average": "weighted", "threshold": 0.2}),
        ("bits", {"average": "micro", "threshold": 0.2}),
    ],
    "FBetaScore": [("one-hot", {"beta": 2.0}), ("bits", {"beta": 0.5, "average": "micro"})],
    "IoU": [
        ("answers", {"num_classes": 5, "target_class_ids": [0, 3]}),
        (
            "one-hot",
            {
                "num_classes": 5,
                "target_class_ids": [1],
                "sparse_y_true": False,
                "sparse_y_pred": False,
            },
        ),
    ],
    "MeanIoU": [
        ("answers", {"num_classes": 5, "ignore_class": 2}),
        ("class logits", {"num_classes": 5, "sparse_y_pred": False, "axis": -1}),
    ],
    "BinaryIoU": [("bits", {}), ("bits", {"target_class_ids": [1], "threshold": 0.2})],
    "OneHotIoU": [("one-hot", {"num_classes": 5, "target_class_ids": [0, 2]})],
    "OneHotMeanIoU": [("one-hot", {"num_classes": 5, "ignore_class": 1})],
    "Mean": [("values", {})],
    "Sum": [("values", {})],
}

CALLBACKS = {  # name -> settings
    "EarlyStopping": [
        {"monitor": "loss", "min_delta": 1.0, "patience": 2, "restore_best_weights": True},
        {"monitor": "val_loss", "baseline": 0.0, "patience": 1, "start_from_epoch": 1},
    ],
    "ReduceLROnPlateau": [
        {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 1.0, "cooldown": 1},
        {"monitor": "val_accuracy", "patience": 0, "min_lr": 0.04, "mode": "min"},
    ],
    "LearningRateScheduler": [
        {"schedule": lambda epoch, rate: rate * 0.5},
        {"schedule": lambda epoch: 0.1 / (epoch + 1)},
    ],
    "TerminateOnNaN": [{}],
    "LambdaCallback": [{"on_epoch_end": lambda epoch, logs: logs.update(double=2.0 * epoch)}],
    "SwapEMAWeights": [{}, {"swap_on_epoch": True}],
    "CSVLogger": [{"separator": ";"}, {"append": True}],
    "ModelCheckpoint": [{"save_weights_only": True, "monitor": "loss", "save_best_only": True}],
    "BackupAndRestore": [{"save_freq": 2}],
}
WITH_A_FILE = {
    "CSVLogger": "log.csv",
    "ModelCheckpoint": "{epoch:02d}-{loss:.1f}.weights.h5",
    "BackupAndRestore": "backup",
}


class _Count:
    """How many tests have passed; a plugin of pytest."""

    passed = 0

    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed


def main() -> int:
    """Run the tests that go through the tables, and say whether all entries agree."""
    count = _Count()
    code = pytest.main(["-q", str(Path(__file__).with_name("test_contract_training.py"))], [count])
    tables = {
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "losses": LOSSES,
        "metrics": METRICS,
        "callbacks": CALLBACKS,
    }
    entries = ", ".join(f"{len(table)} {name}" for name, table in tables.items())
    total = sum(map(len, tables.values()))
    agree = code == 0 and count.passed > total
    print(f"{entries}: {f'all {total} entries agree' if agree else 'see above what differs'}")
    return int(not agree)


if __name__ == "__main__":
    sys.exit(main())
