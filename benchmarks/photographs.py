"""What the default command makes of a folder of photographs, against scikit-learn's linear probe.

    python benchmarks/photographs.py --data FOLDER --seeds 0 1 2

"default" is `python train.py FOLDER` in a process of its own, from an empty cache, its accuracy that
in metrics.json. "probe" is scikit-learn's LogisticRegression with its own defaults on standardized
features of the same frozen backbone, at the same size, without mirror images. Seconds are those of
the whole process, imports too. Intervals are Wilson's, of 95%; McNemar's test would need more images
than these to tell the two apart where they overlap as much. ImageNet holds photographs-7's classes, and perhaps its images; CIFAR-10 it doesn't.

Seeds 0 and 1, 2 cores that other programs used, too, so that seconds are no more than ratios; from
before `--fine-tune auto`, which trains more than the last layer of cifar10-sample:

| set            | recipe                            | runs | accuracy | worst |  from |    to | seconds |
| -------------- | --------------------------------- | ---: | -------: | ----: | ----: | ----: | ------: |
| photographs-7  | default: efficientnet_lite at 224 |    2 |    0.935 | 0.935 | 0.866 |  0.97 |    44.8 |
| photographs-7  | probe at 224                      |    1 |    0.935 | 0.935 | 0.866 |  0.97 |    30.6 |
| cifar10-sample | default: efficientnet_lite at 128 |    2 |    0.763 | 0.763 | 0.736 | 0.788 |     132 |
| cifar10-sample | probe at 128                      |    1 |    0.754 | 0.754 | 0.726 |  0.78 |    37.5 |
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from pathlib import Path

import measure

WIDTH = 1.96  # standard deviations, of 95%


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--data", type=Path, nargs="+", help="folders with train/ and val/")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--quick", action="store_true", help="one seed; nothing is written")
    options.add_argument("--contestant", nargs=2, help=argparse.SUPPRESS)  # the child's work
    options = options.parse_args()
    if options.contestant:
        folder, size = options.contestant
        print(json.dumps(probe(Path(folder), int(size))))
        return
    options.repeats, options.folder = len(options.seeds[: 1 if options.quick else None]), None
    rows = [
        row
        for folder in options.data
        for row in compare(folder.resolve(), options.seeds[: options.repeats])
    ]
    measure.report("photographs", {"Photographs": rows}, options)


def compare(folder: Path, seeds: list[int]) -> list[dict]:
    """A row of the default command, and one of the probe."""
    runs = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, str(measure.ROOT / "train.py"), str(folder)]
            measured = measure.run([*command, "--seed", str(seed), "--name", "run"], Path(place))
            made = Path(place, "models/run")
            config = json.loads((made / "config.json").read_text())
            scores = json.loads((made / "metrics.json").read_text())
            runs.append((scores["accuracy"], measured["wall_seconds"]))
    images = sum(config["data"]["images"]["validation"].values())
    size, model = config["config"]["image_size"], config["config"]["model"]
    found = [row(folder.name, f"default: {model} at {size}", images, runs)]
    if size >= 96:
        measured = measure.run(measure.child(__file__, folder, size))
        scored = [(measured["accuracy"], measured["wall_seconds"])]
        found.append(row(folder.name, f"probe at {size}", images, scored))
    return found


def row(name: str, recipe: str, images: int, runs: list[tuple[float, float]]) -> dict:
    accuracies, seconds = zip(*runs, strict=True)
    mean = statistics.mean(accuracies)
    low, high = wilson(mean, images)
    return {
        "set": name,
        "recipe": recipe,
        "runs": len(runs),
        "accuracy": mean,
        "worst": min(accuracies),
        "from": low,
        "to": high,
        "seconds": statistics.median(seconds),
    }


def wilson(share: float, count: int) -> tuple[float, float]:
    """The interval of 95% of a share of `count`."""
    spread = WIDTH**2 / count
    center = (share + spread / 2) / (1 + spread)
    half = WIDTH * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return center - half, center + half


def probe(folder: Path, size: int) -> dict:
    """The validation accuracy of a linear probe."""
    import keras
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from foldernet.datasets import folders
    from foldernet.images.reader import read_image
    from foldernet.networks.efficientnet_lite import efficientnet_lite

    splits, network = folders.find(folder).splits, efficientnet_lite((size, size, 3), 2)
    network = keras.Model(network.input, network.get_layer("features").output)
    features = {}
    for split in ("training", "validation"):
        pixels = np.stack([read_image(path, (size, size)) for path in splits[split].paths])
        features[split] = network.predict(pixels, verbose=0)
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    regression.fit(features["training"], splits["training"].labels)
    return {"accuracy": regression.score(features["validation"], splits["validation"].labels)}


if __name__ == "__main__":
    main()
