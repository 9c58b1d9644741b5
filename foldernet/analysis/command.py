"""The function behind evaluate.py and `foldernet evaluate`, and its options."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from foldernet import command_line, files, rooms, terminal
from foldernet.analysis import unknown
from foldernet.datasets import folders
from foldernet.datasets.image_list import ImageList
from foldernet.interchange import writers
from foldernet.option_types import shown_as
from foldernet.predict import load
from foldernet.terminal import UserError
from foldernet.train import make_options
from foldernet.training import model_file, runs


class EvaluateOptions(unknown.Options, writers.Options):
    """Score a trained classifier on labeled images: accuracy with its interval, calibration,
    classes and confusions; or find labels that look wrong."""

    data: Annotated[Positional[Path | None], shown_as("[FOLDER]")] = None
    """Folder with one folder per class, matched by name; of one with train/, its other splits. By
    default the run's own validation and test images."""

    run: Annotated[str | None, shown_as("RUN")] = None
    """A run's name or folder, or a .keras file of one. By default the newest classifier in
    models/."""

    compare: Annotated[str | None, shown_as("RUN")] = None
    """Another run: do the two differ beyond chance on these images?"""

    json: Annotated[Path | None, shown_as("FILE")] = None
    """Write the scores to this file as JSON."""

    csv: Annotated[Path | None, shown_as("FILE")] = None
    """Write a line for each image to this file as CSV."""

    label_issues: bool = False
    """Find images, of training too, whose label is probably wrong, by cross-validation, and write
    them to label_issues.csv of the run."""


@terminal.entry_point
def evaluate(arguments: list[str] | None = None) -> int:
    """Score a trained classifier on labeled images."""
    options = command_line.parse(EvaluateOptions, arguments, "evaluate")
    if writers.STANDARD_OUTPUT in (options.json, options.csv):
        raise UserError("--json and --csv of evaluate.py can't be -. Name a file.")
    if options.label_issues and (options.json or options.csv or options.compare):
        raise UserError("--label-issues gives no scores. Leave out --json, --csv and --compare.")
    asked = [options.run, options.compare][: 1 + bool(options.compare)]
    found = [runs.find(name, mode="classify") for name in asked]
    for run in found:
        if "classes" not in model_file.read_metadata(runs.model_of(run)):
            raise UserError(f"'{run}' is no classifier. Name a run of one.")
    terminal.status(f"Using {found[0]}")
    folder = runs.model_of(found[0]).parent
    splits = labeled_images(options.data, folder)

    with terminal.quiet_tensorflow():  # needed now that there are images
        from foldernet.analysis import html_report, label_issues, scoring

    if options.label_issues:
        label_issues.write(folder, splits)
        return 0
    predictors = [*map(load, found)]
    for predictor in predictors:
        predictor.reject = options.reject
    scores, lines = {}, [scoring.COLUMNS]
    splits.pop("training", None)
    for split, images in splits.items():
        scores[split], of_images = scoring.score(predictors, images)
        page = html_report.PAGES.get_template("scores.txt")
        terminal.result(page.render(split=split, scores=scores[split]))
        lines += of_images
    if options.csv:
        files.write_csv(options.csv, lines)
    if options.json:
        files.write_json(options.json, next(iter(scores.values())) | {"splits": scores})
    return 1 if any(each["unreadable"] for each in scores.values()) else 0


def labeled_images(folder: Path | None, run: Path) -> dict[str, ImageList]:
    """Split -> images and their labels: of a folder, or the run's own.

    Raises:
        UserError: there are none besides those of training.
    """
    if folder is None:
        if not (config := run / "config.json").exists():
            raise UserError(f"There is no '{config}' to find images by. Name a folder of them.")
        training = make_options(None, {"config": config})
        dataset = rooms.find_dataset(rooms.task(training))
        for package in rooms.packages("exclude"):
            dataset = package.exclude(training, dataset)
        splits, root = dataset.splits, dataset.root
    else:
        root = folder.expanduser()
        if not root.is_dir():
            raise UserError(f"There is no folder '{root}'. Name one that holds a folder per class.")
        splits = {
            split: ImageList.of_classes(path, folders.class_images(path))
            for split, path in (folders.split_folders(root) or {"images": root}).items()
        }
    splits = {split: images for split, images in splits.items() if len(images)}
    if not splits.keys() - {"training"}:
        raise UserError(
            f"'{root}' holds no labeled images but those of training. Expected {folders.EXPECTED}."
        )
    return splits
