"""quarantine.csv, beside the classes: which images train.py leaves out, and why. Where that folder
can't be written to, it is a file in the user's own data folder.

check.py adds a row for each new finding, and leaves the rows that are there alone: they are the
user's to change, add or delete. A row that was deleted is not written again, and counts as "no"; a
hidden file lists all that were written. Without quarantine.csv, check.py starts over. Rows that
match no image, or leave one out for what is no longer found, are named. No image is ever touched.

Imports neither OpenCV nor Pillow: it is read while a wrong folder could still be answered at once.
"""

import csv
import dataclasses
import hashlib
import io
import os
from pathlib import Path

import platformdirs

from foldernet import terminal
from foldernet.datasets.image_list import Dataset
from foldernet.files import write_whole
from foldernet.terminal import UserError

FILE = "quarantine.csv"
COLUMNS = ("path", "finding", "detail", "leave_out")
ANSWERS = dict.fromkeys(("yes", "y", "true", "1"), True)
ANSWERS |= dict.fromkeys(("no", "n", "false", "0", ""), False)
UNREAD = ("unreadable", "truncated", "too large")
# What can be found of an image -> whether it is left out unless the user decides otherwise.
# Duplicates of what a model is judged by would flatter it; of two labels, nobody here knows the
# right one.
FINDINGS = {
    **dict.fromkeys(UNREAD, True),
    "duplicate of a validation image": True,
    "duplicate of a test image": True,
    "also a test image": False,
    "duplicate in another class": False,
    "near-duplicate of a validation image": False,
    "near-duplicate of a test image": False,
    "wrong extension": False,
    "tiny": False,
    "blank": False,
    "odd proportions": False,
}
Key = tuple[str, str]  # what a row is known by: path and finding


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about one image.

    Attributes:
        path: relative to the dataset's folder, with / between its parts.
        kind: one of `FINDINGS`.
        detail: in words; of a duplicate, the other image's path.
    """

    path: str
    kind: str
    detail: str

    @property
    def key(self) -> Key:
        return terminal.cell(self.path), self.kind


def file_of(root: Path) -> Path:
    """The file with what is decided on a dataset's images, whether or not there is one yet."""
    if (root / FILE).exists() or os.access(root, os.W_OK):
        return root / FILE
    digest = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8).hexdigest()
    return platformdirs.user_data_path("foldernet") / f"quarantine-{digest}.csv"


def _record_of(file: Path) -> Path:
    """The hidden file with path and finding of every row that check.py wrote."""
    return file.with_name(f".{file.stem}-rows")


def relative(path: str, root: Path) -> str:
    """`path` as the file names it: relative to the dataset's folder, with / on every system."""
    return Path(path).relative_to(root).as_posix()


def decisions(root: Path) -> dict[Key, bool]:
    """Whether to leave an image out, by its row; False where the row was deleted.

    Raises:
        UserError: the file can't be understood.
    """
    return _read(root)[2]


def left_out(findings: list[Finding], decided: dict[Key, bool]) -> set[str]:
    """The paths of the images that `findings` leave out, as decided or else by default. What can't
    be read is left out whatever was decided."""
    return {
        finding.path
        for finding in findings
        if finding.kind in UNREAD or decided.get(finding.key, FINDINGS[finding.kind])
    }


def refuse(paths: set[str]) -> None:
    """What --strict does about images that are left out: raises UserError if there are any."""
    if paths:
        raise UserError(
            f"{terminal.count(len(paths), 'image')} would be left out, and --strict allows none."
            f" Repair or remove them, and delete their rows in {FILE}."
        )


def obeyed(dataset: Dataset, strict: bool) -> Dataset:
    """The dataset less the images that its quarantine.csv leaves out; says how many, and names the
    rows that match no image.

    Args:
        strict: refuse images that are left out because of what was found; what the user left out
            for reasons of their own is nobody's concern.

    Raises:
        UserError: the file can't be understood, or leaves too little, or `strict`.
    """
    _, rows, decided = _read(dataset.root)
    if not rows:
        return dataset
    paths = {}  # as in the file -> of the image
    for images in dataset.splits.values():
        paths |= {terminal.cell(relative(path, dataset.root)): path for path in images.paths}
    where = f"'{file_of(dataset.root)}'"
    if unmatched := sorted({_key(row)[0] for row in rows} - paths.keys()):
        terminal.warn(f"{where} names images that aren't there: {terminal.listed(unmatched, 3)}")
    chosen = [key for key, leave_out in decided.items() if leave_out and key[0] in paths]
    if strict:
        refuse({path for path, kind in chosen if kind in FINDINGS})
    unwanted = {paths[path] for path, _ in chosen}
    if unwanted:
        terminal.status(f"{terminal.count(len(unwanted), 'image')} left out, as {where} says")
    why = f"is left by {where}. Change its column leave_out, or add images."
    return without(dataset, unwanted, why)


def without(dataset: Dataset, paths: set[str], why: str) -> Dataset:
    """The dataset less the images at `paths`.

    Args:
        why: ends the sentence of the error, and says how to correct it: "can be read. ...".

    Raises:
        UserError: a class has no training image left, or validation has none at all.
    """
    splits = {
        split: images.take([path not in paths for path in images.paths])
        for split, images in dataset.splits.items()
    }
    counts = zip(dataset.classes, splits["training"].counts.tolist(), strict=True)
    if empty := [label for label, count in counts if not count]:
        raise UserError(f"No training image of class {terminal.listed(empty)} {why}")
    if not len(splits["validation"]):
        raise UserError(f"No validation image {why}")
    return dataclasses.replace(dataset, splits=splits)


def update(root: Path, findings: list[Finding]) -> set[str]:
    """Add rows for new findings to the file, and name its rows that leave an image out for what is
    no longer found.

    Returns:
        The paths of the images that are left out for one of `findings`.

    Raises:
        UserError: the file can't be understood, or can't be written.
    """
    fields, rows, decided = _read(root)
    path = file_of(root)
    record = _record_of(path)
    found = {finding.key for finding in findings}
    yes = {key for key, leave_out in decided.items() if leave_out and key[1] in FINDINGS}
    if gone := sorted({image for image, _ in yes - found}):
        terminal.warn(
            f"'{path}' leaves out images for what is no longer found: {terminal.listed(gone, 3)}."
            " Delete those rows to use them again."
        )
    new = [finding for finding in findings if finding.key not in decided]
    for finding in new:
        answer = "yes" if FINDINGS[finding.kind] else "no"
        cells = (*finding.key, terminal.cell(finding.detail), answer)
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    if new or (rows and not record.exists()):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, [fields, *([row.get(name, "") for name in fields] for row in rows)])
            _write(record, sorted(found | decided.keys()))
        except OSError as error:
            raise UserError(
                f"'{path}' can't be written ({error.strerror}), so that train.py won't know what to"
                " leave out. Make the folder writable."
            ) from error
    return left_out(findings, decided)


def _write(path: Path, rows: list) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    write_whole(path, lambda at: at.write_text(text.getvalue(), encoding="utf-8", newline=""))


def _read(root: Path) -> tuple[list[str], list[dict[str, str]], dict[Key, bool]]:
    """The file's columns, ours and perhaps others of the user's; its rows; and `decisions`."""
    path = file_of(root)
    record = _record_of(path)
    if not path.exists():
        return list(COLUMNS), [], {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            fields, rows = list(reader.fieldnames or COLUMNS), list(reader)
        keys = record.read_text(encoding="utf-8") if record.exists() else ""
        decided = dict.fromkeys(map(tuple, csv.reader(keys.splitlines())), False)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"'{path}' can't be read as CSV in UTF-8 ({error}). Correct it, or move it away."
        ) from error
    if missing := [name for name in COLUMNS if name not in fields]:
        raise UserError(
            f"'{path}' has no column {terminal.listed(missing)}; expected {','.join(COLUMNS)} in"
            " its first line. Correct it, or move it away."
        )
    for row in rows:
        answer = ANSWERS.get(row["leave_out"].strip().lower())
        if answer is None or any(row.pop(None, ())):
            raise UserError(
                f"'{path}' doesn't say yes or no in the column leave_out of"
                f" '{terminal.printable(row['path'])}', or has more cells there than columns."
            )
        decided[_key(row)] = answer
    return fields, rows, decided


def _key(row: dict[str, str]) -> Key:
    """The path as check.py wrote it, whether or not a spreadsheet program took its apostrophe or
    the user left it out; and the finding by its name of today."""
    kind = row["finding"].replace("copy", "duplicate").replace("wrong ending", "wrong extension")
    return terminal.cell(row["path"]), kind
