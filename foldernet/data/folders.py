"""From a folder to classes and splits: what is there, of which class, on which side.

Nothing is decoded here, and TensorFlow isn't needed: a wrong folder is answered at once.
"""

import dataclasses
import glob
import hashlib
import os
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from foldernet import terminal
from foldernet.terminal import UserError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".mpo")
SPLIT_NAMES = {
    "training": ("train",),
    "validation": ("val", "valid", "validation"),
    "test": ("test",),
}
EXPECTED = "<class>/*.jpg or train/<class>/*.jpg and val/<class>/*.jpg"
SHIPPED = Path(__file__).resolve().parents[2] / "data" / "animals.zip"


@dataclasses.dataclass(frozen=True)
class Listing:
    """The images below one folder, by class.

    Attributes:
        directory: the folder that the class folders are in.
        files: class name -> paths of its images, relative to `directory`, in a fixed order. The
            order of the classes is that of their indices.
    """

    directory: str
    files: dict[str, list[str]]

    def __len__(self) -> int:
        return sum(map(len, self.files.values()))

    @property
    def paths(self) -> list[str]:
        return [
            os.path.join(self.directory, name) for names in self.files.values() for name in names
        ]

    def without(self, paths: set[str]) -> "Listing":
        """This listing less the images at `paths`; classes stay, even those left empty."""
        if not paths:
            return self
        kept = {
            label: [name for name in names if os.path.join(self.directory, name) not in paths]
            for label, names in self.files.items()
        }
        return Listing(self.directory, kept)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set: its class names, and its splits (training, validation and perhaps test), each a
    `Listing` with exactly those classes in that order."""

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, Listing]


def without(dataset: Dataset, paths: set[str], how: str) -> Dataset:
    """A data set less the images at `paths`.

    Args:
        how: what became of them, and how to mend it, as an error says it: "can be read. ...".

    Raises:
        UserError: no training image of a class is left, or no validation image.
    """
    splits = {split: listing.without(paths) for split, listing in dataset.splits.items()}
    lost = [label for label, names in splits["training"].files.items() if not names]
    if lost:
        raise UserError(f"No training image of class {terminal.listed(lost)} {how}")
    if not len(splits["validation"]):
        raise UserError(f"No validation image {how}")
    return dataclasses.replace(dataset, splits=splits)


def find(root: Path | None, validation_split: float = 0.2, cache: str = "auto") -> Dataset:
    """Find the classes and splits in a folder.

    Args:
        root: holds train/ and val/ (also valid/, validation/), perhaps test/; or train/ alone, or
            the class folders themselves, of which a part is kept for validation. None stands for
            the set that ships with the project, which is unpacked the first time.
        validation_split: share of every class to keep for validation where there is none.
        cache: where the hashes that decide it are kept, as for images.

    Raises:
        UserError: the folder is missing, holds no images or one class only, or validation or test
            have a class that training lacks.
    """
    root = unpacked(SHIPPED) if root is None else Path(root).expanduser()
    if not root.exists():
        raise UserError(f"There is no folder '{root}'. Name one that holds {EXPECTED}.")
    if not root.is_dir():
        raise UserError(f"'{root}' is a file. Name the folder that holds {EXPECTED}.")
    try:
        return _found(root, validation_split, cache)
    except OSError as error:
        raise UserError(
            f"'{error.filename}' can't be listed ({error.strerror}). Make it readable, or name"
            " another folder."
        ) from error


def _found(root: Path, validation_split: float, cache: str) -> Dataset:
    folders = {split: _split_folder(root, split, names) for split, names in SPLIT_NAMES.items()}
    alone = [path.name for path in (folders["validation"], folders["test"]) if path]
    if alone and not folders["training"]:
        raise UserError(
            f"'{root}' has {terminal.listed(alone)}/ but no train/. Move the class folders to"
            f" train/ ({EXPECTED}), or that folder elsewhere."
        )
    training = scan(folders["training"] or root)
    _check_training(root, folders["training"], training)
    training = Listing(training.directory, {k: v for k, v in training.files.items() if v})
    splits = {"training": training}
    if not (folders["training"] and folders["validation"]):
        splits = split_by_content(training, validation_split, cache)
    for split in ("validation", "test"):
        if folders[split]:
            splits[split] = _with_classes_of(training, scan(folders[split]), split)
    _check_validation(splits["validation"])
    return Dataset(root, tuple(training.files), splits)


def unpacked(archive: Path) -> Path:
    """Unpack `data/<name>.zip` beside itself, once, and return `data/<name>`."""
    folder = archive.with_suffix("")
    if not folder.exists():
        terminal.status(f"Unpacking {archive.name} to {os.path.relpath(folder)}")
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacking-") as temporary:
            with zipfile.ZipFile(archive) as members:
                members.extractall(temporary)
            try:
                (Path(temporary) / folder.name).rename(folder)
            except OSError:
                if not folder.exists():  # or another run has just unpacked it
                    raise
    return folder


def scan(
    directory: str | os.PathLike, classes: list[str] | None = None, follow_links: bool = True
) -> Listing:
    """List the images in the class folders of `directory`, at any depth.

    Hidden files and folders are passed over, as are files with another ending than
    `IMAGE_ENDINGS`, in upper or lower case. A folder that is reached again, as through a link that
    loops, is listed once, and a link to a folder above is not followed. Class names are in
    Unicode's composed form (NFC), however the file system spells them.

    Args:
        directory: holds one folder for each class.
        classes: folders to list, in this order; by default all that aren't hidden, sorted.
        follow_links: enter folders that are symbolic links.

    Returns:
        A Listing, with an empty list for a class folder without images.
    """
    directory = os.fspath(directory)
    if classes is None:
        with os.scandir(directory) as entries:
            found = [entry.name for entry in entries if _visible(entry) and entry.is_dir()]
        classes = sorted(found, key=_composed)
    files = {}
    for name in classes:
        files.setdefault(_composed(name), []).extend(image_names(directory, name, follow_links))
    return Listing(directory, files)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _visible(entry: os.DirEntry) -> bool:
    """Neither hidden nor a link that leads nowhere."""
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return False
    return not entry.is_symlink() or os.path.exists(entry.path)


def image_names(directory: str, class_folder: str, follow_links: bool = True) -> list[str]:
    """Paths relative to `directory` of the images in one class folder: folder by folder, sorted."""
    by_folder = {}
    seen = {_identity(above) for above in Path(directory, class_folder).resolve().parents}
    waiting = [class_folder]
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
                    if name.lower().endswith(IMAGE_ENDINGS) and name[0] != ".":
                        names.append(prefix + name)
                elif not _visible(entry):
                    continue
                elif entry.is_dir(follow_symlinks=follow_links):
                    waiting.append(prefix + name)
                elif name.lower().endswith(IMAGE_ENDINGS) and entry.is_file():
                    names.append(prefix + name)
        names.sort()
        by_folder[folder] = names
    return [name for folder in sorted(by_folder) for name in by_folder[folder]]


def _identity(path: str | os.PathLike) -> tuple[int, int]:
    """What tells a folder from all others, by whatever links it is reached."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def split_by_content(
    listing: Listing, validation_split: float, cache: str = "auto"
) -> dict[str, Listing]:
    """Split a listing into training and validation, each image by a hash of its bytes alone.

    Adding or renaming images never moves one from one side to the other, and exact copies land on
    the same side. The shares are therefore about, not exactly, what was asked for.
    """
    sides = {"training": {}, "validation": {}}
    positions = iter(content_positions(listing.paths, cache).tolist())
    for label, names in listing.files.items():
        kept = {"training": [], "validation": []}
        for name in names:
            side = "validation" if next(positions) < validation_split else "training"
            kept[side].append(name)
        for side, chosen in kept.items():
            sides[side][label] = chosen
    return {side: Listing(listing.directory, files) for side, files in sides.items()}


def content_positions(paths: list[str], cache: str = "auto"):
    """A number in [0, 1) for each file, uniform over contents: (n,) float64. The arguments are
    those of `content_hashes`."""
    return content_hashes(paths, cache) / 2**64


def content_hashes(paths: list[str], cache: str = "auto"):
    """A hash of each file's bytes.

    A file that can't be read counts as empty here; the image reader names it later, with a reason.

    Args:
        paths: of the files.
        cache: whether hashes are kept for the next run, as for images.

    Returns:
        (n,) uint64.
    """
    import numpy as np  # a wrong folder is answered without them

    from foldernet.data.cache import ArrayCache

    def digest(position: int):
        try:
            with open(paths[position], "rb") as file:
                hashed = hashlib.file_digest(file, _hash)
        except OSError:
            hashed = _hash()
        return np.frombuffer(hashed.digest(), np.uint8)

    kept = "memory" if cache == "off" else cache
    digests = ArrayCache(len(paths), paths.__getitem__, digest, (8,), "content, blake2b", kept)
    for _ in terminal.progress(digests.fill(), "Hashing files", len(digests.missing)):
        pass
    rows = np.array(digests.rows(np.arange(len(paths))), np.uint8).reshape(len(paths), 8)
    return rows.view(">u8")[:, 0].astype(np.uint64)


def content_position(content: bytes) -> float:
    """As `content_positions`, of one content."""
    return int.from_bytes(_hash(content).digest()) / 2**64


def _hash(content: bytes = b""):
    return hashlib.blake2b(content, digest_size=8)


def image_paths(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Expand what a user names.

    Args:
        names: files, taken as they are; folders, of which the images at any depth are taken; or
            patterns as a shell knows them, ** included.

    Returns:
        Paths, each once, in the order of the names; and the names that nothing was found for.
    """
    found, missing = {}, []
    for name in names:
        if os.path.isdir(name):
            paths = [os.path.join(name, inner) for inner in image_names(name, "")]
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


def _split_folder(root: Path, split: str, names: tuple[str, ...]) -> Path | None:
    found = [
        path for path in sorted(root.iterdir()) if path.name.lower() in names and path.is_dir()
    ]
    if len(found) > 1:
        raise UserError(
            f"'{root}' has {terminal.listed(path.name for path in found)}, and only one of them can"
            f" be the {split} images. Rename or move the others."
        )
    return found[0] if found else None


def _check_training(root: Path, folder: Path | None, training: Listing) -> None:
    where = folder or root
    empty = [label for label, names in training.files.items() if not names]
    filled = [label for label, names in training.files.items() if names]
    if not filled:
        loose = [
            entry.name for entry in os.scandir(where) if entry.name.lower().endswith(IMAGE_ENDINGS)
        ]
        if loose:
            raise UserError(
                f"'{where}' holds {terminal.count(len(loose), 'image')} but no class folders."
                f" Move each image to a folder named after its class: {EXPECTED}."
            )
        found = Counter(
            os.path.splitext(name)[1].lower() or "no ending"
            for _, _, names in os.walk(where)
            for name in names
        )
        others = ", ".join(f"{number:,} {ending}" for ending, number in found.most_common(3))
        raise UserError(
            f"No images in '{where}'{f' (but files: {others})' if found else ''}. Expected"
            f" {EXPECTED}, with one of the endings {' '.join(IMAGE_ENDINGS)}."
        )
    if len(filled) == 1:
        inside = root / filled[0]
        hint = (
            f" Perhaps you meant '{inside}'."
            if not folder and any(image_names(inside, name) for name in _folders(inside))
            else ""
        )
        raise UserError(
            f"'{where}' holds images of one class only, '{filled[0]}', and telling classes apart"
            f" takes at least two. Expected {EXPECTED}.{hint}"
        )
    if empty:
        terminal.warn(f"no images in class {terminal.listed(empty)}; left out")


def _folders(path: Path) -> list[str]:
    return [entry.name for entry in os.scandir(path) if _visible(entry) and entry.is_dir()]


def _with_classes_of(training: Listing, other: Listing, split: str) -> Listing:
    """`other` with the classes of `training`, by name and in that order."""
    unknown = [
        label for label, names in other.files.items() if names and label not in training.files
    ]
    if unknown:
        raise UserError(
            f"The {split} images have {terminal.count(len(unknown), 'class', 'classes')} that"
            f" training lacks: {terminal.listed(unknown)}. Add training images of the same folder"
            f" name to '{training.directory}', or take the folder out of '{other.directory}'."
        )
    missing = [label for label in training.files if not other.files.get(label)]
    if missing and split == "test":
        terminal.warn(f"no test images of class {terminal.listed(missing)}")
    return Listing(other.directory, {label: other.files.get(label, []) for label in training.files})


def _check_validation(validation: Listing) -> None:
    if not len(validation):
        raise UserError(
            f"No image of '{validation.directory}' is left for validation. Add more images, or a"
            " val/ folder, or raise --validation-split."
        )
    missing = [label for label, names in validation.files.items() if not names]
    if missing:
        terminal.warn(
            f"no validation images of class {terminal.listed(missing)}; its accuracy stays unknown"
        )
