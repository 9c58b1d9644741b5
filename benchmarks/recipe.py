"""What an option of train.py changes, on images that were held out of training.

    python benchmarks/recipe.py --seeds 3 "" "--ema 0.98" "--mixup 0.2"

Each argument is a string of options, "" the defaults. Data is the training images of the animals that
ship, a quarter of which is held out by content, so that the shipped validation images stay for
reporting; or --data FOLDER. "last" and "best" are means over seeds of validation accuracy in the
last epoch and the best one, "worst" the lowest last one.

Three seeds of `simpleconv3`, 25 epochs, AMD EPYC, 2 cores, Python 3.11.7, Keras 3.15.1; a difference of
0.002 is noise:

| options                                            |   last |  worst |   best |
| -------------------------------------------------- | -----: | -----: | -----: |
|                                                    | 0.9663 |  0.965 | 0.9689 |
| --ema 0.98                                         | 0.9659 |  0.965 | 0.9672 |
| --rotation-range 12 --shear-range 12               | 0.9659 | 0.9598 |  0.968 |
| --zoom-range 0.15                                  | 0.9642 | 0.9611 | 0.9668 |
| --width-shift-range 0.08 --height-shift-range 0.08 | 0.9624 | 0.9598 | 0.9637 |
| --mixup 0.2                                        | 0.9585 | 0.9573 |  0.959 |
| --cutmix 1                                         |  0.943 |  0.943 | 0.9456 |
| --random-erasing 0.25                              | 0.9663 | 0.9637 | 0.9689 |
| --weight-decay 0.1                                 | 0.9685 | 0.9637 | 0.9698 |
| --weight-decay 0.2                                 | 0.9672 | 0.9637 | 0.9702 |
| --weight-decay 0.3                                 | 0.9646 | 0.9624 | 0.9659 |
| --label-smoothing 0.05                             | 0.9618 | 0.9573 | 0.9663 |
| --learning-rate 0.005                              | 0.9685 | 0.9663 | 0.9702 |
| --batch-size 64                                    | 0.9663 |  0.965 | 0.9689 |

From how many images on it pays to train more than the last layer, and at which rate: two seeds of
`--model efficientnet_lite --data cifar10-sample/train`, of whose 2,000 images 250, 500 or 1,000 are left for
training; on the same machine:

| options                                                     |  last | worst |  best |
| ----------------------------------------------------------- | ----: | ----: | ----: |
| --validation-split 0.875 --fine-tune head                   | 0.715 | 0.715 | 0.715 |
| --validation-split 0.875 --fine-tune all                    | 0.718 | 0.699 | 0.718 |
| --validation-split 0.75 --fine-tune head                    | 0.735 | 0.735 | 0.735 |
| --validation-split 0.75 --fine-tune all                     | 0.781 | 0.765 | 0.781 |
| --validation-split 0.5 --fine-tune head                     | 0.755 | 0.755 | 0.755 |
| --validation-split 0.5 --fine-tune all                      | 0.803 | 0.794 | 0.805 |
| --validation-split 0.5 --fine-tune all --learning-rate 2e-4 | 0.788 |  0.78 | 0.792 |
"""

import argparse
import csv
import statistics
import sys
import tempfile
from pathlib import Path

import measure

HELD_OUT = 0.25


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("variants", nargs="+", help="strings of options")
    options.add_argument("--data", type=Path, help="folder of classes")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--model", default="simpleconv3")
    options.add_argument("--quick", action="store_true", help="one seed; nothing is written")
    options = options.parse_args()
    options.repeats, options.folder = 1 if options.quick else options.seeds, None

    from foldernet import shipped

    data = (options.data or shipped.folder("animals") / "train").resolve()
    rows = [row(data, options, variant) for variant in options.variants]
    name = "recipe" if options.model == "simpleconv3" else f"recipe_{options.model}"
    measure.report(name, {"Options": rows}, options)


def row(data: Path, options: argparse.Namespace, variant: str) -> dict:
    """Train with each seed."""
    last, best = [], []
    for seed in range(options.repeats):
        with tempfile.TemporaryDirectory() as place:
            own = ["--model", options.model, "--validation-split", str(HELD_OUT), "--name", "run"]
            command = [sys.executable, measure.ROOT / "train.py", data, *own, "--seed", seed]
            measure.run([*map(str, command), *variant.split()], cwd=Path(place))
            with open(Path(place, "models/run/history.csv"), newline="") as file:
                found = [float(epoch["val_accuracy"]) for epoch in csv.DictReader(file)]
        last.append(found[-1])
        best.append(max(found))
    means = {"last": statistics.mean(last), "worst": min(last), "best": statistics.mean(best)}
    return {"options": variant} | means


if __name__ == "__main__":
    main()
