"""Which images a mode starts from. TensorFlow isn't needed: a wrong folder is answered at once."""

import os
from pathlib import Path

from foldernet import terminal
from foldernet.config import Config
from foldernet.data import folders
from foldernet.data.folders import Dataset, Listing
from foldernet.terminal import UserError

PHOTOGRAPHS = "photographs"  # what stands in a listing in place of a class


def find(config: Config) -> Dataset:
    """Find the images that the config names.

    Raises:
        UserError: they are missing, or not as the mode needs them.
    """
    return FINDERS[config.mode](config)


def _classes(config: Config) -> Dataset:
    return folders.find(config.data, config.validation_split, config.cache)


def _photographs(config: Config) -> Dataset:
    """Photographs to blur, or a user's own pairs, of which the sharp ones are listed."""
    if config.blur.pairs:
        if config.data:
            raise UserError(f"Give either the folder '{config.data}' or --pairs, not both.")
        sharp, blurred = (Path(folder).expanduser() for folder in config.blur.pairs)
        _check_same_names(photographs(sharp), photographs(blurred))
        return Dataset(sharp, (PHOTOGRAPHS,), _split(photographs(sharp), config))
    root = config.data and Path(config.data).expanduser()
    root = root or folders.unpacked(folders.SHIPPED.with_name("photos.zip"))
    parts = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in folders.SPLIT_NAMES.items()
    }
    if parts["training"] and parts["validation"]:
        splits = {split: photographs(parts[split]) for split in ("training", "validation")}
    else:
        splits = _split(photographs(root), config)
    return Dataset(root, (PHOTOGRAPHS,), splits)


def photographs(root: str | os.PathLike) -> Listing:
    """List the images in a folder, at any depth.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    if not os.path.isdir(root):
        raise UserError(f"There is no folder '{root}'. Name one that holds photographs.")
    names = folders.image_names(os.fspath(root), "")
    if not names:
        raise UserError(f"There are no images in '{root}'. Name a folder that holds photographs.")
    return Listing(os.fspath(root), {PHOTOGRAPHS: names})


def _check_same_names(sharp: Listing, blurred: Listing) -> None:
    ours, theirs = (set(listing.files[PHOTOGRAPHS]) for listing in (sharp, blurred))
    if ours != theirs:
        alone = sorted(ours ^ theirs)
        raise UserError(
            f"'{sharp.directory}' and '{blurred.directory}' must hold the same file names, and"
            f" {terminal.listed(alone, 3)} {'is' if len(alone) == 1 else 'are'} in one only."
        )


def files(config: Config, dataset: Dataset) -> dict[str, str]:
    """Every file that a run is made of: a name that moving the folder leaves as it is -> path."""
    found = {
        f"{split}/{name}": os.path.join(listing.directory, name)
        for split, listing in dataset.splits.items()
        for names in listing.files.values()
        for name in names
    }
    if config.blur.pairs:
        blurred = os.fspath(config.blur.pairs[1])
        for name in [*found]:
            found[f"blurred/{name}"] = os.path.join(blurred, name.partition("/")[2])
    others = {"kernel": config.blur.kernel, "weights": config.weights}
    return found | {
        name: os.fspath(path) for name, path in others.items() if path and os.path.isfile(path)
    }


def _split(listing: Listing, config: Config) -> dict[str, Listing]:
    """By content, as for classes; of a few photographs, at least one is held out."""
    if len(listing) == 1:
        raise UserError(
            f"'{listing.directory}' holds one photograph, and two are the least: one to learn from"
            " and one to hold out. Add more."
        )
    positions = folders.content_positions(listing.paths, config.cache)
    share = max(config.validation_split, positions.min() * (1 + 1e-9))
    sides = {"training": positions >= share, "validation": positions < share}
    if not sides["training"].any():
        raise UserError("No photograph is left to learn from. Lower --validation-split.")
    return {
        side: Listing(
            listing.directory,
            {
                PHOTOGRAPHS: [
                    name
                    for name, here in zip(listing.files[PHOTOGRAPHS], chosen, strict=True)
                    if here
                ]
            },
        )
        for side, chosen in sides.items()
    }


FINDERS = {"classify": _classes, "blur": _photographs}
