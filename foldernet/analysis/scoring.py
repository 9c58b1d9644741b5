"""Labeled images through a trained classifier: scores for people, and files for programs."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from foldernet import files, terminal
from foldernet.analysis.measures import confusions, differ, measures
from foldernet.datasets.image_list import ImageList
from foldernet.inference.classifier import ClassPrediction

SHOWN = 10  # confusions
BEYOND_CHANCE = 0.05  # p value
COLUMNS = ("file", "label", "class", "probability", "unknown")


@dataclasses.dataclass(frozen=True)
class Scored:
    """What classifiers say of a split's images.

    Attributes:
        results: a `ClassPrediction` for each image, of the first classifier.
        names: (n,) the label of each.
        errors: what can't be read, and why.
        scores: as of `measures`, of the images whose label the classifier has; and `confusions`,
            `unknown`, the share of them that it calls unknown, and `unknown_labels`, label ->
            images and how many of these it calls unknown. With a second classifier `compared`.
    """

    results: list[ClassPrediction]
    names: list[str]
    errors: list[str]
    scores: dict[str, Any]


def score(predictors: list[Any], images: ImageList) -> Scored:
    """Ask one or two classifiers of a split's images.

    Args:
        predictors: each a `foldernet.inference.classifier.Classifier`.

    Raises:
        UserError: none of the images has a label that the first one knows.
    """
    names = [images.classes[label] for label in images.labels]
    total, answers = len(images) * len(predictors), []
    for predictor in predictors:
        stream = predictor.stream(images.paths)
        answers.append(list(terminal.progress(stream, "Predicting", total)))
    results, classes = answers[0], predictors[0].classes
    errors = [f"{result.path}: {result.error}" for result in results if result.error]
    known = [at for at, name in enumerate(names) if name in classes and not results[at].error]
    if not known:
        raise terminal.UserError(
            f"No image of '{images.directory}' has a label that the run knows:"
            f" {terminal.listed(classes)}. Folders are matched by name."
        )
    labels = np.array([classes.index(names[at]) for at in known])
    probabilities = np.zeros((len(known), len(classes)))
    for row, at in enumerate(known):
        for name, share in results[at].ranking:
            probabilities[row, classes.index(name)] = share
    scores = measures(labels, probabilities, classes)
    scores["confusions"] = confusions(labels, probabilities, classes)
    scores["unknown"] = float(np.mean([results[at].unknown for at in known]))
    strange = [at for at, name in enumerate(names) if name not in classes]
    scores["unknown_labels"] = {
        name: {
            "images": sum(names[at] == name for at in strange),
            "called_unknown": sum(results[at].unknown for at in strange if names[at] == name),
        }
        for name in sorted({names[at] for at in strange})
    }
    if len(answers) > 1:
        right = [
            np.array(
                [bool(each[at].ranking) and each[at].ranking[0][0] == names[at] for at in known]
            )
            for each in answers
        ]
        scores["compared"] = {"other_accuracy": float(right[1].mean())} | differ(*right)
    return Scored(results, names, errors, scores)


def show(scored: dict[str, Scored]) -> None:
    """The scores of each split, on standard output."""
    for split, each in scored.items():
        scores = each.scores
        for error in each.errors:
            terminal.status(f"error: {error}")
        low, high = scores["accuracy_interval"]
        terminal.result(f"{split}: {terminal.count(scores['images'], 'image')}")
        lines = [("accuracy", f"{scores['accuracy']:.4f}, with 95 % from {low:.3f} to {high:.3f}")]
        shown = ("top5_accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier")
        shown = (*shown, "expected_calibration_error", "unknown")
        lines += [
            (name.replace("_", " "), terminal.number(scores[name]))
            for name in shown
            if name in scores
        ]
        terminal.result(terminal.table(lines))
        rows = [("class", "precision", "recall", "f1", "images")]
        for name, values in scores["per_class"].items():
            *shares, images = values.values()
            rows.append((name, *("-" if v is None else f"{v:.3f}" for v in shares), images))
        terminal.result("\n" + terminal.table(rows))
        if scores["confusions"]:
            taken = [
                (pair["class"], pair["taken_for"], pair["images"]) for pair in scores["confusions"]
            ]
            terminal.result(
                "\n" + terminal.table([("class", "taken for", "images"), *taken[:SHOWN]])
            )
        for name, strange in scores["unknown_labels"].items():
            count = terminal.count(strange["images"], "image")
            terminal.result(
                f"\nThe run has no class {terminal.printable(name)}: {count} left out,"
                f" {strange['called_unknown']} of them called unknown"
            )
        if compared := scores.get("compared"):
            chance = compared["p_value"] >= BEYOND_CHANCE
            terminal.result(
                f"\nThe other run: accuracy {compared['other_accuracy']:.4f}. This run alone has"
                f" {compared['right_alone']} right, and the other {compared['other_right_alone']},"
                f" {'not ' * chance}beyond chance (McNemar, p = {compared['p_value']:.2g})"
            )


def write_json(path: Path, scored: dict[str, Scored]) -> None:
    """Write the scores: those of the one split, or of the first and, in `splits`, of each."""
    first, *others = (each.scores for each in scored.values())
    splits = {split: each.scores for split, each in scored.items()}
    files.write_json(path, first | ({"splits": splits} if others else {}))


def write_csv(path: Path, scored: dict[str, Scored]) -> None:
    """Write a line for each image: its label, what it is taken for, and whether it is unknown."""
    rows = [
        (
            terminal.cell(result.path),
            terminal.cell(name),
            *(
                (terminal.cell(result.ranking[0][0]), result.ranking[0][1], result.unknown)
                if result.ranking
                else ("", "", "")
            ),
        )
        for each in scored.values()
        for name, result in zip(each.names, each.results, strict=True)
    ]

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])

    files.write_whole(path, write)
