"""Seconds and memory to list a million files in a thousand class folders, ours and Keras's.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/scan.py

Both `flow_from_directory` find the files, their classes and their number; nothing is read. The
floor is a bare recursion of os.scandir that counts and keeps nothing. Each has a process of its own
and its turn in every round; the clock starts after the imports. The files are empty, with an inode
each, just made: the kernel still remembers the folders. Bytes a file: of anonymous memory, at its
peak, beyond the imports.

Three rounds, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1:

| contestant | seconds | ours / it | peak MB | bytes a file |
| ---------- | ------: | --------: | ------: | -----------: |
| os.scandir |    1.31 |      1.91 |    13.1 |       0.0041 |
| foldernet  |     2.5 |         1 |     766 |          110 |
| keras      |    16.1 |     0.155 |     875 |          220 |
"""

import importlib
import json
import os
import time
from pathlib import Path

import measure

FILES_PER_FOLDER = 1000


def floor(folder: str) -> int:
    """Count the files below a folder, with nothing but what the operating system tells."""
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            found += floor(entry.path) if entry.is_dir(follow_symlinks=False) else 1
    return found


def generator(module: str):
    """The scan of the `ImageDataGenerator` that a module has."""

    def scan(folder: str) -> int:
        image_data_generator = importlib.import_module(module).ImageDataGenerator()
        return image_data_generator.flow_from_directory(folder).samples

    return scan


# name -> what is imported before the clock starts, and what lists the files
CONTESTANTS = {
    "os.scandir": ("os", floor),
    "foldernet": ("foldernet.drop_in.generator", generator("foldernet.drop_in.generator")),
    "keras": (
        "tensorflow.keras.preprocessing.image",
        generator("tensorflow.keras.preprocessing.image"),
    ),
}


def measure_contestant(name: str, folder: str, files: int) -> dict:
    """List the files in this process."""
    module, scan = CONTESTANTS[name]
    importlib.import_module(module)
    _, imports = measure.memory(os.getpid())
    started = time.perf_counter()
    found = scan(folder)
    seconds = time.perf_counter() - started
    if found != files:
        raise SystemExit(f"{name} found {found} of {files} files")
    return {"seconds": seconds, "imports_mb": imports / measure.MEGABYTE}


def build(folder: Path, files: int) -> Path:
    """Have `files` empty files with names of JPEGs in folders of a thousand."""
    for first in range(0, files, FILES_PER_FOLDER):
        class_folder = folder / f"class{first // FILES_PER_FOLDER:04}"
        class_folder.mkdir(parents=True, exist_ok=True)
        for index in range(first, min(first + FILES_PER_FOLDER, files)):
            os.close(os.open(class_folder / f"image{index:07}.jpg", os.O_CREAT | os.O_WRONLY))
    return folder


def compare(measured: dict, files: int) -> list[dict]:
    """A row for each contestant, with ours as a share of it."""
    ours = measured["foldernet"]
    return [
        {
            "contestant": name,
            "seconds": result["seconds"],
            "ours / it": ours["seconds"] / result["seconds"],
            "peak MB": result["peak_mb"],
            "bytes a file": (result["peak_anonymous_mb"] - result["imports_mb"])
            * measure.MEGABYTE
            / files,
        }
        for name, result in measured.items()
    ]


def main() -> None:
    parser = measure.parser(__doc__, "a fiftieth of the files, one round")
    parser.add_argument("--files", type=int, default=1_000_000, help="how many (default: 1000000)")
    options = parser.parse_args()
    if options.contestant:
        name, folder, files = options.contestant
        print(json.dumps(measure_contestant(name, folder, int(files))))
        return
    if options.quick:
        options.repeats, options.files = 1, options.files // 50
    with measure.workspace(options.folder) as folder:
        files = build(folder / f"scan{options.files}", options.files)
        turns = {name: measure.child(__file__, name, files, options.files) for name in CONTESTANTS}
        measured = measure.rounds(turns, options.repeats)
    title = f"listing {options.files:,} files in {options.files // FILES_PER_FOLDER:,} folders"
    measure.report("scan", {title: compare(measured, options.files)}, options)


if __name__ == "__main__":
    main()
