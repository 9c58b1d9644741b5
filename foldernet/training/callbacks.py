"""Callbacks of a run: what the terminal shows, what is saved, and what ends it."""

import math
import sys
import time
from pathlib import Path

import keras

from foldernet import terminal
from foldernet.config import Config
from foldernet.terminal import UserError
from foldernet.training import runs


class EpochLines(keras.callbacks.Callback):
    """Keras's progress bar while an epoch runs, and one line once it is over.

    Into a file, only the lines. It also tells the training batches which epoch they are of, which
    Keras's own counting at the start of `fit` leaves open.

    Args:
        batches: the training iterator.
        checkpoint: marks the lines of the best epochs so far.
    """

    def __init__(self, batches, checkpoint: "BestModel"):
        super().__init__()
        self.batches, self.checkpoint = batches, checkpoint
        self.bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        self.started = time.perf_counter()
        if sys.stderr.isatty():
            self.bar = keras.utils.Progbar(self.params["steps"])

    def on_train_batch_end(self, batch, logs=None):
        if self.bar:
            self.bar.update(batch + 1, list((logs or {}).items()), finalize=False)

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        if self.bar:
            sys.stderr.write("\r\x1b[2K")
        scores = "  ".join(
            f"{name} {value:.4f}" for name, value in (logs or {}).items() if name != "learning_rate"
        )
        epochs = self.params["epochs"]
        best = "  best" if self.checkpoint.best_epoch == epoch else ""
        terminal.status(
            f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}  {scores}  {seconds:.1f} s{best}"
        )


class BestModel(keras.callbacks.ModelCheckpoint):
    """ModelCheckpoint for the best epoch by several scores, ties in one decided by the next.

    The file is written whole, with what prediction needs inside it.

    Args:
        path: of the .keras file.
        monitors: names in the logs; a leading "-" means that lower is better.
        metadata: as for `runs.save_model`.

    Attributes:
        best_epoch: 0 for the first epoch; None before it.
    """

    def __init__(self, path: Path, monitors: tuple[str, ...], metadata: dict):
        super().__init__(path, monitor=monitors[0].lstrip("-"))
        self.path, self.monitors, self.metadata = path, monitors, metadata
        self.best_score = self.best_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        score = tuple(
            -logs[name[1:]] if name.startswith("-") else logs[name] for name in self.monitors
        )
        if not all(map(math.isfinite, score)):
            return
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            runs.save_model(self.model, self.path, self.metadata)

    def load(self) -> keras.Model:
        """The best model, as it was saved.

        Raises:
            UserError: no epoch gave a number.
        """
        if self.best_epoch is None:
            raise UserError(
                "The loss was infinite or no number from the first epoch on. Lower --learning-rate."
            )
        return keras.saving.load_model(self.path, compile=False)


class LastModel(keras.callbacks.Callback):
    """Saves the model of the last epoch, whole, at the end of training.

    Args:
        path: of the .keras file.
        metadata: as for `runs.save_model`.
    """

    def __init__(self, path: Path, metadata: dict):
        super().__init__()
        self.path, self.metadata = path, metadata

    def on_train_end(self, logs=None):
        if math.isfinite(logs["loss"]):
            runs.save_model(self.model, self.path, self.metadata)


def early_stopping(config: Config) -> list[keras.callbacks.Callback]:
    """EarlyStopping, if the config asks for it."""
    if not config.early_stopping:
        return []
    return [keras.callbacks.EarlyStopping("val_loss", patience=config.early_stopping)]
