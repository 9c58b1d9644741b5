"""The options that fine-tuning adds to a training."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction

from foldernet.option_types import Options
from foldernet.options import shown_as


@dataclasses.dataclass(frozen=True)
class TransferOptions(Options):
    """Fine-tuning."""

    weights: Annotated[Path | None, shown_as("RUN")] = None
    """Start from the weights of this run, its name or folder, or in this .keras, .weights.h5 or .h5
    file, of each layer whose name and shapes match. For applications:NAME, also Keras's own file of
    weights, ..._notop.h5."""

    freeze: Annotated[UseAppendAction[tuple[str, ...]], shown_as("PATTERN")] = ()
    """Freeze layers whose names match this pattern, as 'conv*' (repeatable)."""
