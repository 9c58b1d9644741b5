"""The cache: decodes once, notices changes, and never does harm."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, STRIPES, stripes

from foldernet.data import cache as cache_module
from foldernet.data.cache import ArrayCache
from foldernet.data.generator import ImageDataGenerator
from foldernet.data.reader import ImageError

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


def opened(files, mode="auto", purpose="test") -> tuple[ArrayCache, Maker]:
    maker = Maker()

    def make(position):
        return maker(files[position])

    return ArrayCache(len(files), files.__getitem__, make, SHAPE, purpose, mode), maker


def values(cache) -> list[int]:
    """The value of each array, or 0 for an error."""
    rows = cache.rows(np.arange(len(cache)))
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
        cache, maker = opened(files, mode)
        assert values(cache) == values(cache) == list(range(1, 21))
        cache.flush()
        assert len(maker.made) == 20 * times
    assert not list(cache_module.folder().glob("*/*"))


def test_a_changed_replaced_deleted_or_added_file_is_noticed(files):
    values(opened(files)[0])
    cache, _ = opened(files)
    values(cache)
    cache.flush()
    Path(files[3]).write_bytes(b"\x63\x63")  # another size
    before = os.stat(files[4])
    Path(files[4]).write_bytes(b"\x64")  # the same size, another time
    os.utime(files[4], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    os.unlink(files[5])
    added = str(Path(files[0]).with_name("added"))
    Path(added).write_bytes(b"\x65")
    cache, maker = opened([*files, added])
    expected = [*range(1, 21), 0x65]
    expected[3:6] = [0x63, 0x64, 0]
    assert values(cache) == expected
    assert set(maker.made) == {files[3], files[4], files[5], added}


def test_another_purpose_does_not_mix(files):
    cache, _ = opened(files, purpose="48 pixels")
    values(cache)
    cache.flush()
    cache, maker = opened(files, purpose="64 pixels")
    values(cache)
    assert len(maker.made) == 20


def test_shards_are_found_again_one_by_one(files, monkeypatch):
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 7 * np.prod(SHAPE))
    cache, _ = opened(files, "disk")
    values(cache)
    cache.flush()
    shards = sorted(cache.folder.glob("*.shard"))
    assert len(shards) == 3
    shards[0].write_bytes(shards[0].read_bytes()[:-1])  # truncated
    shards[1].write_bytes(b"something else")
    again, maker = opened(files, "disk")
    assert values(again) == list(range(1, 21))
    assert 6 <= len(maker.made) <= 14


def test_an_error_is_not_kept(files):
    Path(files[2]).write_bytes(b"")
    cache, _ = opened(files)
    assert values(cache)[2] == 0
    cache.flush()
    cache, maker = opened(files)
    assert values(cache)[2] == 0
    assert maker.made == [files[2]]


def test_a_folder_that_takes_no_files_costs_speed_only(files, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for mode in ("auto", "disk"):
        cache, _ = opened(files, mode)
        for _ in range(2):
            assert values(cache) == list(range(1, 21))
            cache.flush()
        assert capsys.readouterr().err.count("warning: no cache in") == 1


def test_a_full_disk_costs_speed_only(files, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        cache, _ = opened(files, "disk")
        for _ in range(2):
            assert values(cache) == list(range(1, 21))
            cache.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert "decoded again in every epoch" in capsys.readouterr().err
    assert not list(cache_module.folder().glob("*/*"))


def test_the_total_on_disk_is_bounded_and_the_oldest_go_first(files, monkeypatch):
    size = 20 * (np.prod(SHAPE) + 8)
    monkeypatch.setattr(cache_module, "DISK_LIMIT", int(2.5 * size))
    for age, purpose in ((300, "oldest"), (200, "older")):
        cache, _ = opened(files, purpose=purpose)
        values(cache)
        cache.flush()
        (shard,) = cache.folder.glob("*.shard")
        os.utime(shard, (shard.stat().st_mtime - age,) * 2)
    opened(files, purpose="oldest")  # used again: now the other one is the oldest
    cache, _ = opened(files, purpose="new")
    values(cache)
    cache.flush()
    remade = {}
    for purpose in ("oldest", "new", "older"):  # the last one takes the room of another
        cache, maker = opened(files, purpose=purpose)
        values(cache)
        remade[purpose] = len(maker.made)
    assert remade == {"oldest": 0, "older": 20, "new": 0}


def test_two_runs_at_once_get_the_same(files):
    caches = [opened(files, "disk")[0] for _ in range(4)]
    found = [None] * 4

    def use(index):
        found[index] = values(caches[index])
        caches[index].flush()

    workers = [threading.Thread(target=use, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [list(range(1, 21))] * 4
    cache, maker = opened(files, "disk")
    assert values(cache) == list(range(1, 21))
    assert maker.made == []


def test_a_killed_run_does_no_harm(files, tmp_path):
    code = (
        "import os, signal, numpy as np\n"
        "from foldernet.data import cache\n"
        f"files = {files!r}\n"
        "cache.SHARD_BYTES = 5 * 48\n"
        "made = []\n"
        "def make(position):\n"
        "    made.append(position)\n"
        "    if len(made) == 13:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return np.full((4, 4, 3), open(files[position], 'rb').read()[0], np.uint8)\n"
        "shards = cache.ArrayCache(20, files.__getitem__, make, (4, 4, 3), 'test', 'disk')\n"
        "for position in range(20):\n    shards.rows(np.array([position]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    cache, maker = opened(files, "disk")
    assert values(cache) == list(range(1, 21))
    assert sorted(maker.made) == files[10:]


def batches_of(folder, cache, workers, epochs=2) -> list[bytes]:
    """The bytes of all batches, as Keras takes them with so many workers."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    generator = ImageDataGenerator(
        rotation_range=20, zoom_range=0.2, horizontal_flip=True, dtype="uint8", cache=cache
    )
    iterator = generator.flow_from_directory(folder, target_size=(24, 20), batch_size=16, seed=5)
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
