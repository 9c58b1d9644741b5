"""What writes a run's state while `fit` runs, puts it back, and ends the run in good order."""

import contextlib
import csv
import math
import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from foldernet import files, terminal
from foldernet.config import Config
from foldernet.terminal import Stopped, UserError
from foldernet.training import states
from foldernet.training.runs import Run
from foldernet.training.states import State

VARIABLES = {
    "model": lambda model: model.variables,
    "optimizer": lambda model: model.optimizer.variables,
    "metrics": lambda model: model.metrics_variables,
}
# Of Keras's own callbacks, what has to outlive a restart; ours name it themselves, in `kept`.
KEPT_OF_KERAS = {keras.callbacks.EarlyStopping: ("best", "wait", "best_epoch")}


class StateKeeper(keras.callbacks.Callback):
    """Writes a run's state every so many minutes and when a signal asks the run to stop, and puts
    it back when the run is resumed.

    It comes first among the callbacks, which then find their own state in place.

    Args:
        run: whose folder the state goes to.
        config: says how often, and how many epochs there are to be.
        batches: the training iterator.
        callbacks: all others. Those with a state of their own have the names of the attributes
            that make it up in an attribute `kept`.
        state: to go on from; None starts anew.

    Attributes:
        history: each epoch's logs so far.
        ended: whether training has ended, and only the report is left.
    """

    def __init__(self, run: Run, config: Config, batches, callbacks: list, state: State | None):
        super().__init__()
        self.folder, self.batches, self.callbacks = run.models, batches, callbacks
        self.resume_command = f"python train.py --resume --name {run.name}"
        self.epochs, self.seconds, self.state = config.epochs, 60 * config.state_minutes, state
        self.history = list(state.history) if state else []
        self.ended = bool(state) and state.ended >= config.epochs
        self.signal = None
        if state:
            self._restore_callbacks(state)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.first, self.after, self.logs = epoch, 0, 0, {}
        if self.state:
            self.first, self.logs = self.state.batch, self.state.logs
            self._restore_variables(self.state)
            self._restore_callbacks(self.state)  # again: Keras's forget all when training begins
            self.state, self.written = None, time.monotonic()
            steps = len(self.batches)
            terminal.status(
                f"Going on in epoch {epoch + 1}, "
                + (f"at step {self.first + 1} of {steps}" if self.first < steps else "to validate")
            )
        elif epoch == 0:
            error = self._write(0)  # should the loss diverge at once, this is what it began with
            if error:
                raise error
        self.batches.begin(epoch, self.first)

    def on_train_batch_begin(self, batch, logs=None):
        at = self.first + batch
        if at >= len(self.batches):  # of an epoch whose training was over when it was resumed
            return
        if self.signal:
            self._stop(at)
        if time.monotonic() - self.written >= self.seconds:
            self._write(at)

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise UserError(self._why_not_finite(batch))
        self.logs, self.after = dict(logs), self.first + batch + 1

    def on_test_batch_begin(self, batch, logs=None):
        if self.signal:  # validation leaves all variables as the last training step left them
            self._stop(len(self.batches))

    def on_epoch_end(self, epoch, logs=None):
        for name, value in self.logs.items():
            logs.setdefault(name, value)  # Keras has none if only validation was left to do
        self.history.append(logs)  # the callbacks after this one may add to them

    def end(self) -> None:
        """Write the state in which training has ended."""
        self.epoch, self.logs, self.ended = len(self.history), {}, True
        if self.signal:
            self._stop(0)
        self._write(0)

    def _why_not_finite(self, batch: int) -> str:
        """Tell a training that diverged from images that are at fault: these give no number with
        the weights from before, either."""
        where = f"The loss is infinite or no number in epoch {self.epoch + 1}"
        state = states.newest_whole(self.folder)
        if state is None:
            return f"{where}, because the weights that it began with are. Give others to --weights."
        self._restore_variables(state)
        ended = min(self.first + batch + 1, len(self.batches))
        blamed = [
            file
            for index in range(self.after, ended)
            for file in self._files_without_a_number(self.epoch, index)
        ]
        if blamed:
            return (
                f"{where}, and with the weights from epoch {state.epoch + 1}, too, for"
                f" {terminal.listed(blamed)}. Take these images out."
            )
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        return (
            f"{where}, though all its images gave one with the weights from epoch"
            f" {state.epoch + 1}: training diverged. Lower --learning-rate, which was {rate:.2g},"
            f" and start again; what was learnt before is kept in '{self.folder}'."
        )

    def _files_without_a_number(self, epoch: int, index: int) -> list[str]:
        images, targets = self.batches.batch(epoch, index)
        if math.isfinite(self._loss(images, targets)):
            return []
        return [
            file
            for number, file in enumerate(self.batches.files(epoch, index))
            if not math.isfinite(
                self._loss(images[number : number + 1], targets[number : number + 1])
            )
        ]

    def _loss(self, images, targets) -> float:
        self.model.reset_metrics()
        return self.model.test_on_batch(images, targets, return_dict=True)["loss"]

    def _restore_variables(self, state: State) -> None:
        variables = _variables(self.model)
        stored = {
            name: array
            for name, array in state.arrays.items()
            if name.partition(".")[0] in VARIABLES
        }
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if {name: array.shape for name, array in stored.items()} != shapes:
            raise UserError(
                f"'{self.folder / states.NEWEST}' is the state of another network than this one."
                " Start a new run."
            )
        for name, variable in variables.items():
            variable.assign(stored[name])

    def _restore_callbacks(self, state: State) -> None:
        for callback in self.callbacks:
            owner = type(callback).__name__
            for name, value in state.callbacks.get(owner, {}).items():
                setattr(callback, name, value)
            for name in _kept(callback):
                if f"{owner}.{name}" in state.arrays:
                    setattr(callback, name, list(state.arrays[f"{owner}.{name}"]))

    def _taken(self, batch: int) -> State:
        """The state before `batch` of this epoch."""
        arrays = {
            name: keras.ops.convert_to_numpy(variable)
            for name, variable in _variables(self.model).items()
        }
        callbacks = {}
        for callback in self.callbacks:
            owner = type(callback).__name__
            callbacks[owner] = {name: getattr(callback, name) for name in _kept(callback)}
            for name, value in tuple(callbacks[owner].items()):
                if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                    arrays[f"{owner}.{name}"] = np.stack(callbacks[owner].pop(name))
        ended = self.epochs if self.ended else 0
        return State(self.epoch, batch, arrays, callbacks, self.history, self.logs, ended)

    def _write(self, batch: int) -> OSError | None:
        """Write the state; where that fails, say so, and leave the one before."""
        self.written = time.monotonic()
        state = self._taken(batch)
        if not all(np.isfinite(array).all() for array in state.arrays.values()):
            return None  # the loss will show it next; the state before is the last good one
        try:
            states.write(self.folder, state)
        except OSError as error:
            terminal.warn(f"the state can't be written to '{self.folder}' ({error.strerror})")
            return error
        return None

    def _stop(self, batch: int) -> None:
        since = " from the state before" if self._write(batch) else ""
        name = signal.Signals(self.signal).name
        raise Stopped(f"Stopped by {name}. Go on{since}: {self.resume_command}", self.signal)


class HistoryFile(keras.callbacks.Callback):
    """Writes history.csv, a line for each epoch. It comes last, when the logs are complete.

    Args:
        keeper: who knows the epochs before a restart, too.
    """

    def __init__(self, keeper: StateKeeper):
        super().__init__()
        self.keeper = keeper

    def on_epoch_end(self, epoch, logs=None):
        def save(temporary: Path) -> None:
            with open(temporary, "w", newline="") as file:
                writer = csv.DictWriter(file, ["epoch", *sorted(logs)])
                writer.writeheader()
                for number, row in enumerate(self.keeper.history):
                    writer.writerow({"epoch": number, **row})

        files.write_whole(self.keeper.folder / "history.csv", save)


@contextlib.contextmanager
def in_good_order(keeper: StateKeeper) -> Iterator[None]:
    """Have SIGTERM and Ctrl-C end the run after the step at hand, and a second one at once; say
    how to go on when the disk fails.

    Raises:
        UserError: a file can't be written.
    """

    def ask(number, _frame):
        if keeper.ended:  # nothing but the report is left, and it can be made again
            raise Stopped(f"Stopped. Go on: {keeper.resume_command}", number)
        if keeper.signal:
            os._exit(128 + number)
        keeper.signal = number
        # Not print: the signal may have come in the midst of one.
        os.write(2, b"\nStopping after this step; once more stops at once, and loses it.\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings():
            # An epoch that is resumed in its middle is shorter than Keras was told.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            yield
    except OSError as error:
        raise UserError(
            f"The run can't be written ({error}). Mend that, and go on: {keeper.resume_command}"
        ) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """All variables that training changes."""
    return {
        f"{group}.{index}": variable
        for group, of in VARIABLES.items()
        for index, variable in enumerate(of(model))
    }


def _kept(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return KEPT_OF_KERAS.get(type(callback)) or getattr(callback, "kept", ())
