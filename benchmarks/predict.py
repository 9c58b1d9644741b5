"""How fast predict.py answers: with ONNX Runtime, with Keras, and in the published script's way.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/predict.py

2,000 JPEGs of 500x375 cut from scikit-image's photographs, and two models that train.py saves after
an epoch on them: `simpleconv3` at 48 pixels and `efficientnet_lite` at 224. "onnx" is
`foldernet.load(RUN).stream(paths)` with the run's model.onnx, "keras" the same without that file.
The published script takes one image at a time: load_img, img_to_array, expand_dims,
preprocess_input, model.predict. Each has a process of its own and its turn in every round.

Images/s are from loading the model to the last prediction, without the imports. Seconds are those of
the whole command `python predict.py`, imports too, for one image.

One round, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1:

| network           | pixels |  onnx | keras | published | times keras | times published |
| ----------------- | -----: | ----: | ----: | --------: | ----------: | --------------: |
| simpleconv3       |     48 | 1,839 |   493 |        22 |        3.73 |            83.5 |
| efficientnet_lite |    224 |   198 |   112 |      18.8 |        1.77 |            10.6 |

| network           | onnx, seconds | keras, seconds | times |
| ----------------- | ------------: | -------------: | ----: |
| simpleconv3       |         0.344 |            4.5 |  13.1 |
| efficientnet_lite |          0.43 |           5.04 |  11.7 |
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import measure

IMAGES, WIDTH, HEIGHT = 2000, 500, 375
NETWORKS = {"simpleconv3": 48, "efficientnet_lite": 224}  # and pixels per side


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
    size = model.input_shape[1:3]
    for path in paths:
        image = keras.utils.load_img(path, target_size=size)
        batch = np.expand_dims(keras.utils.img_to_array(image), axis=0)
        yield model.predict(preprocess_input(batch), verbose=0)


CONTESTANTS = {"onnx": ours, "keras": ours, "published": published}


def measure_contestant(name: str, model: str, folder: str) -> dict:
    """Predict in this process: images/s without the imports."""
    paths = [os.path.join(at, file) for at, _, files in os.walk(folder) for file in files]
    predictions = CONTESTANTS[name](model, sorted(paths))
    next(predictions)
    started = time.perf_counter()
    images = sum(1 for _ in predictions)
    return {"images_per_second": images / (time.perf_counter() - started)}


def train(folder: Path, images: Path, network: str) -> dict[str, Path]:
    """Have train.py save a model in `folder`: contestant -> its file."""
    model = folder / "models" / network / "best.keras"
    if not model.exists():
        size = ["--image-size", str(NETWORKS[network])]
        command = [sys.executable, measure.ROOT / "train.py", images, "--model", network, *size]
        measure.run([*map(str, command), "--epochs", "1", "--name", network], cwd=folder)
    alone = folder / f"{network}-alone" / model.name  # without its model.onnx
    alone.parent.mkdir(exist_ok=True)
    shutil.copyfile(model, alone)
    return {"onnx": model, "keras": alone, "published": model}


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
        one, turns = next(images.rglob("*.jpg")), {}
        for network in NETWORKS:
            for name, model in train(folder, images, network).items():
                turns[network, name] = measure.child(__file__, name, model, images)
                if name != "published":
                    command = [sys.executable, measure.ROOT / "predict.py", one, "--run", model]
                    turns[network, f"one {name}"] = [*map(str, command)]
        measured = measure.rounds(turns, options.repeats)
    many, single = [], []
    for network in NETWORKS:
        speed = {name: measured[network, name]["images_per_second"] for name in CONTESTANTS}
        others = {f"times {name}": speed["onnx"] / speed[name] for name in ("keras", "published")}
        many.append({"network": network, "pixels": NETWORKS[network]} | speed | others)
        seconds = [measured[network, f"one {name}"]["wall_seconds"] for name in ("onnx", "keras")]
        row = {"onnx, seconds": seconds[0], "keras, seconds": seconds[1]}
        single.append({"network": network} | row | {"times": seconds[1] / seconds[0]})
    tables = {f"Images/s of {count:,} photographs": many, "One image": single}
    measure.report("predict", tables, options)


if __name__ == "__main__":
    main()
