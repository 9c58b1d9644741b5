"""From a folder to classes and splits. Nothing is decoded: a wrong folder is answered at once."""

import glob
import os
import re
import unicodedata
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.datasets.split import split_by_content
from foldernet.terminal import UserError

HEIC = (".heic", ".heif", ".hif")
PILLOW_HEIF = find_spec("pillow_heif") is not None  # Pillow can't read those by itself
IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif"),
    *(HEIC if PILLOW_HEIF else ()),
)
# Words in a folder's name -> split.
SPLITS = {
    "training": {"train", "training"},
    "validation": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing", "eval", "evaluation"},
}
# Folders that systems and programs put beside or among images; hidden ones are passed over anyway.
SYSTEM_FOLDERS = {
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"),
}
RUNS = {"models": "*/.lock", "logs": "*/*/events.out.tfevents.*"}  # ours, and what tells
EXPECTED = "<class>/*.jpg, or train/<class>/*.jpg and val/<class>/*.jpg"


class NoClassesError(UserError):
    """A folder, the text says which, doesn't hold images of two classes or more."""


def find(root: Path, validation_split: float = 0.2, cache: str = "auto") -> Dataset:
    """Find the classes and splits in a folder.

    Args:
        root: holds train/ and val/, perhaps test/ (or as `split_folders` knows them); or train/
            alone, or the class folders themselves, of which a part is kept for validation.
        validation_split: share of every class for validation where there is no val/, 0..1.
        cache: where the hashes that decide it are kept, as for images.

    Raises:
        UserError: the folder is missing, holds no images or only one class, or validation or test
            have a class that training lacks.
    """
    root = Path(root).expanduser()
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
    training = _with_images(scan(folders.get("training", root)))
    splits = {"training": training}
    if "validation" not in folders:
        splits = split_by_content(training, validation_split, cache)
    for split in [*folders][1:]:  # training is the first
        splits[split] = _with_classes_of(training, scan(folders[split]), split)
    validation = splits["validation"]
    if not len(validation):
        raise UserError(
            f"No image of '{validation.directory}' is left for validation. Add more images, at"
            " least two of a class, or a val/ folder."
        )
    for split, consequence in (("validation", "; its accuracy stays unknown"), ("test", "")):
        if missing := _classes_without_images(splits[split]) if split in splits else []:
            names = terminal.listed(missing)
            terminal.warn(f"no {split} images of class {names}{consequence}")
    return Dataset(root, training.classes, splits)


def split_folders(root: Path, of_classes: bool = True) -> dict[str, Path]:
    """Which folders in `root` are splits: "training", "validation", "test" -> path, if there.

    A split's name is one of the words in `SPLITS` or, beside training images, has one of them:
    `Training`, `pets_train`, `train2017`. A folder `train` of images among those of other classes
    is a class, and so is `test_tube`.

    Args:
        root: a folder.
        of_classes: whether splits hold class folders, and not the images themselves.

    Raises:
        UserError: two could be the same split.
    """
    folders = subfolders(root)
    words = {name: {name.lower(), *re.findall("[a-z]+", name.lower())} for name in folders}
    deep = [name for name in folders if not of_classes or subfolders(root / name)]
    all_splits = {name.lower() for name in folders} <= set().union(*SPLITS.values())
    found = {}
    for split, names in SPLITS.items():
        may_be = folders if all_splits and split != "test" else deep
        may_be = {name for name in may_be if words[name] & names}
        loose = sorted(may_be - {path.name for path in found.values()})
        bare = [name for name in loose if name.lower() in names]
        known = bare or (loose if split == "training" or "training" in found else [])
        if len(known) > 1:
            raise UserError(
                f"'{root}' has {terminal.listed(known)}, and only one of them can be the {split}"
                " split. Rename or move the other."
            )
        if known:
            found[split] = root / known[0]
    return found


def scan(directory: str | os.PathLike, follow_links: bool = True) -> ImageList:
    """List the images in the class folders of `directory`, at any depth.

    Hidden files and folders are passed over, as are files without one of `IMAGE_EXTENSIONS`, in
    upper or lower case. A folder that is reached twice, as through a link that loops, is listed
    once, and a link to a folder above is not followed. Class names are in Unicode's composed form
    (NFC), however the file system spells them.

    Args:
        directory: holds one folder for each class.
        follow_links: enter folders that are symbolic links.

    Returns:
        An ImageList; a class folder without images is a class, too.
    """
    directory = os.fspath(directory)
    names_of = {}
    for folder in sorted(subfolders(directory), key=_composed):
        names = names_of.setdefault(_composed(folder), [])
        names += list_images(directory, folder, follow_links)
    names = [name for names in names_of.values() for name in names]
    counts = [len(names) for names in names_of.values()]
    labels = np.repeat(np.arange(len(counts), dtype="int32"), counts)
    return ImageList(directory, names, labels, classes=tuple(names_of))


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
        try:
            entries = os.scandir(path)
        except PermissionError as error:
            if not folder:
                raise
            terminal.warn(f"'{path}' can't be listed ({error.strerror}), and is passed over")
            continue
        with entries:
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
            paths = [*filter(os.path.isfile, sorted(glob.glob(name, recursive=True)))]
        if not paths:
            missing.append(name)
        found.update(dict.fromkeys(paths))
    return list(found), missing


def _with_images(training: ImageList) -> ImageList:
    """The training images and the classes that have any; raises UserError unless there are two."""
    empty = _classes_without_images(training)
    filled = [label for label in training.classes if label not in empty]
    if len(filled) < 2:
        found = f"images of only one class, '{filled[0]}'" if filled else "no images in folders"
        raise NoClassesError(
            f"'{training.directory}' holds {found}, and a classifier needs at least two classes."
            f" Expected {EXPECTED}."
        )
    if empty:
        terminal.warn(f"no images in class {terminal.listed(empty)}; left out")
    return _with_classes(training, filled)


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
    chosen = images.take(order[labels[order] >= 0])
    return ImageList(images.directory, chosen.names, numbers[chosen.labels], tuple(classes))


def _classes_without_images(images: ImageList) -> list[str]:
    return [images.classes[index] for index in np.flatnonzero(images.counts == 0)]


def subfolders(path: str | os.PathLike) -> list[str]:
    """Names of the folders in a folder, sorted; not of hidden ones, a system's, or our runs'."""
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries if _visible(entry) and entry.is_dir()]
    return not_passed_over(path, names)


def not_passed_over(path: str | os.PathLike, names: list[str]) -> list[str]:
    """Those of the folders `names` in `path` that `subfolders` names."""
    runs = {name for name in RUNS.keys() & {*names} if any(Path(path, name).glob(RUNS[name]))}
    return sorted(name for name in {*names} - runs if not _is_hidden(name))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _visible(entry: os.DirEntry) -> bool:
    """Neither hidden nor a system's nor a link that leads nowhere."""
    return not _is_hidden(entry.name) and (not entry.is_symlink() or os.path.exists(entry.path))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _identity(path: str | os.PathLike) -> tuple[int, int]:
    """What tells a folder from all others, by whatever links it is reached."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
