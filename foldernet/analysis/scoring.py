"""Labeled images through a trained classifier: its scores, and a line for each image."""

import numpy as np

from foldernet import terminal
from foldernet.analysis.measures import differ, measures
from foldernet.datasets.image_list import ImageList

COLUMNS = ("file", "label", "class", "probability", "unknown")


def score(predictors: list, images: ImageList) -> tuple[dict, list[tuple]]:
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
            f" {terminal.listed(classes)}."
        )
    labels = np.array([classes.index(name) for name in names[known]])
    rankings = [dict(results[at].ranking) for at in np.flatnonzero(known)]
    shares = np.array([[ranking[name] for name in classes] for ranking in rankings])
    unknown = np.array([result.unknown for result in results])
    strange = {str(name): unknown[read & (names == name)] for name in np.setdiff1d(names, classes)}
    scores = measures(labels, shares, classes) | {
        "unknown": float(unknown[known].mean()),
        "unknown_labels": {
            name: {"images": len(each), "called_unknown": int(each.sum())}
            for name, each in strange.items()
        },
        "unreadable": int((~read).sum()),
    }
    firsts = [[each.ranking[0] if each.ranking else ("", "") for each in a] for a in answers]
    if len(answers) > 1:
        taken = np.array([[name for name, _ in first] for first in firsts])
        scores["compared"] = differ(*(taken == names)[:, known])
    return scores, [
        (*map(terminal.cell, (result.path, name, taken)), share, result.unknown)
        for result, name, (taken, share) in zip(results, names, firsts[0], strict=True)
    ]
