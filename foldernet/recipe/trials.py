"""Trial steps on the training images, before `fit`: for a learning rate, or a number of epochs."""

import dataclasses
import time

import keras

from foldernet import terminal
from foldernet.evaluation.figure_log import FigureLog
from foldernet.recipe import range_test, time_budget
from foldernet.recipe.options import RecipeOptions, seconds
from foldernet.terminal import UserError
from foldernet.training import optimizers
from foldernet.training.stage import Stage


def run(session, task, stages: list[Stage]) -> tuple[RecipeOptions, list]:
    """Find what the options leave to be found; the last stage changes, and its network's weights.

    Returns:
        The session's options, and callbacks of `fit`.
    """
    options, whole = session.options, stages[-1]
    network, training = whole.network, whole.batches["training"]
    found = []

    def compile(**changed) -> list:
        arguments, callbacks = task.compile_arguments(len(training), whole.options)
        network.compile(**arguments | changed)
        optimizers.build(network)
        return callbacks

    if options.learning_rate == "find":
        if not whole.epochs:
            raise UserError(
                "--learning-rate find has nothing to train: the last layer is solved. Leave it out,"
                " or let --fine-tune all train the others."
            )
        whole.options = dataclasses.replace(whole.options, learning_rate=range_test.RATES[0])
        compile(steps_per_execution=1)
        losses = range_test.losses(network, training)
        rate = range_test.suggested(losses)
        options = dataclasses.replace(options, learning_rate=rate)
        whole.options = dataclasses.replace(whole.options, learning_rate=rate)
        terminal.status(f"learning rate: {rate:g}, a tenth of that with the lowest loss\n")

        def draw(logs) -> None:  # once the run has its folder
            range_test.draw(losses, rate, FigureLog(session.run.logs))

        found.append(keras.callbacks.LambdaCallback(on_train_begin=draw))
    if not options.time:
        return options, found

    def fit(callback) -> None:
        network.fit(
            training,
            validation_data=whole.batches["validation"],
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks, callback],
        )

    budget, report = seconds(options.time), task.report

    def timed_report(*arguments) -> dict:
        scores = report(*arguments)
        spent = time.perf_counter() - session.began
        return scores | {"time": {"seconds": round(spent, 2), "share": round(spent / budget, 3)}}

    task.report = timed_report
    after = None
    if whole.epochs and not getattr(options, "resume", False):
        callbacks = compile()
        epochs, after = time_budget.plan(session, stages, fit, budget)
        options = dataclasses.replace(options, epochs=options.epochs - whole.epochs + epochs)
        whole.epochs = epochs
        whole.options = dataclasses.replace(whole.options, epochs=max(1, epochs))
    return options, [*found, time_budget.TimeBudget(budget, session.began, after)]
