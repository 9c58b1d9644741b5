"""train.py, killed again and again and resumed, against the same run left alone.

This process imports TensorFlow once and forks for each attempt, which saves the three seconds of
the import, and nothing else.
"""

import contextlib
import csv
import hashlib
import io
import os
import random
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

KILLS, RUNS = 200, 30
CLASSES, IMAGES = ("bear", "cow", "zebra"), {"train": 40, "val": 10}
ARGUMENTS = ["animals", "--epochs", "4", "--image-size", "16", "--batch-size", "8"]
ARGUMENTS += ["--state-minutes", "0", "--cache", "off"]  # a state before each call of eight steps
STARTING = 4  # one kill in so many comes at any moment, the others once states are being written
TIMES = ("seconds", "images_per_second", "waiting")


def torture(folder: Path, share: int) -> dict:
    """Kill runs at random moments until there were enough, finish each, and compare its end.

    Args:
        folder: to work in.
        share: divides the kills.

    Returns:
        A row: kills; of them lost, which left a best model that is damaged or a worse one than
        before, or no way to go on; runs, and how many of them ended equal to the one left alone.
    """
    os.chdir(folder)
    some_animals()

    from foldernet.commands import train  # not the benchmark of that name

    moments = random.Random(0)
    started = time.perf_counter()
    if attempt(train, [*ARGUMENTS, "--name", "alone"], prepare=remember_bests):
        raise SystemExit(Path("output.txt").read_text())
    duration = time.perf_counter() - started
    bests = [weights_of(path) for path in sorted(Path("bests").iterdir())]
    expected = end_of("alone")
    tries = killed = lost = finished = equal = 0
    while killed < KILLS // share or finished < max(1, RUNS // share):
        name, best = f"run{finished}", 0
        for _ in range(KILLS // RUNS + 1):
            anywhere = tries % STARTING == 0
            tries += 1
            seconds = moments.uniform(0, duration if anywhere else duration / 4)
            status = attempt(train, next_try(name), kill=(seconds, anywhere, name))
            if status != -signal.SIGKILL:
                break
            killed += 1
            with contextlib.suppress(FileNotFoundError):
                found = weights_of(Path("models", name, "best.keras"))
                lost += found not in bests[best:]
                best = bests.index(found)
        if not Path("models", name, "metrics.json").exists():
            status = attempt(train, next_try(name))
        finished += 1
        lost += status != 0
        equal += status == 0 and end_of(name) == expected
        print(f"{killed} kills, {finished} runs, {equal} equal, {lost} lost", file=sys.stderr)
    return {"kills": killed, "lost": lost, "runs": finished, "equal in the end": equal}


def some_animals() -> None:
    """A small part of the set that ships."""
    from foldernet import shipped

    source = shipped.folder("animals")
    for split, count in IMAGES.items():
        for name in CLASSES:
            target = Path("animals", split, name)
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted((source / split / name).iterdir())[:count]:
                shutil.copy(path, target)


def next_try(name: str) -> list[str]:
    """Arguments that begin the run, or resume it if it has got as far as that."""
    if Path("models", name, "config.json").exists():
        return ["--resume", "--name", name]
    for folder in ("models", "logs"):  # killed before it wrote what it is: nothing is lost
        shutil.rmtree(Path(folder, name), ignore_errors=True)
    return [*ARGUMENTS, "--name", name]


def attempt(
    main: Callable[[list[str]], int],
    arguments: list[str],
    kill: tuple[float, bool, str] | None = None,
    prepare: Callable[[], None] = lambda: None,
) -> int:
    """Run train.py in a child; returns its exit status, or minus 9 if it was killed.

    Args:
        kill: after so many seconds, from the start or else from the first state that is written in
            this attempt at the run of that name.
        prepare: called in the child before.
    """
    child = os.fork()
    if child == 0:
        with open("output.txt", "a") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        status = 1
        try:
            prepare()
            status = main(arguments)
        finally:
            os._exit(status)
    if kill:
        seconds, from_start, name = kill
        state = Path("models", name, "state.npz")
        before = written(state)
        waiting = None if not from_start else time.perf_counter()
        while waiting is None or time.perf_counter() - waiting < seconds:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if waiting is None and written(state) != before:
                waiting = time.perf_counter()
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def written(path: Path) -> int:
    """When a file was last written; 0 if it isn't there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def remember_bests() -> None:
    """Keep a copy of each best model in bests/, in their order."""
    from foldernet.training import model_file

    save = model_file.save_model
    Path("bests").mkdir()

    def keeping(model, path, metadata):
        save(model, path, metadata)
        if path.name == "best.keras":
            shutil.copy(path, f"bests/{len(os.listdir('bests')):03}.keras")

    model_file.save_model = keeping


def weights_of(path: Path) -> str:
    """A hash of a model's weights; reading them compares the archive's own checksums, too."""
    import h5py

    digest = hashlib.sha256()

    def add(_, item) -> None:
        if isinstance(item, h5py.Dataset):
            digest.update(item[()].tobytes())

    with zipfile.ZipFile(path) as archive:
        if archive.testzip():
            return f"{path} is damaged"
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(add)
    return digest.hexdigest()


def end_of(name: str) -> tuple:
    """What a run ends with, save its times: hashes of its variables and its best, and history."""
    from foldernet.resume import state as states

    digest = hashlib.sha256()
    for array in states.read(Path("models", name)).arrays:
        digest.update(array.tobytes())
    with open(f"models/{name}/history.csv") as file:
        rows = [{key: row[key] for key in row if key not in TIMES} for row in csv.DictReader(file)]
    return digest.hexdigest(), weights_of(Path("models", name, "best.keras")), rows
