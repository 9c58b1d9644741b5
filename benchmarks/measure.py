"""What the benchmarks share: images to measure on, a process for each contestant, tables, JSON.

Memory is read from Linux's /proc, and nowhere else.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CORES = len(os.sched_getaffinity(0))
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket")
CLASSES = 5
LARGEST_SCALE = 4  # of a part over the picture made of it: more takes time, and shows no more
PACKAGES = (
    *("tensorflow-cpu", "tensorflow", "keras", "numpy", "opencv-python-headless", "pillow"),
    *("scipy", "scikit-image", "grain", "torch"),
)
SAMPLING_SHARE = 0.02  # of a core's time goes to reading the contestant's memory, no more
MEGABYTE = 10**6

sys.path.insert(1, str(ROOT))  # the package that is measured, for the scripts of this folder


def parser(doc: str, quick: str) -> argparse.ArgumentParser:
    """The options that every benchmark has; `quick` says what --quick does."""
    options = argparse.ArgumentParser(description=doc.split("\n")[0])
    options.add_argument(
        "--repeats", type=int, default=3, help="rounds; in each, every contestant has its turn"
    )
    options.add_argument("--quick", action="store_true", help=f"{quick}; numbers mean nothing then")
    options.add_argument(
        "--folder", type=Path, help="where to make the data, and keep it; by default a temporary"
    )
    options.add_argument("--contestant", nargs="+", help=argparse.SUPPRESS)  # the child's work
    return options


@contextlib.contextmanager
def workspace(folder: Path | None):
    """`folder`, made if need be; or a temporary one that is deleted in the end."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="foldernet-benchmark-") as temporary:
        yield Path(temporary)


def build_images(folder: Path, count: int, width: int, height: int) -> Path:
    """Have `count` JPEGs in class folders of `folder`, cut from scikit-image's photographs.

    Files that are there already are read once instead, so that all start from a warm page cache.
    """
    import skimage.data

    photographs = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]

    def build(index: int) -> None:
        path = folder / f"class{index % CLASSES}" / f"{index:06}.jpg"
        if path.exists():
            path.read_bytes()
            return
        picture = _picture(photographs[index % len(photographs)], index, width, height)
        picture.save(path.with_suffix(".part"), "JPEG", quality=90)
        path.with_suffix(".part").rename(path)

    for number in range(CLASSES):
        (folder / f"class{number}").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(build, range(count)):
            pass
    return folder


def _picture(photograph, seed: int, width: int, height: int):
    """A part of a photograph; where that is too small, it goes on mirrored, not magnified.

    Magnified pictures would hold less for their pixels than a camera's, and decode faster.
    """
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)
    sides = photograph.shape[:2]
    room = min(sides[0] / height, sides[1] / width)
    scale = random.uniform(1, min(max(1, room), LARGEST_SCALE))
    rows, columns = (
        np.abs((random.integers(2 * side) + np.arange(int(length * scale))) % (2 * side) - side)
        for side, length in zip(sides, (height, width), strict=True)
    )
    part = photograph[np.minimum(rows, sides[0] - 1)][:, np.minimum(columns, sides[1] - 1)]
    return Image.fromarray(part).resize((width, height), Image.Resampling.BOX)


def child(script: str, *contestant) -> list[str]:
    """The command by which a benchmark runs one of its contestants."""
    return [sys.executable, script, "--contestant", *map(str, contestant)]


def run(command: list[str], cwd: Path | None = None) -> dict:
    """Run a command in a process of its own, with an empty cache folder.

    Returns:
        The JSON object that its last line of output is, if it is one; besides `wall_seconds`,
        `peak_mb` and `peak_anonymous_mb`, the latter without the pages of files on disk, which
        the kernel can take back. Both are of it and all its children, pages that they share
        counted once.

    Raises:
        RuntimeError: it failed.
    """
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as output:
        environment["XDG_CACHE_HOME"] = cache
        started = time.perf_counter()
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command, stdout=output, stderr=errors, cwd=cwd, env=os.environ | environment
            )
            peak, peak_anonymous = _peak_memory(process)
            wall = time.perf_counter() - started
            errors.seek(0)
            if process.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{errors.read()[-3000:]}")
        output.seek(0)
        *_, last = output.read().splitlines() or [""]
    measured = json.loads(last) if last.startswith("{") else {}
    memory = {"peak_mb": peak / MEGABYTE, "peak_anonymous_mb": peak_anonymous / MEGABYTE}
    return measured | memory | {"wall_seconds": wall}


def _peak_memory(process: subprocess.Popen) -> tuple[int, int]:
    """Wait for a process, and return the most bytes it held: in all, and anonymous."""
    peak = peak_anonymous = 0
    while process.returncode is None:
        started = time.perf_counter()
        total, anonymous = memory(process.pid)
        peak, peak_anonymous = max(peak, total), max(peak_anonymous, anonymous)
        cost = time.perf_counter() - started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.05, cost / SAMPLING_SHARE))
    return peak, peak_anonymous


def memory(pid: int) -> tuple[int, int]:
    """Bytes that a process and its descendants hold now, in all and without files' pages.

    By proportional set size: a page shared by n of them counts 1/n for each.
    """
    total = anonymous = 0
    with contextlib.suppress(OSError):  # it may end while it is looked at
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            total += 1024 * int(value.split()[0]) if name == "Pss" else 0
            kept = name in ("Pss_Anon", "Pss_Shmem")
            anonymous += 1024 * int(value.split()[0]) if kept else 0
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                held = memory(int(child))
                total, anonymous = total + held[0], anonymous + held[1]
    return total, anonymous


def rounds(turns: dict, repeats: int) -> dict:
    """Run the commands in turn, round after round, back and forth.

    Args:
        turns: anything -> the command that measures it.

    Returns:
        The same keys -> the medians of what `run` returned; a turn that failed is reported, and
        left out.
    """
    measured = {key: [] for key in turns}
    for number in range(repeats):
        for key in list(turns)[:: -1 if number % 2 else 1]:
            print(f"round {number + 1}/{repeats}: {key}", file=sys.stderr, flush=True)
            try:
                measured[key].append(run(turns[key]))
            except RuntimeError as error:
                print(error, file=sys.stderr)
    return {
        key: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for key, runs in measured.items()
        if runs
    }


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table; numbers to three digits, or whole; None is an empty cell."""
    cells = [list(rows[0])] + [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [isinstance(value, int | float) for value in rows[-1].values()]
    rule = [
        "-" * (width - 1) + (":" if to else "-") for width, to in zip(widths, right, strict=True)
    ]
    return "\n".join(_line(line, widths, right) for line in [cells[0], rule, *cells[1:]])


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = (
        cell.rjust(width) if to else cell.ljust(width)
        for cell, width, to in zip(cells, widths, right, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _cell(value) -> str:
    if not isinstance(value, float):
        return "" if value is None else f"{value:,}" if isinstance(value, int) else value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(name: str, tables: dict[str, list[dict]], options: argparse.Namespace) -> None:
    """Print the tables, and write them to benchmarks/results/<name>.json unless it was quick."""
    for title, rows in tables.items():
        if not rows:
            continue
        print(f"\n{title}\n\n{table(rows)}")
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(options.folder), "repeats": options.repeats, **tables}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def machine(folder: Path | None) -> dict:
    """Where and with what this was measured; the folder of the data is nobody else's business."""
    processor = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    arguments = [given for given in sys.argv[1:] if given not in ("--folder", str(folder))]
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "processor": processor,
        "cores": CORES,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "versions": versions,
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments]),
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
        "load_average": os.getloadavg(),
    }
