"""What a frozen network makes of each image: computed once, and kept like pixels."""

import hashlib

import keras
import numpy as np

from foldernet import terminal
from foldernet.batches.iterators import Batches, DirectoryIterator
from foldernet.images.reader import ImageError
from foldernet.images.store import ArrayStore

AT_ONCE = 32  # images that the network is given


def frozen_features(
    network: keras.Model, pixels: ArrayStore, mirrored: bool, mode: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """The features of every image that can be read.

    Args:
        network: of pixels (n, height, width, channels) 0..255, whose layer "features" gives (n,
            width).
        pixels: the images, (height, width, channels) uint8.
        mirrored: whether each image is seen mirrored, too.
        mode: where features are kept, as of `ArrayStore`.

    Returns:
        (n, views, width) float32, and the (n,) positions in `pixels` that they are of.
    """
    features = network.get_layer("features").output
    backbone = keras.Model(network.input, features, name=network.name)
    views, width = 1 + mirrored, features.shape[1]
    purpose = f"features 2 by {_digest(backbone)}, {views} views of {pixels.shape} {pixels.purpose}"
    kept = {"off": "memory", "disk": "auto"}.get(mode, mode)  # all are in memory in the end
    shape = views, width * np.dtype("float32").itemsize
    store = ArrayStore(len(pixels), pixels.path_of, None, shape, purpose, kept)
    missing = store.missing
    chunks = [missing[at : at + AT_ONCE] for at in range(0, len(missing), AT_ONCE)]
    for chunk in terminal.progress(chunks, "Computing features", len(chunks)):
        rows = zip(chunk.tolist(), pixels.rows(chunk), strict=True)
        readable = {at: row for at, row in rows if not isinstance(row, ImageError)}
        if not readable:
            continue
        seen = np.stack(list(readable.values()))
        seen = [seen, seen[:, :, ::-1]][:views]
        found = np.stack([backbone.predict_on_batch(view) for view in seen], axis=1)
        for position, row in zip(readable, found, strict=True):
            store.row(position, lambda _, row=row: row.view("uint8"))
    store.flush()
    positions = np.setdiff1d(np.arange(len(pixels)), store.missing)
    found = np.array(store.rows(positions), np.uint8).reshape(-1, *shape)  # perhaps of none
    return found.view("float32"), positions


class FeatureIterator(Batches):
    """Batches of features, in place of the images that they are of.

    Args:
        network: whose features they are, as of `frozen_features`.
        images: the iterator over these, whose targets, seed, batch size and cache are taken.
        mirrored: whether each image is seen mirrored, too.

    Attributes:
        features: (n, views, width) float32.
        positions: (n,) int, which of the images they are of.
        labels: (n,) int, the class of each.
    """

    def __init__(self, network: keras.Model, images: DirectoryIterator, mirrored: bool):
        self.images, generator = images, images.image_data_generator
        found = frozen_features(network, images.store, mirrored, generator.cache)
        self.features, self.positions = found
        self.labels = images.classes[self.positions]
        how = {name: getattr(images, name) for name in ("batch_size", "shuffle", "seed")}
        super().__init__(len(self.labels), generator, **how)

    def batch(self, epoch, index):
        """(n, width) features, each of one view, and targets."""
        random, chosen = self.drawn(epoch, index)
        views = random.integers(self.features.shape[1], size=len(chosen))
        return self.images._with_targets(self.features[chosen, views], self.positions[chosen])


def _digest(network: keras.Model) -> str:
    """A hash of a network's name and weights."""
    hashed = hashlib.blake2b(network.name.encode(), digest_size=12)
    for array in network.get_weights():
        hashed.update(array.tobytes())
    return hashed.hexdigest()
