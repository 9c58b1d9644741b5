"""Labels that are probably wrong: what cross-validation on frozen features finds surprising.

Northcutt, Jiang & Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels",
arXiv:1911.00068, as cleanlab has it.
"""

import csv
from pathlib import Path

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import ImageList
from foldernet.files import write_whole
from foldernet.terminal import UserError

FILE, COLUMNS = "label_issues.csv", ("file", "label", "suggested", "score")
FOLDS = 5
STRENGTH = 0.01  # inverse, of the penalty; scikit-learn's C
SIZE = 96  # pixels, at which the pretrained network sees the images
SHOWN = 10


def write_label_issues(run: Path, splits: dict[str, ImageList]) -> int:
    """Write the images whose label is probably wrong to label_issues.csv of a run, the surest
    first, each with the label that is likelier and the probability of the one that it has.

    Raises:
        UserError: cleanlab isn't installed, or a class has too few images.
    """
    names = [images.classes[label] for images in splits.values() for label in images.labels]
    paths = [path for images in splits.values() for path in images.paths]
    classes, labels, counts = np.unique(names, return_inverse=True, return_counts=True)
    if counts.min() < FOLDS:
        few = terminal.listed(classes[counts < FOLDS])
        raise UserError(
            f"Label issues need {FOLDS} images of each class; there are fewer of {few}."
        )
    probabilities, read = out_of_fold(paths, labels)
    issues = find(labels[read], probabilities)
    rows = [COLUMNS]
    for at in issues:
        own, likelier = probabilities[at, labels[read][at]], classes[probabilities[at].argmax()]
        cells = (paths[read[at]], names[read[at]], likelier)
        rows.append((*map(terminal.cell, cells), f"{own:.4f}"))

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    folder = run if run.is_dir() else run.parent
    write_whole(folder / FILE, write)
    terminal.result(
        f"{terminal.count(len(issues), 'label')} of {len(read):,} look wrong; the surest:"
    )
    if len(issues):
        terminal.result(terminal.table(rows[: SHOWN + 1]))
    terminal.result(f"all: {folder / FILE}")
    return 0


def out_of_fold(paths: list[str], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of each image by a classifier that didn't learn from it: a logistic regression
    on features of EfficientNet-Lite, which saw none of these images.

    Returns:
        (m, classes) float, and (m,) int, which of the n files could be read.
    """
    with terminal.quiet_tensorflow():
        import keras

        from foldernet.networks import build
        from foldernet.pretrained.features import frozen_features
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    from foldernet.images.reader import Rule
    from foldernet.images.store import PixelStore

    network = build("efficientnet_lite", (SIZE, SIZE, 3), 2)
    backbone = keras.Model(network.input, network.get_layer("features").output, name=network.name)
    store = PixelStore(len(paths), paths.__getitem__, (SIZE, SIZE), Rule(), mode="auto")
    features, read = frozen_features(backbone, store, mirrored=False)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=300))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1):
        arguments = {"cv": folds, "method": "predict_proba"}
        return cross_val_predict(model, features[:, 0], labels[read], **arguments), read


def find(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The (k,) positions of labels that are probably wrong, the surest first."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise UserError(
            "Label issues are found by cleanlab: pip install -r requirements-analysis.txt"
        ) from None
    ranked = {"filter_by": "both", "return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    return find_label_issues(labels, probabilities, **ranked)
