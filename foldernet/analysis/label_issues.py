"""Labels that are probably wrong: what cross-validation on frozen features finds surprising.

Northcutt, Jiang & Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels",
arXiv:1911.00068, as cleanlab has it.
"""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from foldernet import terminal
from foldernet.analysis import html_report
from foldernet.datasets.image_list import ImageList
from foldernet.files import write_csv
from foldernet.images.store import PixelStore
from foldernet.networks import build
from foldernet.pretrained.features import frozen_features

FOLDS = 5
STRENGTH = 0.3  # inverse, of the penalty; scikit-learn's C
SIZE = 96  # pixels, at which the pretrained network sees the images
SHOWN = 10


def write(run: Path, splits: dict[str, ImageList]) -> None:
    """Write the images whose label is probably wrong to label_issues.csv of a run and into its
    report, the surest first, each with the label that is likelier and the probability of the one
    that it has.

    Raises:
        UserError: cleanlab isn't installed, or there are too few classes or images of a class.
    """
    paths = [path for images in splits.values() for path in images.paths]
    names = [images.classes[label] for images in splits.values() for label in images.labels]
    rows = [
        (*map(terminal.cell, (paths[at], names[at], suggested)), f"{probability:.4f}")
        for at, suggested, probability in find(paths, np.array(names))
    ]
    write_csv(run / html_report.LABEL_ISSUES, [html_report.ISSUE_COLUMNS, *rows])
    html_report.join_label_issues(run)
    terminal.result(terminal.table([html_report.ISSUE_COLUMNS, *rows[:SHOWN]]))
    found = terminal.count(len(rows), "label")
    terminal.result(f"{found} of {len(paths):,} look wrong: {run / html_report.LABEL_ISSUES}")


def find(paths: list[str], names: np.ndarray) -> list[tuple[int, str, float]]:
    """The labels that are probably wrong, the surest first.

    Args:
        paths: n images; those that can't be read are passed over.
        names: (n,) str, the label of each.

    Returns:
        Of each its position, the likelier label, and the probability of the one that it has, by a
        logistic regression that didn't learn from the image, on features of EfficientNet-Lite.

    Raises:
        UserError: as of `write`.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise terminal.UserError(
            "Label issues are found by cleanlab: pip install -r requirements-analysis.txt"
        ) from None
    network = build("efficientnet_lite", (SIZE, SIZE, 3), 2)
    store = PixelStore(len(paths), paths.__getitem__, (SIZE, SIZE))
    features, read = frozen_features(network, store, mirrored=False)
    classes, labels, counts = np.unique(names[read], return_inverse=True, return_counts=True)
    if len(classes) < 2 or counts.min() < FOLDS:
        few = terminal.listed(classes[counts < FOLDS]) or "classes that can be read"
        raise terminal.UserError(
            f"Label issues need two classes, {FOLDS} images of each; there are too few of {few}."
        )
    model = LogisticRegression(C=STRENGTH, max_iter=300)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1):
        shares = cross_val_predict(model, features[:, 0], labels, cv=folds, method="predict_proba")
    ranked = {"return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    issues = find_label_issues(labels, shares, filter_by="both", **ranked)
    likelier = classes[shares[issues].argmax(axis=1)]
    return list(zip(read[issues], likelier, shares[issues, labels[issues]], strict=True))
