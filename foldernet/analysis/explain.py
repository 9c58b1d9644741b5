"""`predict.py --explain`: a heat map beside each answer."""

import dataclasses
import itertools
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
    import cv2

    with terminal.quiet_tensorflow():
        from foldernet.analysis.heat_maps import grad_cam, overlaid

    for result in results:
        if result.ranking:
            pixels = predictor.read(result.path)
            label = predictor.classes.index(result.ranking[0][0])
            heat = grad_cam(predictor.model, pixels[None], np.array([label]))[0]
            _, content = cv2.imencode(".png", overlaid(pixels, heat)[..., ::-1])
            terminal.status(f"Wrote {_written(Path(result.path).stem, content.tobytes())}")
        yield result


def _written(stem: str, content: bytes) -> str:
    """The new file, `stem`-why.png, or with -2 and so on where there is one already."""
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    path = next(path for end in ends if not Path(path := f"{stem}-why{end}.png").exists())
    try:
        with open(path, "xb") as file:
            file.write(content)
    except OSError as error:
        raise terminal.UserError(f"'{path}' can't be written ({error.strerror}).") from error
    return path
