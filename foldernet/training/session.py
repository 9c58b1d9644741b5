"""What surrounds `fit`: stages, and a session that starts a run and trains it to its end,
uninterrupted."""

import contextlib
import dataclasses
import time
from typing import Any

from foldernet.datasets.image_list import Dataset
from foldernet.options import TrainOptions
from foldernet.training import runs


@dataclasses.dataclass
class Stage:
    """Epochs that are trained in one go. The last stage of a training has the whole network.

    Attributes:
        network: a `keras.Model`, a part of the network that is saved, or all of it.
        batches: split -> iterator over what this network takes, and its targets.
        epochs: how many it takes, at most; may be 0.
        options: of the training, but for what this stage does differently.
        schedule: the callbacks that set its learning rate; there once it is compiled.
    """

    network: Any
    batches: dict[str, Any]
    epochs: int
    options: TrainOptions

    def compile(self, task: Any) -> None:
        """Compile the network as the task wants it."""
        from foldernet.training import optimizers  # and Keras, which options can do without

        steps = len(self.batches["training"])
        arguments, self.schedule = task.compile_arguments(steps, self.options)
        self.network.compile(**arguments)
        optimizers.build(self.network)


class Session:
    """One training, of which `train` calls these methods.

    Attributes:
        options: of the training.
        began: when it did, by time.perf_counter(); resumed, this part of it.
        run: which is trained; there once `opened_run` is entered.
        callbacks: for `fit`; there from `watch` on.
        history: each epoch's logs so far; a callback of `watch` adds to it.
        stage_is_done: whether it has nothing left to train.

    Raises:
        UserError: the run's name can't name a folder.
    """

    def __init__(self, options: TrainOptions):
        if options.name:  # said now, and not after TensorFlow and the images
            runs.check_name(options.name)
        self.options, self.began = options, time.perf_counter()
        self.history: list[dict[str, float]] = []
        self.stage_is_done = False

    def opened_run(self, default_name: str) -> contextlib.AbstractContextManager[runs.Run]:
        """The folders of the run, with nobody else writing to them."""
        self.run = runs.created(self.options.name, default_name)
        return runs.locked(self.run)

    def describe(self, options: TrainOptions, dataset: Dataset, paths: dict[str, str]) -> None:
        """Write down how the run is made, for those who repeat it; here, nothing.

        Args:
            paths: name -> path of every file that it is made of.
        """

    def watch(self, batches: Any, callbacks: list, last: bool) -> None:
        """Take the callbacks of `fit` and the training iterator of a stage, before it begins.

        Args:
            last: whether it is the last stage, which is the one that may take long.
        """
        from foldernet.training.callbacks import history_file

        file = history_file(self.run.models / "history.csv", self.history)
        self.callbacks, self.stage_is_done = [*callbacks, file], False

    def running(self) -> contextlib.AbstractContextManager:
        """What `fit` and the report run in."""
        return contextlib.nullcontext()

    def end_stage(self) -> None:
        """The stage has ended; after the last one, only the report is left."""
        self.stage_is_done = True
