"""What predict.py may add to an answer: unknown, a set of classes, and a heat map beside it."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from foldernet import terminal
from foldernet.analysis import unknown
from foldernet.option_types import Range, shown_as

MOST = 5000  # numbers that are kept of validation images


class Options(unknown.Options):
    """Answers."""

    sets: Annotated[float | None, Range(0.5, 0.999), shown_as("SHARE")] = None
    """Name the classes among which the right one is in this share of images, such as 0.9."""

    explain: bool = False
    """Write a heat map (Grad-CAM) of each image to the working folder, NAME-why.png: where the
    network looks for the class that it names."""


def pass_on(options: Options, predictor: Any, results: Iterable[Any]) -> Iterable[Any]:
    """The results, none of which has been asked for yet, with what the options ask for.

    Raises:
        UserError: the run can't tell a set, or is no classifier.
    """
    predictor.reject = options.reject
    if options.sets is not None:
        least = smallest(own_class_in(predictor), options.sets)
        results = (with_set(result, least) for result in results)
    if options.explain:
        if not hasattr(predictor, "classes"):
            raise terminal.UserError("--explain is for classifiers.")
        results = (_explained(predictor, result) for result in results)
    return results


def own_class(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """What is kept in a model's file to know sets by: the probabilities that validation images have
    of their own class, sorted.

    Args:
        labels: (n,) int.
        probabilities: (n, classes), calibrated.
    """
    own = np.sort(probabilities[np.arange(len(labels)), labels])
    return own[:: math.ceil(len(own) / MOST)].tolist()


def own_class_in(predictor: Any) -> list[float]:
    """What `own_class` left in a predictor's file.

    Raises:
        UserError: nothing, or something else.
    """
    kept = predictor.metadata.get("own_class")
    if not isinstance(kept, list) or not kept or not all(isinstance(x, float) for x in kept):
        raise terminal.UserError(
            f"'{predictor.path}' can't tell --sets: it is of too few validation images, of an"
            " earlier version, or no classifier. Train it again with more."
        )
    return kept


def smallest(kept: list[float], share: float) -> float:
    """The probability from which on a class belongs to a conformal set, so that the right class is
    in this share of them.

    It holds for images like the validation images, whatever the network: Sadinle, Lei & Wasserman
    (2019), "Least Ambiguous Set-Valued Classifiers With Bounded Error Levels", arXiv:1609.00451.
    """
    # Of one more image than are known, the next one, so that it holds for that.
    rank = math.ceil((len(kept) + 1) * share)
    return kept[len(kept) - rank] if rank <= len(kept) else 0.0


def with_set(result: Any, least: float) -> Any:
    """A result, and its set: the classes of this probability or more, or else the first one."""
    names = [name for name, share in result.ranking if share >= least]
    names = names or [name for name, _ in result.ranking[:1]]
    return dataclasses.replace(result, within=tuple(names))


def _explained(predictor: Any, result: Any) -> Any:
    """The result; the heat map of its image is written, if it names a class."""
    with terminal.quiet_tensorflow():
        from foldernet.analysis.heat_maps import grad_cam
    from foldernet.analysis.occlusion import overlaid
    from foldernet.interchange.writers import write_png

    if result.ranking and Path(result.path).exists():  # it may have gone meanwhile
        pixels = predictor.read(result.path)[None]
        label = predictor.classes.index(result.ranking[0][0])
        heat = grad_cam(predictor.model, pixels, np.array([label]))
        written = write_png(f"{Path(result.path).stem}-why", overlaid(pixels[0], heat[0]))
        terminal.status(f"Wrote {written}")
    return result
