"""quarantine.csv, beside the classes: what was found of a dataset's images, and which of them
train.py leaves out. check.py writes it, the user has the last word, and no image is ever touched.

Imports neither OpenCV nor Pillow: it is read while a wrong folder could still be answered at once.
"""

import csv
import dataclasses
import io
import os
from pathlib import Path

from foldernet import terminal
from foldernet.datasets.image_list import Dataset
from foldernet.files import write_whole
from foldernet.terminal import UserError

FILE = "quarantine.csv"
COLUMNS = ("path", "finding", "detail", "leave_out")
ANSWERS = dict.fromkeys(("yes", "y", "true", "1"), True) | dict.fromkeys(
    ("no", "n", "false", "0", ""), False
)
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
    def key(self) -> tuple[str, str]:
        """What its row is known by."""
        return terminal.cell(self.path), self.kind


def relative(path: str, root: Path) -> str:
    """`path` as the file names it: relative to the dataset's folder, with / on every system."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def decisions(root: Path) -> dict[tuple[str, str], bool]:
    """(path as in the file, finding) -> whether to leave the image out.

    Raises:
        UserError: the file can't be understood.
    """
    return {_key(row): ANSWERS[_answer(row)] for row in _read(root / FILE)[1]}


def obeyed(dataset: Dataset, strict: bool) -> Dataset:
    """The dataset less the images that its quarantine.csv leaves out; says how many, and names the
    rows that match no image.

    Args:
        strict: refuse images that are left out because of what was found; what the user left out
            for reasons of their own is nobody's concern.

    Raises:
        UserError: the file can't be understood, or leaves too little, or `strict`.
    """
    decided = decisions(dataset.root)
    if not decided:
        return dataset
    paths = {}  # as in the file -> of the image
    for images in dataset.splits.values():
        folder = relative(images.directory, dataset.root)
        for name in images.names:
            name_here = name.replace(os.sep, "/")
            here = terminal.cell(name_here if folder == "." else f"{folder}/{name_here}")
            paths[here] = os.path.join(images.directory, name)
    where = f"'{dataset.root / FILE}'"
    if unmatched := sorted({path for path, _ in decided} - paths.keys()):
        terminal.warn(f"{where} names images that aren't there: {terminal.listed(unmatched, 3)}")
    left_out = {path for (path, _), leave_out in decided.items() if leave_out} & paths.keys()
    found = {path for path, kind in decided if decided[path, kind] and kind in FINDINGS} & left_out
    if strict and found:
        raise UserError(
            f"{terminal.count(len(found), 'image')} would be left out, as {where} says, and"
            " --strict allows none. Repair or remove them, and run check.py again."
        )
    if not left_out:
        return dataset
    terminal.status(f"{terminal.count(len(left_out), 'image')} left out, as {where} says")
    why = f"is left by {where}. Change its column leave_out, or add images."
    return dataset.without({paths[path] for path in left_out}, why)


def update(root: Path, findings: list[Finding]) -> list[Finding]:
    """Add what was found to the file.

    Its rows stay as they are; they are the user's to change or delete. A row that the user deleted
    isn't written again: nothing is added of images that haven't changed since the file was written.

    Returns:
        Those of `findings` that leave an image out.

    Raises:
        UserError: the file can't be understood, or can't be written.
    """
    path = root / FILE
    fields, rows = _read(path)
    known = {_key(row) for row in rows}
    written = path.stat().st_mtime_ns if path.exists() else 0
    new = [
        dict(
            zip(
                COLUMNS,
                (*finding.key, terminal.cell(finding.detail), _default(finding)),
                strict=True,
            )
        )
        for finding in findings
        if finding.key not in known and _changed_since(written, root, finding)
    ]
    rows += new
    if new:
        text = io.StringIO()
        writer = csv.DictWriter(text, fields, restval="")
        writer.writeheader()
        writer.writerows(rows)
        try:
            write_whole(
                path,
                lambda temporary: temporary.write_text(
                    text.getvalue(), encoding="utf-8", newline=""
                ),
            )
        except OSError as error:
            raise UserError(
                f"'{path}' can't be written ({error.strerror}), so that train.py won't know what to"
                " leave out. Make the folder writable."
            ) from error
    decided = {_key(row): ANSWERS[_answer(row)] for row in rows}
    return [
        finding for finding in findings if decided.get(finding.key, False) or finding.kind in UNREAD
    ]


def _changed_since(written: int, root: Path, finding: Finding) -> bool:
    """Whether an image, or the one that it is a duplicate of, was changed or put there since."""
    for name in (finding.path, finding.detail):
        try:
            status = os.stat(root / name)
        except (OSError, ValueError):  # what can't be read is no reason to keep silent
            if name == finding.path:
                return True
            continue
        if max(status.st_mtime_ns, status.st_ctime_ns) > written:
            return True
    return False


def _default(finding: Finding) -> str:
    return "yes" if FINDINGS[finding.kind] else "no"


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The file's columns, ours and perhaps others of the user's, and its rows."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            fields, rows = list(reader.fieldnames or COLUMNS), list(reader)
    except FileNotFoundError:
        return list(COLUMNS), []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"'{path}' can't be read as CSV in UTF-8 ({error}). Correct it, or move it away."
        ) from error
    missing = [name for name in COLUMNS if name not in fields]
    if missing:
        raise UserError(
            f"'{path}' has no column {terminal.listed(missing)}; expected {','.join(COLUMNS)} in"
            " its first line. Correct it, or move it away."
        )
    for row in rows:
        if any(row.pop(None, ())) or _answer(row) not in ANSWERS:
            raise UserError(
                f"'{path}' doesn't say yes or no in the column leave_out of"
                f" '{terminal.printable(row['path'])}', or has more cells there than columns."
            )
    return fields, rows


def _key(row: dict[str, str]) -> tuple[str, str]:
    # As written, whether or not a spreadsheet program took the apostrophe or the user left it out.
    return terminal.cell(row["path"]), row["finding"]


def _answer(row: dict[str, str]) -> str:
    return row["leave_out"].strip().lower()
