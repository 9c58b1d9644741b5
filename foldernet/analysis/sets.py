"""Conformal sets: the classes among which the right one is as often as is asked for.

Sadinle, Lei & Wasserman (2019), "Least Ambiguous Set-Valued Classifiers With Bounded Error Levels",
arXiv:1609.00451. It holds for images like the validation images, whatever the network.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from foldernet.terminal import UserError

MOST = 5000  # numbers that are kept


def fit(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """What is kept in a model's file: the probabilities that validation images have of their own
    class, sorted.

    Args:
        labels: (n,) int.
        probabilities: (n, classes), calibrated.
    """
    own = np.sort(probabilities[np.arange(len(labels)), labels])
    return own[:: math.ceil(len(own) / MOST)].tolist()


def kept_in(predictor: Any) -> list[float]:
    """What `fit` left in a predictor's file.

    Raises:
        UserError: nothing, or something else.
    """
    kept = predictor.metadata.get("own_class")
    if not isinstance(kept, list) or not kept or not all(isinstance(x, float) for x in kept):
        raise UserError(
            f"'{predictor.path}' can't tell --sets: it is of too few validation images, of an"
            " earlier version, or no classifier. Train it again with more."
        )
    return kept


def smallest(kept: list[float], share: float) -> float:
    """The probability from which on a class belongs to a set."""
    # Of one more image than are known, the next one, so that it holds for that.
    rank = math.ceil((len(kept) + 1) * share)
    return kept[len(kept) - rank] if rank <= len(kept) else 0.0


def with_set(result: Any, least: float) -> Any:
    """A result, and its set: the classes of this probability or more, or else the first one."""
    names = [name for name, share in result.ranking if share >= least]
    names = names or [name for name, _ in result.ranking[:1]]
    return dataclasses.replace(result, within=tuple(names))
