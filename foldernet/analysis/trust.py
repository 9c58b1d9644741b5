"""After training: how far probabilities can be trusted, and what strangers are known by; both go
into the model's file."""

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.model_selection import KFold

from foldernet.analysis import answers, unknown
from foldernet.analysis.measures import calibration_error
from foldernet.datasets.image_list import Dataset
from foldernet.inference.classifier import calibrated
from foldernet.training import runs
from foldernet.training.model_file import read_metadata, save_model, with_features

FEWEST = 20  # validation images, below which nothing is fitted to them
MOST = 2000  # images of a split, spread over the list, whose features stand for all
AT_ONCE = 64  # images that the network is given
FOLDS = 5
TEMPERATURES = (0.05, 20)


def finish(task, dataset: Dataset, batches: dict, model, run: runs.Run, scores: dict) -> dict:
    """Fit the temperature and what strangers are known by, and keep them in the best model's file.

    Returns:
        calibration: temperature, and the expected calibration error before and after it, of
        validation images; that after it is of images which the temperature was not fitted on, by
        cross-validation. Nothing where there are fewer than 20.
    """
    outputs = task.outputs.get("validation", ())
    if len(outputs) < FEWEST:
        return {}
    validation, training = batches["validation"], batches["training"]
    labels = validation.classes
    kept, after = temperature(labels, outputs), np.empty_like(outputs)
    for learned, scored in KFold(FOLDS, shuffle=True, random_state=0).split(outputs):
        after[scored] = calibrated(outputs[scored], temperature(labels[learned], outputs[learned]))
    network = with_features(model)
    features, positions = features_of(network, training)
    held_out, judged = features_of(network, validation)
    shares = calibrated(outputs[judged], kept)
    strangers = unknown.fit(features, training.classes[positions], held_out, shares)
    path, own = run.models / runs.BEST, answers.own_class(labels[judged], shares)
    more = {"temperature": kept, "unknown": strangers, "own_class": own}
    save_model(model, path, read_metadata(path) | more)
    found = {"temperature": kept, "error_before": calibration_error(labels, outputs)}
    return {"calibration": found | {"error_after": calibration_error(labels, after)}}


def temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature by which probabilities fit labels best, by log loss; see `calibrated`.

    One more image in n + 2 counts as wrong than is, so that a model without a mistake isn't taken
    to be infinitely sure: Platt (1999), "Probabilistic Outputs for Support Vector Machines".
    """
    count, classes = probabilities.shape
    wrong = 1 / (count + 2)
    targets = np.full_like(probabilities, wrong / (classes - 1), dtype=float)
    targets[np.arange(count), labels] = 1 - wrong

    def loss(logarithm: float) -> float:
        shares = calibrated(probabilities, float(np.exp(logarithm)))
        return -(targets * np.log(shares + 1e-12)).sum()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def features_of(network, images) -> tuple[np.ndarray, np.ndarray]:
    """Features of an iterator's images without augmentation, of at most `MOST`: (n, width), and the
    (n,) positions of these images. What a solved last layer was trained on is taken as it is."""
    if frozen := getattr(images, "frozen", None):
        return frozen.features[:, 0], frozen.positions
    positions = np.linspace(0, images.n - 1, min(MOST, images.n)).astype(int)
    chunks = [positions[at : at + AT_ONCE] for at in range(0, len(positions), AT_ONCE)]
    found = [network.predict_on_batch(images.images_at(chunk))[0] for chunk in chunks]
    return np.concatenate(found), positions
