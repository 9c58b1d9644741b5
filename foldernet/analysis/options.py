"""The options of evaluate.py."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from foldernet.analysis.unknown import Options as RejectOptions
from foldernet.options import shown_as
from foldernet.terminal import UserError


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(RejectOptions):
    """Score a trained classifier on labeled images: accuracy with its interval, calibration,
    classes and confusions; or find labels that look wrong."""

    data: Annotated[Positional[Path | None], shown_as("[FOLDER]")] = None
    """Folder with one folder per class, matched by name; of one with train/, its other splits. By
    default the run's own validation and test images."""

    run: Annotated[str | None, shown_as("RUN")] = None
    """A run's name or folder, or a .keras file of one. By default the newest classifier in
    models/."""

    compare: Annotated[str | None, shown_as("RUN")] = None
    """Another run: do the two differ beyond chance on these images?"""

    json: Annotated[Path | None, shown_as("FILE")] = None
    """Write the scores to this file as JSON."""

    csv: Annotated[Path | None, shown_as("FILE")] = None
    """Write a line for each image to this file as CSV."""

    label_issues: bool = False
    """Find images, of training too, whose label is probably wrong, by cross-validation, and write
    them to label_issues.csv of the run."""

    def __post_init__(self):
        super().__post_init__()
        if self.json and self.json == self.csv:
            raise UserError(f"--json and --csv can't both be '{self.csv}'. Name two files.")
        for path in {self.json, self.csv} - {None}:
            if path.is_dir() or not os.access(path.parent, os.W_OK):
                raise UserError(f"'{path}' can't be written. Name a file in a folder that can be.")
