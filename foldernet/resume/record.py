"""config.json and files.json: what a run is made of, to repeat it, or to resume it unchanged.

TensorFlow isn't needed: what can't be resumed is said at once.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from datetime import datetime
from pathlib import Path

from foldernet import option_types, terminal
from foldernet.datasets.image_list import Dataset, content_hashes
from foldernet.options import TrainOptions
from foldernet.terminal import UserError
from foldernet.training import runs

CONFIG, FILES = "config.json", "files.json"
PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "numpy"),
    *("opencv-python-headless", "pillow", "scipy"),
)


def describe(options: TrainOptions, dataset: Dataset) -> dict:
    """What config.json holds of a run: its options and data; and what may differ when it is
    repeated: command, time, versions and machine."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "config": dataclasses.asdict(options),
        "data": {
            "folder": str(dataset.root.resolve()),
            "classes": dataset.classes,
            "images": {
                split: dict(zip(images.classes, images.counts.tolist(), strict=True))
                for split, images in dataset.splits.items()
            },
        },
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions,
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def hashes_of(paths: dict[str, str], cache: str) -> dict[str, str]:
    """What files.json holds: the name of every file of a run -> a hash of its content."""
    hashes = content_hashes(list(paths.values()), cache).tolist()
    return {name: f"{number:016x}" for name, number in zip(paths, hashes, strict=True)}


def read(path: Path) -> dict:
    """A JSON file of a run.

    Raises:
        UserError: it can't be read, or isn't one.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{path}' can't be read ({error}), and without it the run can't be repeated or"
            " resumed. Start a new one."
        ) from error


def options_in(path: Path) -> dict:
    """The options by name in a run's config.json, for a new run like it: if that run was resumed,
    this one isn't.

    Raises:
        UserError: it can't be read, or isn't a run's.
    """
    options = read(path)
    options = options.get("config") if isinstance(options, dict) else None
    if not isinstance(options, dict):
        raise UserError(f"'{path}' is not the config.json of a run: its options are missing.")
    return options | {"resume": False}


def options_of_earlier(name: str | None) -> dict:
    """The options of the run `name`, or of the newest unfinished one, as config.json has them.

    Raises:
        UserError: there is no such run.
    """
    newest_first = sorted(runs.MODELS.glob(f"*/{CONFIG}"), key=os.path.getmtime, reverse=True)
    known = {path.parent.name: path for path in newest_first}
    unfinished = [name for name, path in known.items() if not path.with_name(runs.METRICS).exists()]
    wanted = f"run '{name}'" if name else "unfinished run"
    if not name and unfinished:
        name = unfinished[0]
        terminal.status(f"Resuming {runs.Run(name).models}")
    if name not in known:
        raise UserError(
            f"There is no {wanted} in '{runs.MODELS}' to resume. Unfinished are"
            f" {terminal.listed(unfinished, 5) or 'none'}. Name one of these with --name, or a"
            " finished one to train it for more --epochs; or start a new run."
        )
    return options_in(known[name]) | {"name": name}


def check_resumable(options: TrainOptions) -> None:
    """Raise UserError if the options would change the run, or ask for no more than it has done, or
    its images aren't where they were."""
    run, Options = runs.Run(options.name), type(options)
    # An option that came later was, then, what it is by default.
    defaults = {field.name: field.default for field in dataclasses.fields(Options)}
    before = defaults | option_types.converted(Options, options_in(run.models / CONFIG))
    changed = [
        f"{option_types.flag(name)} {getattr(options, name)} (it was {before.get(name)})"
        for name, (_, marks) in option_types.fields(Options).items()
        if option_types.MAY_CHANGE_ON_RESUME not in marks
        and getattr(options, name) != before.get(name)
    ]
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
    if (run.models / runs.METRICS).exists() and options.epochs <= before["epochs"]:
        raise UserError(
            f"The run '{run.name}' is finished, after {terminal.count(before['epochs'], 'epoch')}."
            f" Ask for more, with --epochs {2 * before['epochs']}, or start a new run."
        )


def check_same_files(run: runs.Run, hashes: dict[str, str]) -> None:
    """Raise UserError if files were added, are missing or have changed since the run began."""
    different = {name for name, _ in hashes.items() ^ read(run.models / FILES).items()}
    if different:
        raise UserError(
            f"The run '{run.name}' began with other files: since then,"
            f" {terminal.listed(sorted(different), 3)} were added, removed or changed. Put them"
            f" back as they were, or start a new run, with --weights {run.models / runs.BEST} from"
            " what this one has learned."
        )
