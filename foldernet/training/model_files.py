"""What a model file may hold: checked before Keras or HDF5 make anything of it.

Keras's own safe mode stays on. This is in front of it, refuses more, and says why in a sentence:
only what `train.py` and `model.save` write of a plain network gets through.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foldernet.terminal import UserError, printable

MEGABYTE = 10**6
CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "foldernet.json"
MEMBER_LIMITS = {
    "metadata.json": MEGABYTE,
    CONFIG: 16 * MEGABYTE,
    WEIGHTS: 4_000 * MEGABYTE,
    METADATA: 4 * MEGABYTE,  # 20,000 classes of long names
}  # all that the archive may hold, and how many bytes of it
EXPANSION_LIMIT = 100  # bytes out of one of the file; weights hardly compress
OBJECT_LIMIT, DEPTH_LIMIT = 100_000, 40  # of an HDF5 file's groups and arrays
MODULES = re.compile(
    r"builtins|foldernet\.models\.\w+|keras"
    r"|keras\.(layers|models|initializers|regularizers|constraints|activations|dtype_policies"
    r"|optimizers|optimizers\.schedules|losses|metrics)"
    r"|keras\.src\.models\.(functional|sequential)"
)
REGISTERED_NAMES = re.compile(r"foldernet>\w+|Functional|Sequential")
CODE = {
    **dict.fromkeys(("Lambda", "__lambda__", "function_as_text"), "runs code of its own"),
    **dict.fromkeys(
        ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "__typespec__"),
        "loads code from elsewhere",
    ),
    **dict.fromkeys(
        ("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"),
        "reads other files",
    ),
}  # names of classes -> what is wrong with them


def read_member(path: Path, name: str) -> bytes:
    """One of the `MEMBER_LIMITS` in a .keras archive.

    Raises:
        UserError: it has too many bytes.
        Exception: whatever zipfile raises for a file that is missing, damaged or none.
    """
    with zipfile.ZipFile(path) as archive:
        return _read(archive, name, path)


def check_archive(path: Path) -> bytes:
    """Look through a .keras archive.

    Returns:
        Its weights, an HDF5 file.

    Raises:
        UserError: it holds what may not be there, or too much of it, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unknown = [name for name in names if name not in MEMBER_LIMITS]
            if unknown or len(set(names)) < len(names):
                raise UserError(
                    f"'{path}' is refused: it holds '{(unknown or names)[0]}'"
                    f"{'' if unknown else ' twice'}, which train.py doesn't write."
                )
            check_config(_read(archive, CONFIG, path), path)
            return _read(archive, WEIGHTS, path)
    except (OSError, UserError):
        raise
    except Exception as error:
        raise UserError(f"'{path}' is damaged, or no model ({short(error)}).") from error


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member whole, so that its checksum is compared, too."""
    member = archive.getinfo(name)
    most = min(MEMBER_LIMITS[name], EXPANSION_LIMIT * member.compress_size)
    if member.file_size > most:
        raise UserError(
            f"'{path}' is refused: {name} unpacks to {member.file_size:,} bytes, where at most"
            f" {most:,} are read."
        )
    return archive.read(member)


def check_config(config: str | bytes, path: Path) -> None:
    """Check which classes the description of a network names, without making any of them.

    Args:
        config: JSON as Keras writes it, today's or that of a legacy .h5 file.
        path: of the file it is from, for the error.

    Raises:
        UserError: a class that would run code or read files, or isn't Keras's or ours.
    """
    for item in _objects(json.loads(config)):
        name = item.get("class_name")
        if not isinstance(name, str):
            continue
        if name in CODE:
            raise UserError(
                f"'{path}' is refused: its layer '{printable(name)}' {CODE[name]}, which a model"
                " from elsewhere could use to do harm."
            )
        module, registered = item.get("module") or "keras", item.get("registered_name") or ""
        known = MODULES.fullmatch(str(module))
        if not known or (
            registered not in ("", name) and not REGISTERED_NAMES.fullmatch(registered)
        ):
            raise UserError(
                f"'{path}' is refused: it names the class '{module}.{name}'"
                f"{f' ({registered})' if registered else ''}, and only Keras's and Foldernet's are"
                " loaded."
            )


def _objects(json_value: Any) -> Iterator[dict]:
    """All objects in a JSON value, at any depth."""
    waiting = [json_value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def check_hdf5(file, path: Path) -> None:
    """Go through an HDF5 file, a `h5py.File`, without reading an array.

    Raises:
        UserError: a link or array of another file, an array of something else than numbers or far
            larger than the file, or groups that hold themselves.
    """
    import h5py  # --help needn't wait for it

    size, seen = file.id.get_filesize(), 0
    waiting = [(file, 0)]
    while waiting:
        group, depth = waiting.pop()
        for key in group:
            where = f"{group.name.rstrip('/')}/{key}"
            seen += 1
            if depth > DEPTH_LIMIT or seen > OBJECT_LIMIT:
                raise UserError(f"'{path}' is refused: its groups never end, as at {where[:100]}.")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise UserError(f"'{path}' points to other files at {where}, and is refused.")
            item = group[key]
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif item.external or item.is_virtual:
                raise UserError(f"'{path}' points to other files at {where}, and is refused.")
            elif item.dtype.kind not in "biuf" and item.size != 0:
                raise UserError(f"'{path}' is refused: {where} holds {item.dtype}, not numbers.")
            elif item.size * item.dtype.itemsize > EXPANSION_LIMIT * size:
                raise UserError(
                    f"'{path}' is refused: {where} has the shape {item.shape}, far more than the"
                    " file holds."
                )


def short(error: Exception) -> str:
    """The first words of another library's error."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
