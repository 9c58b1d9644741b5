"""The options that pretrained networks add to a training."""

import dataclasses
from typing import Literal

from foldernet.option_types import Options


@dataclasses.dataclass(frozen=True)
class PretrainedOptions(Options):
    """Pretrained networks."""

    pretrained: bool = True
    """Let --model auto choose a network with ImageNet weights for photographs, and start from these
    weights where a network has them."""

    fine_tune: Literal["none", "head", "all"] = "head"
    """What becomes of a pretrained network: head solves the last layer and leaves the others as
    they are; all trains them afterwards, gently; none trains all from the start."""
