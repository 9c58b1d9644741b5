"""Labels that are probably wrong: what cross-validation on frozen features finds surprising.

Northcutt, Jiang & Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels",
arXiv:1911.00068, as cleanlab has it.
"""

from pathlib import Path

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from foldernet import terminal
from foldernet.analysis import html_report
from foldernet.datasets.image_list import ImageList
from foldernet.files import write_csv
from foldernet.images.reader import Rule
from foldernet.images.store import PixelStore
from foldernet.networks import build
from foldernet.pretrained.features import frozen_features
from foldernet.terminal import UserError

FOLDS = 5
STRENGTH = 0.01  # inverse, of the penalty; scikit-learn's C
SIZE = 96  # pixels, at which the pretrained network sees the images
SHOWN = 10


def write(run: Path, splits: dict[str, ImageList]) -> None:
    """Write the images whose label is probably wrong to label_issues.csv of a run and into its
    report, the surest first, each with the label that is likelier and the probability of the one
    that it has.

    Raises:
        UserError: cleanlab isn't installed, or there are too few classes or images of a class.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise UserError(
            "Label issues are found by cleanlab: pip install -r requirements-analysis.txt"
        ) from None
    paths = np.array([path for images in splits.values() for path in images.paths])
    names = np.array([i.classes[label] for i in splits.values() for label in i.labels])
    classes, counts = np.unique(names, return_counts=True)
    if len(classes) < 2 or counts.min() < FOLDS:
        few = terminal.listed(classes[counts < FOLDS]) or f"classes but {classes[0]}"
        raise UserError(
            f"Label issues need two classes, and {FOLDS} images of each; there are too few of"
            f" {few}."
        )
    features, read = features_of(paths)
    paths, names = paths[read], names[read]
    classes, labels = np.unique(names, return_inverse=True)
    shares = out_of_fold(features, labels)
    ranked = {"filter_by": "both", "return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    issues = find_label_issues(labels, shares, **ranked)
    suggested, own = classes[shares.argmax(axis=1)], shares[np.arange(len(labels)), labels]
    rows = [
        (*map(terminal.cell, (paths[at], names[at], suggested[at])), f"{own[at]:.4f}")
        for at in issues
    ]
    folder = run if run.is_dir() else run.parent
    write_csv(folder / html_report.LABEL_ISSUES, [html_report.ISSUE_COLUMNS, *rows])
    html_report.join_label_issues(folder)
    told = terminal.count(len(rows), "label")
    terminal.result(f"{told} of {len(labels):,} look wrong{'; the surest:' if rows else ''}")
    if rows:
        terminal.result(terminal.table([html_report.ISSUE_COLUMNS, *rows[:SHOWN]]))
    terminal.result(f"all: {folder / html_report.LABEL_ISSUES}")


def features_of(paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features, (m, width), of images by EfficientNet-Lite, which saw none of them, and (m,) int,
    which of the n files could be read."""
    network = build("efficientnet_lite", (SIZE, SIZE, 3), 2)
    backbone = keras.Model(network.input, network.get_layer("features").output, name=network.name)
    store = PixelStore(len(paths), lambda at: str(paths[at]), (SIZE, SIZE), Rule(), mode="auto")
    features, read = frozen_features(backbone, store, mirrored=False)
    return features[:, 0], read


def out_of_fold(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities, (n, classes), of each image by a logistic regression that didn't learn from
    it."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=300))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1):
        return cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
