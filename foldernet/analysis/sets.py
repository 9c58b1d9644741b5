"""Conformal sets: the classes among which the right one is as often as is asked for.

Sadinle, Lei & Wasserman (2019), "Least Ambiguous Set-Valued Classifiers With Bounded Error Levels",
arXiv:1609.00451. It holds for images like the validation images, whatever the network.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from foldernet.option_types import Options as BaseOptions
from foldernet.option_types import Range
from foldernet.options import shown_as
from foldernet.terminal import UserError

MOST = 5000  # numbers that are kept


@dataclasses.dataclass(frozen=True)
class Options(BaseOptions):
    """Sets of classes."""

    sets: Annotated[float | None, Range(0.5, 0.999), shown_as("SHARE")] = None
    """Name the classes among which the right one is in this share of images, such as 0.9."""


def fit(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """What is kept in a model's file: the probabilities that validation images have of their own
    class, sorted.

    Args:
        labels: (n,) int.
        probabilities: (n, classes), calibrated.
    """
    own = np.sort(probabilities[np.arange(len(labels)), labels])
    return own[:: math.ceil(len(own) / MOST)].tolist()


def pass_on(options: Options, predictor: Any, results: Iterable[Any]) -> Iterable[Any]:
    """The results, each with its set if sets are asked for.

    Raises:
        UserError: the run can't tell.
    """
    if options.sets is None:
        return results
    kept = predictor.metadata.get("own_class")
    if not isinstance(kept, list) or not kept or not all(isinstance(x, float) for x in kept):
        raise UserError(
            f"'{predictor.path}' can't tell --sets: it is of too few validation images, of an"
            " earlier version, or no classifier. Train it again with more."
        )
    least = smallest(kept, options.sets)
    return (_with_set(result, least) if result.ranking else result for result in results)


def smallest(kept: list[float], share: float) -> float:
    """The probability from which on a class belongs to a set."""
    # Of one more image than are known, the next one, so that it holds for that.
    rank = math.ceil((len(kept) + 1) * share)
    return kept[len(kept) - rank] if rank <= len(kept) else 0.0


def _with_set(result: Any, least: float) -> Any:
    first, *_ = names = [name for name, share in result.ranking]
    count = sum(share >= least for _, share in result.ranking)
    return dataclasses.replace(result, within=tuple(names[:count]) or (first,))
