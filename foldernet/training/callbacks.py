"""Callbacks of a run: what the terminal shows, what is saved, and what ends it."""

import math
import sys
import time
from pathlib import Path

import keras

from foldernet import files, terminal
from foldernet.terminal import UserError
from foldernet.training import model_file

NOT_SCORES = ("learning_rate", "seconds", "images_per_second", "waiting")
LINE_EVERY = 30  # seconds, within an epoch


class Pace(keras.callbacks.Callback):
    """Adds to each epoch's logs how fast it was, and how long the network waited for images.

    It comes before what writes the logs, which then has `seconds` since training began,
    `images_per_second`, and `waiting`, the share of the training time in which the network had
    nothing to do. That is measured where it can be seen: when a call of several steps has ended and
    the first batch of the next isn't ready. It stands for the others.

    Args:
        batches: the training iterator.
        history: the logs of the epochs so far, of earlier stages too.

    Attributes:
        seconds: since training began, without those in which it was interrupted.
    """

    kept = ("seconds",)

    def __init__(self, batches, history):
        super().__init__()
        self.batches, self.history = batches, history

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._began = time.perf_counter() - seconds

    def on_train_begin(self, logs=None):
        self.seconds = self.history[-1]["seconds"] if self.history else 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        self.calls = {}  # the batch that comes next -> when the network was free for it

    def on_train_batch_end(self, batch, logs=None):
        self.calls[batch + 1] = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        batches, ended = self.calls.popitem() if self.calls else (0, time.perf_counter())
        waited = sum(max(0.0, self.batches.ready[step] - free) for step, free in self.calls.items())
        seconds = ended - self.started
        images = min(batches * self.batches.batch_size, self.batches.n)
        logs["seconds"], logs["images_per_second"] = self.seconds, images / seconds
        logs["waiting"] = min(1.0, waited * self.model.steps_per_execution / seconds)


class Curves(keras.callbacks.TensorBoard):
    """TensorBoard, whose curves are on disk after each epoch: a killed run has all of them.

    Epochs count from 1, as on the terminal.
    """

    def on_test_end(self, logs=None):
        super().on_test_end({})  # with logs, it would draw each validation score a second time

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch + 1, logs)
        for writer in (self._train_writer, self._val_writer):
            writer.flush()


class ProgressLog(keras.callbacks.Callback):
    """Keras's progress bar while an epoch runs, and one line once it is over.

    Into a file, only lines; of a long epoch, one now and then.

    Args:
        checkpoint: marks the lines of the best epochs so far.
        batches: the training iterator.
        epochs: how many there will be, of all stages.
    """

    def __init__(self, checkpoint: "BestModel", batches, epochs: int):
        super().__init__()
        self.checkpoint, self.batches, self.epochs = checkpoint, batches, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.shown = time.monotonic()
        self.title = f"epoch {epoch + 1:{len(str(self.epochs))}}/{self.epochs}"
        self.bar = keras.utils.Progbar(len(self.batches)) if sys.stderr.isatty() else None

    def on_train_batch_end(self, batch, logs=None):
        # Keras counts the steps of a whole call, the last of which may have fewer.
        done = min(self.batches.first + batch + 1, len(self.batches))
        if self.bar:
            self.bar.update(done, list((logs or {}).items()), finalize=False)
        elif time.monotonic() - self.shown > LINE_EVERY:
            terminal.status(f"{self.title}: step {done} of {len(self.batches)}")
            self.shown = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if self.bar:
            sys.stderr.write("\r\x1b[2K")
        shown = {name: value for name, value in logs.items() if name not in NOT_SCORES}
        scores = "  ".join(f"{name} {terminal.number(value)}" for name, value in shown.items())
        best = "  best" if self.checkpoint.best_epoch == epoch else ""
        terminal.status(
            f"{self.title}  {scores}"
            f"  {logs['images_per_second']:,.0f} images/s, {logs['waiting']:.0%} waiting{best}"
        )


def history_file(path: Path, history: list[dict[str, float]]) -> keras.callbacks.Callback:
    """Writes history.csv, a line for each epoch. It comes last, when the logs are complete.

    Args:
        path: of the file, which is written whole.
        history: the logs of the epochs so far; those of each new one are added.
    """

    def write(epoch, logs):
        history.append(logs)
        names = sorted(logs)
        rows = [[number, *map(row.get, names)] for number, row in enumerate(history)]
        files.write_csv(path, [["epoch", *names], *rows])

    return keras.callbacks.LambdaCallback(on_epoch_end=write)


class BestModel(keras.callbacks.ModelCheckpoint):
    """ModelCheckpoint for the best epoch by several scores, ties in one decided by the next.

    The file is written whole, with what prediction needs inside it.

    Args:
        network: what is saved, of which `fit` may train a part.
        path: of the .keras file.
        monitors: names in the logs; a leading "-" means that lower is better.
        metadata: as for `model_file.save_model`.

    Attributes:
        best_score: its scores, the higher the better; None before the first epoch.
        best_epoch: 0 for the first epoch; None before it.
    """

    kept = ("best_score", "best_epoch")

    def __init__(self, network: keras.Model, path: Path, monitors: tuple[str, ...], metadata: dict):
        super().__init__(path, monitor=monitors[0].lstrip("-"))
        self.network, self.path = network, path
        self.monitors, self.metadata = monitors, metadata
        self.best_score = self.best_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        score = [-logs[name[1:]] if name.startswith("-") else logs[name] for name in self.monitors]
        if all(map(math.isfinite, score)) and (self.best_score is None or score > self.best_score):
            self.best_score, self.best_epoch = score, epoch
            model_file.save_model(self.network, self.path, self.metadata)

    def load(self) -> keras.Model:
        """The best model, as it was saved.

        Raises:
            UserError: no epoch gave a number, or the file is damaged.
        """
        if self.best_epoch is None:
            raise UserError("Every validation loss is NaN or infinite. Lower --learning-rate.")
        return model_file.load_model(self.path)
