"""What the project survives: kills, damaged images and damaged models.

    pip install -r requirements.txt
    python benchmarks/torture.py

| kills | lost | runs | equal in the end |
| ----: | ---: | ---: | ---------------: |
|   200 |    0 |   85 |               85 |

| what   | files | refused by name | read | read otherwise | errors without name | crashes | hangs | worst MB | worst seconds |
| ------ | ----: | --------------: | ---: | -------------: | ------------------: | ------: | ----: | -------: | ------------: |
| images | 2,530 |           1,592 |  938 |              0 |                   0 |       0 |     0 |      217 |          1.09 |
| models |   300 |             252 |   48 |              0 |                   0 |       0 |     0 |     53.3 |         0.674 |

(AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1, Pillow 13.0.)

Runs are killed without warning, three of four times while they write their state again and again,
and resumed; each has to end with the very weights and history of one that was left alone. Files are
read in a process that another one watches. Files are damaged with
`benchmarks/damage.py`, the same ones each time. A hang is more than 2 seconds of processor time, or
20 by the clock, on one file; memory is the peak of the process above what it held after reading a
good file of every format. A refusal counts if its one line begins with the file's name and has a
reason. Half of the models are damaged as files; half inside, with checksums that are right again:
those may load and predict something else.
"""

import io
import json
import os
import select
import subprocess
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import damage
import kills
import measure
import numpy as np

SIZE = (48, 48)
HANG_SECONDS, CLOCK_SECONDS, START_SECONDS = 2, 20, 120
QUICK_SHARE = 20
FILES, MODELS = 2500, 300


def files(folder: Path, share: int) -> dict:
    """Images of every format."""
    contents = [*damage.bombs(), *damage.damaged(FILES // share)]
    return _torture("images", contents, folder, "read_images")


def models(folder: Path, share: int) -> dict:
    """Model files as train.py saves them."""
    return _torture("models", damaged_models(folder, MODELS // share), folder, "load_models")


def runs(folder: Path, share: int) -> dict:
    """Runs of train.py, killed and resumed."""
    return kills.torture(folder, share)


PARTS = {"runs": runs, "files": files, "models": models}


def damaged_models(folder: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """(name, content) of `count` damaged .keras files; the good one stays in `folder`."""
    good = folder / "good.keras"
    measure.run(measure.child(__file__, "save_model", good))
    whole = good.read_bytes()
    for number in range(count):
        random = np.random.default_rng([1, number])
        change = damage.DAMAGES[number // 2 % len(damage.DAMAGES)]
        if number % 2:
            content, kind = _damaged_inside(whole, change, random), "inside"
        else:
            content, kind = change(whole, random, whole), "outside"
        yield f"{number:05}-{change.__name__}-{kind}.keras", content


def _damaged_inside(whole: bytes, change, random) -> bytes:
    """One member damaged, of the weights only the first bytes, where HDF5 says what is where."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(out, "w") as copy:
        chosen = random.choice(archive.namelist())
        for name in archive.namelist():
            content = archive.read(name)
            if name == chosen:
                content = change(content[:8192], random, content) + content[8192:]
            copy.writestr(name, content)
    return out.getvalue()


def _torture(what: str, contents, folder: Path, worker: str) -> dict:
    """Have a worker try every file, a new one after each crash or hang; returns the table's row."""
    place = folder / what
    place.mkdir(exist_ok=True)
    paths = []
    for name, content in contents:
        paths.append(place / name)
        paths[-1].write_bytes(content)
    (listing := folder / f"{what}.txt").write_text("\n".join(map(str, paths)))
    outcomes, worst, tried = Counter(), Counter(), 0
    while tried < len(paths):
        for result in _watched(measure.child(__file__, worker, folder, listing, tried)):
            outcome = "hang" if result["seconds"] > HANG_SECONDS else result["outcome"]
            outcomes[outcome] += 1
            if outcome not in ("refused", "read", "read otherwise"):
                print(f"{paths[tried].name}: {result}", file=sys.stderr)
            for name in ("memory_mb", "seconds"):
                worst[name] = max(worst[name], result[name])
            tried += 1
    return {
        "what": what,
        "files": len(paths),
        "refused by name": outcomes["refused"],
        "read": outcomes["read"],
        "read otherwise": outcomes["read otherwise"],
        "errors without name": outcomes["nameless"],
        "crashes": outcomes["crash"],
        "hangs": outcomes["hang"],
        "worst MB": float(worst["memory_mb"]),
        "worst seconds": float(worst["seconds"]),
    }


def _watched(command: list[str]) -> Iterator[dict]:
    """What a worker tells of one file after the other, to its end or to what ended it."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        patience, waiting = START_SECONDS, b""
        while True:
            if not select.select([process.stdout], [], [], patience)[0]:
                process.kill()
                yield {"outcome": "hang", "seconds": float(CLOCK_SECONDS), "memory_mb": 0.0}
                return
            patience = CLOCK_SECONDS
            received = os.read(process.stdout.fileno(), 2**16)
            *lines, waiting = (waiting + received).split(b"\n")
            yield from (json.loads(line) for line in lines if line != b"ready")
            if not received:
                break
    if process.returncode:
        yield {"outcome": "crash", "seconds": 0.0, "memory_mb": 0.0, "status": process.returncode}


# The workers


def read_images(folder: str, listing: str, first: str) -> None:
    from foldernet.images.reader import ImageError, read_header, read_image

    good = Path(folder) / "good"
    for content in damage.seeds().values():
        good.write_bytes(content)
        read_image(good, SIZE)

    def attempt(path: str) -> str:
        try:
            read_header(path)
            return "read" if read_image(path, SIZE).shape == (*SIZE, 3) else "nameless"
        except ImageError as error:
            return _refusal(str(error), f"{path}: ")

    _tell(listing, first, attempt)


def load_models(folder: str, listing: str, first: str) -> None:
    import foldernet
    from foldernet.terminal import UserError

    image = Path(folder) / "good.png"
    image.write_bytes(damage.seeds()["png"])
    expected = foldernet.load(Path(folder) / "good.keras").predict([image])

    def attempt(path: str) -> str:
        try:
            predicted = foldernet.load(path).predict([image])
        except UserError as error:
            return _refusal(str(error), f"'{path}' ")
        return "read" if predicted == expected else "read otherwise"

    _tell(listing, first, attempt)


def save_model(path: str) -> None:
    import keras

    from foldernet.networks.simpleconv3 import simpleconv3
    from foldernet.training.model_file import save_model as save

    keras.utils.set_random_seed(0)
    reading = {"color_mode": "rgb", "interpolation": "area", "keep_aspect_ratio": False}
    metadata = {"mode": "classify", "classes": ["cat", "dog"], "size": [16, 16]} | reading
    save(simpleconv3((16, 16, 3), 2), Path(path), metadata)


def _refusal(text: str, start: str) -> str:
    named = text.startswith(start) and len(text) > len(start) and "\n" not in text
    return "refused" if named else "nameless"


def _tell(listing: str, first: str, attempt) -> None:
    """Try the files from number `first` on, and print a line of JSON for each."""
    warnings.simplefilter("ignore")
    paths = Path(listing).read_text().split("\n")[int(first) :]
    print("ready", flush=True)
    held = _kilobytes("VmRSS")
    for path in paths:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        started, result = time.process_time(), {}
        try:
            result["outcome"] = attempt(path)
        except Exception as error:  # what no file may raise
            result = {"outcome": "nameless", "error": f"{type(error).__name__}: {error}"}
        result |= {
            "seconds": time.process_time() - started,
            "memory_mb": 1024 * (_kilobytes("VmHWM") - held) / measure.MEGABYTE,
        }
        print(json.dumps(result), flush=True)


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    options = measure.parser(__doc__, f"a {QUICK_SHARE}th of the files")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts")
    options = options.parse_args()
    if options.contestant:
        worker, *arguments = options.contestant
        workers = {"read_images": read_images, "load_models": load_models, "save_model": save_model}
        workers[worker](*arguments)
        return
    share = QUICK_SHARE if options.quick else 1
    with measure.workspace(options.folder) as folder:
        for name in options.only:
            row = PARTS[name](folder, share)
            measure.report(f"torture_{name}", {name.capitalize(): [row]}, options)


if __name__ == "__main__":
    main()
