"""What a person reads while a program runs: status and errors on standard error, results on
standard output, and not a line that they have no use for."""

import contextlib
import errno
import functools
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

BAR_AFTER, LINE_EVERY = 2, 10  # seconds


class UserError(Exception):
    """A mistake that the user can correct.

    Its text says what happened, what was expected and how to correct it, in one or two sentences;
    the programs print it without a traceback.
    """


def status(text: str = "") -> None:
    """Tell how things stand: a line, or a table's lines, on standard error."""
    result(text, sys.stderr)


def warn(text: str) -> None:
    """Tell of something that does not stop the run but that the user will want to know."""
    status(f"warning: {text}")


def result(text: str = "", file: TextIO | None = None) -> None:
    """Give what was asked for: a line, or a table's lines, on standard output. Each is printable,
    whosever names are in it."""
    print("\n".join(map(printable, text.split("\n"))), file=file, flush=True)


def entry_point(main: Callable[..., int | None]) -> Callable[..., int]:
    """Make `main` a program's entry point.

    Its return value becomes the exit status (None counts as 0); a `UserError` becomes one line on
    standard error and exit status 1; Ctrl-C ends it with 130, or as the `KeyboardInterrupt` says.
    """

    @functools.wraps(main)
    def program(*arguments) -> int:
        # Where one was closed, None is in its place, and the next file would take its number.
        sys.stdout, sys.stderr = (at or open(os.devnull, "w") for at in (sys.stdout, sys.stderr))  # noqa: SIM115
        if hasattr(sys.stdout, "reconfigure"):  # a notebook's shows every character
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            with warnings.catch_warnings():
                if not sys.warnoptions:  # -W asks to see what libraries warn of
                    warnings.simplefilter("ignore")
                    warnings.filterwarnings("default", module="foldernet")
                    warnings.showwarning = lambda message, *_: warn(printable(str(message)))
                # Keras's variables become arrays in NumPy 2's older way; nobody here can help it.
                warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy")
                return main(*arguments) or 0
        except UserError as error:
            status(f"error: {error}")
            return 1
        except OSError as error:  # of standard output: who read it has left, or its disk is full
            if error.filename or error.errno not in (errno.EPIPE, errno.ENOSPC):
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno == errno.ENOSPC:
                status("error: The disk is full where output is written. Free some space.")
            return 128 + 13
        except KeyboardInterrupt as stop:
            status(f"\n{str(stop) or 'stopped'}")
            return getattr(stop, "exit_status", 130)

    return program


def printable(text: str) -> str:
    """`text` with control characters and undecodable bytes escaped: a file's name is not trusted
    to leave the terminal as it is."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cell(text: str) -> str:
    """`text` for a cell of a CSV file: printable, and led by an apostrophe where a spreadsheet
    program would take it for a formula. What is a cell already comes out the same."""
    text = text if text.isprintable() else printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def listed(names: Iterable[object], at_most: int = 10) -> str:
    """Join names for a sentence, `a, b and 3 more`, so that a million of them stay readable."""
    names = [printable(str(name)) for name in names]
    if len(names) > at_most:
        return f"{', '.join(names[:at_most])} and {len(names) - at_most:,} more"
    return ", ".join(names)


def count(number: int, noun: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def number(value: float) -> str:
    """`0.9312`, and `1.3e-06` where four decimals would leave nothing."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}"


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Import TensorFlow inside this: its C++ code greets on file descriptor 2 before any of its
    log levels is read, and Python errors still reach standard error afterwards."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Intel's kernels, which TensorFlow leaves off where there is no AVX-512, are faster there, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it tells users of its retracing
    sys.stderr.flush()
    standard_error = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


def progress(items: Iterable[Any], doing: str, total: int) -> Iterator[Any]:
    """The items; if they take long, with a bar on a terminal and a line now and then elsewhere."""
    items, shown, bar = iter(items), time.monotonic(), sys.stderr.isatty()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - shown > (BAR_AFTER if bar else LINE_EVERY):
            if bar:
                from rich.console import Console  # --help has no use for it
                from rich.progress import track

                shown_on = {"console": Console(stderr=True), "transient": True}
                yield from track(items, doing, total, completed=done, **shown_on)
            else:
                status(f"{doing}: {done:,} of {total:,}")
                shown = time.monotonic()


def table(rows: list[tuple[Any, ...]]) -> str:
    """Rows as aligned columns: to the right those whose last cell is a number."""
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    for cell in rows[-1]:
        grid.add_column(justify="right" if isinstance(cell, int) else "left", no_wrap=True)
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else printable(str(cell)) for cell in row)
        grid.add_row(*cells)
    console = Console(width=10_000, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
