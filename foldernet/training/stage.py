"""A stage of a training: which network learns from which batches, and how."""

import dataclasses
from typing import Any

from foldernet.options import TrainOptions


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

    def compile(self, task: Any, **others: Any) -> None:
        """Compile the network as the task wants it, but for `others`, arguments of `compile`."""
        from foldernet.training import optimizers  # and Keras, which options can do without

        steps = len(self.batches["training"])
        arguments, self.schedule = task.compile_arguments(steps, self.options)
        self.network.compile(**arguments | others)
        optimizers.build(self.network)
