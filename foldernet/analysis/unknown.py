"""Unknown: images that are unlike the training images, or of which the network is unsure.

Three things can be strange about an image: its features' distance to the nearest class in units of
the spread within classes (a Mahalanobis distance with a diagonal covariance), the angle to the
nearest class, and the entropy of its probabilities. Each is ranked among validation images, and the
largest rank counts: which of them tells depends on the stranger, as `benchmarks/unknown.py` shows.
"""

import dataclasses
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from foldernet.option_types import Options as BaseOptions
from foldernet.option_types import Range

RANKS = 101  # quantiles that are kept of what validation images have
MOST_NUMBERS = 400_000  # of class means; they are kept as text, in 4 MB at most
SMALLEST = 1e-6  # of a spread, as a share of the usual one


@dataclasses.dataclass(frozen=True)
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
    means = np.stack([features[where == at].mean(axis=0) for at in range(len(there))])
    spreads = [(features - means[where]).std(axis=0), features.std(axis=0)]
    spreads = [spread + SMALLEST * (spread.mean() or 1) for spread in spreads]
    if means.size > MOST_NUMBERS:
        means = means[:0]  # probabilities alone will tell
    known = {"means": means, "center": features.mean(axis=0)}
    known |= {"spread_within": spreads[0], "spread": spreads[1]}
    known = {name: _rounded(value) for name, value in known.items()}
    strange = _strangeness(known, held_out, probabilities)
    steps = np.linspace(0, 1, RANKS)
    known["quantiles"] = _rounded(np.quantile(strange, steps, axis=0).T)
    known["ranks"] = _rounded(np.quantile(_rank(known, strange), steps))
    return {name: value.tolist() for name, value in known.items()}


def extend(predictor: Any) -> None:
    """Have a predictor tell strangers, if its file says how; `predictor.reject` is the share of
    good images that it may reject."""
    kept = predictor.metadata.get("unknown")
    predictor.reject = Options.reject
    if not kept:
        return
    known = {name: np.asarray(value) for name, value in kept.items()}

    def is_unknown(features: np.ndarray, probabilities: np.ndarray) -> bool:
        rank = _rank(known, _strangeness(known, features[None], probabilities[None]))[0]
        steps = np.linspace(0, 1, RANKS)
        return bool(rank > np.interp(1 - predictor.reject, steps, known["ranks"]))

    predictor.is_unknown = is_unknown


def pass_on(options: Options, predictor: Any, results: Iterable[Any]) -> Iterable[Any]:
    """The results, none of which has been asked for yet, at the rate that was asked for."""
    predictor.reject = options.reject
    return results


def _strangeness(known: dict, features: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Distance, angle and entropy of each image, the larger the stranger: (n, 1 or 3) float."""
    shares = np.maximum(probabilities, 1e-12)
    found = [-(shares * np.log(shares)).sum(axis=1)]
    if len(means := known["means"]):
        apart = [((features - mean) / known["spread_within"]) ** 2 for mean in means]
        found.append(np.min([squares.mean(axis=1) for squares in apart], axis=0))
        seen, classes = ((each - known["center"]) / known["spread"] for each in (features, means))
        seen, classes = (
            each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12)
            for each in (seen, classes)
        )
        found.append(-(seen @ classes.T).max(axis=1))
    return np.stack(found, axis=1)


def _rank(known: dict, strange: np.ndarray) -> np.ndarray:
    """The largest of the ranks that an image has among validation images, 0..1: (n,)."""
    steps = np.linspace(0, 1, RANKS)
    pairs = zip(strange.T, known["quantiles"], strict=True)
    return np.max([np.interp(values, quantiles, steps) for values, quantiles in pairs], axis=0)


def _rounded(array: np.ndarray) -> np.ndarray:
    """To five digits, so that they are short as text."""
    return np.vectorize(lambda value: float(f"{value:.5g}"), otypes=[float])(array)
