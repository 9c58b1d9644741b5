"""report.html: what a person wants to know of a run, in one file that needs nothing else; and the
templates, of which evaluate.py has one, too."""

import base64
import csv
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from sklearn.metrics import confusion_matrix

from foldernet import terminal
from foldernet.analysis.heat_maps import feature_map_layer, grad_cam
from foldernet.analysis.measures import measures, reliability, slices
from foldernet.analysis.occlusion import overlaid
from foldernet.datasets.image_list import Dataset
from foldernet.files import write_whole
from foldernet.inference.classifier import calibrated
from foldernet.training import runs

FILE, LABEL_ISSUES = "report.html", "label_issues.csv"
ISSUE_COLUMNS = "file", "label", "suggested", "score"
MISTAKES, RIGHT = 24, 8  # images shown
PAGES = Environment(
    loader=PackageLoader("foldernet.analysis"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=["jinja2.ext.do"],
    # Names of classes and files may have any characters.
    finalize=lambda value: terminal.printable(value) if type(value) is str else value,
)
PAGES.filters["share"] = lambda value: "-" if value is None else f"{value:.1%}"
PAGES.filters["number"] = terminal.number
PAGES.filters["table"] = lambda rows: Markup(terminal.table(rows))


def finish(task, dataset: Dataset, batches: dict, model, run: runs.Run, scores: dict) -> dict:
    """Write the report of a classifier into its run's folder; there are no more scores."""
    if "validation" not in task.outputs:
        return {}
    images, temperature = batches["validation"], scores.get("calibration", {}).get("temperature", 1)
    shares = {split: calibrated(each, temperature) for split, each in task.outputs.items()}
    splits = {
        split: measures(batches[split].classes, each, dataset.classes)
        for split, each in shares.items()
    }
    shares, labels = shares["validation"], images.classes
    predicted = shares.argmax(axis=1)
    right, order = predicted == labels, np.argsort(-shares.max(axis=1), kind="stable")
    order = order[[images.path(at) not in images.unreadable for at in order]]
    wrong, well = order[~right[order]][:MISTAKES], order[right[order]]
    well = well[:: len(well) // RIGHT or 1][:RIGHT]
    shown = np.concatenate([wrong, well])
    page = PAGES.get_template("report.html").render(
        run=run.name,
        folder=shlex.quote(run.models.as_posix()),
        options=task.options,
        dataset=dataset,
        scores=scores,
        splits=splits,
        history=_rows(run.models / "history.csv"),
        reliability=reliability(labels, shares).tolist(),
        matrix=confusion_matrix(labels, predicted, labels=range(len(dataset.classes))).tolist(),
        validation=images,
        shares=shares,
        wrong=wrong,
        well=well,
        pictures=dict(zip(shown, _pictures(shown, images, predicted, model), strict=True)),
        slices=slices(images, right),
        issues=_rows(run.models / LABEL_ISSUES),
    )
    write_whole(run.models / FILE, lambda path: path.write_text(page, encoding="utf-8"))
    return {}


def join_label_issues(folder: Path) -> None:
    """Put what stands in a run's label_issues.csv into its report, if there is one."""
    if (path := folder / FILE).exists():
        known = {"issues": _rows(folder / LABEL_ISSUES), "folder": shlex.quote(folder.as_posix())}
        issues = PAGES.get_template("label_issues.html").render(known)
        pattern = r'(?s)<section id="label-issues">.*?</section>'
        page = re.sub(pattern, lambda _: issues, path.read_text(encoding="utf-8"))
        write_whole(path, lambda at: at.write_text(page, encoding="utf-8"))


def _pictures(shown, images, predicted, model) -> list[list[str]]:
    """Of each image that is shown its address, and that of its heat map if there can be one."""
    pixels = images.images_at(shown)
    kinds = [pixels]
    if feature_map_layer(model) is not None:
        kinds.append(map(overlaid, pixels, grad_cam(model, pixels, predicted[shown])))
    return [[*map(_encoded, row)] for row in zip(*kinds, strict=True)]


def _encoded(pixels: np.ndarray) -> str:
    """Pixels, (height, width, channels) uint8, as the address of an image within a page."""
    _, content = cv2.imencode(".webp", pixels[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 85])
    return Markup(f"data:image/webp;base64,{base64.b64encode(content).decode()}")


def _rows(path: Path) -> list[dict[str, str]] | None:
    """A CSV file's rows; None where it isn't there yet."""
    if path.exists():  # its cells have no line breaks
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    return None
