"""quarantine.csv, beside the classes: what was found of a data set's images, and which of them
train.py leaves out. check.py writes it, the user has the last word, and no image is ever touched.

Imports neither OpenCV nor NumPy: it is read while a wrong folder could still be answered at once.
"""

import csv
import dataclasses
import io
import os
from pathlib import Path

from foldernet import terminal
from foldernet.data import folders
from foldernet.data.folders import Dataset
from foldernet.files import write_whole
from foldernet.terminal import UserError

FILE = "quarantine.csv"
COLUMNS = ("path", "finding", "detail", "leave_out")
ANSWERS = {"yes": True, "y": True, "true": True, "1": True}
ANSWERS |= {"no": False, "n": False, "false": False, "0": False, "": False}
UNREAD = ("unreadable", "truncated", "too large")
COPY, NEAR = "copy of a {} image", "near-copy of a {} image"
IN_TEST = "also a test image"
OTHER_CLASS = "copy in another class"
# What can be found of an image -> whether it is left out unless the user decides otherwise. Copies
# of what a model is judged by would flatter it; of two labels, nobody here knows the right one.
FINDINGS = {
    **dict.fromkeys(UNREAD, True),
    COPY.format("validation"): True,
    COPY.format("test"): True,
    IN_TEST: False,
    OTHER_CLASS: False,
    NEAR.format("validation"): False,
    NEAR.format("test"): False,
    "wrong ending": False,
    "tiny": False,
    "blank": False,
    "odd proportions": False,
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about one image.

    Attributes:
        path: relative to the data set's folder, with / between its parts.
        kind: one of `FINDINGS`.
        detail: in words; of a copy, the other image's path.
    """

    path: str
    kind: str
    detail: str

    @property
    def key(self) -> tuple[str, str]:
        """What its row is known by."""
        return terminal.cell(self.path), self.kind


def relative(path: str, root: Path) -> str:
    """`path` as the file names it: relative to the data set's folder, with / on every system."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def decisions(root: Path) -> dict[tuple[str, str], bool]:
    """(path as in the file, finding) -> whether to leave the image out.

    Raises:
        UserError: the file can't be understood.
    """
    return {_key(row): ANSWERS[_answer(row)] for row in _read(root / FILE)[1]}


def obeyed(dataset: Dataset, strict: bool) -> Dataset:
    """The data set less the images that its quarantine.csv leaves out; says how many.

    Args:
        strict: refuse images that are left out because of what was found; what the user left out
            for reasons of their own is nobody's concern.

    Raises:
        UserError: the file can't be understood, or leaves too little, or `strict`.
    """
    decided = decisions(dataset.root)
    chosen = {path for (path, _), leave_out in decided.items() if leave_out}
    if not chosen:
        return dataset
    found = {path for (path, kind), leave_out in decided.items() if leave_out and kind in FINDINGS}
    left_out, because_found = set(), 0
    for listing in dataset.splits.values():
        prefix = relative(listing.directory, dataset.root)
        for names in listing.files.values():
            for name in names:
                name_here = name.replace(os.sep, "/")
                path = terminal.cell(name_here if prefix == "." else f"{prefix}/{name_here}")
                if path in chosen:
                    left_out.add(os.path.join(listing.directory, name))
                    because_found += path in found
    where = f"'{dataset.root / FILE}'"
    if strict and because_found:
        raise UserError(
            f"{terminal.count(because_found, 'image')} would be left out, as {where} says, and"
            " --strict allows none. Mend or remove them, and run check.py again."
        )
    if left_out:
        terminal.status(f"{terminal.count(len(left_out), 'image')} left out, as {where} says")
    how = f"is left by {where}. Change its column leave_out, or add images."
    return folders.without(dataset, left_out, how)


def update(root: Path, findings: list[Finding]) -> list[Finding]:
    """Write what was found to the file; what the user changed or added in it stays.

    A row that is there already stays as it is while its finding is still true. One that check.py
    wrote, that nobody changed and that is true no more goes.

    Returns:
        Those of `findings` that leave an image out.

    Raises:
        UserError: the file can't be understood, or can't be written.
    """
    path = root / FILE
    fields, rows = _read(path)
    known = {_key(row) for row in rows}
    true = {finding.key for finding in findings}
    kept = [row for row in rows if _key(row) in true or not _only_ours(row)]
    kept += [_row(finding) for finding in findings if finding.key not in known]
    if kept or rows:
        text = io.StringIO()
        writer = csv.DictWriter(text, fields, restval="")
        writer.writeheader()
        writer.writerows(kept)
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
    decided = {_key(row): ANSWERS[_answer(row)] for row in kept}
    return [finding for finding in findings if decided[finding.key] or finding.kind in UNREAD]


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
            f"'{path}' can't be read as CSV in UTF-8 ({error}). Mend it, or move it away."
        ) from error
    missing = [name for name in COLUMNS if name not in fields]
    if missing:
        raise UserError(
            f"'{path}' has no column {terminal.listed(missing)}; expected {','.join(COLUMNS)} in"
            " its first line. Mend it, or move it away."
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


def _row(finding: Finding) -> dict[str, str]:
    path, kind = finding.key
    answer = "yes" if FINDINGS[kind] else "no"
    return dict(zip(COLUMNS, (path, kind, terminal.cell(finding.detail), answer), strict=True))


def _only_ours(row: dict[str, str]) -> bool:
    """Whether a row says nothing but what check.py writes by itself."""
    by_default = FINDINGS.get(row["finding"])
    more = any(value for name, value in row.items() if name not in COLUMNS)
    return by_default is ANSWERS[_answer(row)] and bool(row["detail"]) and not more
