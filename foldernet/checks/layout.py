"""What the folders of a dataset look like, and what in them training passes over."""

import os
import shlex
from collections import Counter, defaultdict
from pathlib import Path

from foldernet import terminal
from foldernet.checks.quarantine import FILE
from foldernet.datasets import folders
from foldernet.datasets.folders import (
    EXPECTED,
    HEIC,
    IMAGE_EXTENSIONS,
    PILLOW_HEIF,
    SYSTEM_FOLDERS,
)
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.terminal import UserError, listed

# Beside the class folders they are no surprise: what tells of a dataset, and its license.
DOCUMENTS = {"", ".txt", ".md", ".csv", ".json", ".yaml"}
NAMED = 5  # extensions, the most frequent first


def check(dataset: Dataset) -> None:
    """Name in a line each what lies in a dataset's folder and isn't used.

    Raises:
        UserError: what is taken for classes looks like something else.
    """
    images = dataset.splits["training"]
    if len(images.classes) > 1:  # photographs to blur have none
        _check_classes(images)
        _name_classes_alike(images.classes)
        _name_unused_folders(dataset)
    _name_unread_files(dataset)


def explain(root: Path) -> None:
    """Raise UserError if a folder without a dataset looks like a known mistake.

    Args:
        root: as the user named it.
    """
    training = folders.split_folders(root).get("training", root)
    names = os.listdir(training)
    inner = [name for name in folders.subfolders(training) if folders.list_images(training, name)]
    loose = sum(name.lower().endswith(IMAGE_EXTENSIONS) for name in names)
    if any("\\" in name for name in names):
        move = "os.renames(n, n.replace(chr(92), '/')) for n in os.listdir() if chr(92) in n"
        raise UserError(
            f"The file names in '{training}' hold backslashes, as of a zip from Windows. Make"
            f' folders of them: cd {shlex.quote(str(training))} && python -c "import os; [{move}]"'
        )
    if loose and not inner:
        raise UserError(
            f"'{training}' holds {terminal.count(loose, 'image')} but no class folders."
            f" Move each image to a folder named after its class: {EXPECTED}."
        )
    if len(inner) == 1 and any(
        folders.list_images(training / inner[0], name)
        for name in folders.subfolders(training / inner[0])
    ):
        meant = training / inner[0] if training == root else training
        raise UserError(
            f"'{training}' holds only one folder with images, '{inner[0]}', which holds others."
            f" Perhaps you meant '{meant}'."
        )
    if not inner:
        files = [name for _, _, names in os.walk(training) for name in names]
        extensions = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in files)
        others = ", ".join(f"{number:,} {name}" for name, number in extensions.most_common(3))
        raise UserError(
            f"No images in '{training}'{f' (but files: {others})' if others else ''}. Expected"
            f" {EXPECTED}, with one of the extensions {' '.join(IMAGE_EXTENSIONS)}."
        )


def _check_classes(images: ImageList) -> None:
    """Classes seldom have folders of the very same names, or named as other classes; datasets and
    splits have."""
    folders_of = defaultdict(set)
    for name, label in zip(images.names, images.labels.tolist(), strict=True):
        parts = name.split(os.sep)
        folders_of[images.classes[label]].add(parts[1] if len(parts) > 2 else "")
    (first, inner), *others = folders_of.items()
    if len(inner) > 1 and "" not in inner and all(other == inner for _, other in others):
        raise UserError(
            f"Every folder in '{images.directory}' holds folders of the same names,"
            f" {listed(sorted(inner), 3)}: they look like datasets or splits, not like classes."
            f" Name one of them, as '{Path(images.directory, first)}', or arrange the images as"
            f" {EXPECTED}."
        )
    for label, inner in folders_of.items():
        if within := sorted(inner & {*images.classes} - {label}):
            raise UserError(
                f"'{Path(images.directory, label)}' holds folders named as other classes,"
                f" {listed(within, 3)}: it looks like a split, not like a class. Move it beside"
                " train/, as val/ or test/, or move its images."
            )
    common = set.intersection(*folders_of.values()) - {""}
    if len(common) > 1:
        terminal.warn(
            f"every folder in '{images.directory}' holds folders of the same names,"
            f" {listed(sorted(common), 3)}: check that they are classes, not datasets or splits"
        )


def _name_classes_alike(classes: tuple[str, ...]) -> None:
    times = Counter(map(str.lower, classes))
    if alike := [label for label in sorted(classes, key=str.lower) if times[label.lower()] > 1]:
        terminal.warn(
            f"names of classes differ in case only: {listed(alike)}. Windows and macOS take such"
            " folders for one; merge or rename them"
        )


def _name_unused_folders(dataset: Dataset) -> None:
    root, training = dataset.root, dataset.splits["training"]
    if training.directory == os.fspath(root):
        return
    used = {Path(images.directory) for images in dataset.splits.values()}
    unused = [path for path in map(root.joinpath, folders.subfolders(root)) if path not in used]
    flat = {path: len(folders.list_images(path)) for path in unused if not folders.subfolders(path)}
    for path, images in flat.items():
        if images:
            terminal.warn(
                f"'{path}' holds {terminal.count(images, 'image')} but no class folders: without"
                f" labels they aren't used. After training, name them by: python predict.py {path}"
            )
    if others := [path.name for path in unused if not flat.get(path)]:
        terminal.warn(
            f"beside '{training.directory}', not used: {listed(others, NAMED)}. Rename what is a"
            " split to train, val or test"
        )


def _name_unread_files(dataset: Dataset) -> None:
    """Files that are no images by their extension, images beside the class folders, and folders
    that only a system needs."""
    extensions, folder_names, loose, dead = Counter(), Counter(), 0, 0
    used = {path for images in dataset.splits.values() for path in images.paths}
    by_class = len(dataset.classes) > 1
    above = {os.fspath(dataset.root), *(images.directory for images in dataset.splits.values())}
    for folder, inner, names in os.walk(dataset.root):
        folder_names.update(name for name in inner if name.lower() in SYSTEM_FOLDERS)
        inner[:] = folders.not_passed_over(folder, inner)
        for name in names:
            if name[0] == "." or name == FILE:
                continue
            extension = os.path.splitext(name)[1].lower()
            if not name.lower().endswith(IMAGE_EXTENSIONS):
                if folder not in above or extension not in DOCUMENTS:
                    extensions[extension or "without extension"] += 1
            elif by_class and folder in above:
                loose += 1
            elif (path := os.path.join(folder, name)) not in used and not os.path.exists(path):
                dead += 1
    hints = {} if PILLOW_HEIF else dict.fromkeys(HEIC, " (pip install pillow-heif reads them)")
    parts = [
        f"{number:,} {terminal.printable(name)}{hints.get(name, '')}"
        for name, number in sorted(extensions.items(), key=lambda item: (-item[1], item[0]))[:NAMED]
    ]
    parts += [f"{terminal.count(loose, 'image')} beside the class folders"] if loose else []
    parts += [f"{terminal.count(dead, 'link')} to images that aren't there"] if dead else []
    parts += [f"the folder {name}" for name in folder_names]
    if parts:
        terminal.warn(f"passed over in '{dataset.root}': {', '.join(parts)}")
