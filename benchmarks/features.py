"""By what the last layer of a pretrained network should judge photographs: at how many pixels, by
which of the network's maps, and scaled how.

    python benchmarks/features.py --data FOLDER ...

Cross-validation on the training images alone, of `--most` of them, five folds by image, twice; each
image is seen mirrored, too, and scored as it is. The strength of the penalty is the one with the least
log loss. "head" is the mean of each channel of EfficientNet-Lite's last map, as it was published;
"both" has those of the last wide map before it, too; "spread" makes 3m / (1 + 3m) of each mean m.
"floor": no feature is divided by less than the median of their standard deviations, since one that
hardly varies in training decides alone where it is active for once, and log loss tells.

What was chosen, beside some of the rest; all of it is in results/features.json (AMD EPYC, 2 cores):

| set            | images | pixels | features     | floor | accuracy | log loss |
| -------------- | -----: | -----: | ------------ | ----- | -------: | -------: |
| photographs-7  |    186 |    224 | head         | no    |    0.936 |    0.214 |
| photographs-7  |    186 |    224 | head         | yes   |    0.944 |    0.225 |
| photographs-7  |    186 |    224 | both         | yes   |    0.957 |    0.161 |
| photographs-7  |    186 |    224 | both, spread | no    |     0.96 |    0.159 |
| photographs-7  |    186 |    224 | both, spread | yes   |    0.962 |    0.153 |
| photographs-7  |    186 |    288 | head         | no    |     0.96 |    0.164 |
| photographs-7  |    186 |    288 | head         | yes   |     0.96 |    0.173 |
| photographs-7  |    186 |    288 | both         | yes   |     0.97 |    0.118 |
| photographs-7  |    186 |    288 | both, spread | no    |    0.968 |    0.119 |
| photographs-7  |    186 |    288 | both, spread | yes   |     0.97 |     0.11 |
| stamps         |    271 |    224 | head         | no    |    0.808 |    0.606 |
| stamps         |    271 |    224 | head         | yes   |    0.818 |    0.601 |
| stamps         |    271 |    224 | both         | yes   |    0.842 |     0.53 |
| stamps         |    271 |    224 | both, spread | no    |    0.842 |    0.528 |
| stamps         |    271 |    224 | both, spread | yes   |     0.84 |    0.526 |
| stamps         |    271 |    288 | head         | no    |    0.812 |    0.597 |
| stamps         |    271 |    288 | head         | yes   |    0.814 |    0.581 |
| stamps         |    271 |    288 | both         | yes   |    0.832 |    0.535 |
| stamps         |    271 |    288 | both, spread | no    |     0.84 |    0.522 |
| stamps         |    271 |    288 | both, spread | yes   |    0.842 |    0.526 |
| cifar10-sample |    500 |    128 | head         | no    |    0.698 |    0.892 |
| cifar10-sample |    500 |    128 | head         | yes   |    0.697 |    0.875 |
| cifar10-sample |    500 |    128 | both         | yes   |    0.707 |    0.814 |
| cifar10-sample |    500 |    128 | both, spread | no    |    0.715 |    0.801 |
| cifar10-sample |    500 |    128 | both, spread | yes   |    0.709 |    0.798 |
| cifar10-sample |    500 |    160 | head         | no    |    0.701 |     0.82 |
| cifar10-sample |    500 |    160 | head         | yes   |    0.714 |    0.804 |
| cifar10-sample |    500 |    160 | both         | yes   |    0.721 |    0.769 |
| cifar10-sample |    500 |    160 | both, spread | no    |    0.717 |     0.78 |
| cifar10-sample |    500 |    160 | both, spread | yes   |    0.724 |    0.766 |
"""

import argparse
import itertools
from pathlib import Path

import measure

# Of small photographs, and of others.
SIZES = {True: (128, 160, 192, 224), False: (224, 256, 288, 320)}
STRENGTHS = (1e-2, 1e-1, 1.0)
FOLDS, REPEATS = 5, 2


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--data", type=Path, nargs="+", help="folders with a folder per class")
    options.add_argument("--most", type=int, default=500, help="images of a set")
    options.add_argument("--quick", action="store_true", help="one size; nothing is written")
    options = options.parse_args()
    options.repeats, options.folder = REPEATS, None
    rows = [
        row
        for folder in options.data
        for row in compare(folder.resolve(), options.most, options.quick)
    ]
    measure.report("features", {"Features": rows}, options)


def compare(folder: Path, most: int, quick: bool) -> list[dict]:
    """A row for each size, kind of features, and way to scale them."""
    import numpy as np

    from foldernet.datasets import folders
    from foldernet.pretrained.choice import SMALL, look_at

    images = folders.find(folder).splits["training"]
    some = np.unique(np.linspace(0, len(images) - 1, most).astype(int))
    images, rows = images.take(some), []
    for size in SIZES[look_at(images)[2] <= SMALL][: 1 if quick else None]:
        wide, head = means(images.paths, size)
        both = np.concatenate([wide, head], axis=2)
        kinds = {"head": head, "both": both, "both, spread": 3 * both / (1 + 3 * both)}
        for (kind, features), floor in itertools.product(kinds.items(), (False, True)):
            accuracy, loss = judged(features, images.labels, floor)
            row = {"set": folder.name, "images": len(images), "pixels": size, "features": kind}
            floored = "yes" if floor else "no"
            rows.append(row | {"floor": floored, "accuracy": accuracy, "log loss": loss})
            print(rows[-1], flush=True)
    return rows


def means(paths: list[str], size: int) -> list:
    """The means of the last two wide maps, each (n, 2, channels): of images as they are, and
    mirrored."""
    import keras
    import numpy as np

    from foldernet.images.reader import read_image
    from foldernet.networks.efficientnet_lite import efficientnet_lite

    network = efficientnet_lite((size, size, 3), 2)
    names = "block7a_depthwise_mean", "head_mean"
    network = keras.Model(network.input, [network.get_layer(name).output for name in names])
    found = []
    for start in range(0, len(paths), 32):
        pixels = np.stack([read_image(path, (size, size)) for path in paths[start : start + 32]])
        views = [network.predict_on_batch(view) for view in (pixels, pixels[:, :, ::-1])]
        found.append([np.stack(pair, axis=1) for pair in zip(*views, strict=True)])
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def judged(features, labels, floor: bool) -> tuple[float, float]:
    """Accuracy and log loss at the best strength."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    scores = {strength: [] for strength in STRENGTHS}
    for repeat in range(REPEATS):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(labels, labels)
        for learned, scored in folds:
            flat = features[learned].reshape(-1, features.shape[2])
            center, scale = flat.mean(axis=0), flat.std(axis=0)
            scale = np.maximum(scale, np.median(scale)) if floor else np.where(scale, scale, 1)
            for strength in STRENGTHS:
                model = LogisticRegression(C=strength, max_iter=1000)
                with threadpool_limits(1):
                    model.fit((flat - center) / scale, np.repeat(labels[learned], 2))
                shares = model.predict_proba((features[scored, 0] - center) / scale)
                right = shares.argmax(axis=1) == labels[scored]
                loss = log_loss(labels[scored], shares, labels=model.classes_)
                scores[strength].append((right.mean(), loss))
    averages = [np.mean(each, axis=0).tolist() for each in scores.values()]
    return tuple(min(averages, key=lambda average: average[1]))


if __name__ == "__main__":
    main()
