"""What the images are like, before the first epoch: sizes, and the files that can't be read."""

import dataclasses
from collections import Counter

import numpy as np

from foldernet import terminal
from foldernet.data import threads
from foldernet.data.folders import Dataset
from foldernet.data.generator import DirectoryIterator
from foldernet.data.reader import ImageError, image_size
from foldernet.terminal import UserError

SIZED_IMAGES = 1000  # whose headers are looked at for their size
NAMED_FILES = 10  # unreadable ones, on the terminal


def readable(
    dataset: Dataset, batches: dict[str, DirectoryIterator]
) -> tuple[Dataset, Counter[tuple[int, int]]]:
    """Read every image once, into the cache; leave out, and name, the files that can't be read.

    Args:
        dataset: as found.
        batches: split name -> iterator over its images; the unreadable ones are taken out of it.

    Returns:
        The data set less the unreadable files; and how many images have each (height, width), of
        at most a thousand spread evenly.

    Raises:
        UserError: a class of the training images, or all of validation, is unreadable.
    """
    errors = []
    for split, iterator in batches.items():
        cache = iterator.cache
        filling = terminal.progress(cache.fill(), f"Reading {split} images", cache.missing)
        lost = {position: error for position, error in filling if error}
        if lost:
            iterator.leave_out(list(lost))
        errors += lost.values()
    if errors:
        terminal.warn(f"{terminal.count(len(errors), 'file')} can't be read, and are left out:")
        for error in errors[:NAMED_FILES]:
            terminal.status(f"  {terminal.printable(str(error))}")
        if len(errors) > NAMED_FILES:
            terminal.status(f"  and {len(errors) - NAMED_FILES:,} more")
    return _without(dataset, {error.path for error in errors}), _sizes(batches)


def _without(dataset: Dataset, unreadable: set[str]) -> Dataset:
    splits = {split: listing.without(unreadable) for split, listing in dataset.splits.items()}
    lost = [label for label, names in splits["training"].files.items() if not names]
    if lost:
        raise UserError(
            f"No training image of class {terminal.listed(lost)} can be read, as said above."
            " Replace them, or take the folder out."
        )
    if not len(splits["validation"]):
        raise UserError("No validation image can be read, as said above. Replace them.")
    return dataclasses.replace(dataset, splits=splits)


def _sizes(batches: dict[str, DirectoryIterator]) -> Counter[tuple[int, int]]:
    def size(path: str) -> tuple[int, int] | None:
        try:
            return image_size(path)
        except ImageError:
            return None  # it has gone since it was read

    count = sum(iterator.samples for iterator in batches.values())
    step = -(-count // SIZED_IMAGES)
    paths = [
        iterator.path(position)
        for iterator in batches.values()
        for position in np.arange(0, iterator.samples, step)
    ]
    return Counter(found for found in threads.map(size, paths) if found)


def sizes_in_words(sizes: Counter[tuple[int, int]]) -> str:
    """`28x28`, or `100x80 to 4000x3000, most often 640x480`: width x height in pixels."""
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    (often, _), *_ = sizes.most_common(1)
    smallest, largest, often = (
        f"{width}x{height}" for height, width in (by_area[0], by_area[-1], often)
    )
    return often if len(sizes) == 1 else f"{smallest} to {largest}, most often {often}"
