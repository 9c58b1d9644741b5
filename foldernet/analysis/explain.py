"""`predict.py --explain`: a heat map beside each answer."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foldernet import terminal
from foldernet.option_types import Options as BaseOptions


@dataclasses.dataclass(frozen=True)
class Options(BaseOptions):
    """Explanations."""

    explain: bool = False
    """Write a heat map (Grad-CAM) of each image to the working folder, NAME-why.png: where the
    network looks for the class that it names."""


def pass_on(options: Options, predictor: Any, results: Iterable[Any]) -> Iterable[Any]:
    """The results, with a heat map written of each that names a class.

    Raises:
        UserError: the run is no classifier.
    """
    if not options.explain:
        return results
    if not hasattr(predictor, "classes"):
        raise terminal.UserError("--explain is for classifiers.")
    return _explained(predictor, results)


def _explained(predictor: Any, results: Iterable[Any]) -> Iterator[Any]:
    with terminal.quiet_tensorflow():
        from foldernet.analysis.heat_maps import grad_cam
    from foldernet.analysis.occlusion import overlaid
    from foldernet.interchange.writers import write_png

    for result in results:
        if result.ranking and Path(result.path).exists():  # it may have gone meanwhile
            pixels = predictor.read(result.path)
            label = predictor.classes.index(result.ranking[0][0])
            heat = grad_cam(predictor.model, pixels[None], np.array([label]))[0]
            written = write_png(f"{Path(result.path).stem}-why", overlaid(pixels, heat))
            terminal.status(f"Wrote {written}")
        yield result
