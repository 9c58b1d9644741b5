"""Time and memory of our ImageDataGenerator over 2,000, 20,000 and 200,000 images, cache on disk.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/growth.py

JPEGs of 60x60 cut from scikit-image's photographs, the published augmentation, batches of 64 at 48
pixels. Each number of images has a process of its own, an empty cache, and its turn in each round;
the clock starts after the imports, before the folder is listed. Anonymous memory is what the
process can't give back. The total has besides it the pages of mapped files, the cache's among them,
which the kernel takes back when it needs them. The slope is that of log(value) over log(images)
from one row to the next: 1 is proportional, 0 doesn't grow.

One round, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1:

|  images | first s | slope of first s | later s | slope of later s | anonymous MB | slope of anonymous MB | total MB | slope of total MB |
| ------: | ------: | ---------------: | ------: | ---------------: | -----------: | --------------------: | -------: | ----------------: |
|   2,000 |    0.56 |                  |   0.068 |                  |          329 |                       |      705 |                   |
|  20,000 |    6.27 |             1.05 |   0.773 |             1.06 |          403 |                0.0877 |      925 |             0.118 |
| 200,000 |    59.9 |            0.981 |    7.13 |            0.965 |          498 |                 0.092 |    2,517 |             0.434 |
"""

import json
import math
import time

import measure
from pipeline import BATCH, PUBLISHED, through_fit

COUNTS = (2_000, 20_000, 200_000)
LATER_EPOCHS = 3
SIDE, SIZE = 60, 48  # pixels of the files, and of the batches


def measure_growth(folder: str) -> dict:
    """Seconds of the first and of later epochs, in this process."""
    from foldernet import ImageDataGenerator

    started = time.perf_counter()
    generator = ImageDataGenerator(**PUBLISHED, dtype="uint8", cache="disk")
    epoch = through_fit(generator.flow_from_directory(folder, (SIZE, SIZE), batch_size=BATCH))
    for _ in epoch():
        pass
    first = time.perf_counter() - started
    for _ in range(LATER_EPOCHS):
        for _ in epoch():
            pass
    later = (time.perf_counter() - started - first) / LATER_EPOCHS
    return {"first": first, "later": later}


def compare(measured: dict) -> list[dict]:
    """A row for each number of images, with the slope from the one before."""
    rows, before = [], None
    for count, result in measured.items():
        row = {"images": count}
        for title, name in (
            ("first s", "first"),
            ("later s", "later"),
            ("anonymous MB", "peak_anonymous_mb"),
            ("total MB", "peak_mb"),
        ):
            row[title] = result[name]
            row[f"slope of {title}"] = _slope(count, result[name], before, name)
        rows.append(row)
        before = {"count": count, **result}
    return rows


def _slope(count: int, value: float, before: dict | None, name: str) -> float | None:
    if before is None:
        return None
    return math.log(value / before[name]) / math.log(count / before["count"])


def main() -> None:
    options = measure.parser(__doc__, "a twentieth of the images, one round").parse_args()
    if options.contestant:
        print(json.dumps(measure_growth(*options.contestant)))
        return
    if options.quick:
        options.repeats = 1
    with measure.workspace(options.folder) as folder:
        turns = {}
        for count in COUNTS:
            count //= 20 if options.quick else 1
            images = measure.build_images(folder / f"growth{count}", count, SIDE, SIDE)
            turns[count] = measure.child(__file__, images)
        measured = measure.rounds(turns, options.repeats)
    measure.report("growth", {"epochs over more and more images": compare(measured)}, options)


if __name__ == "__main__":
    main()
