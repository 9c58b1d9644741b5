"""Unknown: images that are unlike the training images, or of which the network is unsure.

Three things can be strange about an image: the entropy of its probabilities, its features' distance
to the nearest class in units of the spread within classes (a Mahalanobis distance with a diagonal
covariance), and the angle to the nearest class. Each is measured by what is usual of validation
images, and the squares of what is beyond it are added: which of them tells depends on the
stranger, as `benchmarks/unknown.py` shows.
"""

from typing import Annotated, Any

import numpy as np

from foldernet.option_types import BaseOptions, Range
from foldernet.terminal import UserError

HIGH = 0.95  # share of validation images that are less strange than what counts as 1
MOST_NUMBERS = 400_000  # that features are compared with; kept as text, in 6 MB at most
SMALLEST = 1e-6  # spread of a feature, which may be the same of all images
TOLERANCE = 1e-3  # by which a score may differ where images are computed in other batches


class Options(BaseOptions):
    """Strange images."""

    reject: Annotated[float, Range(0, 0.5)] = 0.05
    """Share of good images, at most, that may be called unknown: those that are unlike the training
    images, or that the network is unsure of. 0 calls none unknown."""


def fit(
    features: np.ndarray, labels: np.ndarray, held_out: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    """What is kept in a model's file to know strangers by.

    Args:
        features: (n, width) of training images.
        labels: (n,) int of them.
        held_out: (m, width) features of validation images.
        probabilities: (m, classes) of them, calibrated.
    """
    there, where = np.unique(labels, return_inverse=True)
    known = {}
    if (len(there) + 3) * features.shape[1] <= MOST_NUMBERS:  # or probabilities alone will tell
        means = np.stack([features[where == at].mean(axis=0) for at in range(len(there))])
        known = {"means": means, "center": features.mean(axis=0)}
        # One that hardly varies here would make all strange of which it is a bit more active.
        of = {"spread": features, "spread_within": features - means[where]}
        known |= {n: np.maximum(s := v.std(0), np.median(s)) + SMALLEST for n, v in of.items()}
        # Five digits, so that they are short as text.
        known = {n: np.vectorize(lambda x: float(f"{x:.5g}"))(v) for n, v in known.items()}
    strange = strangeness(known, held_out, probabilities)
    known["usual"], known["high"] = np.quantile(strange, (0.5, HIGH), axis=0)
    known["scores"] = np.sort(score(known, strange))
    return {name: value.tolist() for name, value in known.items()}


def extend(predictor: Any) -> None:
    """Have a predictor tell strangers, if its file says how; `predictor.reject` is the share of
    good images that it may reject.

    Raises:
        UserError: what the file says doesn't fit its network.
    """
    kept, predictor.reject = predictor.metadata.get("unknown"), Options.reject
    if kept is None or not hasattr(predictor, "classes"):
        return

    def is_unknown(features: np.ndarray, probabilities: np.ndarray) -> bool:
        usual, strange = known["scores"], strangeness(known, features[None], probabilities[None])
        most = usual[len(usual) - 1 - int(predictor.reject * len(usual))]
        return bool(predictor.reject > 0 and score(known, strange)[0] > most + TOLERANCE)

    try:
        known = {name: np.array(value, float) for name, value in kept.items()}
        (_, width), (_, classes) = predictor.network.output_shape
        is_unknown(np.zeros(width), np.full(classes, 1 / classes))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"'{predictor.path}': what it tells unknown images by doesn't fit its network."
        ) from error
    predictor.is_unknown = is_unknown


def strangeness(known: dict, features: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Entropy, distance and angle of each image, the larger the stranger: (n, 1 or 3) float."""
    found = [-(probabilities * np.log(probabilities + 1e-12)).sum(axis=1)]
    if "means" in known:
        features = np.asarray(features, float)
        apart = [((features - mean) / known["spread_within"]) ** 2 for mean in known["means"]]
        found.append(np.min([squares.mean(axis=1) for squares in apart], axis=0))
        both = [(each - known["center"]) / known["spread"] for each in (features, known["means"])]
        units = [each / (np.linalg.norm(each, axis=1, keepdims=True) + 1e-12) for each in both]
        found.append(-(units[0] @ units[1].T).max(axis=1))
    return np.stack(found, axis=1)


def score(known: dict, strange: np.ndarray) -> np.ndarray:
    """How strange images are in all, (n,) float from 0 on: the squares of how far each measure is
    above its median, in units in which `HIGH` of validation images are below 1, added."""
    beyond = (strange - known["usual"]) / (known["high"] - known["usual"] + SMALLEST)
    return (np.maximum(beyond, 0) ** 2).sum(axis=1)
