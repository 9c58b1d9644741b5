"""The options that say where predictions are written."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated

from foldernet.option_types import Options
from foldernet.options import shown_as
from foldernet.terminal import UserError

STANDARD_OUTPUT = Path("-")


@dataclasses.dataclass(frozen=True)
class FileOptions(Options):
    """Files of predictions."""

    json: Annotated[Path | None, shown_as("FILE")] = None
    """Write the predictions to this file as JSON, or, if its name ends in .jsonl, as a line of JSON
    for each image; - is standard output."""

    csv: Annotated[Path | None, shown_as("FILE")] = None
    """Write the predictions to this file as CSV; - is standard output."""

    def __post_init__(self):
        super().__post_init__()
        if self.json and self.json == self.csv:
            raise UserError(f"--json and --csv can't both be '{self.csv}'. Name two files.")
        for path in {self.json, self.csv} - {None, STANDARD_OUTPUT}:
            taken = path.exists() and not path.is_file()  # by a folder or device
            if taken or not os.access(path.parent, os.W_OK):
                raise UserError(f"'{path}' can't be written. Name a file in a folder that can be.")
