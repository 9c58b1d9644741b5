"""Which photographs a blur run starts from. TensorFlow isn't needed: a wrong folder is answered at
once."""

import os
from collections.abc import Callable
from pathlib import Path

from foldernet import terminal
from foldernet.blur.options import BlurOptions
from foldernet.datasets import folders
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.datasets.split import content_hashes
from foldernet.terminal import UserError

CLASS = "photographs"  # what stands in a list in place of a class


def find(options: BlurOptions, shipped: Callable[[str], Path] | None) -> Dataset:
    """Photographs to blur, or a user's own pairs, of which the sharp ones are listed.

    Args:
        options: name the folder.
        shipped: gives the folder of a set that comes with the project, by its name.

    Raises:
        UserError: they are missing, too few, or the pairs don't match.
    """
    if options.pairs:
        if options.data:
            raise UserError(f"Give either the folder '{options.data}' or --pairs, not both.")
        sharp, blurred = (photographs(folder.expanduser()) for folder in options.pairs)
        _check_same_names(sharp, blurred)
        return Dataset(Path(sharp.directory), (CLASS,), _split(sharp, options))
    root = Path(options.data or (shipped and shipped("photos")) or ".").expanduser()
    parts = folders.split_folders(root, of_classes=False) if root.is_dir() else {}
    if "training" in parts and "validation" in parts:
        splits = {split: photographs(parts[split]) for split in ("training", "validation")}
    else:
        splits = _split(photographs(root), options)
    return Dataset(root, (CLASS,), splits)


def photographs(root: str | os.PathLike) -> ImageList:
    """List the images in a folder, at any depth.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    if not os.path.isdir(root):
        raise UserError(f"There is no folder '{root}'. Name one that holds photographs.")
    names = folders.list_images(root)
    if not names:
        raise UserError(f"There are no images in '{root}'. Name a folder that holds photographs.")
    return ImageList.of_classes(root, {CLASS: names})


def _check_same_names(sharp: ImageList, blurred: ImageList) -> None:
    alone = sorted(set(sharp.names) ^ set(blurred.names))
    if alone:
        raise UserError(
            f"'{sharp.directory}' and '{blurred.directory}' must hold the same file names, and"
            f" {terminal.listed(alone, 3)} {'is' if len(alone) == 1 else 'are'} in only one."
        )


def _split(images: ImageList, options: BlurOptions) -> dict[str, ImageList]:
    """By content, as for classes; of a few photographs, at least one is held out."""
    if len(images) == 1:
        raise UserError(
            f"'{images.directory}' holds one photograph, and two are the least: one to learn from"
            " and one to hold out. Add more."
        )
    positions = content_hashes(images.paths, options.cache) / 2**64
    held_out = positions < max(options.validation_split, positions.min() * (1 + 1e-9))
    if held_out.all():
        raise UserError("No photograph is left to learn from. Lower --validation-split.")
    return {"training": images.take(~held_out), "validation": images.take(held_out)}
