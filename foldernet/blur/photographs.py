"""Which photographs a blur run starts from. TensorFlow isn't needed: a wrong folder is answered at
once."""

import os
from collections.abc import Callable
from pathlib import Path

from foldernet import terminal
from foldernet.blur.options import BlurOptions
from foldernet.datasets import folders
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.datasets.split import split_by_content
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
    if options.pairs and options.data:
        raise UserError(f"Give either the folder '{options.data}' or --pairs, not both.")
    sharp = options.pairs and options.pairs[0]
    root = Path(sharp or options.data or (shipped and shipped("photos")) or ".").expanduser()
    parts = folders.split_folders(root, of_classes=False) if root.is_dir() else {}
    if not options.pairs and {"training", "validation"} <= parts.keys():
        splits = {split: photographs(parts[split]) for split in ("training", "validation")}
        return Dataset(root, (CLASS,), splits)
    images = photographs(root)
    if options.pairs:
        blurred = photographs(options.pairs[1].expanduser())
        if alone := sorted(set(images.names) ^ set(blurred.names)):
            raise UserError(
                f"'{root}' and '{blurred.directory}' must hold the same file names, and only one of"
                f" them has {terminal.listed(alone, 3)}."
            )
    splits = split_by_content(images, options.validation_split, options.cache)
    if not len(splits["validation"]):
        raise UserError(f"'{root}' holds one photograph, or only copies of it. Add another.")
    return Dataset(root, (CLASS,), splits)


def photographs(root: str | os.PathLike) -> ImageList:
    """List the images in a folder, at any depth.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    names = folders.list_images(root) if os.path.isdir(root) else []
    if not names:
        raise UserError(f"There is no folder '{root}' with images in it. Name another.")
    return ImageList.of_classes(root, {CLASS: names})
