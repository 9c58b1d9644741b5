"""What the default command makes of a folder of photographs, against what others would use.

    pip install -r requirements.txt -r requirements-benchmarks.txt
    python benchmarks/photographs.py --data FOLDER --seeds 0 1 2

"default" is `python train.py FOLDER` in a process of its own, from an empty cache, and its accuracy
that in metrics.json. The others have the same backbone and weights as published, at the same size: "probe" is
scikit-learn's LogisticRegression on standardized features; "pytorch" the recipe of PyTorch's
transfer-learning tutorial, with the backbone frozen or not; "keras-guide" that of Keras's guide.
They start from seed 0 alone. Seconds are those of the whole process, imports too. Intervals are
Wilson's, of 95%; p is McNemar's, of the default's first seed and the other on the same images.
ImageNet holds photographs-7's classes, and perhaps its images; CIFAR-10 it doesn't, nor the cut-out stamps of
benchmarks/stamps.py.

AMD EPYC, 2 cores and nothing beside it but for the 520 seconds, in which other work shared the cores (387 without),
Python 3.11.7, Keras 3.15.1, PyTorch 2.13.0:

| set            | recipe                            | runs | accuracy | worst |  from |    to |        p | seconds |
| -------------- | --------------------------------- | ---: | -------: | ----: | ----: | ----: | -------: | ------: |
| photographs-7  | default: efficientnet_lite at 288 |    3 |    0.946 | 0.946 |  0.88 | 0.977 |        1 |    41.2 |
| photographs-7  | probe                             |    1 |    0.935 | 0.935 | 0.866 |  0.97 |        1 |      16 |
| photographs-7  | keras-guide                       |    1 |    0.849 | 0.849 | 0.763 | 0.908 |  0.00391 |     449 |
| photographs-7  | pytorch-frozen                    |    1 |    0.806 | 0.806 | 0.715 | 0.874 | 0.000977 |     327 |
| photographs-7  | pytorch-all                       |    1 |    0.882 | 0.882 | 0.801 | 0.933 |   0.0703 |     746 |
| cifar10-sample | default: efficientnet_lite at 128 |    3 |    0.862 | 0.855 | 0.839 | 0.882 |        1 |     520 |
| cifar10-sample | probe                             |    1 |    0.754 | 0.754 | 0.726 |  0.78 | 4.16e-14 |    21.1 |
| stamps         | default: efficientnet_lite at 288 |    3 |    0.809 | 0.809 | 0.717 | 0.875 |        1 |    59.3 |
| stamps         | probe                             |    1 |    0.777 | 0.777 | 0.682 | 0.849 |    0.375 |    19.1 |
"""

import argparse
import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path

import measure
from photograph_peers import PEERS

from foldernet.analysis.measures import differ

WIDTH = 0.95


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--data", type=Path, nargs="+", help="folders with train/ and val/")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--peers", nargs="*", default=[*PEERS], help="whom to compare with")
    options.add_argument("--quick", action="store_true", help="one seed; nothing is written")
    options = options.parse_args()
    options.repeats, options.folder = len(options.seeds[: 1 if options.quick else None]), None
    rows = [
        row
        for folder in options.data
        for row in compare(folder.resolve(), options.seeds[: options.repeats], options.peers)
    ]
    measure.report("photographs", {"Photographs": rows}, options)


def compare(folder: Path, seeds: list[int], peers: list[str]) -> list[dict]:
    """A row of the default command, and one of each peer."""
    runs, size = [], None
    for seed in seeds:
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, str(measure.ROOT / "train.py"), str(folder)]
            measured = measure.run([*command, "--seed", str(seed), "--name", "run"], Path(place))
            made = Path(place, "models/run")
            chosen = json.loads((made / "config.json").read_text())["config"]
            size, name = (
                chosen["image_size"],
                f"default: {chosen['model']} at {chosen['image_size']}",
            )
            with open(made / "predictions.csv", encoding="utf-8", newline="") as file:
                judged = [row for row in csv.DictReader(file) if row["split"] == "validation"]
            judged.sort(key=lambda row: row["file"])
            right = [row["label"] == row["predicted"] for row in judged]
            runs.append((right, measured["wall_seconds"]))
    found = [row(folder.name, name, runs, runs[0][0])]
    for peer in peers if size >= 96 else ():
        script = str(measure.ROOT / "benchmarks/photograph_peers.py")
        measured = measure.run([sys.executable, script, peer, str(folder), str(size), "0"])
        found.append(
            row(folder.name, peer, [(measured["right"], measured["wall_seconds"])], runs[0][0])
        )
    return found


def row(name: str, recipe: str, runs: list[tuple[list[bool], float]], ours: list[bool]) -> dict:
    """What the table says of some runs; `ours` is what they are compared with."""
    import numpy as np
    from scipy.stats import binomtest

    accuracies, seconds = zip(*((float(np.mean(right)), took) for right, took in runs), strict=True)
    mean, count = statistics.mean(accuracies), len(ours)
    interval = binomtest(round(mean * count), count).proportion_ci(WIDTH, method="wilson")
    return {
        "set": name,
        "recipe": recipe,
        "runs": len(runs),
        "accuracy": mean,
        "worst": min(accuracies),
        "from": interval.low,
        "to": interval.high,
        "p": differ(np.array(ours), np.array(runs[0][0]))["p_value"],
        "seconds": statistics.median(seconds),
    }


if __name__ == "__main__":
    main()
