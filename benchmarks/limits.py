"""Where the time goes: the reader alone, the warp alone, and the network alone.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/limits.py

Images/s on one core for decoding with the project's reader, with libjpeg at its quickest and for
warping, and for a training step of the default network at the default batch size on all cores, its
images in memory. A pipeline that decodes once can be no faster than the warp times the cores;
training can be no faster than the network.

Two rounds, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1:

| what                                 | to 48, images/s | to 224, images/s |
| ------------------------------------ | --------------: | ---------------: |
| reader, 60x60 JPEG                   |           7,985 |            3,714 |
| libjpeg to an eighth, 60x60 JPEG     |          18,579 |           18,457 |
| reader, 500x375 JPEG                 |           1,277 |              522 |
| libjpeg to an eighth, 500x375 JPEG   |           1,980 |            1,987 |
| reader, 4032x3024 JPEG               |            35.1 |             27.2 |
| libjpeg to an eighth, 4032x3024 JPEG |            41.8 |             41.1 |
| warp                                 |          67,214 |            2,885 |
| network, all cores                   |           3,721 |              185 |
"""

import json
import time
from pathlib import Path

import measure
import numpy as np

CASES = {"a": (500, 60, 60), "b": (200, 500, 375), "c": (12, 4032, 3024)}  # count, width, height
SIZES = (48, 224)
WARPED = 2000
STEPS = {48: 64, 224: 8}  # a few seconds' work


def decoder(folder: str, size: str) -> dict:
    """The reader, one image after the other."""
    from foldernet.images.reader import read_image

    paths = sorted(str(path) for path in Path(folder).rglob("*.jpg"))
    return rate(lambda: [read_image(path, (int(size), int(size))) for path in paths], len(paths))


def libjpeg(folder: str, size: str) -> dict:
    """Pillow's decoder alone, to an eighth of the size whatever is asked for: it does little more
    than go through the compressed data."""
    import io

    from PIL import Image

    files = [path.read_bytes() for path in sorted(Path(folder).rglob("*.jpg"))]

    def decode(content: bytes) -> None:
        image = Image.open(io.BytesIO(content))
        image.draft(None, (1, 1))
        image.load()

    return rate(lambda: [decode(content) for content in files], len(files))


def warp(size: str) -> dict:
    """The published augmentation, one image after the other."""
    import cv2

    from foldernet.batches import augmentation
    from foldernet.batches.generator import ImageDataGenerator

    random = np.random.default_rng(0)
    shape = (int(size), int(size))
    generator = ImageDataGenerator(shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
    images = random.integers(0, 256, (WARPED, *shape, 3), np.uint8)
    drawn = augmentation.draw(generator, WARPED, shape, random)
    maps = augmentation.matrices(drawn, WARPED, shape)
    out, fill = np.empty_like(images), (0.0,) * 4
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = augmentation.BORDERS["nearest"]
    return rate(lambda: augmentation._warp(images, maps, out, shape, flags, border, fill), WARPED)


def network(size: str) -> dict:
    """A training step of the default recipe on one batch, again and again."""
    from foldernet import terminal
    from foldernet.options import ClassifyOptions

    with terminal.quiet_tensorflow():  # with the kernels that train.py has
        import tensorflow as tf

        from foldernet.networks.simpleconv3 import simpleconv3
        from foldernet.tasks.classify import Classify
        from foldernet.training import optimizers

    options, steps = ClassifyOptions().with_defaults(images=3000), STEPS[int(size)]
    model = simpleconv3((int(size), int(size), 3), 10)
    arguments, _ = Classify(options).compile_arguments(steps, options)
    model.compile(**arguments)
    optimizers.build(model)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.batch_size, int(size), int(size), 3), np.uint8)
    labels = np.eye(10, dtype="float32")[random.integers(0, 10, options.batch_size)]
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)
    return rate(lambda: model.fit(batches, verbose=0), steps * options.batch_size)


def rate(work, images: int) -> dict:
    """Images/s of the fastest of five times, after one to warm up."""
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return {"rate": images / min(seconds[1:])}


DECODERS = {"decoder": "reader", "libjpeg": "libjpeg to an eighth"}
KINDS = {"decoder": decoder, "libjpeg": libjpeg, "warp": warp, "network": network}


def main() -> None:
    options = measure.parser(__doc__, "one round")
    options = options.parse_args()
    if options.contestant:
        kind, *arguments = options.contestant
        print(json.dumps(KINDS[kind](*arguments)))
        return
    turns = {}
    with measure.workspace(options.folder) as folder:
        for size in SIZES:
            for case, (count, width, height) in CASES.items():
                images = measure.build_images(folder / case, count, width, height)
                for kind, label in DECODERS.items():
                    turn = measure.child(__file__, kind, images, size)
                    turns[f"{label}, {width}x{height} JPEG", size] = turn
            turns["warp", size] = measure.child(__file__, "warp", size)
            turns["network, all cores", size] = measure.child(__file__, "network", size)
        measured = measure.rounds(turns, 1 if options.quick else options.repeats)
    rows = [
        {"what": what} | {f"to {size}, images/s": measured[what, size]["rate"] for size in SIZES}
        for what in dict.fromkeys(what for what, _ in turns)
    ]
    measure.report("limits", {"Limits": rows}, options)


if __name__ == "__main__":
    main()
