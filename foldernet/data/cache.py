"""Decode once: arrays made from files, kept in memory and on disk, for this run and the next.

A cache holds one uint8 array of a fixed shape for each file. It fills as arrays are asked for, in
shards of some 32 MB that are written whole under a temporary name, renamed, and never changed: a
killed run loses its last shard, and two runs at once at worst make the same shard twice. An entry
is known by a hash of the file's path, size and modification time, so that a changed or replaced
file is made anew. Whatever goes wrong with the disk makes training slower, never wrong.
"""

import contextlib
import hashlib
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import PIL
import platformdirs
import psutil

from foldernet import terminal
from foldernet.data import threads
from foldernet.data.reader import MODES, READER_VERSION, Header, ImageError, read_with_header

Mode = Literal["auto", "memory", "disk", "off"]
MEMORY_SHARE = 0.25  # of the memory that is free: what `auto` may hold in it
DISK_LIMIT = 32 * 2**30  # bytes of all caches together; the least recently used shards go first
DISK_RESERVE = 2**30  # bytes of the disk that are never taken
SHARD_BYTES = 32 * 2**20
MAGIC = b"foldernet cache 1".ljust(32)
STALE_SECONDS = 24 * 3600  # after which a temporary file is one that a killed run left


def folder() -> Path:
    """Where caches live: the user's cache folder, which XDG_CACHE_HOME moves."""
    return Path(platformdirs.user_cache_dir("foldernet"))


class ArrayCache:
    """One uint8 array for each file, made when first asked for.

    Args:
        count: how many files.
        path_of: position -> path.
        make: position -> uint8 array of `shape`; what it raises as ImageError is not kept.
        shape: of each array.
        purpose: all that an array depends on besides its file; caches of another purpose don't mix.
        mode: "memory" keeps arrays for this process; "disk" keeps them in memory-mapped files;
            "auto" writes them to disk, too, and holds them in memory if they fit in a quarter of
            what is free; "off" makes them anew each time.
    """

    def __init__(
        self,
        count: int,
        path_of: Callable[[int], str],
        make: Callable[[int], np.ndarray],
        shape: tuple[int, ...],
        purpose: str,
        mode: Mode = "auto",
    ):
        self.path_of, self.make, self.shape = path_of, make, tuple(shape)
        self.purpose = purpose
        self.item_bytes = math.prod(shape)
        self._capacity = max(1, min(SHARD_BYTES // self.item_bytes, count))
        self._lock = threading.Lock()
        self._shards = []  # arrays (items, *shape), in memory or mapped
        self._where = np.full((count, 2), -1, np.int32)  # shard and slot of each path
        self._filling = None  # the shard that grows, in memory
        self._filled = []  # (position, key) of what it holds
        fits = count * self.item_bytes < MEMORY_SHARE * psutil.virtual_memory().available
        self._in_memory = mode == "memory" or (mode == "auto" and fits)
        self._on_disk = mode in ("auto", "disk")
        self._stores = mode != "off"
        digest = hashlib.blake2b(f"{purpose} {self.shape}".encode(), digest_size=12).hexdigest()
        self.folder = folder() / digest
        if self._on_disk:
            self._open()

    def __len__(self) -> int:
        return len(self._where)

    @property
    def missing(self) -> np.ndarray:
        """The positions whose arrays are yet to be made, (n,) int."""
        return np.flatnonzero(self._where[:, 0] < 0)

    def rows(self, positions: np.ndarray) -> list[np.ndarray | ImageError]:
        """The arrays at `positions`, or why one can't be made. They are not to be written to."""
        located = self._where[positions].tolist()
        found = [self._shards[shard][slot] if shard >= 0 else None for shard, slot in located]
        absent = [index for index, row in enumerate(found) if row is None]
        if absent:
            made = threads.map(self._made, [int(positions[index]) for index in absent])
            for index, row in zip(absent, made, strict=True):
                found[index] = row
        return found

    def row(
        self, position: int, make: Callable[[int], np.ndarray] | None = None
    ) -> np.ndarray | ImageError:
        """As `rows`, of one, in this thread; `make` makes it where it is missing, in place of the
        cache's own."""
        shard, slot = self._where[position].tolist()
        return self._shards[shard][slot] if shard >= 0 else self._made(position, make)

    def fill(self) -> Iterator[np.ndarray | ImageError]:
        """Make every array that is missing; yields each, or why it can't be made."""
        yield from threads.stream(self._made, self.missing.tolist())
        self.flush()

    def keep(self, positions: np.ndarray) -> None:
        """Forget all files but those at `positions`; they are renumbered, here and in `path_of`."""
        self.flush()
        self._where = self._where[positions]

    def flush(self) -> None:
        """Put the arrays of the shard that grows on disk, too."""
        with self._lock:
            if self._filled:
                self._seal()

    def in_words(self) -> str:
        """What is used, in one line."""
        if not self._stores:
            return "off: every epoch decodes every image"
        size = f"{len(self) * self.item_bytes / 2**20:,.0f} MB"
        places = ["in memory"] if self._in_memory else []
        if self._on_disk:
            places.append(f"in {self.folder.parent}")
        return f"{size} {', and '.join(places)}"

    def _made(self, position: int, make=None) -> np.ndarray | ImageError:
        """Make an array and store it."""
        key = _key(self.path_of(position))  # before it is read: a change in between is noticed
        try:
            row = (make or self.make)(position)
        except ImageError as error:
            return error
        if self._stores:
            with self._lock:
                self._store(position, key, row)
        return row

    def _store(self, position: int, key: int, row: np.ndarray) -> None:
        if self._where[position, 0] >= 0:
            return
        if self._filling is None:
            self._filling = np.empty((self._capacity, *self.shape), np.uint8)
            self._shards.append(self._filling)
        slot = len(self._filled)
        self._filling[slot] = row
        self._filled.append((position, key))
        self._where[position] = len(self._shards) - 1, slot
        if len(self._filled) == self._capacity:
            self._seal()

    def _seal(self) -> None:
        """Close the shard that grows; with a disk, write it, and map it unless it stays."""
        rows = self._filling[: len(self._filled)]
        positions = [position for position, _ in self._filled]
        if self._on_disk:
            keys = np.array([key for _, key in self._filled], np.uint64)
            try:
                path = self._write(keys, rows)
                if not self._in_memory:
                    self._shards[-1] = _mapped(path, len(rows), self.shape)
            except OSError as error:
                self._give_up_disk(error)
        if not (self._on_disk or self._in_memory):
            self._where[positions] = -1
        self._filling, self._filled = None, []

    def _give_up_disk(self, error: OSError) -> None:
        self._on_disk = False
        self._stores = self._in_memory
        then = "kept in memory" if self._in_memory else "decoded again in every epoch"
        terminal.warn(f"no cache in {self.folder.parent} ({error.strerror}); images are {then}")

    def _write(self, keys: np.ndarray, rows: np.ndarray) -> Path:
        """Write a shard whole: magic, number of items and shape; keys; arrays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _make_room(rows.nbytes + keys.nbytes, set(self._files()))
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as file:
            try:
                file.write(_header(len(rows), self.shape))
                file.write(keys)
                file.write(rows)
                file.flush()
                os.fsync(file.fileno())
                path = Path(file.name).with_name(f"{Path(file.name).name[1:]}.shard")
                os.replace(file.name, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
                raise
        return path

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.shard"))

    def _open(self) -> None:
        """Find the arrays that earlier runs left; damaged shards are passed over."""
        shards = [(path, keys) for path in self._files() if (keys := self._keys(path)) is not None]
        if not shards:
            return
        known = np.concatenate([keys for _, keys in shards])
        order = np.argsort(known, kind="stable")
        paths = map(self.path_of, range(len(self)))
        paths = terminal.progress(paths, "Looking into the cache", len(self))
        wanted = np.fromiter(map(_key, paths), np.uint64, len(self))
        at = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)]
        hits = np.flatnonzero(known[at] == wanted)
        starts = np.cumsum([0, *(len(keys) for _, keys in shards)])
        shard = np.searchsorted(starts, at[hits], side="right") - 1
        for index in np.unique(shard):
            path, keys = shards[index]
            rows = _mapped(path, len(keys), self.shape)
            self._shards.append(np.array(rows) if self._in_memory else rows)
            chosen = hits[shard == index]
            self._where[chosen, 0] = len(self._shards) - 1
            self._where[chosen, 1] = at[chosen] - starts[index]
            with contextlib.suppress(OSError):
                os.utime(path)  # used now: the oldest go first

    def _keys(self, path: Path) -> np.ndarray | None:
        """The keys of a shard, or None if it isn't whole."""
        try:
            with open(path, "rb") as file:
                header = file.read(len(_header(0, self.shape)))
                items = int.from_bytes(header[len(MAGIC) : len(MAGIC) + 8], "little")
                whole = len(header) + items * (8 + self.item_bytes)
                if header != _header(items, self.shape) or whole != path.stat().st_size:
                    return None
                return np.frombuffer(file.read(items * 8), np.uint64)
        except OSError:
            return None


class PixelCache(ArrayCache):
    """Images as `foldernet.data.reader.read_image` gives them, decoded once.

    Args:
        count: how many files.
        path_of: position -> path.
        size: (height, width) in pixels.
        rule: color mode, interpolation, and whether the proportions are kept, as `read_image` says.
        mode: as of `ArrayCache`.
    """

    def __init__(
        self,
        count: int,
        path_of: Callable[[int], str],
        size: tuple[int, int],
        rule: tuple[str, str, bool] = ("rgb", "area", False),
        mode: Mode = "auto",
    ):
        self.size, self.rule = tuple(size), rule
        color_mode, *_ = rule
        super().__init__(
            count,
            path_of,
            lambda position: self.read(position)[0],
            (*size, MODES[color_mode][1]),
            f"reader {READER_VERSION} of {PIL.__version__} and {cv2.__version__}: {rule}",
            mode,
        )

    def read(self, position: int) -> tuple[np.ndarray, Header]:
        """An image from its file, (height, width, channels) uint8, and the file's header.

        Raises:
            ImageError: it can't be read.
        """
        return read_with_header(self.path_of(position), self.size, *self.rule)


def _header(items: int, shape: tuple[int, ...]) -> bytes:
    return (
        MAGIC + items.to_bytes(8, "little") + np.array([*shape, *(0,) * (5 - len(shape))]).tobytes()
    )


def _mapped(path: Path, items: int, shape: tuple[int, ...]) -> np.ndarray:
    """The arrays of a shard file, mapped; as a plain ndarray, whose rows are quicker to take."""
    offset = len(_header(items, shape)) + items * 8
    return np.asarray(np.memmap(path, np.uint8, "r", offset, (items, *shape)))


def _key(path: str) -> int:
    """A hash of a file's path, size and modification time; of the path alone if there is none."""
    try:
        status = os.stat(path)
        text = f"{os.path.abspath(path)}\0{status.st_size}\0{status.st_mtime_ns}"
    except OSError:
        text = os.path.abspath(path)
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "little"
    )


def _make_room(size: int, own: set[Path]) -> None:
    """Delete the least recently used shards, of other sets first, until `size` bytes are allowed.

    Raises:
        OSError: that leaves too little room.
    """
    shards, now = [], time.time()
    for path in folder().glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # another run makes room, too
            status = path.stat()
            if path.suffix == ".shard":
                shards.append((path, status))
            elif now - status.st_mtime > STALE_SECONDS:
                path.unlink()
    total = sum(status.st_size for _, status in shards)
    for path, status in sorted(shards, key=lambda item: item[1].st_mtime):
        if total + size <= DISK_LIMIT:
            break
        if path not in own:
            path.unlink(missing_ok=True)
            total -= status.st_size
    if total + size > DISK_LIMIT or shutil.disk_usage(folder()).free < size + DISK_RESERVE:
        raise OSError(28, "no room left")
