"""The function behind evaluate.py and `foldernet evaluate`."""

from pathlib import Path

from foldernet import command_line, rooms, terminal
from foldernet.analysis.options import EvaluateOptions
from foldernet.datasets import folders
from foldernet.datasets.image_list import ImageList
from foldernet.predict import load
from foldernet.terminal import UserError
from foldernet.train import make_options
from foldernet.training import environment, runs


@terminal.entry_point
def evaluate(arguments: list[str] | None = None) -> int:
    """Score a trained classifier on labeled images."""
    options = command_line.parse(rooms.with_options(EvaluateOptions, []), arguments, "evaluate")
    environment.check_installation()
    run = runs.find(options.run, mode="classify")
    terminal.status(f"Using {run}")
    splits = labeled_images(options, run)

    with terminal.quiet_tensorflow():  # needed now that there are images
        from foldernet.analysis import scoring

    if options.label_issues:
        from foldernet.analysis.label_issues import write_label_issues

        return write_label_issues(run, splits)
    predictors = [load(name) for name in (run, options.compare) if name]
    for predictor in predictors:
        if not hasattr(predictor, "classes"):
            raise UserError(f"'{predictor.path}' is no classifier. Name a run of one.")
        predictor.reject = options.reject
    splits.pop("training", None)
    scored = {split: scoring.score(predictors, images) for split, images in splits.items()}
    scoring.show(scored)
    if options.csv:
        scoring.write_csv(options.csv, scored)
    if options.json:
        scoring.write_json(options.json, scored)
    return 1 if any(each.errors for each in scored.values()) else 0


def labeled_images(options: EvaluateOptions, run: Path) -> dict[str, ImageList]:
    """Split -> images and their labels: of the folder that was named, or the run's own.

    Raises:
        UserError: there are none.
    """
    if options.data is None:
        config = (run if run.is_dir() else run.parent) / "config.json"
        training = make_options(None, {"config": config})
        dataset = rooms.find_dataset(rooms.task(training))
        for check in rooms.modules(rooms.BEFORE_TRAINING):
            dataset = check.exclude(training, dataset)
        return dict(dataset.splits)
    root = options.data.expanduser()
    if not root.is_dir():
        raise UserError(f"There is no folder '{root}'. Name one that holds a folder per class.")
    found = folders.split_folders(root) or {"images": root}
    splits = {split: folders.scan(path) for split, path in found.items()}
    if not any(len(images) for split, images in splits.items() if split != "training"):
        raise UserError(
            f"'{root}' holds no labeled images but those of training. Expected {folders.EXPECTED}."
        )
    return splits
