"""The picture at the top of README.md: the figures of a run with all defaults.

    python benchmarks/picture.py

It trains on the set that ships, in a temporary folder, and writes docs/figures/run.png.
"""

import csv
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/figures/run.png"


def curves(axis, history: list[dict[str, float]]) -> None:
    """Accuracy in training and validation, epoch by epoch."""
    epochs = [row["epoch"] + 1 for row in history]
    for name, label, color in (
        ("accuracy", "training", "0.6"),
        ("val_accuracy", "validation", "tab:blue"),
    ):
        values = [row[name] for row in history]
        axis.plot(epochs, values, color=color, linewidth=2)
        axis.text(epochs[-1] + 0.4, values[-1], label, color=color, va="center", fontsize=10)
    axis.set(xlabel="epoch", title="Accuracy", xlim=(1, 1.3 * epochs[-1]), ylim=(0.3, 1.02))
    axis.set_xticks([1, *range(5, int(epochs[-1]) + 1, 5)])
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="0.92")


def main() -> None:
    sys.path.insert(0, str(ROOT))
    import foldernet

    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        run = foldernet.train(name="run")

        from matplotlib.figure import Figure
        from PIL import Image

        with open(run.models / "history.csv") as file:
            history = [
                {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)
            ]
        figure = Figure((15, 5.2), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 0.7, 1))
        for axis, name in ((left, "training_images"), (right, "confusion_matrix")):
            axis.imshow(Image.open(run.logs / f"{name}.png"))
            axis.set_axis_off()
        curves(middle, history)
        figure.savefig(PICTURE, dpi=100, facecolor="white")
        os.chdir(ROOT)
    best = max(row["val_accuracy"] for row in history)
    print(f"{PICTURE.relative_to(ROOT)}: validation accuracy {best:.3f}")


if __name__ == "__main__":
    main()
