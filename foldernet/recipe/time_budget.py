"""`--time`: as many epochs as fit, measured in a trial."""

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras

from foldernet import terminal
from foldernet.terminal import UserError
from foldernet.training import model_file
from foldernet.training.stage import Stage

clock = time.perf_counter
TRIAL = 3.0  # seconds of steps that are measured
MORE = 4  # times as many steps, until they take so long
PLANNED, LATEST = 0.95, 1.0  # of the time: what epochs are planned for, and when they end early
# CPU seconds of the command before and after what is measured here: imports; the figures.
UNSEEN = 7.0


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a few steps say of an epoch.

    Attributes:
        seconds: of an epoch with its validation.
        validation: those of its validation.
        first: how much longer the very first steps take, which TensorFlow traces.
        steps: that were measured.
    """

    seconds: float
    validation: float
    first: float
    steps: int


def measure(network: keras.Model, batches: dict, fit: Callable) -> Trial:
    """Time the last steps of an epoch; the network's weights and the iterators change.

    Args:
        network: compiled.
        batches: split -> iterator.
        fit: trains the network for an epoch, given a callback.
    """

    def timed(count: int) -> tuple[float, float]:
        """Seconds of `count` training steps, and of as many validation steps."""
        for iterator in batches.values():
            iterator.begin(0, max(0, len(iterator) - count))
        moments = []
        hooks = ("on_epoch_begin", "on_test_begin", "on_epoch_end")
        note = dict.fromkeys(hooks, lambda *_, **__: moments.append(clock()))
        fit(keras.callbacks.LambdaCallback(**note))
        began, trained, ended = moments
        return trained - began, ended - trained

    traced, few, many, count = timed(1), timed(1), timed(MORE), MORE
    while sum(many) < TRIAL and count < len(batches["training"]):
        count *= MORE
        few, many = many, timed(count)
    seconds = []
    for some, all_of, split in zip(few, many, ("training", "validation"), strict=True):
        steps = len(batches[split])
        taken, before = min(count, steps), min(count // MORE, steps)
        each = max(0.0, all_of - some) / (taken - before) if taken > before else 0.0
        seconds.append(all_of + (steps - taken) * each)
    with tempfile.TemporaryDirectory() as folder:
        began = clock()
        model_file.save_model(network, Path(folder) / "model.keras", {})
        saving = clock() - began
    for iterator in batches.values():
        iterator.begin(0)
    steps = min(count, len(batches["training"]))
    return Trial(sum(seconds) + saving, seconds[1], sum(traced), steps)


class TimeBudget(keras.callbacks.Callback):
    """Adds to each epoch's logs `time_used`, a share of the time, and ends training early where
    epochs take longer than the trial's did. It comes after `Pace`.

    Args:
        budget: seconds for all.
        began: when the command did, by time.perf_counter().
        after: seconds that the report will take; None never ends training early.
    """

    kept = ("before",)

    def __init__(self, budget: float, began: float, after: float | None):
        super().__init__()
        self.budget, self.began, self.after = budget, began, after

    def on_train_begin(self, logs=None):
        self.before, self.trained = time.perf_counter() - self.began, 0.0

    def on_epoch_end(self, epoch, logs=None):
        took, self.trained = logs["seconds"] - self.trained, logs["seconds"]
        spent = self.before + self.trained
        logs["time_used"] = spent / self.budget
        if self.after is None or epoch + 1 == self.params["epochs"]:
            return
        if spent + took + self.after > LATEST * self.budget:
            self.model.stop_training = True
            terminal.status("time: the last epoch, as they take longer than in the trial")


def epochs_that_fit(budget: float, before: float, trial: Trial, after: float) -> int:
    """How many epochs end in time; 0 if none does.

    Args:
        budget: seconds for all.
        before: of these, gone already.
        trial: how long an epoch takes.
        after: seconds that the report will take.
    """
    return max(0, int((PLANNED * budget - before - trial.first - after) / trial.seconds))


def plan(session, stages: list[Stage], fit: Callable, budget: float) -> tuple[int, float]:
    """How many epochs the last stage gets, told in one line, and seconds for the report.

    Raises:
        UserError: there is no time for one, and no stage before it that leaves a model.
    """
    whole = stages[-1]
    trial = measure(whole.network, whole.batches, fit)
    before = clock() - session.began
    # Where other programs have the cores, what comes will be slow, too.
    slow = max(1.0, before / time.process_time())
    scored = [len(iterator) for split, iterator in whole.batches.items() if split != "training"]
    after = trial.validation * sum(scored) / len(whole.batches["validation"]) + UNSEEN * slow
    fitting = epochs_that_fit(budget, before, trial, after)
    epochs = min(whole.epochs, fitting)
    text = (
        f"{before:.0f} s are over, an epoch takes {trial.seconds:.1f} s, as measured on"
        f" {terminal.count(trial.steps, 'step')}, and the report some {after:.0f} s"
    )
    if not epochs and len(stages) == 1:
        needed = (before + trial.first + trial.seconds + after) / PLANNED
        raise UserError(
            f"--time {session.options.time} leaves no room for an epoch: {text}. Give"
            f" {math.ceil(needed / 10) * 10}s or more, or a smaller --image-size."
        )
    all_of = "" if epochs == fitting else ", all that --epochs allows"
    terminal.status(f"time: {terminal.count(epochs, 'epoch')}{all_of}; {text}\n")
    return epochs, after
