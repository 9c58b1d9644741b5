"""The last layer of a classifier on frozen features: a convex problem, which is solved.

Gradient steps would come near to the solution after many epochs; L-BFGS takes seconds.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

FOLDS = 5
# Inverse strengths of the penalty, from strong to weak, and the one where there is no choosing.
STRENGTHS, USUAL = (1e-3, 1e-2, 1e-1, 1.0), 1e-1
MOST = 2000  # images by which the strength is chosen; more would seldom choose another


def solve(
    features: np.ndarray, labels: np.ndarray, class_weight: str | None = None
) -> tuple[np.ndarray, np.ndarray, float, float | None]:
    """Multinomial logistic regression on standardized features, the scaling folded into it.

    Args:
        features: (n, views, width) float32, of n images.
        labels: (n,) int, each of 0..classes - 1 at least once.
        class_weight: None, or "balanced", as of scikit-learn's `LogisticRegression`.

    Returns:
        Kernel (width, classes) and bias (classes,), float32, of a dense layer with softmax, for
        features as they are; the inverse strength of the penalty, scikit-learn's C; and the
        accuracy of cross-validation, 0..1, or None where a class has too few images for it.
    """
    views, width = features.shape[1:]
    flat, targets = features.reshape(-1, width), np.repeat(labels, views)
    scaler = StandardScaler().fit(flat)
    # A feature that hardly varies in these images may do so in others, and would decide alone.
    scaler.scale_ = np.maximum(scaler.scale_, np.median(scaler.var_) ** 0.5)
    model = LogisticRegression(max_iter=1000, class_weight=class_weight)
    pairs, every = list(folds(labels, views)), np.arange(len(flat))
    choices = {"C": STRENGTHS if pairs else (USUAL,)}  # one needs no folds
    scores = {"scoring": ("neg_log_loss", "accuracy"), "refit": "neg_log_loss"}
    search = GridSearchCV(model, choices, cv=pairs or [(every, every)], **scores)
    # Products of this size are no work for several threads, and where other programs have the cores
    # these would wait for each other: thirty times as long, on two of them.
    with threadpool_limits(1):
        search.fit(scaler.transform(flat), targets)
    solution = search.best_estimator_
    accuracy = search.cv_results_["mean_test_accuracy"][search.best_index_] if pairs else None
    kernel, bias = solution.coef_.T, solution.intercept_
    if kernel.shape[1] == 1:  # of two classes scikit-learn has the second one's log-odds
        kernel, bias = kernel * [-0.5, 0.5], bias * [-0.5, 0.5]
    kernel = kernel / scaler.scale_[:, None]
    bias = bias - scaler.mean_ @ kernel
    return kernel.astype("float32"), bias.astype("float32"), solution.C, accuracy


def folds(labels: np.ndarray, views: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cross-validation by images: the rows to learn from, and those to score, view by view.

    Args:
        labels: (n,) int of n images.
        views: row i * views + view is one of image i.

    Yields:
        Five pairs, or as many as the smallest class has images; none where that has only one.
    """
    some = np.linspace(0, len(labels) - 1, min(MOST, len(labels))).astype(int)
    count = min(FOLDS, np.bincount(labels[some], minlength=labels.max() + 1).min())
    if count < 2:
        return
    splitter = StratifiedKFold(int(count), shuffle=True, random_state=0)
    rows = some[:, None] * views + np.arange(views)
    for learned, scored in splitter.split(some, labels[some]):
        yield rows[learned].ravel(), rows[scored].ravel()
