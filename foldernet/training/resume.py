"""Resuming a run: which one, with which settings, and whether its images are still the same.

TensorFlow isn't needed: what can't be resumed is said at once.
"""

import json
import os
from pathlib import Path

from foldernet import files, terminal
from foldernet.config import Config, changed_on_resume, from_json
from foldernet.data import folders, sources
from foldernet.data.folders import Dataset
from foldernet.terminal import UserError
from foldernet.training import runs
from foldernet.training.runs import Run

DESCRIPTION, FILES = "config.json", "files.json"
SCORES, SCORES_BEFORE = "metrics.json", "metrics-before.json"  # a run without any is unfinished
SHOWN_FILES = 3  # of those that were added, are missing or have changed


def earlier(typed: dict) -> dict:
    """What the run that `--resume` means was given, by field name; nothing without `--resume`.

    Args:
        typed: what was typed now, by field name.

    Raises:
        UserError: there is no such run, it is finished, or what was typed would change it.
    """
    if not typed.get("resume"):
        return {}
    folder = _named(typed["name"]) if "name" in typed else _newest_unfinished()
    given = from_json(Config, _read(folder / DESCRIPTION)["config"]) | {"name": folder.name}
    changed = changed_on_resume(typed, given)
    if changed:
        raise UserError(
            f"The run '{folder.name}' can't go on with {', '.join(changed)}. Leave that out, or"
            " start a new run."
        )
    if (folder / SCORES).exists() and typed.get("epochs", 0) <= given["epochs"]:
        raise UserError(
            f"The run '{folder.name}' is finished, after {given['epochs']} epochs. Ask for more,"
            f" with --epochs {2 * given['epochs']}, or start a new run."
        )
    return given


def remember(run: Run, config: Config, dataset: Dataset) -> None:
    """Write down how a run is made, in config.json, and of which files, in files.json; or see that
    it is resumed with the same.

    Raises:
        UserError: files were added, are missing or have changed since the run began.
    """
    found = sources.files(config, dataset)
    hashes = folders.content_hashes(list(found.values()), config.cache).tolist()
    hashes = {name: f"{number:016x}" for name, number in zip(found, hashes, strict=True)}
    description = runs.describe(config, dataset)
    if config.resume:
        _check_same(run, hashes, _read(run.models / FILES))
        before = _read(run.models / DESCRIPTION)
        now = runs.occasion()
        if now["versions"] != before["versions"]:
            terminal.warn(
                "this run began with other versions of Python or its packages, as config.json"
                " says: the last digits may differ from those of an uninterrupted run"
            )
        if (run.models / SCORES).exists():  # of a run that goes on, they are no more the last ones
            os.replace(run.models / SCORES, run.models / SCORES_BEFORE)
        resumed = [*before.get("resumed", []), now]
        description = before | {"config": description["config"], "resumed": resumed}
    else:
        files.write_json(run.models / FILES, hashes)
    files.write_json(run.models / DESCRIPTION, description)


def _check_same(run: Run, hashes: dict, before: dict) -> None:
    differences = {
        "added": hashes.keys() - before.keys(),
        "missing or unreadable": before.keys() - hashes.keys(),
        "changed": {name for name in hashes.keys() & before.keys() if hashes[name] != before[name]},
    }
    told = [
        f"{len(names):,} {what} ({terminal.listed(sorted(names), SHOWN_FILES)})"
        for what, names in differences.items()
        if names
    ]
    if told:
        raise UserError(
            f"The run '{run.name}' began with other files: {', '.join(told)}. Put them back as they"
            f" were, or start a new run, with --weights {run.models / 'best.keras'} from what this"
            " one has learnt."
        )


def _named(name: str) -> Path:
    runs.check_name(name)
    folder = runs.Run(name).models
    if not (folder / DESCRIPTION).exists():
        others = [path.name for path in _unfinished()]
        known = f" Unfinished are {terminal.listed(others, 5)}." if others else ""
        raise UserError(f"There is no run '{name}' in '{runs.MODELS}' to resume.{known}")
    return folder


def _newest_unfinished() -> Path:
    unfinished = _unfinished()
    if not unfinished:
        raise UserError(
            f"There is no unfinished run in '{runs.MODELS}'. Name a finished one with --name to"
            " train it for more --epochs, or start a new run."
        )
    terminal.status(f"Resuming {unfinished[0]}")
    return unfinished[0]


def _unfinished() -> list[Path]:
    """Folders of runs that have no scores yet, newest first."""
    started = [
        path for path in runs.MODELS.glob(f"*/{DESCRIPTION}") if not path.with_name(SCORES).exists()
    ]
    started.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent for path in started]


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{path}' can't be read ({error}), and without it the run can't be resumed. Start a"
            " new one."
        ) from error
