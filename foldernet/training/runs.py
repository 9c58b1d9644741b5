"""A run's folders: one name in models/ and logs/, and nothing in them ever overwritten."""

import contextlib
import dataclasses
import itertools
import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import filelock

from foldernet.terminal import UserError, listed
from foldernet.training import model_file

MODELS, LOGS = Path("models"), Path("logs")
LOCK = ".lock"  # held in a run's folder by the process that trains it
BEST, LAST, METRICS = "best.keras", "last.keras", "metrics.json"
# Hidden, or on some system not a folder's name.
UNUSABLE = r'[<>:"/\\|?*\x00-\x1f]|^\.|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)'


@dataclasses.dataclass(frozen=True)
class Run:
    """What a training leaves.

    Attributes:
        name: of the run.
        models: its folder in models/, with the trained models.
        logs: its folder in logs/, with curves and figures.
        metrics: the best model's scores, as in metrics.json; empty while it trains.
    """

    name: str

    @property
    def models(self) -> Path:
        return MODELS / self.name

    @property
    def logs(self) -> Path:
        return LOGS / self.name

    @property
    def metrics(self) -> dict:
        path = self.models / METRICS
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@contextlib.contextmanager
def locked(run: Run) -> Iterator[Run]:
    """Keep other processes from training the run, which is yielded.

    Raises:
        UserError: one does already.
    """
    try:
        held = filelock.FileLock(run.models / LOCK).acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(
            f"Another process is training the run '{run.name}'. Wait for it, or start a new run."
        ) from None
    with held:  # the file stays: two processes could hold two files of one name
        for left_over in run.models.glob(".[0-9]*-*.*"):  # by `write_whole`, when it was killed
            left_over.unlink()
        yield run


def check_name(name: str) -> None:
    """Raise UserError if a run's name would lead out of models/ and logs/, hide it there, or not
    be possible on every system that the run may be copied to."""
    if re.search(UNUSABLE, name, re.IGNORECASE):
        raise UserError(f"--name '{name}' can't name a folder everywhere. Use letters and digits.")


def created(given_name: str | None, default_name: str) -> Run:
    """Make the folders of a new run.

    Args:
        given_name: by the user, as `check_name` lets pass, or None.
        default_name: of a run without one; the time is added.

    Raises:
        UserError: the name is taken, or the folders can't be made.
    """
    name = given_name or f"{default_name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        run = Run(name if number == 1 else f"{name}-{number}")
        try:
            run.models.mkdir(parents=True)
            run.logs.mkdir(parents=True)
            break
        except OSError as error:
            if given_name or not isinstance(error, FileExistsError):
                raise UserError(
                    f"The run '{run.name}' can't be made ('{error.filename}': {error.strerror})."
                    " Choose another --name, or none; an unfinished run continues with --resume."
                ) from error
    return run


def find(name: str | Path | None, mode: str) -> Path:
    """The folder of a run, or a file.

    Args:
        name: a run's name or folder, or a file; None takes the newest run of `mode`.

    Raises:
        UserError: there is no such run.
    """
    newest_first = sorted(MODELS.glob(f"*/{BEST}"), key=os.path.getmtime, reverse=True)
    if name is not None:
        for path in (MODELS / name, Path(name)):
            if path.exists():
                return path
        others = listed((path.parent.name for path in newest_first), 5) or "none"
        raise UserError(
            f"There is no run '{name}' in '{MODELS}', nor a file of that name. Runs: {others}."
        )
    for path in newest_first:
        if model_file.read_metadata(path).get("mode") == mode:
            return path.parent
    raise UserError(
        f"There is no trained {mode} model in '{MODELS.resolve()}'. Run train.py first."
    )


def model_of(path: Path) -> Path:
    """The best model of what `find` found: a run's folder, or the file itself."""
    return path / BEST if path.is_dir() else path
