"""What the images are like, before the first epoch: sizes, and the files that can't be read."""

import dataclasses
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from foldernet import terminal
from foldernet.config import Config
from foldernet.data.folders import Dataset
from foldernet.data.reader import ImageError, image_size, read_image
from foldernet.terminal import UserError


def readable(dataset: Dataset, config: Config) -> tuple[Dataset, Counter]:
    """Read every image once; leave out, and name, the files that can't be.

    Args:
        dataset: as found.
        config: says at what size and in which colours training will read them.

    Returns:
        The data set less the unreadable files, and how many images there are of each
        (height, width).

    Raises:
        UserError: a class of the training images, or all of validation, is unreadable.
    """

    def read(path: str) -> tuple[int, int] | ImageError:
        try:
            read_image(path, (config.image_size, config.image_size), config.color_mode)
            return image_size(path)
        except ImageError as error:
            return error

    paths = [path for listing in dataset.splits.values() for path in listing.paths]
    with ThreadPoolExecutor() as pool:
        found = list(
            tqdm(pool.map(read, paths), "Reading", len(paths), delay=2, leave=False, disable=None)
        )
    errors = [outcome for outcome in found if isinstance(outcome, ImageError)]
    if errors:
        terminal.warn(f"{terminal.count(len(errors), 'file')} can't be read, and are left out:")
        for error in errors[:10]:
            terminal.status(f"  {terminal.printable(str(error))}")
        if len(errors) > 10:
            terminal.status(f"  and {len(errors) - 10:,} more")
    return _without(dataset, errors), Counter(size for size in found if isinstance(size, tuple))


def _without(dataset: Dataset, errors: list[ImageError]) -> Dataset:
    unreadable = {error.path for error in errors}
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


def sizes_in_words(sizes: Counter) -> str:
    """`28x28`, or `from 100x80 to 4000x3000, most often 640x480 (width x height, pixels)`."""
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    (often, _), *_ = sizes.most_common(1)
    smallest, largest, often = (
        f"{width}x{height}" for height, width in (by_area[0], by_area[-1], often)
    )
    return often if len(sizes) == 1 else f"{smallest} to {largest}, most often {often}"
