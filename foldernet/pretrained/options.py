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

    fine_tune: Literal["auto", "none", "head", "last", "all"] = "auto"
    """What becomes of a pretrained network: head solves the last layer and leaves the others as
    they are; last and all train the last quarter of them or all afterwards; none trains all from
    the start. auto is all from 1,000 training images on, and head for fewer."""
