"""The options that resuming adds to a training."""

import dataclasses
from pathlib import Path
from typing import Annotated

from foldernet.option_types import MAY_CHANGE_ON_RESUME, Options, Range
from foldernet.options import shown_as


@dataclasses.dataclass(frozen=True)
class ResumeOptions(Options):
    """Checkpoints and resuming."""

    resume: Annotated[bool, MAY_CHANGE_ON_RESUME] = False
    """Continue the newest unfinished run, or the one that --name names, as if it had never been
    interrupted. It knows its own options; --epochs may ask for more."""

    config: Annotated[Path | None, shown_as("FILE"), MAY_CHANGE_ON_RESUME] = None
    """Repeat the run that this config.json describes; other options on top."""

    state_minutes: Annotated[float, Range(0), MAY_CHANGE_ON_RESUME] = 1.0
    """Minutes between checkpoints, which a power cut costs at most. A signal or Ctrl-C costs
    none."""
