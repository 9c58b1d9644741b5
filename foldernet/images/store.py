"""Decode once: arrays made from files, kept in memory and on disk, for this run and the next.

On disk they are in LMDB, one environment for each purpose, which several processes may use at once
and a kill can't damage. An entry is known by a hash of the file's path, size and modification time,
so that a changed or replaced file is made again. Whatever goes wrong with the disk makes training
slower, never wrong.
"""

import contextlib
import functools
import hashlib
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import lmdb
import numpy as np
import PIL
import platformdirs
import psutil

from foldernet import terminal
from foldernet.images.reader import MODES, READER_VERSION, Header, ImageError, read_with_header
from foldernet.images.threads import threads

Mode = Literal["auto", "memory", "disk", "off"]
MEMORY_SHARE = 0.25  # of the memory that is free: what `auto` may hold in it
DISK_LIMIT = 32 * 2**30  # bytes of all purposes together; the least recently used go first
DISK_RESERVE = 2**30  # bytes of the disk that are never taken
WRITE_BYTES = 32 * 2**20  # of arrays that are written at a time
KEY_BYTES = 16
_used = set()  # environments of this process
_warned = set()  # folders


def folder() -> Path:
    """Where stores live: the user's cache folder, which XDG_CACHE_HOME moves."""
    return Path(platformdirs.user_cache_dir("foldernet"))


class ArrayStore:
    """One uint8 array of a fixed shape for each file, made when first asked for.

    Args:
        count: how many files.
        path_of: position -> path.
        make: position -> uint8 array of `shape`; what it raises as ImageError is not kept.
        shape: of each array.
        purpose: all that an array depends on besides its file; stores of another purpose don't mix.
        mode: "memory" keeps arrays for this process; "disk" keeps them on disk alone; "auto" keeps
            them on disk, and in memory too if they fit in a quarter of what is free; "off" makes
            them each time.
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
        self.path_of, self.make, self.shape, self.purpose = path_of, make, tuple(shape), purpose
        self.item_bytes = math.prod(shape)
        self._slot = np.arange(count)  # position -> where its array is kept
        self._known = np.zeros(count, bool)  # slots that hold an array
        fits = count * self.item_bytes < MEMORY_SHARE * psutil.virtual_memory().available
        in_memory = mode == "memory" or (mode == "auto" and fits)
        self._rows = np.empty((count, *self.shape), np.uint8) if in_memory else None
        self._lock = threading.Lock()
        self._pending = {}  # slot -> key and array, yet to be written
        self._environment = None
        if mode in ("auto", "disk"):
            self._keys = np.zeros((count, KEY_BYTES), np.uint8)  # of slots that are on disk
            self._open()

    def __len__(self) -> int:
        return len(self._slot)

    @property
    def missing(self) -> np.ndarray:
        """The positions whose arrays are yet to be made, (n,) int."""
        return np.flatnonzero(~self._known[self._slot])

    def rows(self, positions: np.ndarray) -> list[np.ndarray | ImageError]:
        """The arrays at `positions`, or why one can't be made. They are not to be written to."""
        found = self._kept(self._slot[positions])
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
        store's own."""
        (row,) = self._kept(self._slot[[position]])
        return self._made(position, make) if row is None else row

    def fill(self) -> Iterator[np.ndarray | ImageError]:
        """Make every array that is missing; yields each, or why it can't be made."""
        yield from threads.stream(self._made, self.missing.tolist())
        self.flush()

    def keep(self, positions: np.ndarray) -> None:
        """Forget all files but those at `positions`; they are renumbered, here and in `path_of`."""
        self.flush()
        self._slot = self._slot[positions]

    def flush(self) -> None:
        """Write what is yet to be written."""
        with self._lock:
            self._write()

    def in_words(self) -> str:
        """What is used, in one line."""
        places = [] if self._rows is None else ["in memory"]
        if self._environment:
            places.append(f"in {folder()}")
        if not places:
            return "off: every epoch decodes every image"
        size = f"{len(self) * self.item_bytes / 2**20:,.0f} MB"
        return f"{size} {', and '.join(places)}"

    def _kept(self, slots: np.ndarray) -> list[np.ndarray | None]:
        """The arrays in these slots, or None where there is none yet."""
        known = self._known[slots].tolist()
        slots = slots.tolist()
        if self._rows is not None:
            rows = zip(slots, known, strict=True)
            return [self._rows[slot] if here else None for slot, here in rows]
        if self._environment is None or not any(known):
            return [None] * len(slots)
        found = [self._pending.get(slot, (None, None))[1] for slot in slots]
        with self._environment.begin(buffers=True) as reading:
            for index, (slot, here) in enumerate(zip(slots, known, strict=True)):
                if here and found[index] is None:
                    row = self._array(reading.get(self._keys[slot].tobytes()))
                    found[index] = None if row is None else row.copy()  # outlives the transaction
        return found

    def _array(self, content: memoryview | None) -> np.ndarray | None:
        """What is on disk, as an array; None if it is nothing or something else."""
        if content is None or len(content) != self.item_bytes:
            return None
        return np.frombuffer(content, np.uint8).reshape(self.shape)

    def _made(self, position: int, make=None) -> np.ndarray | ImageError:
        """Make an array and keep it."""
        key = _key(self.path_of(position))  # before it is read: a change in between is noticed
        try:
            row = np.ascontiguousarray((make or self.make)(position))
        except ImageError as error:
            return error
        slot = int(self._slot[position])
        with self._lock:
            if self._rows is not None:
                self._rows[slot] = row
            if self._environment:
                self._pending[slot] = key, row
            self._known[slot] = self._rows is not None or self._environment is not None
            if len(self._pending) * self.item_bytes >= WRITE_BYTES:
                self._write()
        return row

    def _open(self) -> None:
        """Find the arrays that earlier runs left."""
        digest = hashlib.blake2b(f"{self.purpose} {self.shape}".encode(), digest_size=12)
        try:
            self._environment = _environment(os.getpid(), folder() / digest.hexdigest())
        except (OSError, lmdb.Error) as error:
            self._give_up_disk(error)
        if not self._environment or not self._environment.stat()["entries"]:
            return
        slots = terminal.progress(range(len(self)), "Looking into the cache", len(self))
        with self._environment.begin(buffers=True) as reading:
            for slot in slots:
                key = _key(self.path_of(slot))
                row = self._array(reading.get(key))
                if row is not None:
                    self._known[slot], self._keys[slot] = True, np.frombuffer(key, np.uint8)
                    if self._rows is not None:
                        self._rows[slot] = row

    def _write(self) -> None:
        if not self._pending:
            return
        try:
            _make_room(len(self._pending) * (self.item_bytes + KEY_BYTES))
            with self._environment.begin(write=True) as writing:
                for key, row in sorted(self._pending.values(), key=lambda entry: entry[0]):
                    writing.put(key, row.data)
        except (OSError, lmdb.Error) as error:
            self._give_up_disk(error)
        for slot, (key, _) in self._pending.items():
            self._keys[slot] = np.frombuffer(key, np.uint8)
        self._pending = {}

    def _give_up_disk(self, error: Exception) -> None:
        self._environment = None
        self._known &= self._rows is not None
        if folder() not in _warned:
            _warned.add(folder())
            then = "decoded again in every epoch" if self._rows is None else "kept in memory"
            reason = getattr(error, "strerror", None) or error
            terminal.warn(f"no cache in {folder()} ({reason}); images are {then}")


class PixelStore(ArrayStore):
    """Images as `foldernet.images.reader.read_image` gives them, decoded once.

    Args:
        count: how many files.
        path_of: position -> path.
        size: (height, width) in pixels.
        rule: color mode, interpolation, and whether the proportions are kept, as `read_image` says.
        mode: as of `ArrayStore`.
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
        super().__init__(
            count,
            path_of,
            lambda position: self.read(position)[0],
            (*size, MODES[rule[0]][1]),
            f"reader {READER_VERSION} of {PIL.__version__} and {cv2.__version__}: {rule}",
            mode,
        )

    def read(self, position: int) -> tuple[np.ndarray, Header]:
        """An image from its file, (height, width, channels) uint8, and the file's header.

        Raises:
            ImageError: it can't be read.
        """
        return read_with_header(self.path_of(position), self.size, *self.rule)


@functools.cache
def _environment(process: int, path: Path) -> lmdb.Environment:
    """The environment in a folder. A process may open it only once, and a forked one its own."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        environment = lmdb.open(str(path), map_size=DISK_LIMIT, readahead=False)
        pages = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if pages > max((path / "data.mdb").stat().st_size, 2**14):
            environment.close()
            raise lmdb.CorruptedError("cut off")  # which LMDB would only notice by a crash
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError):
        shutil.rmtree(path)  # it holds nothing that can't be made again
        path.mkdir()
        environment = lmdb.open(str(path), map_size=DISK_LIMIT, readahead=False)
    _used.add(path)
    os.utime(path / "data.mdb")  # the least recently used go first
    return environment


def _key(path: str) -> bytes:
    """A hash of a file's path, size and modification time; of the path alone if there is none."""
    text = os.path.abspath(path)
    with contextlib.suppress(OSError):
        status = os.stat(path)
        text += f"\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=KEY_BYTES).digest()


def _make_room(size: int) -> None:
    """Delete the least recently used environments, but none of this process, until `size` bytes are
    allowed.

    Raises:
        OSError: that leaves too little room.
    """
    found = []
    for path in folder().iterdir():
        with contextlib.suppress(OSError):  # another run makes room, too
            files = [file.stat() for file in path.iterdir()]
            used = max((file.st_mtime for file in files), default=0)
            found.append((used, sum(file.st_size for file in files), path))
    total = sum(held for _, held, _ in found)
    for _, held, path in sorted(found, key=lambda entry: entry[0]):
        if total + size <= DISK_LIMIT:
            break
        if path not in _used:
            shutil.rmtree(path, ignore_errors=True)
            total -= held
    if total + size > DISK_LIMIT or shutil.disk_usage(folder()).free < size + DISK_RESERVE:
        raise OSError(28, "no room left")
