"""Files that are there whole or not at all, whatever happens while they are written."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object], before: Path | None = None) -> None:
    """Have `write` write to a temporary file, and put it at `path` once it is safely on disk.

    Args:
        before: where the file that was at `path` goes; None lets it go.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name[-49:]}")  # names have 255 bytes at most
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if before and path.exists():
            os.replace(path, before)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict) -> None:
    """Write `content` whole, readable by people too."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
    # A byte of a name that isn't UTF-8 becomes \udce9, as JSON itself would write it.
    encoded = text.encode(errors="backslashreplace")
    write_whole(path, lambda temporary: temporary.write_bytes(encoded))


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows of cells whole, as CSV in UTF-8."""

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    write_whole(path, write)
