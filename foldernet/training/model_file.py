"""Our .keras files: saved whole, with what prediction needs inside, and opened without trust.

Keras's safe mode, from 3.15 on, refuses code, unknown classes, and archives and HDF5 files that
would unpack to far more than they are. What is looked at here is what Keras doesn't know of.
"""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldernet import files
from foldernet.terminal import UserError, printable

if TYPE_CHECKING:  # who asks for --help, or names a wrong run, needn't wait for it
    import keras

METADATA = "foldernet.json"
METADATA_LIMIT = 4_000_000  # bytes: 20,000 classes of long names
MEMBERS = {"metadata.json", "config.json", "model.weights.h5", METADATA}
EXPANSION_LIMIT = 100  # bytes out of one of the file; weights hardly compress


def save_model(model: "keras.Model", path: Path, metadata: dict[str, Any]) -> None:
    """Save a functional model whole, with `metadata` as a member of its own in the archive.

    Keras ignores the member, so that `keras.saving.load_model` opens the file without our code. The
    optimizer's state, twice the size of the weights, stays out.
    """
    import keras

    def write(temporary: Path) -> None:
        keras.Model(model.inputs, model.outputs, name=model.name).save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(METADATA, json.dumps(metadata, ensure_ascii=False))

    files.write_whole(path, write)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that `save_model` put into the model at `path`.

    Raises:
        UserError: it isn't a model of ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(METADATA).file_size
            metadata = json.loads(archive.read(METADATA)) if size <= METADATA_LIMIT else None
    except FileNotFoundError:
        raise UserError(f"There is no model '{path}'. Train one: python train.py") from None
    except Exception:  # zipfile and json meet damage with nearly every kind of error
        metadata = size = 0
    if size > METADATA_LIMIT:
        raise UserError(
            f"'{path}' is refused: {METADATA} unpacks to {size:,} bytes, where at most"
            f" {METADATA_LIMIT:,} are read."
        )
    if not isinstance(metadata, dict):
        raise UserError(f"'{path}' was not saved by train.py: its class names are missing.")
    return metadata


def load_model(path: Path, custom_objects: dict | None = None) -> "keras.Model":
    """Open a model, without its optimizer.

    Raises:
        UserError: it is damaged, or refused.
    """
    import keras

    try:
        check_archive(path)
        return keras.saving.load_model(path, custom_objects, compile=False, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras and h5py meet damage with nearly every kind of error
        raise UserError(f"'{path}' can't be loaded ({short(error)}).") from error


def check_archive(path: Path) -> None:
    """Raise UserError if a .keras archive has other members than `model.save` writes, or members
    far larger than itself."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        unknown = [name for name in names if name not in MEMBERS]
        if unknown or len(set(names)) < len(names):
            raise UserError(
                f"'{path}' is refused: it holds '{printable((unknown or names)[0])}'"
                f"{'' if unknown else ' twice'}, which train.py doesn't write."
            )
        for member in archive.infolist():
            most = EXPANSION_LIMIT * member.compress_size
            if member.file_size > most:
                raise UserError(
                    f"'{path}' is refused: {member.filename} unpacks to {member.file_size:,} bytes,"
                    f" where at most {most:,} are read."
                )
        if damaged := archive.testzip():  # Keras doesn't compare checksums of what it maps
            raise UserError(f"'{path}' is damaged: {damaged} doesn't have its own checksum.")


def short(error: Exception) -> str:
    """The first words of another library's error."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
