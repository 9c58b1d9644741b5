"""Which run is resumed, with which options, and whether it is of the same files.

TensorFlow isn't needed: what can't be resumed is said at once.
"""

import os
from pathlib import Path
from typing import Any

from foldernet import option_types, terminal
from foldernet.datasets.split import content_hashes
from foldernet.options import TrainOptions
from foldernet.resume import description
from foldernet.terminal import UserError
from foldernet.training import runs
from foldernet.training.runs import METRICS, Run

FILES = "files.json"
SHOWN_FILES = 3  # of those that were added, are missing or have changed


def options_of_earlier(name: str | None) -> dict[str, Any]:
    """The options of the run `name`, or of the newest unfinished one, as config.json has them.

    Raises:
        UserError: there is no such run.
    """
    unfinished = _unfinished()
    if name:
        runs.check_name(name)
        folder = Run(name).models
        if not (folder / description.FILE).exists():
            others = terminal.listed((path.name for path in unfinished), 5)
            raise UserError(
                f"There is no run '{name}' in '{runs.MODELS}' to resume."
                f"{f' Unfinished are {others}.' if others else ''}"
            )
    elif unfinished:
        folder = unfinished[0]
        terminal.status(f"Resuming {folder}")
    else:
        raise UserError(
            f"There is no unfinished run in '{runs.MODELS}'. Name a finished one with --name to"
            " train it for more --epochs, or start a new run."
        )
    return description.options_in(folder / description.FILE) | {"name": folder.name}


def check_resumable(options: TrainOptions) -> None:
    """Raise UserError if the options would change the run, or ask for no more than it has done, or
    its images aren't where they were."""
    run = Run(options.name)
    before = description.options_in(run.models / description.FILE)
    changed = _changed(options, before)
    if changed:
        raise UserError(
            f"The run '{run.name}' can't be resumed with {', '.join(changed)}. Leave that out, or"
            " start a new run."
        )
    if options.data and not options.data.expanduser().exists():
        raise UserError(
            f"The images of the run '{run.name}' are not in '{options.data}'. If they have moved,"
            f" say where they are: python train.py FOLDER --resume --name {run.name}. They have to"
            " have the same content."
        )
    epochs = before["epochs"]
    if (run.models / METRICS).exists() and options.epochs <= epochs:
        raise UserError(
            f"The run '{run.name}' is finished, after {terminal.count(epochs, 'epoch')}. Ask for"
            f" more, with --epochs {2 * epochs}, or start a new run."
        )


def hashes_of(paths: dict[str, str], cache: str) -> dict[str, str]:
    """What files.json holds: the name of every file of a run -> a hash of its content."""
    hashes = content_hashes(list(paths.values()), cache).tolist()
    return {name: f"{number:016x}" for name, number in zip(paths, hashes, strict=True)}


def check_same_files(run: Run, hashes: dict[str, str]) -> None:
    """Raise UserError if files were added, are missing or have changed since the run began."""
    before = description.read(run.models / FILES)
    differences = {
        "added": hashes.keys() - before.keys(),
        "missing or unreadable": before.keys() - hashes.keys(),
        "changed": {name for name in hashes.keys() & before.keys() if hashes[name] != before[name]},
    }
    found = [
        f"{len(names):,} {what} ({terminal.listed(sorted(names), SHOWN_FILES)})"
        for what, names in differences.items()
        if names
    ]
    if found:
        raise UserError(
            f"The run '{run.name}' began with other files: {', '.join(found)}. Put them back as"
            f" they were, or start a new run, with --weights {run.models / runs.BEST} from what"
            " this one has learned."
        )


def _changed(options: TrainOptions, before: dict[str, Any]) -> list[str]:
    """Options that differ from those of a run and would change it: `--seed 1 (it was 0)`.

    Args:
        before: the run's options by name, as config.json has them.
    """
    before = option_types.converted(type(options), before)
    return [
        f"{option_types.flag(name)} {getattr(options, name)} (it was {before.get(name)})"
        for name, annotation in option_types.annotations(type(options)).items()
        if option_types.MAY_CHANGE_ON_RESUME not in option_types.marks(annotation)
        and getattr(options, name) != before.get(name)
    ]


def _unfinished() -> list[Path]:
    """Folders of runs that have no scores yet, newest first."""
    started = [
        path
        for path in runs.MODELS.glob(f"*/{description.FILE}")
        if not path.with_name(METRICS).exists()
    ]
    return [path.parent for path in sorted(started, key=os.path.getmtime, reverse=True)]
