"""What the folders of a dataset look like, and what in them training passes over."""

import os
import shlex
from collections import Counter, defaultdict
from pathlib import Path

from foldernet.datasets import folders
from foldernet.datasets.folders import EXPECTED, HEIC, IMAGE_EXTENSIONS, SYSTEM_FOLDERS
from foldernet.datasets.image_list import Dataset
from foldernet.terminal import UserError, listed, warn

# Beside the class folders they are no surprise: what tells of a dataset, and its license.
DOCUMENTS = {"", ".txt", ".md", ".csv", ".json", ".yaml"}


def check(dataset: Dataset) -> None:
    """Name in a line each what lies in a dataset's folder and isn't used.

    Raises:
        UserError: what is taken for classes looks like something else.
    """
    if len(dataset.classes) > 1:  # photographs to blur have none
        _check_classes(dataset)
        _name_unused_folders(dataset)
    _name_unread_files(dataset)


def explain(root: Path) -> None:
    """Raise UserError if a folder without a dataset looks like a known mistake.

    Args:
        root: as the user named it.
    """
    training = folders.split_folders(root).get("training", root)
    inner = [name for name in folders.subfolders(training) if folders.list_images(training, name)]
    if any("\\" in name for name in os.listdir(training)):
        move = "os.renames(n, n.replace(chr(92), '/')) for n in os.listdir() if chr(92) in n"
        raise UserError(
            f"The file names in '{training}' hold backslashes, as of a zip from Windows. Make"
            f' folders of them: cd {shlex.quote(str(training))} && python -c "import os; [{move}]"'
        )
    if len(inner) == 1 and folders.subfolders(training / inner[0]):
        meant = training / inner[0] if training == root else training
        raise UserError(f"'{training}' holds one folder of folders. Perhaps you meant '{meant}'.")
    if not inner:
        files = [name for _, _, names in os.walk(training) for name in names]
        extensions = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in files)
        others = listed(f"{number:,} {name}" for name, number in extensions.most_common(3))
        raise UserError(
            f"No class folders with images in '{training}', but {others or 'nothing'}. Move each"
            f" image to a folder named after its class: {EXPECTED}, with one of the extensions"
            f" {' '.join(IMAGE_EXTENSIONS)}."
        )


def _check_classes(dataset: Dataset) -> None:
    """Classes seldom have folders of the very same names, or named as other classes; datasets and
    splits have. Nor should their own names be the same to some systems."""
    images, folders_of = dataset.splits["training"], defaultdict(set)
    for each in dataset.splits.values():  # of few images, a folder's may all be in another split
        for name, label in zip(each.names, each.labels.tolist(), strict=True):
            parts = name.split(os.sep)
            folders_of[images.classes[label]].add(parts[1] if len(parts) > 2 else "")
    common = set.intersection(*folders_of.values()) - {""}
    if len(common) > 1 and all(inner == common for inner in folders_of.values()):
        raise UserError(
            f"Every folder in '{images.directory}' holds folders of the same names,"
            f" {listed(sorted(common), 3)}: they look like datasets or splits. Name one of them, as"
            f" '{Path(images.directory, images.classes[0])}', or arrange the images as {EXPECTED}."
        )
    for label, inner in folders_of.items():
        if within := sorted(inner & {*images.classes} - {label}):
            raise UserError(
                f"'{Path(images.directory, label)}' holds folders named as other classes,"
                f" {listed(within, 3)}: it looks like a split. Move it beside train/, as val/."
            )
    times = Counter(map(str.lower, images.classes))
    if alike := [label for label in images.classes if times[label.lower()] > 1]:
        names = listed(sorted(alike, key=str.lower))
        warn(f"classes differ in case only: {names}. Windows and macOS take them for one")


def _name_unused_folders(dataset: Dataset) -> None:
    root, training = dataset.root, dataset.splits["training"]
    if training.directory == os.fspath(root):
        return
    used, unused = {Path(images.directory) for images in dataset.splits.values()}, []
    for path in map(root.joinpath, folders.subfolders(root)):
        if path not in used:
            flat = not folders.subfolders(path) and folders.list_images(path)
            hint = " (images without labels; after training, python predict.py {} names them)"
            unused.append(path.name + (hint.format(path) if flat else ""))
    if unused:
        warn(
            f"beside '{training.directory}', not used: {listed(unused)}. Rename what is a split to"
            " train, val or test"
        )


def _name_unread_files(dataset: Dataset) -> None:
    """Files that are no images by their extension, images beside the class folders, links that lead
    nowhere, and folders that only a system needs."""
    passed_over = Counter()
    used = {path for images in dataset.splits.values() for path in images.paths}
    above = {os.fspath(dataset.root), *(images.directory for images in dataset.splits.values())}
    for folder, inner, names in os.walk(dataset.root):
        passed_over.update(f"folder {name}" for name in inner if name.lower() in SYSTEM_FOLDERS)
        inner[:] = folders.not_passed_over(folder, inner)
        for name in names:
            extension, path = os.path.splitext(name)[1].lower(), os.path.join(folder, name)
            if name[0] == "." or path in used:
                continue
            if extension not in IMAGE_EXTENSIONS:
                if folder not in above or extension not in DOCUMENTS:
                    passed_over[extension or "without extension"] += 1
            elif folder in above:
                passed_over["image beside the class folders"] += 1
            elif not os.path.exists(path):
                passed_over["link to an image that isn't there"] += 1
    if passed_over:
        hints = dict.fromkeys(HEIC, " (pip install pillow-heif reads them)")
        most = passed_over.most_common()
        told = listed(f"{times:,} x {what}{hints.get(what, '')}" for what, times in most)
        warn(f"passed over in '{dataset.root}': {told}")
