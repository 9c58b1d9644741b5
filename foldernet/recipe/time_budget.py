"""`--time`: as many epochs as fit, measured in a trial."""

import dataclasses
import math
import time

import keras
import numpy as np

from foldernet import terminal
from foldernet.training.session import Stage

clock = time.perf_counter
TRIAL = 3.0  # seconds of steps that are measured
MORE = 4  # times as many steps, until they take so long
PLANNED = 0.93  # of the time; what is left is for files, and epochs slower than the trial's
# CPU seconds of the command before and after what is measured here: imports and figures; and, of
# each layer, model.onnx.
UNSEEN, EACH_LAYER = 5.5, 0.1


def measure(stage: Stage) -> tuple[float, float, float]:
    """Time the last steps of an epoch; the network's weights and the iterators change.

    Args:
        stage: which is compiled.

    Returns:
        Seconds of the very first steps, which TensorFlow traces; of an epoch with its validation;
        and of that validation.
    """
    batches = stage.batches

    def timed(count: int) -> np.ndarray:
        """Seconds of `count` training steps, and of as many validation steps."""
        for iterator in batches.values():
            iterator.begin(0, max(0, len(iterator) - count))
        moments = []
        hooks = ("on_epoch_begin", "on_test_begin", "on_epoch_end")
        note = dict.fromkeys(hooks, lambda *_, **__: moments.append(clock()))
        callbacks = [*stage.schedule, keras.callbacks.LambdaCallback(**note)]
        how = {"shuffle": False, "verbose": 0, "callbacks": callbacks}
        stage.network.fit(batches["training"], validation_data=batches["validation"], **how)
        return np.diff(moments)

    steps = np.array([len(batches["training"]), len(batches["validation"])])
    first, count = sum(timed(1)), MORE
    while sum(taken := timed(count)) < TRIAL and count < steps[0]:
        count *= MORE
    for iterator in batches.values():
        iterator.begin(0)
    training, validation = np.maximum(1, steps / count) * taken
    return first, training + validation, validation


class TimeBudget(keras.callbacks.Callback):
    """Adds to each epoch's logs `time_used`, a share of the time, and ends training early where
    epochs take longer than the trial's did. It comes after `Pace`.

    Args:
        budget: seconds for all.
        session: whose `began` says when the command did, and whose history has earlier stages.
        after: seconds that the report will take; -inf never ends training early.
    """

    kept = ("before",)

    def __init__(self, budget: float, session, after: float):
        super().__init__()
        self.budget, self.session, self.after = budget, session, after

    def on_train_begin(self, logs=None):
        self.trained = self.session.history[-1]["seconds"] if self.session.history else 0.0
        self.before = time.perf_counter() - self.session.began - self.trained

    def on_epoch_end(self, epoch, logs=None):
        took, self.trained = logs["seconds"] - self.trained, logs["seconds"]
        spent = self.before + self.trained
        logs["time_used"] = spent / self.budget
        late = spent + took + self.after > self.budget
        if late and epoch + 1 < self.params["epochs"]:
            self.model.stop_training = True
            terminal.status("time: the last epoch, as they take longer than in the trial")


def epochs_that_fit(budget: float, other: float, epoch: float) -> int:
    """How many epochs end in time; 0 if none does.

    Args:
        budget: seconds for all.
        other: of these, those that don't go into epochs.
        epoch: seconds of one.
    """
    return max(0, int((PLANNED * budget - other) / epoch))


def plan(session, task, stages: list[Stage], budget: float) -> tuple[int, float]:
    """How many epochs the last stage gets, told in one line, and seconds for the report.

    Raises:
        UserError: there is no time for one, and no stage before it that leaves a model.
    """
    whole, batches = stages[-1], stages[-1].batches
    whole.compile(task)
    first, epoch, validation = measure(whole)
    before = clock() - session.began
    # Where other programs have the cores, what comes will be slow, too.
    slow = max(1.0, before / time.process_time())
    unseen = slow * (UNSEEN + EACH_LAYER * len(whole.network.layers))
    scored = sum(len(iterator) for split, iterator in batches.items() if split != "training")
    after = validation * scored / len(batches["validation"]) + unseen
    other = before + first + after
    epochs = min(whole.epochs, epochs_that_fit(budget, other, epoch))
    text = f"{before:.0f} s are over, an epoch takes {epoch:.1f} s, and the report {after:.0f} s"
    if not epochs and len(stages) == 1:
        raise terminal.UserError(
            f"--time {session.options.time} leaves no room for an epoch: {text}. Give"
            f" {math.ceil((other + epoch) / PLANNED)}s or more, or a smaller --image-size."
        )
    of_all = epochs + sum(stage.epochs for stage in stages[:-1])
    terminal.status(f"time: {terminal.count(of_all, 'epoch')}; {text}\n")
    return epochs, after


def keep(session, task, stages: list[Stage], budget: float) -> TimeBudget:
    """Give the last stage as many epochs as fit, and have metrics.json say what all took.

    Args:
        budget: seconds for all.

    Returns:
        A callback of `fit`.
    """
    whole, report = stages[-1], task.report

    def timed_report(*arguments) -> dict:
        scores = report(*arguments)
        spent = time.perf_counter() - session.began
        return scores | {"time": {"seconds": round(spent, 2), "share": round(spent / budget, 3)}}

    task.report = timed_report
    after = -math.inf  # of a run that is resumed, which has its epochs
    if whole.epochs and not getattr(session.options, "resume", False):
        whole.epochs, after = plan(session, task, stages, budget)
        whole.options = dataclasses.replace(whole.options, epochs=max(1, whole.epochs))
    return TimeBudget(budget, session, after)
