"""quarantine.csv, beside the classes: which images train.py leaves out, and why. Where that folder
can't be written to, it is a file in the user's own data folder.

check.py adds a row for each new finding, and leaves the rows that are there alone: they are the
user's to change, add or delete. A row that was deleted is not written again, and counts as "no"; a
hidden file lists all that were written. Without quarantine.csv, check.py starts over. Rows that
match no image are named. No image is ever touched.

Imports neither OpenCV nor Pillow: it is read while a wrong folder could still be answered at once.
"""

import csv
import dataclasses
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import platformdirs

from foldernet.datasets.image_list import Dataset
from foldernet.files import write_csv
from foldernet.terminal import UserError, cell, count, listed, printable, status, warn

FILE = "quarantine.csv"
COLUMNS = ("path", "finding", "detail", "leave_out")
ANSWERS = dict.fromkeys(("yes", "y", "true", "1"), True)
ANSWERS |= dict.fromkeys(("no", "n", "false", "0", ""), False)
UNREAD = ("unreadable", "truncated", "too large")
# Left out unless the user decides otherwise: duplicates of what a model is judged by flatter it.
LEFT_OUT = (*UNREAD, "duplicate of a validation image", "duplicate of a test image")
# Only told: of two labels, nobody here knows the right one.
TOLD = (
    *("also a test image", "duplicate in another class"),
    *("near-duplicate of a validation image", "near-duplicate of a test image"),
    *("wrong extension", "tiny", "blank"),
)
# What can be found of an image -> whether it is left out; in the order in which it is told.
FINDINGS = dict.fromkeys(LEFT_OUT, True) | dict.fromkeys(TOLD, False)
Key = tuple[str, str]  # what a row is known by: path and finding


class Finding(NamedTuple):
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
        return cell(self.path), self.kind


def relative(path: str, root: Path) -> str:
    """`path` as the file names it: relative to the dataset's folder, with / on every system."""
    return path.removeprefix(os.path.join(root, "")).replace(os.sep, "/")


def check_strict(strict: bool, paths: set[str]) -> None:
    """What --strict does about images that are left out: raises UserError if there are any."""
    if strict and paths:
        raise UserError(
            f"{count(len(paths), 'image')} would be left out, and --strict allows none."
            f" Repair or remove them, and delete their rows in {FILE}."
        )


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
        raise UserError(f"No training image of class {listed(empty)} {why}")
    if not len(splits["validation"]):
        raise UserError(f"No validation image {why}")
    return dataclasses.replace(dataset, splits=splits)


class Quarantine:
    """What is decided on a dataset's images.

    Args:
        root: the dataset's folder.

    Attributes:
        path: the file, whether or not there is one yet.
        written: the hidden file with path and finding of every row that check.py wrote.
        columns: of the file, ours and perhaps others of the user's.
        rows: of the file.
        decided: whether to leave an image out, by its row; False where the row was deleted.

    Raises:
        UserError: the file can't be understood.
    """

    def __init__(self, root: Path):
        self.root, self.path = root, root / FILE
        if not self.path.exists() and not os.access(root, os.W_OK):
            digest = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8).hexdigest()
            self.path = platformdirs.user_data_path("foldernet") / f"quarantine-{digest}.csv"
        self.written = self.path.with_name(f".{self.path.stem}-rows")
        self.columns, self.rows, self.decided = list(COLUMNS), [], {}
        if self.path.exists():
            self._read()

    def left_out(self, findings: list[Finding]) -> set[str]:
        """The paths of the images that `findings` leave out, as decided or else by default. What
        can't be read is left out whatever was decided."""
        return {
            finding.path
            for finding in findings
            if finding.kind in UNREAD or self.decided.get(finding.key, FINDINGS[finding.kind])
        }

    def obeyed(self, dataset: Dataset, strict: bool) -> Dataset:
        """The dataset less the images that the file leaves out; says how many, and names the rows
        that match no image.

        Args:
            strict: refuse images that are left out because of what was found; what the user left
                out for reasons of their own is nobody's concern.

        Raises:
            UserError: the file leaves too little, or `strict`.
        """
        if not self.rows:
            return dataset
        paths = {}  # as in the file -> of the image
        for images in dataset.splits.values():
            paths |= {cell(relative(path, self.root)): path for path in images.paths}
        where = f"'{self.path}'"
        if gone := sorted({_key(row)[0] for row in self.rows} - paths.keys()):
            warn(f"{where} names images that aren't there: {listed(gone, 3)}")
        chosen = [key for key, leave_out in self.decided.items() if leave_out and key[0] in paths]
        check_strict(strict, {path for path, kind in chosen if kind in FINDINGS})
        unwanted = {paths[path] for path, _ in chosen}
        if unwanted:
            status(f"{count(len(unwanted), 'image')} left out, as {where} says")
        why = f"is left by {where}. Change its column leave_out, or add images."
        return without(dataset, unwanted, why)

    def update(self, findings: list[Finding]) -> None:
        """Add rows for new findings to the file.

        Raises:
            UserError: the file can't be written.
        """
        new = [finding for finding in findings if finding.key not in self.decided]
        for finding in new:
            answer = "yes" if FINDINGS[finding.kind] else "no"
            cells = (*finding.key, cell(finding.detail), answer)
            row = dict(zip(COLUMNS, cells, strict=True))
            self.rows.append(dict.fromkeys(self.columns, "") | row)
        if not new and (self.written.exists() or not self.rows):
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_csv(self.path, [self.columns, *(list(row.values()) for row in self.rows)])
            known = {finding.key for finding in findings} | self.decided.keys()
            write_csv(self.written, sorted(known))
        except OSError as error:
            raise UserError(f"'{self.path}' can't be written ({error.strerror}).") from error

    def _read(self) -> None:
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, restval="", strict=True)
                self.columns, self.rows = list(reader.fieldnames or COLUMNS), list(reader)
            keys = self.written.read_text(encoding="utf-8") if self.written.exists() else ""
            self.decided = dict.fromkeys(map(tuple, csv.reader(keys.splitlines())), False)
            if missing := [name for name in COLUMNS if name not in self.columns]:
                raise ValueError(f"its first line has no column {listed(missing)}")
            for row in self.rows:
                answer = ANSWERS.get(row["leave_out"].strip().lower())
                if answer is None or any(row.pop(None, ())):
                    where = f"the row of '{printable(row['path'])}'"
                    raise ValueError(f"{where} doesn't say yes or no, or has too many cells")
                self.decided[_key(row)] = answer
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(
                f"'{self.path}' can't be read as CSV in UTF-8 with the columns"
                f" {','.join(COLUMNS)} ({error}). Correct it, or move it away."
            ) from error


def _key(row: dict[str, str]) -> Key:
    """The path as check.py wrote it, whether or not a spreadsheet program took its apostrophe or
    the user left it out; and the finding by its name of today."""
    kind = row["finding"].replace("copy", "duplicate").replace("wrong ending", "wrong extension")
    return cell(row["path"]), kind
