"""A folder of photographs. TensorFlow isn't needed: a wrong one is answered at once."""

import os

from foldernet.datasets import folders
from foldernet.datasets.image_list import ImageList
from foldernet.terminal import UserError


def photographs(root: str | os.PathLike) -> ImageList:
    """List the images in a folder, at any depth; all are of the one class "photographs".

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    names = folders.list_images(root) if os.path.isdir(root) else []
    if not names:
        raise UserError(f"There is no folder '{root}' with images in it. Name another.")
    return ImageList.of_classes(root, {"photographs": names})
