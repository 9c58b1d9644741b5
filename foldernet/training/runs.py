"""A run's folders and files: one name in models/ and logs/, and every file written whole."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import filelock

from foldernet import files, terminal
from foldernet.config import Config
from foldernet.data.folders import Dataset
from foldernet.terminal import UserError
from foldernet.training import model_files

MODELS, LOGS = Path("models"), Path("logs")
LOCK = ".lock"  # held in a run's folder by the process that trains it
PACKAGES = ("keras", "tensorflow", "numpy", "opencv-python-headless", "pillow", "scipy")


@dataclasses.dataclass(frozen=True)
class Run:
    """Where a run's results go: `models/<name>` and `logs/<name>`."""

    name: str

    @property
    def models(self) -> Path:
        return MODELS / self.name

    @property
    def logs(self) -> Path:
        return LOGS / self.name


def check_writable() -> None:
    """Raise UserError unless runs can be written to models/ and logs/ of the working folder."""
    for folder in (MODELS, LOGS):
        try:
            with tempfile.TemporaryFile(dir=there(folder)):
                pass
        except OSError as error:
            raise UserError(
                f"'{folder}/' in '{Path.cwd()}' can't be written to ({error.strerror}). Make it"
                " writable, or run this in another folder."
            ) from error


def there(folder: Path) -> Path:
    """`folder`, or where it will be made once there is a run to put into it."""
    return folder if folder.exists() else folder.parent


@contextlib.contextmanager
def opened(config: Config) -> Iterator[Run]:
    """The folders of a new run, or of the one to resume, with nobody else writing to them.

    Raises:
        UserError: the name is taken, or is none; or the run is being trained already.
    """
    run = Run(config.name) if config.resume else _created(config)
    lock = filelock.FileLock(run.models / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(
            f"The run '{run.name}' is being trained by another process. Wait for it, or start a new"
            " one."
        ) from None
    try:
        for left_over in run.models.glob(".*-*"):  # by `write_whole`, when it was killed
            left_over.unlink()
        yield run
    finally:
        lock.release()  # the file stays: two processes could hold two files of one name


def check_name(name: str) -> None:
    """Raise UserError if a run's name would lead out of models/ and logs/, or hide it there."""
    if Path(name).name != name or name.startswith("."):
        raise UserError(f"--name '{name}' can't name a folder. Use letters, digits, - and _.")


def _created(config: Config) -> Run:
    name = config.name or f"{config.mode}-{config.model}-{datetime.now():%Y%m%d-%H%M%S}"
    check_name(name)
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        run = Run(name + suffix)
        try:
            run.models.mkdir(parents=True)
            run.logs.mkdir(parents=True)
            return run
        except FileExistsError:
            if config.name:
                raise UserError(
                    f"There is a run '{name}' in '{MODELS}' or '{LOGS}' already. Give another"
                    " --name, or none; an unfinished one goes on with --resume."
                ) from None
        except OSError as error:
            raise UserError(
                f"'{run.models}' and '{run.logs}' can't be made ({error.strerror}). Give another"
                " --name."
            ) from error
    raise UserError(f"There are a hundred runs named '{name}'. Give another --name.")


def save_model(model, path: Path, metadata: dict) -> None:
    """Save a functional `keras.Model` whole, with `metadata` as a member of its own in the archive.

    Keras ignores the member, so that `keras.saving.load_model` opens the file without our code. The
    optimizer's state, twice the size of the weights, stays out.
    """
    import keras  # who asks for --help, or names a wrong run, needn't wait for it

    def write(temporary: Path) -> None:
        keras.Model(model.inputs, model.outputs, name=model.name).save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(model_files.METADATA, json.dumps(metadata, ensure_ascii=False))

    files.write_whole(path, write)


def find(name: str | None, mode: str) -> Path:
    """The folder of a run, or a .keras file.

    Args:
        name: a run's name or folder, or a .keras file; None takes the newest run of `mode`.

    Raises:
        UserError: no such run.
    """
    if name is not None:
        for path in (Path(name), MODELS / name):
            if path.exists():
                return path
        others = [path.parent.name for path in _newest_first()]
        known = f" There are {terminal.listed(others, 5)}." if others else ""
        raise UserError(f"There is no run '{name}' in '{MODELS}', nor a file of that name.{known}")
    for path in _newest_first():
        if read_metadata(path).get("mode") == mode:
            return path.parent
    raise UserError(
        f"There is no trained {mode} model in '{MODELS}' yet. Train one: python train.py"
    )


def _newest_first() -> list[Path]:
    return sorted(MODELS.glob("*/best.keras"), key=lambda path: path.stat().st_mtime, reverse=True)


def read_metadata(path: Path) -> dict:
    """What `save_model` was told of the model at `path`.

    Raises:
        UserError: no model of ours.
    """
    try:
        metadata = json.loads(model_files.read_member(path, model_files.METADATA))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"There is no model '{path}'. Train one: python train.py") from None
    except Exception as error:  # zipfile and json meet damage with nearly every kind of error
        raise UserError(
            f"'{path}' is no model that train.py saved: it doesn't say which classes it knows."
        ) from error
    if not isinstance(metadata, dict):
        raise UserError(f"'{path}' is no model that train.py saved: what it says is no object.")
    return metadata


def describe(config: Config, dataset: Dataset) -> dict:
    """Everything needed to repeat a run: its config, data, command, and versions."""
    return {
        "config": dataclasses.asdict(config),
        "data": {
            "folder": str(dataset.root.resolve()),
            "classes": dataset.classes,
            "images": {
                split: {label: len(names) for label, names in listing.files.items()}
                for split, listing in dataset.splits.items()
            },
        },
        **occasion(),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def occasion() -> dict:
    """What may differ when a run is resumed: command, time and versions."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
    }


def _version(package: str) -> str | None:
    """The installed version; TensorFlow's distribution goes by several names."""
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
