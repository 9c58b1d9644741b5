"""Images/s and memory of input pipelines, ours and others, from a folder of JPEGs to batches.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/pipeline.py

Data: (a) 5,000 JPEGs of 60x60, (b) 2,000 of 500x375, (c) 100 of 4032x3024, cut from scikit-image's
photographs. Work: the published augmentation (shear within 0.2 degrees, zoom within 0.2 on each
axis, horizontal flip), batches of 64 at 48 pixels, (b) and (c) also at 224, shuffled, each image
once an epoch. Every contestant runs in a process of its own, in turns, with as many workers as
cores; the first epoch's clock starts after the imports, before the folder is listed. Files come
from a warm page cache. Nobody trains meanwhile: batches are counted and dropped.

- foldernet: ImageDataGenerator with uint8 batches, otherwise as it comes; foldernet-float32: with
  the published rescale=1/255, a Keras script whose import was changed; foldernet-disk: uint8, with
  the cache on disk instead of wherever "auto" puts it; foldernet-strong: uint8, at 224 pixels, with
  all that train.py's --augment strong does instead of the published augmentation, which is what the
  others are left with.
- keras-threads, keras-processes: Keras's ImageDataGenerator with the published arguments, through
  fit's own queue; its documentation has threads for input and processes for computation.
- tf.data: image_dataset_from_directory, cache, shuffle, Keras's augmentation layers mapped with
  AUTOTUNE, prefetch.
- grain-threads, grain-processes: Grain reading with OpenCV, in threads of one process or with
  mp_prefetch; its batches run on over the end of an epoch.
- torch-pillow, torch-opencv: a DataLoader with persistent workers; Pillow as torchvision uses it
  (full decode, resized with antialiasing), OpenCV as its documentation has it (INTER_AREA).

They don't yield the same pixels: keras-* take the nearest pixel when shrinking and tf.data the four
nearest, their defaults; the others average. Peak memory includes child processes and libraries;
beyond the imports, pages of files on disk are left out, which the kernel can take back.

One round, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1; images/s of ours as a multiple of:

| data | pixels | first / Keras's generator | first / best peer | best first      | later / Keras's generator | later / best peer | best later   |
| ---- | -----: | ------------------------: | ----------------: | --------------- | ------------------------: | ----------------: | ------------ |
| a    |     48 |                      2.28 |             0.592 | torch-opencv    |                      17.3 |              3.26 | torch-opencv |
| b    |     48 |                      1.36 |              1.36 | keras-threads   |                      45.5 |              13.8 | tf.data      |
| b    |    224 |                      1.94 |             0.628 | grain-threads   |                      16.5 |              3.59 | torch-opencv |
| c    |     48 |                      2.74 |              2.28 | tf.data         |                     2,744 |                37 | tf.data      |
| c    |    224 |                      2.16 |              2.16 | keras-processes |                       243 |              15.5 | tf.data      |
"""

import importlib
import itertools
import json
import math
import os
import random
import time

import measure

CASES = {"a": (5000, 60, 60), "b": (2000, 500, 375), "c": (100, 4032, 3024)}  # count, width, height
SIZES = {"a": (48,), "b": (48, 224), "c": (48, 224)}
BATCH = 64
SHEAR, ZOOM = 0.2, 0.2
PUBLISHED = {"shear_range": SHEAR, "zoom_range": ZOOM, "horizontal_flip": True}
LATER_SECONDS = 3.0  # later epochs are repeated for at least so long


def foldernet(folder, size, **arguments):
    from foldernet import ImageDataGenerator

    generator = ImageDataGenerator(**PUBLISHED | arguments)
    return through_fit(generator.flow_from_directory(folder, (size, size), batch_size=BATCH))


def foldernet_strong(folder, size):
    from foldernet.photo_augmentation.rows import preset

    return foldernet(folder, size, dtype="uint8", **preset({"augment": "strong"}))


def keras_generator(folder, size, processes):
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(**PUBLISHED, rescale=1 / 255)
    batches = generator.flow_from_directory(folder, (size, size), batch_size=BATCH)
    batches.workers, batches.use_multiprocessing = measure.CORES, processes
    return through_fit(batches)


def through_fit(batches):
    """Epochs of a PyDataset by the workers, if any, that fit would let run."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    adapter = PyDatasetAdapter(batches)

    def epoch():
        adapter.on_epoch_begin()
        yield from itertools.islice(adapter.get_numpy_iterator(), len(batches))
        adapter.on_epoch_end()

    return epoch


def keras_layers(folder, size):
    import keras
    from tensorflow.data import AUTOTUNE

    augment = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomShear(math.tan(math.radians(SHEAR)), fill_mode="nearest"),
            keras.layers.RandomZoom(ZOOM, ZOOM, fill_mode="nearest"),
        ]
    )
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=BATCH
    )
    dataset = dataset.cache().shuffle(1000)
    dataset = dataset.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=AUTOTUNE)
    dataset = dataset.prefetch(AUTOTUNE)
    return lambda: dataset


def grain_dataset(folder, size, processes):
    import grain
    import numpy as np

    def read(example):
        return read_opencv(example[0], size), example[1]

    def augment(example, generator: np.random.Generator):
        return warp_opencv(example[0], generator.uniform), example[1]

    dataset = grain.MapDataset.source(examples(folder)).seed(0).shuffle()
    steps = math.ceil(len(dataset) / BATCH)
    dataset = dataset.repeat().map(read).random_map(augment)
    threads = grain.ReadOptions(num_threads=1 if processes else measure.CORES)
    dataset = dataset.to_iter_dataset(threads).batch(BATCH)
    if processes:
        dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=measure.CORES))
    stream = iter(dataset)
    return lambda: itertools.islice(stream, steps)


def torch_loader(folder, size, opencv):
    from torch.utils.data import DataLoader

    loader = DataLoader(
        TorchPictures(folder, size, opencv),
        batch_size=BATCH,
        shuffle=True,
        num_workers=measure.CORES,
        persistent_workers=True,
        worker_init_fn=one_opencv_thread if opencv else None,
    )
    return lambda: loader


class TorchPictures:
    """A map-style data set of (channels, height, width) uint8 tensors and labels."""

    def __init__(self, folder, size, opencv):
        self.examples, self.size = examples(folder), size
        self.picture = opencv_picture if opencv else pillow_picture

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        import torch

        path, label = self.examples[index]
        return torch.from_numpy(self.picture(path, self.size)).permute(2, 0, 1), label


def one_opencv_thread(_worker):
    import cv2

    cv2.setNumThreads(0)


def examples(folder) -> list[tuple[str, int]]:
    """Paths and labels."""
    return [
        (entry.path, label)
        for label, name in enumerate(sorted(os.listdir(folder)))
        for entry in os.scandir(os.path.join(folder, name))
    ]


def opencv_picture(path, size):
    return warp_opencv(read_opencv(path, size), random.uniform)


def read_opencv(path, size):
    import cv2

    pixels = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)


def warp_opencv(pixels, uniform):
    import cv2

    return cv2.warpAffine(
        pixels,
        inverse_map((len(pixels) - 1) / 2, uniform),
        pixels.shape[:2],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def pillow_picture(path, size):
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        image = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    affine = inverse_map(size / 2, random.uniform).ravel()
    image = image.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.array(image)


def inverse_map(centre: float, uniform):
    """Draw a transformation: from output to input pixels, about the centre, (2, 3)."""
    import numpy as np

    shear = math.radians(uniform(-SHEAR, SHEAR))
    zoom = [uniform(1 - ZOOM, 1 + ZOOM) * (-1 if uniform(0, 1) < 0.5 else 1)]
    zoom.append(uniform(1 - ZOOM, 1 + ZOOM))
    linear = np.array([[1, -math.sin(shear)], [0, math.cos(shear)]]) * zoom
    return np.column_stack([linear, centre - linear.sum(axis=1) * centre])


# name -> what is imported before the clock starts, how it begins, and with which arguments
CONTESTANTS = {
    "foldernet": ("foldernet.batches.generator", foldernet, {"dtype": "uint8"}),
    "foldernet-float32": ("foldernet.batches.generator", foldernet, {"rescale": 1 / 255}),
    "foldernet-disk": (
        "foldernet.batches.generator",
        foldernet,
        {"dtype": "uint8", "cache": "disk"},
    ),
    "foldernet-strong": ("foldernet.batches.generator", foldernet_strong, {}),
    "keras-threads": (
        "tensorflow.keras.preprocessing.image",
        keras_generator,
        {"processes": False},
    ),
    "keras-processes": (
        "tensorflow.keras.preprocessing.image",
        keras_generator,
        {"processes": True},
    ),
    "tf.data": ("keras", keras_layers, {}),
    "grain-threads": ("grain", grain_dataset, {"processes": False}),
    "grain-processes": ("grain", grain_dataset, {"processes": True}),
    "torch-pillow": ("torch.utils.data", torch_loader, {"opencv": False}),
    "torch-opencv": ("torch.utils.data", torch_loader, {"opencv": True}),
}
STRONG_SIZE = 224
KERAS = ("keras-threads", "keras-processes")


def measure_contestant(name: str, folder: str, size: int) -> dict:
    """Run a contestant in this process: images/s of the first epoch and of later ones."""
    module, begin, arguments = CONTESTANTS[name]
    for needed in (module, "cv2", "PIL.Image"):
        importlib.import_module(needed)
    _, imports = measure.memory(os.getpid())
    started = time.perf_counter()
    epoch = begin(folder, size, **arguments)
    images = count(epoch())
    first = images / (time.perf_counter() - started)
    started, epochs = time.perf_counter(), 0
    while time.perf_counter() - started < LATER_SECONDS:
        assert count(epoch()) == images
        epochs += 1
    later = images * epochs / (time.perf_counter() - started)
    return {"first": first, "later": later, "imports_mb": imports / measure.MEGABYTE}


def count(batches) -> int:
    return sum(len(batch[0]) for batch in batches)


def compare(measured: dict) -> list[dict]:
    """A row for each contestant in each case, with ours as a multiple of it."""
    rows = []
    for (case, size, name), result in measured.items():
        ours = measured.get((case, size, "foldernet"), result)
        rows.append(
            {
                "data": case,
                "pixels": size,
                "contestant": name,
                "first": result["first"],
                "ours / it, first": ours["first"] / result["first"],
                "later": result["later"],
                "ours / it, later": ours["later"] / result["later"],
                "peak MB": result["peak_mb"],
                "beyond imports, MB": result["peak_anonymous_mb"] - result["imports_mb"],
            }
        )
    return rows


def summarize(measured: dict) -> list[dict]:
    """A row for each case that all ran in: ours against Keras's faster generator and the best."""
    peers = [name for name in CONTESTANTS if not name.startswith("foldernet")]
    rows = []
    for case, size in dict.fromkeys(key[:2] for key in measured):
        results = {key[2]: result for key, result in measured.items() if key[:2] == (case, size)}
        if not {"foldernet", *peers} <= results.keys():
            continue
        row = {"data": case, "pixels": size}
        for epoch in ("first", "later"):
            for title, names in (("Keras's generator", KERAS), ("best peer", peers)):
                best = max(names, key=lambda name: results[name][epoch])
                row[f"{epoch} / {title}"] = results["foldernet"][epoch] / results[best][epoch]
            row[f"best {epoch}"] = best
        rows.append(row)
    return rows


def main() -> None:
    options = measure.parser(__doc__, "a twentieth of the images, one round")
    options.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    options.add_argument("--data", nargs="+", choices=CASES, default=list(CASES))
    options = options.parse_args()
    if options.contestant:
        name, folder, size = options.contestant
        print(json.dumps(measure_contestant(name, folder, int(size))))
        return
    if options.quick:
        options.repeats = 1
    with measure.workspace(options.folder) as folder:
        turns = {}
        for case in options.data:
            number, width, height = CASES[case]
            number //= 20 if options.quick else 1
            images = measure.build_images(folder / f"{case}{number}", number, width, height)
            for size, name in itertools.product(SIZES[case], options.only):
                if name != "foldernet-strong" or size == STRONG_SIZE:
                    turns[case, size, name] = measure.child(__file__, name, images, size)
        measured = measure.rounds(turns, options.repeats)
    tables = {"images/s, and ours as a multiple": compare(measured)}
    tables["ours as a multiple of"] = summarize(measured)
    measure.report("pipeline", tables, options)


if __name__ == "__main__":
    main()
