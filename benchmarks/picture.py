"""The pictures in README.md: figures and report of a run with all defaults.

    pip install -r requirements-dev.txt
    python benchmarks/picture.py

It trains on the set that ships, in a temporary folder, and writes docs/figures/run.png and, where
Chromium is installed, report.png.
"""

import csv
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE, REPORT = ROOT / "docs/figures/run.png", ROOT / "docs/figures/report.png"
# Of report.html: how a heading begins -> (height from a little above it on, position), in pixels.
SHOWN = {
    "Validation": (210, (0, 0)),
    "How it learned": (395, (0, 230)),
    "Mistakes": (640, (1000, 0)),
}


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


def report_picture(page: Path) -> None:
    """Parts of report.html, side by side."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    picture = Image.new("RGB", (2000, 640), "white")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        opened = browser.new_page(viewport={"width": 1000, "height": 900})
        opened.goto(page.as_uri())
        for heading, (height, position) in SHOWN.items():
            top = opened.locator("h2", has_text=heading).first.bounding_box()["y"] - 24
            part = {"x": 0, "y": top, "width": 1000, "height": height}
            shot = io.BytesIO(opened.screenshot(full_page=True, clip=part))
            picture.paste(Image.open(shot), position)
        browser.close()
    picture.quantize(256, kmeans=3).save(REPORT, optimize=True)


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
        if shutil.which("chromium"):
            report_picture(run.models.resolve() / "report.html")
        os.chdir(ROOT)
    best = max(row["val_accuracy"] for row in history)
    print(f"{PICTURE.relative_to(ROOT)}: validation accuracy {best:.3f}")


if __name__ == "__main__":
    main()
