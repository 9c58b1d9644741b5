"""Which images of other kinds `predict.py` calls unknown, by four scores.

    python benchmarks/unknown.py --data FOLDER

Each set, the shipped animals and those of --data, is trained on by the default command without its
last class. Strangers are that class, the images of another set, scikit-learn's digits, noise, and
gratings, a texture. The score is fitted to half of the validation images and judged on the other:
the area under the ROC curve, and how many strangers are accepted where 95% of the known are.

| set           | strangers      | images | score       | auroc | accepted at 95% |
| ------------- | -------------- | -----: | ----------- | ----: | --------------: |
| animals       | held-out class |    100 | probability | 0.815 |            0.73 |
| animals       | held-out class |    100 | distance    | 0.786 |            0.75 |
| animals       | held-out class |    100 | angle       | 0.647 |            0.98 |
| animals       | held-out class |    100 | ours        | 0.784 |            0.77 |
| animals       | another set    |     93 | probability | 0.699 |           0.978 |
| animals       | another set    |     93 | distance    | 0.998 |          0.0108 |
| animals       | another set    |     93 | angle       | 0.775 |           0.989 |
| animals       | another set    |     93 | ours        | 0.994 |          0.0215 |
| animals       | digits         |    200 | probability | 0.929 |            0.47 |
| animals       | digits         |    200 | distance    | 0.997 |               0 |
| animals       | digits         |    200 | angle       | 0.889 |            0.81 |
| animals       | digits         |    200 | ours        | 0.996 |           0.015 |
| animals       | noise          |    200 | probability | 0.764 |               1 |
| animals       | noise          |    200 | distance    |     1 |               0 |
| animals       | noise          |    200 | angle       | 0.763 |               1 |
| animals       | noise          |    200 | ours        |     1 |               0 |
| animals       | gratings       |    200 | probability | 0.569 |            0.91 |
| animals       | gratings       |    200 | distance    |     1 |               0 |
| animals       | gratings       |    200 | angle       | 0.788 |           0.905 |
| animals       | gratings       |    200 | ours        | 0.999 |               0 |
| photographs-7 | held-out class |      8 | probability | 0.899 |           0.125 |
| photographs-7 | held-out class |      8 | distance    | 0.946 |           0.375 |
| photographs-7 | held-out class |      8 | angle       | 0.985 |           0.125 |
| photographs-7 | held-out class |      8 | ours        | 0.964 |               0 |
| photographs-7 | another set    |    200 | probability | 0.873 |            0.43 |
| photographs-7 | another set    |    200 | distance    | 0.955 |            0.12 |
| photographs-7 | another set    |    200 | angle       | 0.988 |           0.045 |
| photographs-7 | another set    |    200 | ours        | 0.962 |           0.025 |
| photographs-7 | digits         |    200 | probability | 0.993 |            0.01 |
| photographs-7 | digits         |    200 | distance    | 0.938 |           0.545 |
| photographs-7 | digits         |    200 | angle       | 0.989 |           0.005 |
| photographs-7 | digits         |    200 | ours        | 0.961 |               0 |
| photographs-7 | noise          |    200 | probability | 0.981 |               0 |
| photographs-7 | noise          |    200 | distance    | 0.939 |             0.5 |
| photographs-7 | noise          |    200 | angle       | 0.955 |           0.145 |
| photographs-7 | noise          |    200 | ours        | 0.952 |               0 |
| photographs-7 | gratings       |    200 | probability | 0.996 |               0 |
| photographs-7 | gratings       |    200 | distance    | 0.959 |           0.025 |
| photographs-7 | gratings       |    200 | angle       | 0.941 |            0.33 |
| photographs-7 | gratings       |    200 | ours        | 0.973 |               0 |
"""

import argparse
import os
import tempfile
from pathlib import Path

import measure

SHOWN = 200  # strangers of a kind, at most
KNOWN = 1000  # training images, spread over the list
SCORES = ("probability", "distance", "angle", "ours")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--data", type=Path, nargs="*", default=[], help="more sets, with train/")
    options.add_argument("--quick", action="store_true", help="an epoch; nothing is written")
    options = options.parse_args()
    options.repeats, options.folder = 1, None

    from foldernet import shipped

    roots = [shipped.folder("animals"), *(folder.resolve() for folder in options.data)]
    rows, before = [], Path.cwd()
    for number, root in enumerate(roots):
        other = roots[(number + 1) % len(roots)]
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            rows += judged(root, other if other != root else None, options.quick)
            os.chdir(before)
    measure.report("unknown", {"Strangers": rows}, options)


def judged(root: Path, other: Path | None, quick: bool) -> list[dict]:
    """A row for each kind of stranger and score."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    import foldernet
    from foldernet.analysis import unknown
    from foldernet.datasets import folders
    from foldernet.inference.classifier import calibrated

    splits = folders.find(root).splits
    held_out = splits["validation"].classes[-1]
    for split in splits.values():
        for name, path in zip(split.names, split.paths, strict=True):
            if not name.startswith(f"{held_out}{os.sep}"):
                to = Path("known", "train" if split is splits["training"] else "val", name)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.symlink_to(path)
    foldernet.train("known", name="run", **({"epochs": 1} if quick else {}))
    predictor = foldernet.load("run")

    def asked(images: list) -> tuple:
        found = [
            predictor.network.predict_on_batch(np.stack(images[at : at + 64]))
            for at in range(0, len(images), 64)
        ]
        features, outputs = map(np.concatenate, zip(*found, strict=True))
        return features, calibrated(outputs, predictor.metadata["temperature"])

    def of(split, limit: int) -> list:
        some = np.linspace(0, len(split) - 1, min(limit, len(split))).astype(int)
        return [predictor.read(split.path(at)) for at in some]

    known = folders.find(Path("known")).splits
    some = np.unique(np.linspace(0, len(known["training"]) - 1, KNOWN).astype(int))
    learned = known["training"].take(some)
    features, _ = asked(of(learned, KNOWN))
    validation = asked(of(known["validation"], KNOWN))
    fitted = unknown.fit(features, learned.labels, *(each[::2] for each in validation))
    kept = {name: np.array(value) for name, value in fitted.items()}

    def scored(answers: tuple) -> np.ndarray:
        strange = unknown.strangeness(kept, *answers)
        return np.column_stack([strange, unknown.score(kept, strange)])

    strangers = {"held-out class": of(only(splits["validation"], held_out), SHOWN)}
    if other:
        strangers["another set"] = of(folders.find(other).splits["validation"], SHOWN)
    strangers |= made(predictor.size)
    good = scored(tuple(each[1::2] for each in validation))
    rows = []
    for kind, images in strangers.items():
        bad = scored(asked(images))
        for at, score in enumerate(SCORES):
            truth = np.repeat([0, 1], [len(good), len(bad)])
            area = roc_auc_score(truth, np.concatenate([good[:, at], bad[:, at]]))
            accepted = (bad[:, at] <= np.quantile(good[:, at], 0.95)).mean()
            rows.append(
                {
                    "set": root.name,
                    "strangers": kind,
                    "images": len(bad),
                    "score": score,
                    "auroc": float(area),
                    "accepted at 95%": float(accepted),
                }
            )
    return rows


def only(images, name: str):
    """The images of one class."""
    return images.take(images.labels == images.classes.index(name))


def made(size: tuple[int, int]) -> dict[str, list]:
    """Digits, noise and gratings of a size, (height, width, 3) uint8 each."""
    import cv2
    import numpy as np
    from sklearn.datasets import load_digits

    random = np.random.default_rng(0)
    digits = [
        cv2.resize(np.uint8(255 - 15.9 * digit), size[::-1])[..., None].repeat(3, axis=2)
        for digit in load_digits().images[:SHOWN]
    ]
    noise = list(random.integers(0, 256, (SHOWN, *size, 3)).astype("uint8"))
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    gratings = []
    for _ in range(SHOWN):
        frequency, angle = random.uniform(2, 20), random.uniform(0, np.pi)
        wave = np.sin(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
        colors = random.uniform(30, 120, 3), random.uniform(60, 200, 3)
        gratings.append(np.uint8((wave * colors[0] + colors[1]).clip(0, 255)))
    return {"digits": digits, "noise": noise, "gratings": gratings}


if __name__ == "__main__":
    main()
