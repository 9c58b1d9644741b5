"""Batches as pure functions of (seed, epoch, index), whichever thread asks and how often."""

import functools
import os
import time
import warnings

import keras
import numpy as np

from foldernet.batches import augmentation
from foldernet.images.reader import ImageError, Rule
from foldernet.images.store import PixelStore


class Batches(keras.utils.PyDataset):
    """Batches of images for `fit`.

    Without a seed, one is drawn from NumPy's global state, so that `keras.utils.set_random_seed`
    governs it.

    Args:
        n: items in an epoch.
        generator: the `ImageDataGenerator` that transforms them.
        batch_size: items in a batch; the last one may have fewer.
        shuffle: take them in another order in each epoch.
        seed: int of the order and the augmentation.
        augmented: whether the generator augments them.

    Attributes:
        epoch: whose batches `iterator[index]` yields; `fit` counts it up.
        first: the batch of this epoch that `iterator[0]` is: above 0 in an epoch that is resumed.
        ready: index -> when `iterator[index]` was last ready, by time.perf_counter().
    """

    def __init__(self, n, generator, *, batch_size=32, shuffle=True, seed=None, augmented=True):
        super().__init__()
        self.n, self.image_data_generator, self.augmented = n, generator, augmented
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.dtype = generator.dtype
        self.epoch = self.first = 0
        self.ready: dict[int, float] = {}
        self._entropy = np.random.randint(2**31) if seed is None else seed

    def batch(self, epoch: int, index: int):
        """Batch `index` of `epoch`: images, then labels and weights where there are any."""
        random, chosen = self.drawn(epoch, index)
        images, chosen = self._images(chosen)
        generator = self.image_data_generator
        images = generator.transform_batch(images, random if self.augmented else None)
        batch = self._with_targets(images, chosen)
        # A stream of its own, again: mixing is the same whatever else is on.
        return augmentation.mix(generator, batch, random.spawn(1)[0]) if self.augmented else batch

    def drawn(self, epoch: int, index: int) -> tuple[np.random.Generator, np.ndarray]:
        """What a batch draws its random numbers from, and its items."""
        # A stream of its own for each batch; the order has [seed, epoch].
        random = np.random.default_rng([self._entropy, epoch, index])
        items = order(self.n, self.shuffle, self._entropy, epoch)
        return random, items[index * self.batch_size : (index + 1) * self.batch_size]

    def begin(self, epoch: int, first: int = 0) -> None:
        """Have `fit` take this epoch next, from batch `first` on."""
        self.epoch, self.first = epoch, first

    def on_epoch_end(self):
        self.begin(self.epoch + 1)

    def __len__(self):
        return -(-self.n // self.batch_size)

    @property
    def num_batches(self):
        """How many batches `fit` takes of this epoch."""
        return len(self) - self.first

    def __getitem__(self, index):
        if not 0 <= index < self.num_batches:
            raise ValueError(f"Batch {index} was asked for, and there are {self.num_batches}.")
        batch = self.batch(self.epoch, self.first + index)
        self.ready[index] = time.perf_counter()
        return batch


@functools.lru_cache(maxsize=4)  # anew for each batch, it would cost as much as there are images
def order(n: int, shuffle: bool, entropy: int, epoch: int) -> np.ndarray:
    """The items in the order in which an epoch takes them: (n,) int, not to be written to."""
    return np.random.default_rng([entropy, epoch]).permutation(n) if shuffle else np.arange(n)


class DirectoryIterator(Batches):
    """Batches whose images are files: `directory` joined with `filenames`.

    Args:
        images: an `ImageList`, the files and their classes.
        target_size: (height, width) in pixels.
        store: of the decoded images; by default a `PixelStore`.
        per_epoch: items in an epoch, item i made from image i % samples; by default the images.
        options: attributes of `foldernet.images.reader.Rule`, and arguments of `Batches`.

    Attributes:
        samples: how many files.
        classes: (samples,) int, the index of each file's class.
        num_classes: how many classes there are.
        store: of the decoded images.
        unreadable: path -> reason, of the files met so far.
        class_weight: (classes,) weights, which batches then have as a third part. An argument of
            `fit` would give a mixed image the weight of one of its classes.
    """

    class_weight: np.ndarray | None = None

    def __init__(
        self, images, generator, *, target_size=(256, 256), store=None, per_epoch=None, **options
    ):
        named = Rule.__dataclass_fields__.keys() & options.keys()
        rule = Rule(**{name: options.pop(name) for name in named})
        self.directory, self.filenames = images.directory, images.names
        self.classes, self.num_classes = images.labels, len(images.classes)
        self.samples, self.per_epoch = len(images), per_epoch
        self.target_size, self.unreadable = tuple(target_size), {}
        self.store = store or PixelStore(len(images), self.path, target_size, rule, generator.cache)
        super().__init__(per_epoch or self.samples, generator, **options)

    def path(self, position: int) -> str:
        """The file at a position of `filenames`."""
        return os.path.join(self.directory, self.filenames[position])

    def images_at(self, positions) -> np.ndarray:
        """The images at these positions of `filenames`, unaugmented: (n, height, width, channels)
        uint8."""
        return np.stack(self._images(np.asarray(positions))[0])

    def on_epoch_end(self):
        super().on_epoch_end()
        self.store.flush()

    def _images(self, chosen):
        """n of (height, width, channels) uint8, and the positions that they are of."""
        chosen = chosen % self.samples
        rows = self.store.rows(chosen)
        for index, row in enumerate(rows):
            if isinstance(row, ImageError):
                rows[index], chosen[index] = self._stand_in(int(chosen[index]), row)
        return rows, chosen

    def _stand_in(self, position: int, error: ImageError):
        """The next readable image after one that isn't, and its position."""
        if error.path not in self.unreadable:
            self.unreadable[error.path] = error.reason
            warnings.warn(f"{error}; another image takes its place", stacklevel=1)
        for step in range(1, self.samples):
            candidate = (position + step) % self.samples
            if self.path(candidate) not in self.unreadable:
                row = self.store.row(candidate)
                if not isinstance(row, ImageError):
                    return row, candidate
        raise ImageError(error.path, f"{error.reason}; and no other image can be read")

    def _with_targets(self, images, chosen):
        labels = self.classes[chosen]
        targets = (labels[:, None] == np.arange(self.num_classes)).astype("float32")
        weights = () if self.class_weight is None else (self.class_weight[labels],)
        return images, targets, *weights
