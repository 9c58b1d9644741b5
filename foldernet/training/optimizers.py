"""Optimizers and learning-rate schedules, by the names in the options: stock Keras, all of them."""

import keras
import numpy as np

from foldernet.options import TrainOptions


def optimizer(options: TrainOptions, steps_per_epoch: int) -> tuple[keras.Optimizer, list]:
    """The optimizer, and the callbacks that change its learning rate.

    Args:
        options: name the optimizer and the schedule.
        steps_per_epoch: batches in an epoch.

    Returns:
        An optimizer; and a callback that sets its rate, unless that is constant.
    """
    config = {"learning_rate": options.learning_rate, "weight_decay": options.weight_decay}
    if options.optimizer == "sgd":
        config["momentum"] = 0.9
    chosen = keras.optimizers.get({"class_name": options.optimizer, "config": config})
    if options.weight_decay:  # a bias or a batch norm's scale has no reason to be small
        chosen.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return chosen, _schedule(options, chosen, steps_per_epoch)


def build(model: keras.Model) -> None:
    """Make the variables of a compiled model's optimizer and metrics, before `fit` would.

    A training step that makes variables is traced twice, which takes seconds.
    """
    model.optimizer.build(model.trainable_variables)
    nothing = np.zeros([side or 1 for side in model.output_shape], "float32")
    model.compute_metrics(None, nothing, nothing)
    model.reset_metrics()


def execution() -> dict:
    """How steps are run, as arguments for `compile`: what was fastest (see docs/performance.md).

    On a CPU, several steps in one call save time, and compiling with XLA costs three seconds that
    short runs don't earn back. On a GPU, Keras decides about XLA.
    """
    graphics = bool(keras.distribution.list_devices("gpu"))
    return {"steps_per_execution": 8, "jit_compile": "auto" if graphics else False}


def _schedule(options: TrainOptions, optimizer, steps_per_epoch: int) -> list:
    rate, steps = options.learning_rate, steps_per_epoch * options.epochs
    if options.schedule == "cosine":
        warm_up = max(1, steps // 12)
        cosine = keras.optimizers.schedules.CosineDecay(
            rate / warm_up, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )

        # Given to the optimizer itself, it would be computed, and traced, for every weight.
        def follow(_epoch_or_batch, logs):
            optimizer.learning_rate = cosine(int(optimizer.iterations))

        return [keras.callbacks.LambdaCallback(on_epoch_begin=follow, on_train_batch_end=follow)]
    if options.schedule == "step":

        def fall(_epoch, _rate):  # after a half, and after three quarters
            return rate * 0.1 ** max(0, 4 * int(optimizer.iterations) // steps - 1)

        return [keras.callbacks.LearningRateScheduler(fall)]
    return []
