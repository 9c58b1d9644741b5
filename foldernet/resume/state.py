"""The file that a run resumes from: weights, optimizer, position in the data, callbacks, history.

It is written whole, and the one before is kept. Batches are pure functions of (seed, epoch, index),
so that a position in the data is two numbers. The file is NumPy's, without pickles, and ends with a
checksum.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foldernet import files, terminal

NEWEST, BEFORE = "state.npz", "state-before.npz"
FACTS = "facts"  # the member that holds, as JSON, all that isn't an array
CHECKSUM = hashlib.blake2b  # after NumPy's own file, whose directory has none


class State(NamedTuple):
    """Where a run stands.

    Attributes:
        epoch, batch: what comes next; `batch` is the number of batches in an epoch where only its
            validation is still to come, and `epoch` that of all epochs once training has ended, be
            it early.
        arrays: the variables of the model, the optimizer and the metrics.
        callbacks: class name -> attribute -> JSON.
        history: each epoch's logs.
        logs: of the epoch that has begun, as far as it got.
    """

    epoch: int
    batch: int
    arrays: list[np.ndarray]
    callbacks: dict[str, dict]
    history: list[dict]
    logs: dict[str, float]


def written(folder: Path) -> list[Path]:
    """The states in a run's folder, the newest first."""
    return [folder / name for name in (NEWEST, BEFORE) if (folder / name).exists()]


def write(folder: Path, state: State) -> None:
    """Write the state whole, and keep the one before.

    Raises:
        OSError: it can't be written; the files that were there still are.
    """
    facts = {name: value for name, value in state._asdict().items() if name != "arrays"}
    # NumPy's arrays and numbers, and tensors, become lists and numbers.
    text = json.dumps(facts, default=lambda value: np.asarray(value).tolist())
    encoded = np.frombuffer(text.encode(), np.uint8)

    def save(temporary: Path) -> None:
        with open(temporary, "w+b") as file:
            np.savez(file, *state.arrays, **{FACTS: encoded})
            file.seek(0)
            file.write(hashlib.file_digest(file, CHECKSUM).digest())

    files.write_whole(folder / NEWEST, save, before=folder / BEFORE)


def read(folder: Path) -> State | None:
    """The newest state in a run's folder that is whole; None if none was ever written.

    Raises:
        UserError: there are only damaged ones.
    """
    found = written(folder)
    for path in found:
        try:
            return _load(path)
        except (OSError, ValueError):
            terminal.warn(f"'{path}' is damaged; the checkpoint before it is used, if there is one")
    if found:
        raise terminal.UserError(
            f"'{folder}' has no undamaged checkpoint to resume from. Start a new run; with"
            f" --weights {folder / 'best.keras'}, from the best epoch."
        )
    return None


def _load(path: Path) -> State:
    """Raises ValueError or OSError if the file is damaged."""
    content = memoryview(path.read_bytes())
    size = CHECKSUM().digest_size
    if CHECKSUM(content[:-size]).digest() != content[-size:]:
        raise ValueError(f"'{path}' doesn't have its own checksum")
    with np.load(io.BytesIO(content[:-size]), allow_pickle=False) as file:
        members = dict(file)  # the arrays in their order
    facts = json.loads(members.pop(FACTS).tobytes())
    facts["epoch"] = facts.pop("ended", 0) or facts["epoch"]  # version 0.2 had it apart
    return State(arrays=list(members.values()), **facts)
