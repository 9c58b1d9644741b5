"""How well and how fast the default recipe trains, against the one the network was published with.

    python benchmarks/train.py

Both train the same network for 25 epochs, each run in a process of its own, in turn: ours by
`train.py` with its defaults; the published recipe (batch 16, SGD 0.001 with momentum 0.9, rescaling
in the generator, shear 0.2, zoom 0.2, horizontal flip) with Keras's own ImageDataGenerator. The
data: the animals that ship, and scikit-learn's digits written out as folders. Seconds are those of
`fit`, with everything that happens in it. "seconds to the goal" are those until the validation
accuracy first reaches the mean of the published recipe's last five epochs; "to the goal" is their
share of the published recipe's.

Then the input pipeline: images/s of `fit` over those of the same network on random arrays that are
in memory already, neither with callbacks, the fastest of seven epochs after the first.

Three seeds, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1:

| set     | recipe    | last accuracy | worst seed | best epoch | seconds | seconds to the goal | of its time | to the goal |
| ------- | --------- | ------------: | ---------: | ---------: | ------: | ------------------: | ----------: | ----------: |
| animals | published |         0.929 |       0.92 |      0.934 |     263 |                 206 |           1 |           1 |
| animals | ours      |          0.97 |      0.966 |      0.971 |    52.9 |                20.9 |       0.201 |       0.101 |
| digits  | published |         0.961 |      0.955 |      0.969 |     126 |                69.1 |           1 |           1 |
| digits  | ours      |         0.991 |      0.988 |      0.993 |      31 |                8.43 |       0.245 |       0.122 |

| fit from the folder, images/s | from memory, images/s | ratio |
| ----------------------------: | --------------------: | ----: |
|                         2,126 |                 2,207 | 0.963 |
"""

import hashlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

import measure
import numpy as np

EPOCHS = 25
SEEDS = 3
MEMORY_ROUNDS = 5
SETS = ("animals", "digits")


def main() -> None:
    options = measure.parser(__doc__, "two epochs of one seed").parse_args()
    if options.contestant:
        kind, *arguments = options.contestant
        print(json.dumps({"published": published, "ours": ours, "fit": fit}[kind](*arguments)))
        return
    epochs, seeds = (2, 1) if options.quick else (EPOCHS, SEEDS)
    with measure.workspace(options.folder) as place:
        os.chdir(place)
        folders = {"animals": animals(), "digits": digits(place / "digits")}
        recipes = [
            row for name in SETS for row in compare(name, folders[name], epochs, range(seeds))
        ]
        throughput = pipeline(folders["animals"], 2 if options.quick else MEMORY_ROUNDS)
    measure.report("train", {"Recipes": recipes, "Input pipeline": throughput}, options)


def compare(name: str, folder: Path, epochs: int, seeds: range) -> list[dict]:
    """Rows of the recipes' table for one data set."""
    runs = {"published": [], "ours": []}
    for seed in seeds:
        for kind in runs if seed % 2 == 0 else reversed(runs):
            print(f"{name}, seed {seed}: {kind}", file=sys.stderr, flush=True)
            command = measure.child(__file__, kind, folder, epochs, seed)
            runs[kind].append(measure.run(command))
    goal = statistics.mean(
        accuracy for run in runs["published"] for accuracy in run["accuracy"][-5:]
    )
    rows = []
    for kind, found in runs.items():
        last = [run["accuracy"][-1] for run in found]
        reached = [first_time(run, goal) for run in found]
        rows.append(
            {
                "set": name,
                "recipe": kind,
                "last accuracy": statistics.mean(last),
                "worst seed": min(last),
                "best epoch": statistics.mean(max(run["accuracy"]) for run in found),
                "seconds": statistics.mean(run["seconds"][-1] for run in found),
                "seconds to the goal": statistics.mean(reached) if all(reached) else None,
            }
        )
    for row in rows:
        row["of its time"] = row["seconds"] / rows[0]["seconds"]
        known = row["seconds to the goal"] and rows[0]["seconds to the goal"]
        row["to the goal"] = row["seconds to the goal"] / known if known else None
    return rows


def first_time(run: dict, goal: float) -> float | None:
    """Seconds until the validation accuracy first is `goal`."""
    pairs = zip(run["accuracy"], run["seconds"], strict=True)
    return next((seconds for accuracy, seconds in pairs if accuracy >= goal), None)


def ours(folder: str, epochs: str, seed: str) -> dict:
    """train.py with its defaults: validation accuracy and seconds so far, epoch by epoch."""
    import csv
    import runpy

    train = runpy.run_path(str(measure.ROOT / "train.py"))["main"]  # not this train.py
    name = f"benchmark-{os.getpid()}"
    if train([folder, "--epochs", epochs, "--seed", seed, "--name", name]):
        raise SystemExit(1)
    with open(f"models/{name}/history.csv") as file:
        rows = list(csv.DictReader(file))
    return {
        "accuracy": [float(row["val_accuracy"]) for row in rows],
        "seconds": [float(row["seconds"]) for row in rows],
    }


def published(folder: str, epochs: str, seed: str) -> dict:
    """The recipe that the network was published with, by Keras's own generator."""
    import keras
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    from foldernet.networks.simpleconv3 import simpleconv3

    keras.utils.set_random_seed(int(seed))
    augmented = ImageDataGenerator(
        rescale=1 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
    )
    plain = ImageDataGenerator(rescale=1 / 255)
    common = {"target_size": (48, 48), "batch_size": 16}
    training = augmented.flow_from_directory(f"{folder}/train", **common)
    validation = plain.flow_from_directory(f"{folder}/val", shuffle=False, **common)
    whole = simpleconv3((48, 48, 3), training.num_classes, batch_norm_momentum=0.99)
    model = keras.Model(whole.get_layer("rescaling").output, whole.output)
    model.compile(
        keras.optimizers.SGD(0.001, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"]
    )
    seconds, started = [], time.perf_counter()
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seconds.append(time.perf_counter() - started)
    )
    history = model.fit(
        training, validation_data=validation, epochs=int(epochs), verbose=0, callbacks=[clock]
    )
    return {"accuracy": history.history["val_accuracy"], "seconds": seconds}


def pipeline(folder: Path, repeats: int) -> list[dict]:
    """One row: images/s of fit from the folder, from memory, and the ratio of the medians."""
    turns = {
        source: measure.child(__file__, "fit", folder, source) for source in ("folder", "memory")
    }
    found = measure.rounds(turns, repeats)
    rates = {source: found[source]["images_per_second"] for source in turns}
    return [
        {
            "fit from the folder, images/s": rates["folder"],
            "from memory, images/s": rates["memory"],
            "ratio": rates["folder"] / rates["memory"],
        }
    ]


def fit(folder: str, source: str) -> dict:
    """Images/s of `fit` with the defaults of train.py, but no callbacks: its fastest epoch, since
    what else the machine does only adds to others."""
    from foldernet import terminal
    from foldernet.datasets import folders
    from foldernet.options import ClassifyOptions

    with terminal.quiet_tensorflow():
        import keras

        from foldernet.tasks.classify import Classify
        from foldernet.training import optimizers

    keras.utils.set_random_seed(0)
    dataset = folders.find(Path(folder))
    options = ClassifyOptions().with_defaults(len(dataset.splits["training"]))
    task = Classify(options)
    batches = task.batches(dataset)["training"]
    model = task.network(dataset)
    arguments, _ = task.compile_arguments(len(batches), options)
    model.compile(**arguments)
    optimizers.build(model)
    ends = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    common = {"epochs": 8, "shuffle": False, "verbose": 0, "callbacks": [clock]}
    if source == "folder":
        model.fit(batches, **common)
    else:
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (batches.n, *model.input_shape[1:]), np.uint8)
        labels = np.eye(batches.num_classes, dtype="float32")[batches.classes]
        model.fit(images, labels, batch_size=options.batch_size, **common)
    return {"images_per_second": batches.n / np.diff(ends).min()}


def animals() -> Path:
    """The set that ships, unpacked."""
    from foldernet import shipped

    return shipped.folder("animals")


def digits(folder: Path) -> Path:
    """scikit-learn's digits as 8x8 grey PNGs, about a fifth of them for validation."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)
    for index, (pixels, label) in enumerate(zip(images, data.target, strict=True)):
        content = hashlib.blake2b(pixels.tobytes(), digest_size=8).digest()
        side = "val" if int.from_bytes(content) / 2**64 < 0.2 else "train"
        path = folder / side / str(label) / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


if __name__ == "__main__":
    main()
