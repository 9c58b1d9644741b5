"""The image sets that ship with the project: `data/<name>.zip`, unpacked the first time."""

import os
import shutil
import tempfile
from pathlib import Path

from foldernet import terminal

CHECKOUT = Path(__file__).resolve().parents[1] / "data"
INSTALLED = Path(__file__).resolve().parent / "data"  # where the wheel has the archives


def folder(name: str) -> Path:
    """The folder of the set `name`, "animals" or "photos", unpacked the first time it's asked for.

    In a checkout it lies beside its archive; of an installed package, in data/ of the working
    folder.
    """
    if (archive := CHECKOUT / f"{name}.zip").exists():
        return unpacked(archive, CHECKOUT)
    return unpacked(INSTALLED / f"{name}.zip", Path("data"))


def unpacked(archive: Path, into: Path) -> Path:
    """Unpack `<name>.zip` to the folder `<name>` in `into`, once and as a whole; returns it."""
    target = into / archive.stem
    if not target.exists():
        terminal.status(f"Unpacking {archive.name} to {os.path.relpath(target)}")
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".unpacking-") as temporary:
            shutil.unpack_archive(archive, temporary)
            try:
                (Path(temporary) / archive.stem).rename(target)
            except OSError:
                if not target.exists():  # or another run has just unpacked it
                    raise
    return target
