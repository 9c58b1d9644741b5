"""Labeled images through a trained classifier: scores for people, and lines for programs."""

from typing import Any

import numpy as np

from foldernet import terminal
from foldernet.analysis.measures import differ, measures
from foldernet.datasets.image_list import ImageList

SHOWN = 10  # confusions
BEYOND_CHANCE = 0.05  # p value
COLUMNS = ("file", "label", "class", "probability", "unknown")


def score(predictors: list[Any], images: ImageList) -> tuple[dict[str, Any], list[tuple]]:
    """Ask one or two classifiers of images, and name those that can't be read.

    Args:
        predictors: each a `foldernet.inference.classifier.Classifier`.

    Returns:
        Scores of the first one: as of `measures`, of the images whose label it has; unknown, the
        share of these that it calls so; unknown_labels, of each other label the images, and how
        many of them are called_unknown; unreadable, how many files; and of two, compared, as of
        `differ`. And of each image a line of `COLUMNS`.

    Raises:
        UserError: no image that can be read has a label that the first one knows.
    """
    answers = []
    for predictor in predictors:
        stream = predictor.stream(images.paths)
        answers.append(list(terminal.progress(stream, "Predicting", len(images))))
    results, classes = answers[0], predictors[0].classes
    for result in results:
        if result.error:
            terminal.status(f"error: {result.path}: {result.error}")
    names = np.array(images.classes)[images.labels]
    read = np.array([not result.error for result in results])
    known = read & np.isin(names, classes)
    if not known.any():
        raise terminal.UserError(
            f"No image of '{images.directory}' that can be read has a label of the run's:"
            f" {terminal.listed(classes)}. Folders are matched by name."
        )
    labels = np.array([classes.index(name) for name in names[known]])
    rankings = [dict(results[at].ranking) for at in np.flatnonzero(known)]
    shares = np.array([[ranking[name] for name in classes] for ranking in rankings])
    unknown = np.array([result.unknown for result in results])
    scores = measures(labels, shares, classes) | {
        "unknown": float(unknown[known].mean()),
        "unknown_labels": {
            str(name): {
                "images": int((names == name).sum()),
                "called_unknown": int(unknown[names == name].sum()),
            }
            for name in np.unique(names[~np.isin(names, classes)])
        },
        "unreadable": int((~read).sum()),
    }
    firsts = np.array([[each.ranking[0][0] if each.ranking else "" for each in a] for a in answers])
    if len(answers) > 1:
        scores["compared"] = differ(*(firsts == names)[:, known])
    lines = [
        (result.path, name, *(result.ranking[:1] or [("", "")])[0], result.unknown)
        for result, name in zip(results, names, strict=True)
    ]
    return scores, lines


def show(split: str, scores: dict[str, Any]) -> None:
    """The scores of a split, on standard output."""
    low, high = scores["accuracy_interval"]
    told = [("accuracy", f"{scores['accuracy']:.4f}, with 95 % from {low:.3f} to {high:.3f}")]
    told += [
        (name.replace("_", " "), terminal.number(value))
        for name, value in scores.items()
        if isinstance(value, float) and name != "accuracy"
    ]
    classes = [
        (name, *("-" if v is None else f"{v:.3f}" for v in shares), images)
        for name, (*shares, images) in ((n, c.values()) for n, c in scores["per_class"].items())
    ]
    confusions = [tuple(each.values()) for each in scores["confusions"][:SHOWN]]
    terminal.result(f"{split}: {terminal.count(scores['images'], 'image')}")
    terminal.result(terminal.table(told) + "\n")
    terminal.result(terminal.table([("class", "precision", "recall", "f1", "images"), *classes]))
    if confusions:
        terminal.result("\n" + terminal.table([("class", "taken for", "images"), *confusions]))
    for name, strange in scores["unknown_labels"].items():
        terminal.result(
            f"\nThe run has no class {terminal.printable(name)}: {strange['images']} left out,"
            f" {strange['called_unknown']} of them called unknown"
        )
    if other := scores.get("compared"):
        chance = "not " * (other["p_value"] >= BEYOND_CHANCE)
        terminal.result(
            f"\nThe other run: accuracy {other['other_accuracy']:.4f}. This run alone has"
            f" {other['right_alone']} right, and the other {other['other_right_alone']},"
            f" {chance}beyond chance (McNemar, p = {other['p_value']:.2g})"
        )
