"""Predictions for people and for programs: lines, JSON, CSV, and pictures."""

import contextlib
import csv
import io
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from foldernet import terminal
from foldernet.config import PredictConfig
from foldernet.files import write_whole
from foldernet.terminal import UserError

if TYPE_CHECKING:  # it imports Keras, which --help should not wait for
    from foldernet.prediction import Blurred, Prediction

STANDARD_OUTPUT = Path("-")


def write(predictions: Iterable["Prediction"], missing: list[str], config: PredictConfig) -> int:
    """Write predictions the way the config asks for, and name what could not be read.

    Args:
        predictions: told of as they come.
        missing: what the user named and nothing was found for.

    Returns:
        The exit status: 0, or 1 if anything could not be read.
    """
    for name in missing:
        terminal.status(f"error: no picture '{terminal.printable(name)}'")
    lines = STANDARD_OUTPUT not in (config.json, config.csv)
    told = []
    for prediction in predictions:
        told.append(prediction)
        path = terminal.printable(prediction.path)
        if prediction.error:
            terminal.status(f"error: {path}: {terminal.printable(prediction.error)}")
        elif lines:
            (best, share), *others = prediction.ranking[: config.top]
            rest = ", ".join(f"{terminal.printable(name)} {part:.1%}" for name, part in others)
            told_best = f"{path}: {terminal.printable(best)} {share:.1%}"
            terminal.result(told_best + (f"  ({rest})" if rest else ""))
    if config.json:
        _put(config.json, _json(told, config.top))
    if config.csv:
        _put(config.csv, _csv(told, config.top))
    failed = len(missing) + sum(prediction.error is not None for prediction in told)
    return 1 if failed else 0


def write_images(blurred: Iterable["Blurred"], missing: list[str], config: PredictConfig) -> int:
    """Write each blurred picture to the working folder, as PNG and under a name that is free.

    Args:
        blurred: told of as they come.
        missing: what the user named and nothing was found for.

    Returns:
        The exit status: 0, or 1 if anything could not be read.
    """
    if config.json or config.csv:
        raise UserError("--json and --csv are for classifiers; a blur run writes pictures.")
    for name in missing:
        terminal.status(f"error: no picture '{terminal.printable(name)}'")
    failed = len(missing)
    for picture in blurred:
        path = terminal.printable(picture.path)
        if picture.error:
            terminal.status(f"error: {path}: {terminal.printable(picture.error)}")
            failed += 1
        else:
            written = _write_new(f"{Path(picture.path).stem}-blurred", picture.pixels)
            terminal.result(f"{path}: {terminal.printable(written.name)}")
    return 1 if failed else 0


def _write_new(stem: str, pixels) -> Path:
    """Write a PNG as `stem`.png, or `stem`-2.png and so on: never over a file that is there."""
    from PIL import Image  # a mistyped option is answered without it

    for suffix in itertools.chain([""], (f"-{number}" for number in itertools.count(2))):
        path = Path(f"{stem}{suffix}.png")
        with contextlib.suppress(FileExistsError), open(path, "xb") as file:
            Image.fromarray(pixels).save(file, "PNG")
            return path
    raise AssertionError("count() has no end")


def _put(path: Path, text: str) -> None:
    if path == STANDARD_OUTPUT:
        print(text, end="")
    else:
        write_whole(
            path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="")
        )


def _json(predictions: list["Prediction"], top: int) -> str:
    """A list with an object for each picture: file, then class, probability and top, or error."""
    items = []
    for prediction in predictions:
        item = {"file": prediction.path}
        if prediction.error:
            item["error"] = prediction.error
        else:
            ranking = [
                {"class": name, "probability": share} for name, share in prediction.ranking[:top]
            ]
            item |= ranking[0] | {"top": ranking}
        items.append(item)
    return json.dumps(items, indent=2) + "\n"


def _csv(predictions: list["Prediction"], top: int) -> str:
    """A line for each picture: file, error, then class and probability, most probable first.

    Control characters in names are escaped, as on the terminal, where it may go.
    """
    ranks = max((len(prediction.ranking[:top]) for prediction in predictions), default=0)
    names = [
        name for rank in range(1, ranks + 1) for name in (f"class_{rank}", f"probability_{rank}")
    ]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file", "error", *names])
    for prediction in predictions:
        ranking = prediction.ranking[:top]
        cells = [cell for name, share in ranking for cell in (terminal.cell(name), share)]
        error = terminal.cell(prediction.error or "")
        writer.writerow([terminal.cell(prediction.path), error, *cells])
    return text.getvalue()
