"""The gray levels that images of 16 bits really use: microscopes and cameras store 10, 12 or 14."""

import dataclasses

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import Dataset
from foldernet.options import TrainOptions

LOOKED_AT = 64  # training images, evenly spaced: a dataset comes from one camera
FULL = 65_535
LEVELS = (1023, 4095, 16_383, FULL)  # of 10, 12, 14 and 16 bits


def choose(options: TrainOptions, dataset: Dataset) -> TrainOptions:
    """The options with the `white_level` that the training images of 16 bits suggest, all together:
    the lowest of `LEVELS` that none of them exceeds. One that was given stays."""
    from foldernet.images import limits  # which a wrong folder can do without
    from foldernet.images.reader import ImageError, opened

    if getattr(options, "white_level", FULL):
        return options
    images, brightest = dataset.splits["training"], 0
    for position in np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(int)):
        try:
            with opened(images.path(position)) as (image, extra):
                if image.mode.startswith("I;16"):
                    limits.check_memory(image, extra)
                    brightest = max(brightest, np.asarray(image).max())
        except ImageError:  # the checks will name it, with the reason
            continue
    level = next(level for level in LEVELS if brightest <= level)
    if not brightest or level == FULL:
        return dataclasses.replace(options, white_level=FULL)
    terminal.status(
        f"16-bit images use levels up to {brightest:,}: {level:,} becomes white, here and in"
        f" prediction; --white-level {FULL} keeps the full range"
    )
    return dataclasses.replace(options, white_level=level)
