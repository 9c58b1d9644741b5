"""`--learning-rate find`: the learning-rate range test.

References:
    L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
"""

import keras
import numpy as np

from foldernet.evaluation.figure_log import FigureLog

RATES = np.geomspace(1e-6, 1, 100)
SMOOTHING = 0.9  # of the loss, from step to step
DIVERGED = 2  # times the lowest loss


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


def draw(found: np.ndarray, rate: float, log: FigureLog) -> None:
    """The loss over the rate, and the rate that is taken, as figure learning_rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(RATES[: len(found)], found)
    axes.axvline(rate, color="tab:red", label=f"taken: {rate:g}")
    axes.set(xlabel="learning rate", ylabel="training loss, smoothed")
    axes.legend()
    log.show("learning_rate", figure)
