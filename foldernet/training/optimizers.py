"""Optimizers and learning-rate schedules, by the names in the config: stock Keras, all of them."""

import keras

from foldernet.config import Config

OPTIMIZERS = {
    "adamw": lambda rate, decay: keras.optimizers.AdamW(rate, weight_decay=decay),
    "adam": lambda rate, decay: keras.optimizers.Adam(rate, weight_decay=decay or None),
    "sgd": lambda rate, decay: keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay or None),
    "rmsprop": lambda rate, decay: keras.optimizers.RMSprop(rate, weight_decay=decay or None),
}


def optimizer(
    config: Config, steps_per_epoch: int
) -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    """The optimizer, and the callbacks that change its learning rate.

    Args:
        config: names the optimizer and the schedule.
        steps_per_epoch: batches in an epoch.

    Returns:
        An optimizer, whose learning rate may be a Keras schedule that goes by step; and a
        LearningRateScheduler where the schedule goes by epoch, else nothing.
    """
    rate, callbacks = _learning_rate(config, steps_per_epoch)
    chosen = OPTIMIZERS[config.optimizer](rate, config.weight_decay)
    if config.weight_decay:  # a bias or a batch norm's scale has no reason to be small
        chosen.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return chosen, callbacks


def execution() -> dict:
    """How steps are run, as arguments for `compile`: what was fastest (see docs/performance.md).

    On a CPU, several steps in one call save time, and compiling with XLA costs three seconds that
    short runs don't earn back. On a GPU, Keras decides about XLA.
    """
    graphics = bool(keras.distribution.list_devices("gpu"))
    return {"steps_per_execution": 8, "jit_compile": "auto" if graphics else False}


def _learning_rate(config: Config, steps_per_epoch: int):
    steps = steps_per_epoch * config.epochs
    rate = config.learning_rate
    if config.schedule == "cosine":
        warm_up = max(1, steps // 12)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate / warm_up, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
        return schedule, []
    if config.schedule == "step":
        halves = (config.epochs / 2, config.epochs * 3 / 4)

        def stepwise(epoch, _):
            return rate * 0.1 ** sum(epoch >= start for start in halves)

        return rate, [keras.callbacks.LearningRateScheduler(stepwise)]
    return rate, []
