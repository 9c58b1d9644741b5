"""Decode once: arrays made from files, kept in memory and on disk, for this run and the next.

On disk they are in LMDB, one environment for each purpose, which several processes may use at once
and a kill can't damage. Whatever goes wrong with the disk makes training slower, never wrong.
"""

import contextlib
import hashlib
import math
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import lmdb
import numpy as np
import platformdirs
import psutil

from foldernet import terminal
from foldernet.images import threads
from foldernet.images.reader import READER, Header, ImageError, Rule, read_with_header

MEMORY_SHARE = 0.25  # of the memory that is free: what "auto" may hold in it
DISK_LIMIT = 32 * 2**30  # bytes of all purposes together; the least recently used go first
DISK_RESERVE = 2**30  # bytes of the disk that are never taken
WRITE_BYTES, WRITE_ITEMS = 32 * 2**20, 2**15  # of arrays, at most, that are written at a time
DAMAGED = lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError
MOST_PENDING = 4  # times what is written at a time may wait for it
_environments = {}  # process and folder -> open environment
_opening, _writing = threading.Lock(), threading.Lock()
# A forked process would wait forever for a thread that it doesn't have.
os.register_at_fork(
    before=_writing.acquire, after_in_parent=_writing.release, after_in_child=_writing.release
)
_warned = set()  # folders


def folder() -> Path:
    """Where stores live: the user's cache folder, which XDG_CACHE_HOME moves."""
    return Path(platformdirs.user_cache_dir("foldernet"))


class ArrayStore:
    """One uint8 array of a fixed shape for each file, made when first asked for.

    An array is known by a hash of its file's path, size and modification time, so that it is made
    again when the file changes.

    Args:
        count: number of files.
        path_of: position -> path.
        make: position -> uint8 array of `shape`; what it raises as ImageError is not kept.
        shape: of each array.
        purpose: all that an array depends on besides its file; stores of another purpose don't mix.
        mode: "memory" keeps arrays for this process; "disk" keeps them on disk alone; "auto" keeps
            them on disk, and in memory too if they fit in a quarter of what is free; "off" makes
            them each time.
    """

    def __init__(self, count, path_of, make, shape, purpose, mode="auto"):
        self.path_of, self.make, self.shape, self.purpose = path_of, make, tuple(shape), purpose
        self._item_bytes = math.prod(shape)
        self._written_at_once = max(1, min(WRITE_BYTES // self._item_bytes, WRITE_ITEMS))
        self._slot = np.arange(count)  # position -> where its array is kept
        self._keys = np.zeros(count, np.uint64)  # slot -> key of its array's file; 0 is no array
        share = MEMORY_SHARE * psutil.virtual_memory().available
        in_memory = mode == "memory" or (mode == "auto" and count * self._item_bytes < share)
        self._rows = np.empty((count, *self.shape), np.uint8) if in_memory else None
        digest = hashlib.blake2b(f"{purpose} {self.shape}".encode(), digest_size=12).hexdigest()
        self._path = folder() / digest if mode in ("auto", "disk") else None
        self._pending = {}  # key -> array that is yet to be written
        if self._path:
            slots = terminal.progress(range(count), "Looking into the cache", count)
            for slot, key, row in self._read((slot, _key(path_of(slot))) for slot in slots):
                self._keys[slot] = key
                if in_memory:
                    self._rows[slot] = row

    def __len__(self) -> int:
        return len(self._slot)

    @property
    def missing(self) -> np.ndarray:
        """The positions whose arrays are yet to be made, (n,) int."""
        return np.flatnonzero(self._keys[self._slot] == 0)

    def rows(self, positions: np.ndarray) -> list[np.ndarray | ImageError]:
        """The arrays at `positions`, or why one can't be made. They are not to be written to."""
        found = self._kept(self._slot[positions])
        absent = [index for index, row in enumerate(found) if row is None]
        made = threads.map(self._made, [int(positions[index]) for index in absent])
        for index, row in zip(absent, made, strict=True):
            found[index] = row
        return found

    def row(self, position: int, make=None) -> np.ndarray | ImageError:
        """As `rows`, of one, in this thread; `make` replaces the store's own."""
        (row,) = self._kept(self._slot[[position]])
        return self._made(position, make) if row is None else row

    def keep(self, positions: np.ndarray) -> None:
        """Forget all files but those at `positions`; they are renumbered, here and in `path_of`."""
        self._slot = self._slot[positions]

    def flush(self) -> None:
        """Write what is yet to be written."""
        with _writing:
            pending = self._pending.copy()
            if not pending:
                return
            try:
                environment = _environment(self._path)
                _make_room(len(pending) * self._item_bytes)
                with environment.begin(write=True) as writing:
                    items = ((key.to_bytes(8), row.data) for key, row in pending.items())
                    writing.cursor().putmulti(sorted(items))
            except (OSError, lmdb.Error) as error:
                self._disk_failed(error)
            for key in pending:
                del self._pending[key]

    def in_words(self) -> str:
        """What is used, in one line."""
        on_disk = self._path and self._path.exists()
        places = {"in memory": self._rows is not None, f"in {folder()}": on_disk}
        used = ", and ".join(place for place, is_used in places.items() if is_used)
        size = f"{len(self) * self._item_bytes / 2**20:,.0f} MB"
        return f"{size} {used}" if used else "off: every epoch decodes every image"

    def _kept(self, slots: np.ndarray) -> list[np.ndarray | None]:
        """The arrays in these slots, or None where there is none yet."""
        keys = self._keys[slots].tolist()
        if self._rows is not None:
            known = zip(slots.tolist(), keys, strict=True)
            return [self._rows[slot] if key else None for slot, key in known]
        found = [self._pending.get(key) for key in keys]
        wanted = [(index, key) for index, key in enumerate(keys) if key and found[index] is None]
        for index, _, row in self._read(wanted) if wanted else ():
            found[index] = row.copy()
        return found

    def _made(self, position: int, make=None) -> np.ndarray | ImageError:
        """Make an array and keep it."""
        key = _key(self.path_of(position))  # before it is read: a change in between is noticed
        try:
            row = (make or self.make)(position)
        except ImageError as error:
            return error
        slot = self._slot[position]
        if self._rows is not None:
            self._rows[slot] = row
        if self._rows is not None or self._path:
            self._keys[slot] = key
        if self._path:
            self._pending[key] = np.ascontiguousarray(row)
        if len(self._pending) >= self._written_at_once and not _writing.locked():
            threading.Thread(target=self.flush).start()  # which mostly waits for the disk
        if len(self._pending) >= MOST_PENDING * self._written_at_once:
            self.flush()  # as the disk is too slow
        return row

    def _read(self, keys: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, np.ndarray]]:
        """What is on disk of (index, key), with the array: a view, valid until the next."""
        try:
            environment = _environment(self._path)
            with environment.begin(buffers=True) as reading:
                for index, key in keys if environment.stat()["entries"] else ():
                    content = reading.get(key.to_bytes(8))
                    if content is not None and len(content) == self._item_bytes:
                        yield index, key, np.frombuffer(content, np.uint8).reshape(self.shape)
        except (OSError, lmdb.Error) as error:
            self._disk_failed(error)

    def _disk_failed(self, error: Exception) -> None:
        """Start over with what is damaged; go on without what can't be written."""
        if isinstance(error, DAMAGED):
            _environments.pop((os.getpid(), self._path), None)
            shutil.rmtree(self._path, ignore_errors=True)
        elif folder() not in _warned:
            _warned.add(folder())
            reason = getattr(error, "strerror", None) or error
            then = "what memory doesn't keep is decoded again in every epoch"
            terminal.warn(f"no cache in {folder()} ({reason}); {then}")


class PixelStore(ArrayStore):
    """Images as `foldernet.images.reader.read_image` gives them, decoded once.

    Args:
        count: number of files.
        path_of: position -> path.
        size: (height, width) in pixels.
        rule: how files become pixels.
        mode: as of `ArrayStore`.
    """

    def __init__(self, count, path_of, size, rule: Rule | None = None, mode="auto"):
        self.size, self.rule = tuple(size), rule or Rule()
        shape, purpose = (*size, self.rule.channels), f"{READER}: {self.rule}"
        super().__init__(count, path_of, lambda at: self.read(at)[0], shape, purpose, mode)

    def read(self, position: int) -> tuple[np.ndarray, Header]:
        """An image from its file, (height, width, channels) uint8, and the file's header.

        Raises:
            ImageError: it can't be read.
        """
        return read_with_header(self.path_of(position), self.size, self.rule)


def _key(path: str) -> int:
    """A hash of a file's path, size and modification time; of the path alone if there is none."""
    with contextlib.suppress(OSError):
        status = os.stat(path)
        path = f"{os.path.abspath(path)}\0{status.st_size}\0{status.st_mtime_ns}"
    hashed = hashlib.blake2b(path.encode(errors="surrogateescape"), digest_size=8)
    return int.from_bytes(hashed.digest())


def _environment(path: Path) -> lmdb.Environment:
    """The environment in a folder. A process may open it only once, and a forked one its own."""
    with _opening:
        process_and_path = os.getpid(), path
        if process_and_path not in _environments:
            path.mkdir(parents=True, exist_ok=True)
            os.utime(path)  # for `_make_room`
            environment = lmdb.open(str(path), map_size=DISK_LIMIT, readahead=False, metasync=False)
            pages = environment.info()["last_pgno"] + 1
            if pages * environment.stat()["psize"] > (path / "data.mdb").stat().st_size:
                environment.close()
                raise lmdb.CorruptedError("cut off")  # reading it would end the process
            _environments[process_and_path] = environment
        return _environments[process_and_path]


def _make_room(size: int) -> None:
    """Delete the least recently used environments, but none of this process, until `size` bytes are
    allowed.

    Raises:
        OSError: that leaves too little room.
    """
    found = []
    for path in folder().iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room, too
            held = sum(file.stat().st_size for file in path.rglob("*"))
            found.append((path.stat().st_mtime, held, path))
    total = size + sum(held for _, held, _ in found)
    for _, held, path in sorted(found):
        if total > DISK_LIMIT and (os.getpid(), path) not in _environments:
            shutil.rmtree(path, ignore_errors=True)
            total -= held
    if total > DISK_LIMIT or shutil.disk_usage(folder()).free < size + DISK_RESERVE:
        raise OSError(28, "no room left")
