"""The options that resuming adds to a training."""

import dataclasses
from typing import Annotated

from foldernet.option_types import MAY_CHANGE_ON_RESUME, Options, Range


@dataclasses.dataclass(frozen=True)
class ResumeOptions(Options):
    """Checkpoints and resuming."""

    resume: Annotated[bool, MAY_CHANGE_ON_RESUME] = False
    """Continue the newest unfinished run, or the one that --name names, as if it had never been
    interrupted. It knows its own options; --epochs may ask for more."""

    state_minutes: Annotated[float, Range(0), MAY_CHANGE_ON_RESUME] = 1.0
    """Minutes between checkpoints, which a power cut costs at most. A signal or Ctrl-C costs
    none."""
