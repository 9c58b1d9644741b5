"""From a folder to classes and splits. Nothing is decoded: a wrong folder is answered at once."""

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from foldernet import shipped, terminal
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.datasets.split import split_by_content
from foldernet.terminal import UserError

IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".mpo"),
)
# Name of a split's folder -> split.
SPLITS = {"train": "training", "test": "test"}
SPLITS |= dict.fromkeys(("val", "valid", "validation"), "validation")
EXPECTED = "<class>/*.jpg, or train/<class>/*.jpg and val/<class>/*.jpg"


def find(root: Path | None, validation_split: float = 0.2, cache: str = "auto") -> Dataset:
    """Find the classes and splits in a folder.

    Args:
        root: holds train/ and val/ (also valid/, validation/), perhaps test/; or train/ alone, or
            the class folders themselves, of which a part is kept for validation. None stands for
            the animals that ship with the project, which are unpacked the first time.
        validation_split: share of every class for validation where there is no val/, 0..1.
        cache: where the hashes that decide it are kept, as for images.

    Raises:
        UserError: the folder is missing, holds no images or only one class, or validation or test
            have a class that training lacks.
    """
    root = shipped.folder("animals") if root is None else Path(root).expanduser()
    if not root.exists():
        raise UserError(f"There is no folder '{root}'. Name one that holds {EXPECTED}.")
    if not root.is_dir():
        raise UserError(f"'{root}' is a file. Name the folder that holds {EXPECTED}.")
    try:
        return _find(root, validation_split, cache)
    except OSError as error:
        raise UserError(
            f"'{error.filename}' can't be listed ({error.strerror}). Make it readable, or name"
            " another folder."
        ) from error


def _find(root: Path, validation_split: float, cache: str) -> Dataset:
    folders = split_folders(root)
    if folders and "training" not in folders:
        held_out = terminal.listed(path.name for path in folders.values())
        raise UserError(
            f"'{root}' has {held_out}/ but no train/. Move the class folders to train/"
            f" ({EXPECTED}), or that folder elsewhere."
        )
    training = _with_images(root, scan(folders.get("training", root)))
    splits = {"training": training}
    if "validation" not in folders:
        splits = split_by_content(training, validation_split, cache)
    for split in folders.keys() - {"training"}:
        splits[split] = _with_classes_of(training, scan(folders[split]), split)
    validation = splits["validation"]
    if not len(validation):
        raise UserError(
            f"No image of '{validation.directory}' is left for validation. Add more images or a"
            " val/ folder, or raise --validation-split."
        )
    for split, consequence in (("validation", "; its accuracy stays unknown"), ("test", "")):
        if missing := _classes_without_images(splits[split]) if split in splits else []:
            names = terminal.listed(missing)
            terminal.warn(f"no {split} images of class {names}{consequence}")
    order = [split for split in ("training", "validation", "test") if split in splits]
    return Dataset(root, training.classes, {split: splits[split] for split in order})


def split_folders(root: Path) -> dict[str, Path]:
    """Which folders in `root` are splits: "training", "validation", "test" -> path, if there.

    Raises:
        UserError: two could be the same split.
    """
    found = {}
    for path in sorted(root.iterdir()):
        split = SPLITS.get(path.name.lower())
        if split and path.is_dir():
            if split in found:
                raise UserError(
                    f"'{root}' has {found[split].name}, {path.name}, and only one of them can be"
                    f" the {split} split. Rename or move the other."
                )
            found[split] = path
    return found


def scan(
    directory: str | os.PathLike, classes: list[str] | None = None, follow_links: bool = True
) -> ImageList:
    """List the images in the class folders of `directory`, at any depth.

    Hidden files and folders are passed over, as are files without one of `IMAGE_EXTENSIONS`, in
    upper or lower case. A folder that is reached twice, as through a link that loops, is listed
    once, and a link to a folder above is not followed. Class names are in Unicode's composed form
    (NFC), however the file system spells them.

    Args:
        directory: holds one folder for each class.
        classes: folders to list, in this order; by default all that aren't hidden, sorted.
        follow_links: enter folders that are symbolic links.

    Returns:
        An ImageList; a class folder without images is a class, too.
    """
    directory = os.fspath(directory)
    if classes is None:
        classes = sorted(_subfolders(directory), key=_composed)
    names_of = {}
    for folder in classes:
        names = names_of.setdefault(_composed(folder), [])
        names += list_images(directory, folder, follow_links)
    counts = [len(names) for names in names_of.values()]
    return ImageList(
        directory,
        names=[name for names in names_of.values() for name in names],
        labels=np.repeat(np.arange(len(counts), dtype="int32"), counts),
        classes=tuple(names_of),
    )


def list_images(
    directory: str | os.PathLike, folder: str = "", follow_links: bool = True
) -> list[str]:
    """Paths, relative to `directory`, of the images in its `folder`: folder by folder, sorted."""
    directory = os.fspath(directory)
    names_in = {}
    seen = {_identity(above) for above in Path(directory, folder).resolve().parents}
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        path = os.path.join(directory, folder)
        if _identity(path) in seen:
            continue
        seen.add(_identity(path))
        names, prefix = [], os.path.join(folder, "")
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                # A plain file, as most are: the system said so with its name.
                if entry.is_file(follow_symlinks=False):
                    if name.lower().endswith(IMAGE_EXTENSIONS) and name[0] != ".":
                        names.append(prefix + name)
                elif not _visible(entry):
                    continue
                elif entry.is_dir(follow_symlinks=follow_links):
                    waiting.append(prefix + name)
                elif name.lower().endswith(IMAGE_EXTENSIONS) and entry.is_file():
                    names.append(prefix + name)
        names_in[folder] = sorted(names)
    return [name for folder in sorted(names_in) for name in names_in[folder]]


def expand(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Find the images that a user names.

    Args:
        names: files, taken as they are; folders, of which the images at any depth are taken; or
            patterns as a shell knows them, ** included.

    Returns:
        Paths, each once, in the order of the names; and the names that nothing was found for.
    """
    found, missing = {}, []
    for name in names:
        if os.path.isdir(name):
            paths = [os.path.join(name, inner) for inner in list_images(name)]
        elif os.path.exists(name):
            paths = [name]
        else:
            paths = [
                path for path in sorted(glob.glob(name, recursive=True)) if os.path.isfile(path)
            ]
        if not paths:
            missing.append(name)
        found.update(dict.fromkeys(paths))
    return list(found), missing


def _with_images(root: Path, training: ImageList) -> ImageList:
    """The training images and the classes that have any; raises UserError unless there are two."""
    empty = _classes_without_images(training)
    filled = [label for label in training.classes if label not in empty]
    if not filled:
        raise UserError(_why_no_images(training.directory))
    if len(filled) == 1:
        inside = Path(training.directory, filled[0])
        deeper = any(list_images(inside, name) for name in _subfolders(inside))
        hint = f" Perhaps you meant '{inside}'." if deeper and inside.parent == root else ""
        raise UserError(
            f"'{training.directory}' holds images of only one class, '{filled[0]}', and a"
            f" classifier needs at least two. Expected {EXPECTED}.{hint}"
        )
    if empty:
        terminal.warn(f"no images in class {terminal.listed(empty)}; left out")
    return _with_classes(training, filled)


def _why_no_images(where: str) -> str:
    if loose := [name for name in os.listdir(where) if name.lower().endswith(IMAGE_EXTENSIONS)]:
        return (
            f"'{where}' holds {terminal.count(len(loose), 'image')} but no class folders."
            f" Move each image to a folder named after its class: {EXPECTED}."
        )
    files = [name for _, _, names in os.walk(where) for name in names]
    extensions = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in files)
    others = ", ".join(f"{number:,} {name}" for name, number in extensions.most_common(3))
    return (
        f"No images in '{where}'{f' (but files: {others})' if others else ''}. Expected"
        f" {EXPECTED}, with one of the extensions {' '.join(IMAGE_EXTENSIONS)}."
    )


def _with_classes_of(training: ImageList, other: ImageList, split: str) -> ImageList:
    """`other` with the classes of `training`, matched by name."""
    there = set(other.classes) - set(_classes_without_images(other))
    if unknown := sorted(there - set(training.classes)):
        raise UserError(
            f"The {split} split has {terminal.count(len(unknown), 'class', 'classes')} that"
            f" training lacks: {terminal.listed(unknown)}. Add training images of the same folder"
            f" name to '{training.directory}', or take the folder out of '{other.directory}'."
        )
    return _with_classes(other, list(training.classes))


def _with_classes(images: ImageList, classes: list[str]) -> ImageList:
    """The images of these classes, labeled and sorted by their order."""
    index = {label: number for number, label in enumerate(classes)}
    numbers = np.array([index.get(label, -1) for label in images.classes], "int32")
    labels = numbers[images.labels]
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    names = [images.names[position] for position in order]
    return ImageList(images.directory, names, labels[order], tuple(classes))


def _classes_without_images(images: ImageList) -> list[str]:
    return [images.classes[index] for index in np.flatnonzero(images.counts == 0)]


def _subfolders(path: str | os.PathLike) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if _visible(entry) and entry.is_dir()]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _visible(entry: os.DirEntry) -> bool:
    """Neither hidden nor a link that leads nowhere."""
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return False
    return not entry.is_symlink() or os.path.exists(entry.path)


def _identity(path: str | os.PathLike) -> tuple[int, int]:
    """What tells a folder from all others, by whatever links it is reached."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
