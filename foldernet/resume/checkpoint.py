"""What saves a run while `fit` runs, and restores it."""

import time

import keras
import numpy as np

from foldernet.resume import state as states
from foldernet.terminal import UserError

# Of Keras's own callbacks, what has to outlive a restart; ours name it themselves, in `kept`.
KEPT_OF_KERAS = {keras.callbacks.EarlyStopping: ("best", "wait", "best_epoch")}


class Checkpoint(keras.callbacks.Callback):
    """Writes a run's state every few minutes and when a signal asks it to stop, and restores it.

    It comes first among the callbacks, which then find their own state in place.

    Args:
        session: a `foldernet.resume.session.ResumableSession` with an opened run, to whose folder
            the state goes, and from where it is resumed. Its options say how often; its history
            gets the logs of the epochs before, and `stage_is_done` is set if none are left.
            Those of its callbacks with a state of their own name the attributes that make it up,
            JSON or arrays, in an attribute `kept`.
        batches: the training iterator.

    Raises:
        UserError: the state is damaged.
    """

    def __init__(self, session, batches):
        super().__init__()
        self.session, self.history, self.batches = session, session.history, batches
        self.folder = session.run.models
        self.state = state = states.read(self.folder) if session.options.resume else None
        self.signal = self.written = None
        if state:
            self.history += state.history
            session.stage_is_done = state.epoch >= session.options.epochs
            self._restore_callbacks(state)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.first, self.logs = epoch, 0, {}
        if self.state:
            self.first, self.logs = self.state.batch, self.state.logs
            self._restore_variables(self.state)
            self._restore_callbacks(self.state)  # again: Keras's forget all when training begins
            self.state, self.written = None, time.monotonic()
        elif self.written is None:
            self._write(0)
        self.batches.begin(epoch, self.first)

    def on_train_batch_begin(self, batch, logs=None):
        minutes = (time.monotonic() - self.written) / 60
        if self.signal or minutes >= self.session.options.state_minutes:
            self._write(self.first + batch)

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise self._diverged("loss")
        self.logs = dict(logs)

    def on_test_batch_begin(self, batch, logs=None):
        if self.signal:  # validation leaves all variables as the last training step left them
            self._write(len(self.batches))

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.logs | logs)  # Keras has none if only validation was left to do

    def end(self) -> None:
        """Write the state in which training has ended.

        Raises:
            KeyboardInterrupt: a signal asked for it.
        """
        self.epoch, self.logs = self.session.options.epochs, {}
        self.model.reset_metrics()  # they hold validation's totals, which no epoch goes on from
        self._write(0)

    def _restore_variables(self, state: states.State) -> None:
        variables = _variables(self.model)
        if [tuple(each.shape) for each in variables] != [each.shape for each in state.arrays]:
            raise UserError(
                f"'{self.folder / states.NEWEST}' is the state of another network than this one."
                " Start a new run."
            )
        for variable, array in zip(variables, state.arrays, strict=True):
            variable.assign(array)

    def _restore_callbacks(self, state: states.State) -> None:
        for callback in self.session.callbacks:
            for name, value in state.callbacks.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)

    def _write(self, batch: int) -> None:
        """Write the state before `batch` of this epoch, and stop if a signal asked for that."""
        self.written = time.monotonic()
        arrays = [variable.numpy() for variable in _variables(self.model)]
        if not all(np.isfinite(array).all() for array in arrays):
            raise self._diverged("weights")  # a ReLU can make a finite loss of them
        kept = {type(callback).__name__: _kept(callback) for callback in self.session.callbacks}
        state = states.State(self.epoch, batch, arrays, kept, self.history, self.logs)
        states.write(self.folder, state)
        if self.signal:
            raise self.session.stopped(self.signal)

    def _diverged(self, what: str) -> UserError:
        epoch = len(self.history) + 1
        return UserError(
            f"The {what} became NaN or infinite in epoch {epoch}: training diverged. Lower"
            f" --learning-rate, and start again; what was learned is kept in '{self.folder}'."
        )


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All variables that training changes, the model's first."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _kept(callback: keras.callbacks.Callback) -> dict:
    """What has to outlive a restart of a callback: attribute -> value."""
    names = getattr(callback, "kept", KEPT_OF_KERAS.get(type(callback), ()))
    return {name: getattr(callback, name) for name in names}
