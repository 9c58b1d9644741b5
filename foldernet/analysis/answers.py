"""What predict.py may add to an answer: unknown, a set of classes, and a heat map beside it."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from foldernet import terminal
from foldernet.analysis import sets, unknown
from foldernet.option_types import Range
from foldernet.options import shown_as


@dataclasses.dataclass(frozen=True)
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
        least = sets.smallest(sets.kept_in(predictor), options.sets)
        results = (sets.with_set(result, least) for result in results)
    if options.explain:
        if not hasattr(predictor, "classes"):
            raise terminal.UserError("--explain is for classifiers.")
        results = (_explained(predictor, result) for result in results)
    return results


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
