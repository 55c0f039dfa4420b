"""Callbacks: code of the user's, or of ours, that runs at fixed moments of fit and evaluate.

The order of a fit with validation data, for one epoch, and what `logs` holds:

    on_train_begin
    on_epoch_begin(0)
        on_train_batch_begin(b), on_train_batch_end(b)     accuracy, loss: means since the start
        on_test_begin ... on_test_batch_end(b) ... on_test_end
    on_epoch_end(0)                                        and val_accuracy, val_loss
    on_train_end                                           the same
"""

from minicnn.callbacks.backup_and_restore import BackupAndRestore
from minicnn.callbacks.callback import Callback, Logs
from minicnn.callbacks.callback_list import CallbackList
from minicnn.callbacks.csv_logger import CSVLogger
from minicnn.callbacks.early_stopping import EarlyStopping
from minicnn.callbacks.gradient_monitor import GradientMonitor
from minicnn.callbacks.history import History
from minicnn.callbacks.lambda_callback import LambdaCallback
from minicnn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from minicnn.callbacks.live_plot import LivePlot
from minicnn.callbacks.model_checkpoint import ModelCheckpoint
from minicnn.callbacks.monitor import MonitorCallback
from minicnn.callbacks.swap_ema_weights import SwapEMAWeights
from minicnn.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientMonitor",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "LivePlot",
    "Logs",
    "ModelCheckpoint",
    "MonitorCallback",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TerminateOnNaN",
]
