"""The options that the training recipe adds to a training."""

import dataclasses
import re
from typing import Annotated, Literal

from foldernet.option_types import Options, Range
from foldernet.options import shown_as
from foldernet.terminal import UserError


@dataclasses.dataclass(frozen=True)
class RecipeOptions(Options):
    """Training recipe."""

    time: Annotated[str | None, shown_as("10m")] = None
    """Time for the whole command, as 90s, 10m or 1h30m: the epochs are as many as fit, at most
    --epochs, and the learning-rate schedule ends with them."""

    ema: Annotated[float, Range(0, 0.9999)] = 0.0
    """Momentum of a moving average of the weights, such as 0.99 over some hundred steps; what is
    validated and saved is the average. 0 is off."""

    clip_norm: Annotated[float, Range(0)] = 0.0
    """Largest norm of the gradient, over all weights, against steps that diverge; 0 is off."""

    mixed_precision: Literal["auto", "on", "off"] = "auto"
    """Compute in bfloat16, and keep weights in float32: auto does on a GPU that has bfloat16. On a
    CPU it saves a tenth with simpleconv3, and takes longer with efficientnet_lite."""

    def __post_init__(self):
        super().__post_init__()
        if self.time is not None and not seconds(self.time):
            raise UserError(f"--time '{self.time}' is no time. Write it as 90s, 10m or 1h30m.")


def seconds(time: str) -> int:
    """Seconds of a time such as 1h30m; 0 of what is none."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", time)
    hours, minutes, rest = (int(number or 0) for number in found.groups()) if found else (0, 0, 0)
    return 3600 * hours + 60 * minutes + rest
