"""`ImageDataGenerator`: augmented batches of images, by the arguments of Keras's class."""

import inspect

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator as KerasGenerator

from foldernet.augmentations import ROWS
from foldernet.batches import augmentation
from foldernet.batches.iterators import DirectoryIterator
from foldernet.datasets.image_list import ImageList

OF_KERAS = set(inspect.signature(KerasGenerator).parameters)


class ImageDataGenerator(KerasGenerator):
    """Batches of augmented images, by the arguments of Keras's ImageDataGenerator that augment.

    A batch depends on (seed, epoch, index) alone: any number of workers yields the same ones. With
    `dtype="uint8"` pixels stay 8 bits all the way to the network: a quarter of the memory. Nothing
    is standardized here, since networks do that themselves, and channels come last; what scripts
    for Keras's class rely on besides is in `foldernet.drop_in`.

    Args:
        cache: where images are kept once they are decoded and resized: "auto", "memory", "disk" or
            "off", as `foldernet.images.store.ArrayStore` says. Batches are the same with each.
        *arguments, **keywords: as for Keras's class, and the other rows of
            `foldernet.augmentations`.
    """

    def __init__(self, *arguments, cache="auto", **keywords):
        others = (row for row in ROWS if row.name not in OF_KERAS)
        own = {row.name: keywords.pop(row.name, row.off) for row in others}
        super().__init__(*arguments, **keywords)
        self.cache = cache
        vars(self).update(own)

    def flow_from_directory(self, directory: ImageList, **options) -> DirectoryIterator:
        """Batches of images that have been listed; the options are those of `DirectoryIterator`."""
        return DirectoryIterator(directory, self, **options)

    def transform_batch(self, images, random):
        """Augment a batch.

        Args:
            images: n of (height, width, channels).
            random: a `numpy.random.Generator` to draw from; None leaves the images unaugmented.

        Returns:
            (n, height, width, channels) of the generator's dtype.
        """
        if random is None or not augmentation.is_on(self):
            return np.stack(images).astype(self.dtype, copy=False)
        drawn = augmentation.draw(self, len(images), images[0].shape[:2], random)
        return augmentation.apply(self, images, drawn, self.dtype).astype(self.dtype, copy=False)
