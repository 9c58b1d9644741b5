"""Predictions for people and for programs: lines, JSON and CSV."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foldernet import terminal
from foldernet.files import write_whole
from foldernet.options import PredictOptions

STANDARD_OUTPUT = Path("-")


def write(results: Iterable[Any], missing: list[str], options: PredictOptions) -> int:
    """Write results the way the options ask for, and name what could not be read.

    Args:
        results: shown as they come; see `foldernet.inference.predictor.Prediction`.
        missing: what the user named and nothing was found for.

    Returns:
        The exit status: 0, or 1 if anything could not be read.
    """
    name_missing(missing)
    lines = STANDARD_OUTPUT not in (options.json, options.csv)
    found = []
    for result in results:
        found.append(result)
        path = terminal.printable(result.path)
        if result.error:
            terminal.status(f"error: {path}: {terminal.printable(result.error)}")
        elif lines:
            terminal.result(f"{path}: {result.line(options.top)}")
    if options.json:
        _put(options.json, _json(found, options.top))
    if options.csv:
        _put(options.csv, _csv(found, options.top))
    return 1 if missing or any(result.error is not None for result in found) else 0


def name_missing(missing: list[str]) -> None:
    """Name what the user named and nothing was found for."""
    for name in missing:
        terminal.status(f"error: no image '{terminal.printable(name)}'")


def _put(path: Path, text: str) -> None:
    if path == STANDARD_OUTPUT:
        print(text, end="")
    else:
        write_whole(path, lambda temporary: temporary.write_bytes(text.encode()))


def _json(results: list[Any], top: int) -> str:
    """A list with an object for each image: file, then the answer, or error."""
    items = [
        {"file": result.path} | ({"error": result.error} if result.error else result.json(top))
        for result in results
    ]
    return json.dumps(items, indent=2) + "\n"


def _csv(results: list[Any], top: int) -> str:
    """A line for each image: file, error, and the answer.

    Control characters in names are escaped, as on the terminal, where it may go.
    """
    cells = [{} if result.error else result.cells(top) for result in results]
    text = io.StringIO()
    columns = dict.fromkeys(name for row in cells for name in row)
    writer = csv.DictWriter(text, ["file", "error", *columns], restval="")
    writer.writeheader()
    for result, row in zip(results, cells, strict=True):
        names = {"file": terminal.cell(result.path), "error": terminal.cell(result.error or "")}
        writer.writerow(names | row)
    return text.getvalue()
