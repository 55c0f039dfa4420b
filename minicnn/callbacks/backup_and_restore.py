"""BackupAndRestore: a training that was interrupted goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path

from minicnn.callbacks.callback import Callback, Logs
from minicnn.files import write_file

NAME, PREVIOUS = "training.npz", "training_previous.npz"


class BackupAndRestore(Callback):
    """Saves the state of the training, so that fit can go on after a crash or a power cut.

    Start the same program again: fit finds the backup and goes on from there, to the same weights
    and the same history, bit by bit, as if nothing had happened. The backup holds all that decides
    the further steps; see minicnn/models/backup.py. Each file is written completely before it takes
    the place of the old one, so a kill at any moment does no harm.

    Data that comes from a generator is gone through once more up to the same batch; it must yield
    the same again.

    Args:
        backup_dir: the folder for the backup, which no other training uses.
        save_freq: "epoch", or after how many batches to save.
        double_checkpoint: whether to keep the backup before the last one, too. It is read if the
            last one is broken.
        delete_checkpoint: whether to delete the backup when fit has ended.

    Raises:
        ValueError: backup_dir is empty, or save_freq is not a possible one; when fit begins, the
            backup is broken or of another training.

    >>> BackupAndRestore("backup", save_freq=100).save_freq
    100
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir is empty. Name a folder.")
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"BackupAndRestore: save_freq must be 'epoch' or a number of batches, but is "
                f"{save_freq!r}."
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._path = Path(backup_dir, NAME)
        self._previous = Path(backup_dir, PREVIOUS)
        self._batches = 0  # since the last backup

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0
        try:
            if self._path.exists():
                self.model.go_on_from(self._path.read_bytes())
        except ValueError:
            if not self._previous.exists():
                raise
            self.model.go_on_from(self._previous.read_bytes())

    def settled(self, epoch: int, step: int) -> None:
        if step:
            self._batches += 1
        if self.save_freq == "epoch":
            due = step == 0
        else:
            due = step > 0 and self._batches >= int(self.save_freq)
        if due:
            self._batches = 0
            self._save()

    def _save(self) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and self._path.exists():
            write_file(self._previous, self._path.read_bytes())
        write_file(self._path, self.model.backup())

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self.delete_checkpoint:
            return
        for path in (self._path, self._previous):
            path.unlink(missing_ok=True)
        if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
            os.rmdir(self.backup_dir)
