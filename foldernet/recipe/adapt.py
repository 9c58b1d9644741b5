"""What the recipe's options do to the last stage before it is compiled."""

import dataclasses
import re
from typing import Annotated, Literal

from foldernet.option_types import BaseOptions, Range, shown_as
from foldernet.terminal import UserError
from foldernet.training.session import Stage

MOST_EPOCHS = 10_000  # where --time alone says how many
BFLOAT16 = (8, 0)  # compute capability of the first GPUs that have it


class Options(BaseOptions):
    """Training recipe."""

    time: Annotated[str | None, shown_as("10m")] = None
    """Time for the whole command, as 90s, 10m or 1h30m: the epochs are as many as fit, at most
    --epochs, and the learning-rate schedule ends with them."""

    ema: Annotated[float, Range(0, 0.9999)] = 0.0
    """Momentum of a moving average of the weights, such as 0.99 over some hundred steps; what is
    validated and saved is the average. 0 is off."""

    clip_norm: Annotated[float, Range(0)] = 0.0
    """Largest norm of the gradient, over all weights, against steps that diverge; 0 is off."""

    mixed_precision: Literal["auto", "on", "off"] = "auto"
    """Compute in bfloat16, and keep weights in float32: auto does on a GPU that has bfloat16. On a
    CPU it saves a tenth with simpleconv3, and takes longer with efficientnet_lite."""

    def __post_init__(self):
        super().__post_init__()
        if self.time is not None and not seconds(self.time):
            raise UserError(f"--time '{self.time}' is no time. Write it as 90s, 10m or 1h30m.")


def seconds(time: str) -> int:
    """Seconds of a time such as 1h30m; 0 of what is none."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", time)
    hours, minutes, rest = (int(number or 0) for number in found.groups()) if found else (0, 0, 0)
    return 3600 * hours + 60 * minutes + rest


def choose(options: Options, dataset) -> Options:
    """The options with as many epochs as --time may leave room for, unless a number is given."""
    if options.time and options.epochs is None:
        return dataclasses.replace(options, epochs=MOST_EPOCHS)
    return options


def adapt(session, task, stages: list[Stage]) -> Options:
    """Have the last stage train as the options say.

    What is measured for --time, in trial steps, leaves the weights as they were; a resumed run has
    it in its options already.

    Args:
        session: of the training, which has no run yet.
        task: whose `compile_arguments` change.
        stages: of which the last one's options and epochs change.

    Returns:
        The session's options: the number of epochs may have been found.

    Raises:
        UserError: --time is too short.
    """
    from foldernet.recipe.callbacks import AveragedWeights, mixed_precision

    options, whole, untouched = session.options, stages[-1], task.compile_arguments
    auto = options.mixed_precision == "auto"
    bfloat16 = _suits_bfloat16(whole.network) if auto else options.mixed_precision == "on"
    added = []

    def compile_arguments(steps_per_epoch: int, own: Options) -> tuple[dict, list]:
        arguments, schedule = untouched(steps_per_epoch, own)
        if own is not whole.options:
            return arguments, schedule
        optimizer = arguments["optimizer"]
        optimizer.global_clipnorm = options.clip_norm or None
        optimizer.use_ema, optimizer.ema_momentum = options.ema > 0, options.ema
        fresh = [mixed_precision(whole.network)] if bfloat16 else []
        fresh += [AveragedWeights(swap_on_epoch=True)] if options.ema else []
        return arguments, [*fresh, *added, *schedule]

    task.compile_arguments = compile_arguments
    if options.time:
        from foldernet.recipe import time_budget

        weights = [variable.numpy() for variable in whole.network.variables]
        added.append(time_budget.keep(session, task, stages, seconds(options.time)))
        options = dataclasses.replace(options, epochs=sum(stage.epochs for stage in stages))
        for variable, value in zip(whole.network.variables, weights, strict=True):
            variable.assign(value)
    return options


def _suits_bfloat16(network) -> bool:
    """Whether there is a GPU that has it, for numbers that needn't be exact: an image must be."""
    import tensorflow as tf

    found = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    new = any(details.get("compute_capability", (0, 0)) >= BFLOAT16 for details in found)
    return new and len(network.output_shape) == 2
