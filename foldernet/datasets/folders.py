"""From a folder to classes and splits. Nothing is decoded: a wrong folder is answered at once."""

import glob
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from foldernet.datasets.image_list import Dataset, ImageList, split_by_content
from foldernet.terminal import UserError, listed, warn

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
    if not root.is_dir():
        raise UserError(f"There is no folder '{root}'. Name one that holds {EXPECTED}.")
    try:
        directories = split_folders(root) or {"training": root}
        found = {split: class_images(path) for split, path in directories.items()}
    except OSError as error:
        raise UserError(
            f"'{error.filename}' can't be listed ({error.strerror}). Make it readable, or name"
            " another folder."
        ) from error
    if "training" not in found:
        held_out = listed(path.name for path in directories.values())
        raise UserError(
            f"'{root}' has {held_out}/ but no train/. Move the class folders to train/"
            f" ({EXPECTED}), or that folder elsewhere."
        )
    classes = _training_classes(directories["training"], found["training"])
    splits = {}
    for split, names_of in found.items():
        if unknown := {label for label, names in names_of.items() if names} - {*classes}:
            raise UserError(
                f"The {split} split has classes that training lacks:"
                f" {listed(sorted(unknown))}. Add training images of the same folder name"
                f" to '{directories['training']}', or take the folder out of"
                f" '{directories[split]}'."
            )
        names_of = {label: names_of.get(label, []) for label in classes}
        splits[split] = ImageList.of_classes(directories[split], names_of)
    if "validation" not in splits:
        splits = split_by_content(splits.pop("training"), validation_split, cache) | splits
    if not len(splits["validation"]):
        raise UserError(
            f"No class folder of '{splits['validation'].directory}' has an image for validation."
            " Add images, at least two of a class, or class folders in val/."
        )
    for split, images in splits.items():
        if missing := [label for label, n in zip(classes, images.counts, strict=True) if not n]:
            warn(f"no {split} images of class {listed(missing)}; its accuracy there stays unknown")
    return Dataset(root, tuple(classes), splits)


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
                f"'{root}' has {listed(known)}, and only one of them can be the {split}"
                " split. Rename or move the other."
            )
        if known:
            found[split] = root / known[0]
    return found


def class_images(directory: str | os.PathLike, follow_links: bool = True) -> dict[str, list[str]]:
    """List the images in the class folders of `directory`, at any depth.

    Hidden files and folders are passed over, as are files without one of `IMAGE_EXTENSIONS`, in
    upper or lower case. A folder that is reached twice, as through a link that loops, is listed
    once, and a link to a folder above is not followed. Class names are in Unicode's composed form
    (NFC), however the file system spells them.

    Args:
        directory: holds one folder for each class.
        follow_links: enter folders that are symbolic links.

    Returns:
        Class -> paths relative to `directory`, sorted by class; one without images is there, too.
    """
    names_of = defaultdict(list)
    for folder in subfolders(directory):
        label = unicodedata.normalize("NFC", folder)
        names_of[label] += list_images(directory, folder, follow_links)
    return dict(sorted(names_of.items()))


def list_images(
    directory: str | os.PathLike, folder: str = "", follow_links: bool = True
) -> list[str]:
    """Paths, relative to `directory`, of the images in its `folder`: folder by folder, sorted."""
    directory = os.fspath(directory)
    names_in = {}
    seen = {*map(str, Path(directory, folder).resolve().parents)}
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        path = os.path.join(directory, folder)
        if (resolved := os.path.realpath(path)) in seen:
            continue
        seen.add(resolved)
        names, prefix = [], os.path.join(folder, "")
        try:
            for entry in _entries(path):
                # Of a plain file, as most are, the system said so with its name.
                if entry.is_file():
                    if entry.name.lower().endswith(IMAGE_EXTENSIONS):
                        names.append(prefix + entry.name)
                elif entry.is_dir(follow_symlinks=follow_links):
                    waiting.append(prefix + entry.name)
        except OSError as error:
            warn(f"'{path}' can't be listed ({error.strerror}), and is passed over")
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


def _training_classes(directory: Path, names_of: dict[str, list[str]]) -> list[str]:
    """The classes that have training images; raises UserError unless there are two."""
    classes = [label for label, names in names_of.items() if names]
    if len(classes) < 2:
        raise NoClassesError(
            f"'{directory}' holds images of too few classes: {listed(classes) or 'none'}."
            f" A classifier needs at least two. Expected {EXPECTED}."
        )
    if empty := sorted(names_of.keys() - {*classes}):
        warn(f"no images in class {listed(empty)}; left out")
    return classes


def subfolders(path: str | os.PathLike) -> list[str]:
    """Names of the folders in a folder, sorted; not of hidden ones, a system's, or our runs'."""
    return not_passed_over(path, [entry.name for entry in _entries(path) if entry.is_dir()])


def not_passed_over(path: str | os.PathLike, names: list[str]) -> list[str]:
    """Those of the folders `names` in `path` that `subfolders` names."""
    runs = {name for name in RUNS.keys() & {*names} if any(Path(path, name).glob(RUNS[name]))}
    return sorted(name for name in {*names} - runs if not _is_hidden(name))


def _entries(path: str | os.PathLike) -> Iterator[os.DirEntry]:
    """What is in a folder and neither hidden, a system's, nor a link that leads nowhere."""
    with os.scandir(path) as entries:
        for entry in entries:
            if not _is_hidden(entry.name) and (not entry.is_symlink() or os.path.exists(entry)):
                yield entry


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS
