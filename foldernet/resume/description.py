"""config.json: everything needed to repeat a run."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from foldernet.datasets.image_list import Dataset
from foldernet.options import TrainOptions
from foldernet.terminal import UserError

FILE = "config.json"
PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "numpy"),
    *("opencv-python-headless", "pillow", "scipy"),
)


def describe(options: TrainOptions, dataset: Dataset) -> dict[str, Any]:
    """A run's options and data, and the command, time, versions and machine of its beginning."""
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
        **environment_info(),
    }


def environment_info() -> dict[str, Any]:
    """What may differ when a run is repeated: command, time, versions and machine."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions,
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def read(path: Path) -> dict[str, Any]:
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


def options_in(path: Path) -> dict[str, Any]:
    """The options by name in a run's config.json, for a new run like it: if that run was resumed,
    this one isn't.

    Raises:
        UserError: it can't be read, or isn't a run's.
    """
    options = read(path).get("config")
    if not isinstance(options, dict):
        raise UserError(f"'{path}' is not the config.json of a run: its options are missing.")
    return options | {"resume": False}
