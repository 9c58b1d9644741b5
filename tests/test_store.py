"""The store: decodes once, notices changes, and never does harm."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, STRIPES, scan, stripes
from PIL import Image

from foldernet.batches.generator import ImageDataGenerator
from foldernet.images import store as stores
from foldernet.images.reader import ImageError, Rule
from foldernet.images.store import ArrayStore

SHAPE = (4, 4, 3)


class Maker:
    """Makes an array of a file's first byte, and counts how often."""

    def __init__(self):
        self.made = []

    def __call__(self, path):
        self.made.append(path)
        content = Path(path).read_bytes() if Path(path).exists() else b""
        if not content:
            raise ImageError(path, "empty")
        return np.full(SHAPE, content[0], np.uint8)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    paths = [str(tmp_path / "files" / f"{index:02}") for index in range(20)]
    for index, path in enumerate(paths):
        Path(path).write_bytes(bytes([index + 1]))
    return paths


def opened(files, mode="auto", purpose="test") -> tuple[ArrayStore, Maker]:
    maker = Maker()

    def make(position):
        return maker(files[position])

    return ArrayStore(len(files), files.__getitem__, make, SHAPE, purpose, mode), maker


def values(store) -> list[int]:
    """The value of each array, or 0 for an error."""
    rows = store.rows(np.arange(len(store)))
    for row in rows:
        assert isinstance(row, ImageError) or (row == row.flat[0]).all()
    return [0 if isinstance(row, ImageError) else int(row.flat[0]) for row in rows]


@pytest.mark.parametrize("mode", ["auto", "disk"])
def test_the_next_epoch_and_the_next_run_make_nothing(files, mode):
    first, maker = opened(files, mode)
    assert values(first) == values(first) == list(range(1, 21))
    assert sorted(maker.made) == files
    first.flush()
    second, maker = opened(files, mode)
    assert values(second) == list(range(1, 21))
    assert maker.made == []


def test_memory_alone_leaves_no_file_and_off_keeps_nothing(files):
    for mode, times in (("memory", 1), ("off", 2)):
        store, maker = opened(files, mode)
        assert values(store) == values(store) == list(range(1, 21))
        store.flush()
        assert len(maker.made) == 20 * times
    assert not stores.folder().exists()


def test_a_changed_replaced_deleted_or_added_file_is_noticed(files):
    values(opened(files)[0])
    store, _ = opened(files)
    values(store)
    store.flush()
    Path(files[3]).write_bytes(b"\x63\x63")  # another size
    before = os.stat(files[4])
    Path(files[4]).write_bytes(b"\x64")  # the same size, another time
    os.utime(files[4], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    os.unlink(files[5])
    added = str(Path(files[0]).with_name("added"))
    Path(added).write_bytes(b"\x65")
    store, maker = opened([*files, added])
    expected = [*range(1, 21), 0x65]
    expected[3:6] = [0x63, 0x64, 0]
    assert values(store) == expected
    assert set(maker.made) == {files[3], files[4], files[5], added}


def test_another_purpose_does_not_mix(files):
    store, _ = opened(files, purpose="48 pixels")
    values(store)
    store.flush()
    store, maker = opened(files, purpose="64 pixels")
    values(store)
    assert len(maker.made) == 20


def elsewhere(code: str) -> subprocess.CompletedProcess:
    """Run code in a process of its own, with a store of `files` named `store` if it makes one."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)


WRITER = """
import os, signal, sys
import numpy as np
from foldernet.images import store as stores
files, crash = {files!r}, {crash}
stores.WRITE_BYTES = 5 * 48
stores.MOST_PENDING = 1  # or a thread would write when it comes to it
made = []
def make(position):
    made.append(position)
    if len(made) == crash:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.full((4, 4, 3), open(files[position], "rb").read()[0], np.uint8)
store = stores.ArrayStore(20, files.__getitem__, make, (4, 4, 3), "test", "disk")
for position in range(20):
    (row,) = store.rows(np.array([position]))
    assert (row == position + 1).all()
store.flush()
"""


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def scrambled(content: bytes) -> bytes:
    return bytes(255 - byte for byte in content)


def scrambled_inside(content: bytes) -> bytes:
    """All but the two pages that LMDB opens a file by."""
    return content[:8192] + scrambled(content[8192:])


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda _: b"else", lambda _: bytes(5000), cut, scrambled, scrambled_inside],
    ids=["empty", "something else", "zeros", "cut", "scrambled", "scrambled inside"],
)
@pytest.mark.parametrize("mode", ["auto", "disk"])
def test_a_damaged_store_is_made_anew(files, damage, mode, capsys):
    assert elsewhere(WRITER.format(files=files, crash=0)).returncode == 0
    (database,) = stores.folder().glob("*/data.mdb")
    database.write_bytes(damage(database.read_bytes()))
    store, maker = opened(files, mode)
    assert values(store) == list(range(1, 21))
    assert len(maker.made) == 20
    store.flush()
    forget_environments()
    store, maker = opened(files, mode)
    assert values(store) == list(range(1, 21))
    assert maker.made == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mode", ["auto", "disk"])
def test_a_store_that_is_damaged_in_use_is_made_anew(files, mode, capsys):
    store, _ = opened(files, mode)
    values(store)
    store.flush()
    (database,) = stores.folder().glob("*/data.mdb")
    with open(database, "r+b") as file:
        file.write(scrambled_inside(database.read_bytes()))
    assert values(store) == list(range(1, 21))
    store.flush()
    forget_environments()
    store, maker = opened(files, mode)
    assert values(store) == list(range(1, 21))
    assert len(maker.made) == (20 if mode == "auto" else 0)
    assert capsys.readouterr().err == ""


def test_an_error_is_not_kept(files):
    Path(files[2]).write_bytes(b"")
    store, _ = opened(files)
    assert values(store)[2] == 0
    store.flush()
    store, maker = opened(files)
    assert values(store)[2] == 0
    assert maker.made == [files[2]]


def test_a_folder_that_takes_no_files_costs_speed_and_one_line(
    files, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for purpose in ("pixels", "records"):
        for mode in ("auto", "disk"):
            store, _ = opened(files, mode, purpose)
            for _ in range(2):
                assert values(store) == list(range(1, 21))
                store.flush()
    assert capsys.readouterr().err.count("warning: no cache in") == 1


def test_a_full_disk_costs_speed_only(files, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        store, _ = opened(files, "disk")
        for _ in range(2):
            assert values(store) == list(range(1, 21))
            store.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert "decoded again in every epoch" in capsys.readouterr().err


def test_a_disk_that_fills_up_while_it_is_written_costs_speed_only(files, monkeypatch, capsys):
    store, _ = opened(files, "disk")
    monkeypatch.setattr(stores, "DISK_RESERVE", 2**60)
    for _ in range(2):
        assert values(store) == list(range(1, 21))
        store.flush()
    assert "no room left" in capsys.readouterr().err


def test_a_full_disk_is_still_read(files, monkeypatch, capsys):
    store, _ = opened(files[:10], "disk")
    values(store)
    store.flush()
    monkeypatch.setattr(stores, "DISK_RESERVE", 2**60)
    store, maker = opened(files, "disk")
    for epoch in (1, 2):
        assert values(store) == list(range(1, 21))
        store.flush()
        assert sorted(maker.made) == sorted(files[10:] * epoch)
    assert capsys.readouterr().err.count("warning: ") == 1


def test_many_small_arrays_are_written_by_number(files, monkeypatch):
    monkeypatch.setattr(stores, "WRITE_ITEMS", 7)
    monkeypatch.setattr(stores, "MOST_PENDING", 1)
    store, _ = opened(files, "disk")
    values(store)
    store, _ = opened(files, "disk")  # without a flush
    assert len(store.missing) < 7
    assert values(store) == list(range(1, 21))


def test_the_total_on_disk_is_bounded_and_the_oldest_go_first(files, monkeypatch):
    for age, purpose in ((300, "oldest"), (200, "older")):
        store, _ = opened(files, purpose=purpose)
        values(store)
        store.flush()
        for path in stores.folder().iterdir():
            if path.stat().st_mtime > time.time() - 100:
                os.utime(path, (time.time() - age,) * 2)
    forget_environments()  # as another process would
    opened(files, purpose="oldest")  # used again: now the other one is the oldest
    held = sum(path.stat().st_size for path in stores.folder().glob("*/*"))
    monkeypatch.setattr(stores, "DISK_LIMIT", held)
    store, _ = opened(files, purpose="new")
    values(store)
    store.flush()
    remade = {}
    for purpose in ("oldest", "new", "older"):
        store, maker = opened(files, purpose=purpose)
        values(store)
        remade[purpose] = len(maker.made)
    assert remade == {"oldest": 0, "new": 0, "older": 20}


def forget_environments():
    stores._environments.clear()


def test_what_earlier_versions_left_is_deleted_first(files, monkeypatch):
    old = stores.folder() / "abc" / "tmp123.shard"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(10**6))
    os.utime(old.parent, (time.time() - 1000,) * 2)
    monkeypatch.setattr(stores, "DISK_LIMIT", 10**6)
    store, _ = opened(files)
    values(store)
    store.flush()
    assert not old.exists()
    del store
    forget_environments()
    store, maker = opened(files)
    assert values(store) == list(range(1, 21))
    assert maker.made == []


def test_threads_that_share_a_store_get_the_same(files):
    shared = [opened(files, "disk")[0] for _ in range(4)]
    found = [None] * 4

    def use(index):
        found[index] = values(shared[index])
        shared[index].flush()

    workers = [threading.Thread(target=use, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [list(range(1, 21))] * 4
    store, maker = opened(files, "disk")
    assert values(store) == list(range(1, 21))
    assert maker.made == []


def test_processes_that_write_at_once_get_the_same(files):
    code = WRITER.format(files=files, crash=0)
    writers = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    store, maker = opened(files, "disk")
    assert values(store) == list(range(1, 21))
    assert maker.made == []


def test_a_forked_process_reads_the_right_arrays_and_does_no_harm(files):
    store, _ = opened(files, "disk")
    values(store)
    store.flush()
    process = os.fork()
    if process == 0:
        both = values(store), values(opened(files, "disk")[0])
        os._exit(0 if both == (list(range(1, 21)),) * 2 else 1)
    assert os.waitpid(process, 0)[1] == 0
    assert values(store) == list(range(1, 21))


def test_a_fork_while_a_thread_writes_leaves_nobody_waiting(files):
    store, _ = opened(files, "memory")
    writing = threading.Event()

    def write():
        with stores._writing:
            writing.set()
            time.sleep(0.2)

    thread = threading.Thread(target=write)
    thread.start()
    writing.wait()
    process = os.fork()
    if process == 0:
        store.flush()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
    store.flush()
    thread.join()


def test_a_killed_run_does_no_harm(files):
    assert elsewhere(WRITER.format(files=files, crash=13)).returncode == -signal.SIGKILL
    store, maker = opened(files, "disk")
    assert values(store) == list(range(1, 21))
    assert sorted(maker.made) == files[10:]


def batches_of(folder, cache, workers, epochs=2) -> list[bytes]:
    """The bytes of all batches, as Keras takes them with so many workers."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    generator = ImageDataGenerator(
        rotation_range=20, zoom_range=0.2, horizontal_flip=True, dtype="uint8", cache=cache
    )
    images = scan(folder)
    iterator = generator.flow_from_directory(images, target_size=(24, 20), batch_size=16, seed=5)
    iterator.workers = workers
    adapter = PyDatasetAdapter(iterator)
    found = []
    for epoch in range(epochs):
        iterator.epoch = epoch
        adapter.on_epoch_begin()
        for images, labels in adapter._get_iterator():
            found.append(np.asarray(images).tobytes() + np.asarray(labels).tobytes())
        adapter.on_epoch_end()
    return found


def test_batches_are_the_same_bytes_with_any_cache_and_any_workers(tmp_path, capsys):
    folder = stripes(tmp_path / "set", dict.fromkeys(STRIPES, 20))
    reference = batches_of(folder, "off", 0)
    assert len(reference) == 8
    assert reference[:4] != reference[4:]
    for cache in ("off", "auto", "auto", "memory", "disk", "disk"):  # the second time is warm
        for workers in (0, 1, 2, 8):
            assert batches_of(folder, cache, workers) == reference, (cache, workers)


def test_images_that_are_only_cropped_are_kept_too(tmp_path):
    """Their pixels are a part of a larger array."""
    path = tmp_path / "wide.png"
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (48, 60, 3), np.uint8)).save(path)
    rule = Rule(keep_aspect_ratio=True)
    first = stores.PixelStore(1, lambda _: str(path), (48, 48), rule)
    (pixels,) = first.rows(np.array([0]))
    first.flush()
    again = stores.PixelStore(1, lambda _: str(path), (48, 48), rule)
    assert not len(again.missing)
    np.testing.assert_array_equal(again.rows(np.array([0]))[0], pixels)
