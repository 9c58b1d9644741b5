"""Predictions for people: a line each."""

from collections.abc import Iterable
from typing import Any

from foldernet import terminal


def write(results: Iterable[Any], missing: list[str], top: int) -> int:
    """Show results as they come, and name what could not be read.

    Args:
        results: see `foldernet.inference.predictor.Prediction`.
        missing: what the user named and nothing was found for.
        top: classes to name.

    Returns:
        The exit status: 0, or 1 if anything could not be read.
    """
    for name in missing:
        terminal.status(f"error: no image '{terminal.printable(name)}'")
    status = 1 if missing else 0
    for result in results:
        path = terminal.printable(result.path)
        if result.error:
            terminal.status(f"error: {path}: {terminal.printable(result.error)}")
            status = 1
        else:
            terminal.result(f"{path}: {result.line(top)}")
    return status
