"""report.html: what a person wants to know of a run, in one file that needs nothing else."""

import base64
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foldernet import terminal
from foldernet.analysis import label_issues
from foldernet.analysis.heat_maps import feature_map_layer, grad_cam, overlaid
from foldernet.analysis.measures import confusions, measures, reliability
from foldernet.analysis.slices import slices
from foldernet.datasets.image_list import Dataset
from foldernet.files import write_whole
from foldernet.inference.classifier import calibrated
from foldernet.training import runs

FILE = "report.html"
MISTAKES, RIGHT = 24, 8  # images shown
CONFUSIONS = 20
SMALLEST_SHOWN = 96  # pixels that small images are enlarged to
CURVES = {"Accuracy": ("accuracy", "val_accuracy"), "Loss": ("loss", "val_loss")}


def finish(
    task: Any, dataset: Dataset, batches: dict, model: Any, run: runs.Run, scores: dict
) -> dict[str, Any]:
    """Write the report of a classifier into its run's folder; there are no more scores."""
    if "validation" not in task.outputs:
        return {}
    from jinja2 import Environment, PackageLoader  # a tenth of a second

    temperature = scores.get("calibration", {}).get("temperature", 1.0)
    images, classes = batches["validation"], dataset.classes
    shares, labels = calibrated(task.outputs["validation"], temperature), images.classes
    predicted, sure = shares.argmax(axis=1), shares.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    wrong = [at for at in order if predicted[at] != labels[at]]
    right = [at for at in order if predicted[at] == labels[at]]
    right = right[:: max(1, len(right) // RIGHT)][:RIGHT]
    seen = images.images_at(np.arange(images.n)) if images.n else None
    splits = {
        split: measures(batches[split].classes, calibrated(outputs, temperature), classes)
        for split, outputs in task.outputs.items()
    }
    pages = Environment(loader=PackageLoader("foldernet.analysis"), autoescape=True)
    pages.filters["share"] = lambda value: "-" if value is None else f"{100 * value:.1f} %"
    html = pages.get_template("report.html").render(
        run=run.name,
        options=vars(task.options),
        scores=scores,
        splits=splits,
        counts={
            split: dict(zip(classes, each.counts.tolist(), strict=True))
            for split, each in dataset.splits.items()
        },
        curves=_curves(run.models / "history.csv"),
        reliability=reliability(labels, shares).tolist(),
        confusions=confusions(labels, shares, classes)[:CONFUSIONS],
        matrix=_picture(run.logs / "confusion_matrix.png"),
        mistakes=_cards(wrong[:MISTAKES], seen, shares, labels, images, classes, model),
        right=_cards(right, seen, shares, labels, images, classes, model),
        slices=slices(seen, images.filenames, predicted == labels),
        label_issues=_rows(run.models / label_issues.FILE),
        root=terminal.printable(str(dataset.root)),
    )
    page = html.encode(errors="backslashreplace")  # names of files may be anything
    write_whole(run.models / FILE, lambda path: path.write_bytes(page))
    return {}


def _cards(chosen, seen, shares, labels, images, classes, model) -> list[dict[str, Any]]:
    """What is shown of some images: the image, its heat map if there can be one, and words."""
    if not len(chosen):
        return []
    pixels, predicted = seen[chosen], shares[chosen].argmax(axis=1)
    heat = [None] * len(chosen)
    if feature_map_layer(model) is not None:
        heat = grad_cam(model, pixels, predicted)
    return [
        {
            "file": terminal.printable(images.filenames[at]),
            "label": terminal.printable(classes[labels[at]]),
            "predicted": terminal.printable(classes[taken]),
            "probability": float(shares[at, taken]),
            "image": _encoded(image),
            "heat": None if warm is None else _encoded(overlaid(image, warm)),
        }
        for at, taken, image, warm in zip(chosen, predicted, pixels, heat, strict=True)
    ]


def _encoded(pixels: np.ndarray) -> str:
    """Pixels, (height, width, channels) uint8, as the address of an image within a page."""
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    factor = max(1, round(SMALLEST_SHOWN / min(image.size)))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def _picture(path: Path) -> str | None:
    if not path.exists():
        return None
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _rows(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows; none where it isn't there yet."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _curves(path: Path) -> list[dict[str, Any]]:
    """Of each of `CURVES` its lines, as points of an SVG picture 300 wide and 140 high, and the
    numbers at its edges."""
    history, found = _rows(path), []
    for title, names in CURVES.items():
        lines = {
            name: [float(row[name]) for row in history] for name in names if name in history[0]
        }
        low, high = (limit(map(limit, lines.values())) for limit in (min, max))
        scale = 140 / ((high - low) or 1)
        step = 300 / max(len(history) - 1, 1)
        points = {
            name: " ".join(
                f"{at * step:.1f},{(high - v) * scale:.1f}" for at, v in enumerate(values)
            )
            for name, values in lines.items()
        }
        found.append(
            {"title": title, "low": low, "high": high, "epochs": len(history), "lines": points}
        )
    return found
