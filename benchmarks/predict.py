"""Images/s of predict.py on a folder of photographs, against the published script's way.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/predict.py

2,000 JPEGs of 500x375 cut from scikit-image's photographs, and one model file that train.py saves
after an epoch on them. The published script takes one image at a time: load_img, img_to_array,
expand_dims, preprocess_input, model.predict. Ours is `foldernet.load(...).stream(paths)`, and
predict.py as a whole. Each has a process of its own and its turn in every round. Images/s: from
loading the model to the last prediction, without the imports; seconds: the whole command.

Three rounds, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1:

| what                         | ours | published | better by |
| ---------------------------- | ---: | --------: | --------: |
| images/s after the imports   |  679 |      10.8 |      62.6 |
| seconds of the whole command | 10.6 |       193 |      18.2 |
| peak MB of the whole command |  744 |       705 |     0.948 |
"""

import json
import os
import sys
import time
from pathlib import Path

import measure

IMAGES, WIDTH, HEIGHT = 2000, 500, 375
SIZE = 48  # what train.py trains at


def ours(model: str, paths: list[str]):
    import foldernet

    yield  # imported
    yield from foldernet.load(model).stream(paths)


def published(model: str, paths: list[str]):
    """One image at a time; less the progress bars, which would cost it more."""
    import keras
    import numpy as np
    from keras.applications.imagenet_utils import preprocess_input

    yield  # imported
    model = keras.saving.load_model(model)
    for path in paths:
        image = keras.utils.load_img(path, target_size=(SIZE, SIZE))
        batch = np.expand_dims(keras.utils.img_to_array(image), axis=0)
        yield model.predict(preprocess_input(batch), verbose=0)


CONTESTANTS = {"foldernet stream": ours, "published": published}


def measure_contestant(name: str, model: str, folder: str) -> dict:
    """Predict in this process: images/s without the imports."""
    paths = [os.path.join(at, file) for at, _, files in os.walk(folder) for file in files]
    predictions = CONTESTANTS[name](model, sorted(paths))
    next(predictions)
    started = time.perf_counter()
    images = sum(1 for _ in predictions)
    return {"images_per_second": images / (time.perf_counter() - started)}


def train(folder: Path, images: Path) -> Path:
    """Have train.py save a model in `folder`."""
    model = folder / "models" / "benchmark" / "best.keras"
    if not model.exists():
        command = [sys.executable, measure.ROOT / "train.py", images, "--epochs", "1"]
        measure.run([*map(str, command), "--name", "benchmark"], cwd=folder)
    return model


def compare(measured: dict) -> list[dict]:
    """A row for each, with how many times better ours is."""
    slow, stream, command = (
        measured[name] for name in ("published", "foldernet stream", "predict.py")
    )
    return [
        {
            "what": "images/s after the imports",
            "ours": stream["images_per_second"],
            "published": slow["images_per_second"],
            "better by": stream["images_per_second"] / slow["images_per_second"],
        },
        {
            "what": "seconds of the whole command",
            "ours": command["wall_seconds"],
            "published": slow["wall_seconds"],
            "better by": slow["wall_seconds"] / command["wall_seconds"],
        },
        {
            "what": "peak MB of the whole command",
            "ours": command["peak_mb"],
            "published": slow["peak_mb"],
            "better by": slow["peak_mb"] / command["peak_mb"],
        },
    ]


def main() -> None:
    options = measure.parser(__doc__, "a twentieth of the images, one round").parse_args()
    if options.contestant:
        print(json.dumps(measure_contestant(*options.contestant)))
        return
    count = IMAGES // 20 if options.quick else IMAGES
    if options.quick:
        options.repeats = 1
    with measure.workspace(options.folder) as folder:
        images = measure.build_images(folder / f"b{count}", count, WIDTH, HEIGHT)
        model = train(folder, images)
        turns = {name: measure.child(__file__, name, model, images) for name in CONTESTANTS}
        command = [sys.executable, measure.ROOT / "predict.py", images, "--run", model]
        turns["predict.py"] = [str(part) for part in command]
        measured = measure.rounds(turns, options.repeats)
    measure.report("predict", {f"{count:,} photographs": compare(measured)}, options)


if __name__ == "__main__":
    main()
