"""Predictions as JSON and CSV, written as they come, and images that come of them."""

import contextlib
import csv
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np

from foldernet.files import write_whole
from foldernet.option_types import BaseOptions, shown_as
from foldernet.terminal import UserError, cell

STANDARD_OUTPUT = Path("-")


class Options(BaseOptions):
    """Files of predictions."""

    json: Annotated[Path | None, shown_as("FILE")] = None
    """Write the predictions to this file as JSON, or, if its name ends in .jsonl, as a line of JSON
    for each image; - is standard output."""

    csv: Annotated[Path | None, shown_as("FILE")] = None
    """Write the predictions to this file as CSV; - is standard output."""

    def __post_init__(self):
        super().__post_init__()
        if self.json and self.json == self.csv:
            raise UserError(f"--json and --csv can't both be '{self.csv}'. Name two files.")
        for path in {self.json, self.csv} - {None, STANDARD_OUTPUT}:
            taken = path.exists() and not path.is_file()  # by a folder or device
            if taken or not os.access(path.parent, os.W_OK):
                raise UserError(f"'{path}' can't be written. Name a file in a folder that can be.")


def pass_on(options: Options, predictor: Any, results: Iterable[Any]) -> Iterator[Any]:
    """Write results the way the options ask for, and pass them on.

    Args:
        predictor: which gave the results.
        results: see `foldernet.inference.predictor.Prediction`.

    Returns:
        The results, as they come; where they go to standard output, those with an error alone.

    Raises:
        UserError: a file can't be written, or has no place for such results.
    """
    known = {"ranking"} if options.csv else {"ranking", "values"}
    if (options.json or options.csv) and not known & predictor.Result.__dataclass_fields__.keys():
        raise UserError("--csv is for classifiers, --json for runs that answer in numbers, too.")
    if options.json:
        results = _json(results, options.json, options.top)
    if options.csv:
        results = _csv(results, options.csv, min(options.top, len(predictor.classes)))
    lines = STANDARD_OUTPUT not in (options.json, options.csv)
    return (result for result in results if lines or result.error)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Standard output, or a file that gets its name once all of it is written.

    Raises:
        UserError: it can't be written.
    """
    if path == STANDARD_OUTPUT:
        yield sys.stdout
        sys.stdout.flush()  # so that a closed pipe is noticed here, and not when Python ends
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            whole = Path(folder, "whole")
            with open(whole, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                yield file
            write_whole(path, whole.replace)
    except BrokenPipeError:  # of standard output, where other results go
        raise
    except OSError as error:
        raise UserError(f"'{path}' can't be written ({error.strerror}).") from error


def write_png(stem: str, pixels: np.ndarray) -> str:
    """Write pixels, (height, width, channels) uint8, to a new file in the working folder.

    Returns:
        Its name: `stem`.png, or with -2 and so on where there is one already.

    Raises:
        UserError: it can't be written.
    """
    from PIL import Image  # --help has no use for it

    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    path = next(path for end in ends if not os.path.exists(path := f"{stem}{end}.png"))
    try:
        with open(path, "xb") as file:
            Image.fromarray(pixels).save(file, "PNG")
    except OSError as error:
        raise UserError(f"'{path}' can't be written ({error.strerror}).") from error
    return path


def _json(results: Iterable[Any], path: Path, top: int) -> Iterator[Any]:
    """Write an object for each image, with file, then the answer, or error, and pass the results
    on: a list, or, where the file's name ends in .jsonl, a line each."""
    lines = path.suffix == ".jsonl"
    with _opened(path) as file:
        file.write("" if lines else "[")
        for index, result in enumerate(results):
            item = as_json(result, top)
            if lines:
                file.write(json.dumps(item) + "\n")
            else:  # the inner lines of a list of one
                file.write(("," if index else "") + json.dumps([item], indent=2)[1:-2])
            yield result
        file.write("" if lines else "\n]\n")


def _csv(results: Iterable[Any], path: Path, top: int) -> Iterator[Any]:
    """Write a line for each image, with file, error, class_1, probability_1 and so on up to `top`,
    and pass the results on."""
    ranks = range(1, top + 1)
    columns = [f"{name}_{rank}" for rank in ranks for name in ("class", "probability")]
    with _opened(path) as file:
        writer = csv.DictWriter(file, ["file", "error", *columns], restval="")
        writer.writeheader()
        for result in results:
            row = {"file": _name(result.path, path), "error": cell(result.error or "")}
            for rank, (name, share) in enumerate(result.ranking[:top], 1):
                row |= {f"class_{rank}": cell(name), f"probability_{rank}": share}
            writer.writerow(row)
            yield result


def as_json(result: Any, top: int) -> dict[str, Any]:
    """For JSON: file, and error or the answer: the numbers; of a classifier class, probability, and
    the first `top` of both."""
    file = {"file": result.path}
    if result.error:
        return file | {"error": result.error}
    if not hasattr(result, "ranking"):
        return file | {"values": list(result.values)}
    ranking = [{"class": name, "probability": share} for name, share in result.ranking[:top]]
    told = {"raw_probability": result.raw, "unknown": result.unknown}
    told |= {"set": list(result.within)} if result.within else {}
    return file | ranking[0] | told | {"top": ranking}


def _name(image: str, path: Path) -> str:
    """An image's name in a CSV file: as it is, for programs, but that one which a spreadsheet
    program would take for a formula begins with ./. On standard output it is escaped."""
    if path == STANDARD_OUTPUT:
        return cell(image)
    return f"./{image}" if image.startswith(("=", "+", "-", "@", "\t", "\r")) else image
