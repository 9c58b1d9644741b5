"""`--learning-rate find`: the learning-rate range test.

References:
    L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
"""

import dataclasses

import keras
import numpy as np

from foldernet import terminal
from foldernet.figures.log import show
from foldernet.training.session import Stage

RATES = np.geomspace(1e-6, 1, 100)
SMOOTHING = 0.9  # of the loss, from step to step
DIVERGED = 2  # times the lowest loss


def find(session, task, stage: Stage) -> tuple[float, keras.callbacks.Callback]:
    """Find the learning rate of a stage, whose options get it; its network's weights change.

    Returns:
        The rate, and a callback of `fit` that draws how it was found, once the run has its folder.
    """
    stage.options = dataclasses.replace(stage.options, learning_rate=RATES[0])
    stage.compile(task, steps_per_execution=1)
    found = losses(stage.network, stage.batches["training"])
    rate = suggested(found)
    stage.options = dataclasses.replace(stage.options, learning_rate=rate)
    terminal.status(f"learning rate: {rate:g}, a tenth of that with the lowest loss\n")
    shown = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: draw(found, rate, session))
    return rate, shown


def losses(network: keras.Model, batches) -> np.ndarray:
    """The smoothed loss at each of the first `RATES`, a step each, until it diverges.

    Args:
        network: compiled for one step per call; changed in place.
        batches: the training iterator.
    """
    found, mean = [], 0.0
    for step, rate in enumerate(RATES):
        network.optimizer.learning_rate = rate
        batch = batches.batch(*divmod(step, len(batches)))
        network.reset_metrics()
        scores = network.train_on_batch(*batch, return_dict=True)
        mean = SMOOTHING * mean + (1 - SMOOTHING) * float(scores["loss"])
        loss = mean / (1 - SMOOTHING ** (step + 1))  # as Adam corrects its means
        if not loss < DIVERGED * min(found, default=np.inf):  # NaN isn't, either
            break
        found.append(loss)
    return np.array(found)


def suggested(found: np.ndarray) -> float:
    """A tenth of the rate with the lowest loss: the loss falls fast there, and doesn't diverge."""
    return float(f"{RATES[np.argmin(found)] / 10:.2g}")


def draw(found: np.ndarray, rate: float, session) -> None:
    """The loss over the rate, and the rate that is taken, as figure learning_rate of the run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(RATES[: len(found)], found)
    axes.axvline(rate, color="tab:red", label=f"taken: {rate:g}")
    axes.set(xlabel="learning rate", ylabel="training loss, smoothed")
    axes.legend()
    show(session.run, "learning_rate", figure)
