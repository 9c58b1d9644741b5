"""The options of check.py, and what the checks add to those of training and prediction."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional

from foldernet.option_types import MAY_CHANGE_ON_RESUME, BaseOptions, Range, shown_as


class Options(BaseOptions):
    """Limits of images."""

    megapixels: Annotated[int, Range(1, 10_000), MAY_CHANGE_ON_RESUME] = 50
    """Megapixels of the largest image that is read. A JPEG, which is decoded small, may have five
    times as many. Memory and time that a file may take grow in proportion."""

    def allow(self) -> None:
        """Have the reader obey."""
        from foldernet.images import limits  # Pillow, which --help can do without

        limits.allow(self.megapixels, "--megapixels")


class StrictOptions(Options):
    """Checks before training."""

    strict: Annotated[bool, MAY_CHANGE_ON_RESUME] = False
    """Make it an error if an image can't be read or would be left out; check.py names them."""


class CheckOptions(StrictOptions):
    """Read every image of a folder as train.py does, and report what is wrong with them. Findings
    go to quarantine.csv in that folder, which train.py obeys; no image is touched. A class
    imbalance of 10:1 or more is also reported. The exit status is 1 if any image would be left
    out."""

    data: Annotated[Positional[Path | None], shown_as("[DATA]")] = None
    """Folder of images, as for train.py."""

    mode: str = "classify"
    """What is learned, as for train.py."""

    validation_split: Annotated[float, Range(0.01, 0.9)] = 0.2
    """Share of every class for validation where there is no val/, as for train.py."""


def pass_on(options: Options, predictor: Any, results: Iterable[Any]) -> Iterable[Any]:
    """The results, none of which has been asked for yet, of images of any allowed size."""
    options.allow()
    return results
