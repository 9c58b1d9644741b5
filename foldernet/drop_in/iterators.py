"""Iterators as scripts for Keras know them: `next`, `reset`, all class modes, `save_to_dir`."""

import os
import threading

import keras
import numpy as np

from foldernet.batches import iterators
from foldernet.images.reader import ImageError


class KerasIterator(iterators.Batches):
    """What users of Keras's iterators rely on, beside what `fit` takes.

    Args:
        subset: "training", "validation" or None; images of validation are not augmented.
        save_to_dir: folder to write each image to as it is yielded; None for none.
    """

    sample_weight = None

    def __init__(self, *arguments, subset, save_to_dir, save_prefix, save_format, **options):
        super().__init__(*arguments, augmented=subset != "validation", **options)
        self.save_to_dir, self.save_prefix = save_to_dir, save_prefix
        self.save_format, self.data_format = save_format, self.image_data_generator.data_format
        self.batch_index, self.lock = 0, threading.Lock()

    def batch(self, epoch, index):
        batch = super().batch(epoch, index)
        if self.save_to_dir:
            os.makedirs(self.save_to_dir, exist_ok=True)
            _, chosen = self.drawn(epoch, index)
            for image, position in zip(keras.tree.flatten(batch)[0], chosen, strict=True):
                name = f"{self.save_prefix}_{position}_{epoch}.{self.save_format}"
                keras.utils.save_img(os.path.join(self.save_to_dir, name), image, self.data_format)
        return batch

    def __getitem__(self, index):
        batch = super().__getitem__(index)
        # `fit` refuses Keras's lists, and would take a list of inputs alone for inputs and targets.
        return keras.tree.lists_to_tuples((batch,) if isinstance(batch, list) else batch)

    def __iter__(self):
        return self

    def __next__(self):
        """The next batch, epoch after epoch, endlessly."""
        with self.lock:
            epoch, index = self.epoch, self.batch_index
            self.batch_index = (index + 1) % len(self)
            self.epoch += self.batch_index == 0
        return self.batch(epoch, index)

    next = __next__

    def reset(self):
        """Have `next` start this epoch again."""
        self.batch_index = 0

    def _weights(self, chosen):
        return () if self.sample_weight is None else (self.sample_weight[chosen],)


class DirectoryIterator(KerasIterator, iterators.DirectoryIterator):
    """What `ImageDataGenerator` returns for a folder or a DataFrame: files, and targets by class
    mode."""

    def __init__(self, images, generator, *, class_mode, **options):
        super().__init__(images, generator, **options)
        self.class_mode, rule = class_mode, self.store.rule
        self.color_mode, self.interpolation = rule.color_mode, rule.interpolation
        self.class_indices = {label: index for index, label in enumerate(images.classes)}
        self.labels, self.filepaths = images.labels, images.paths
        shape = self.store.shape
        self.image_shape = shape if self.data_format == "channels_last" else (shape[2], *shape[:2])

    def _stand_in(self, position, error):
        if self.class_mode is not None:
            return super()._stand_in(position, error)
        # What belongs to the image is not known here.
        mend = "remove it, and if it is one of a pair, the other one too"
        told = f"{error.reason}. With class_mode=None none may take its place: {mend}"
        raise ImageError(error.path, told)

    def _with_targets(self, images, chosen):
        # Labels in the dtype of the images, as in Keras; 8 bits would be too few for classes.
        dtype = "float32" if np.issubdtype(self.dtype, np.integer) else self.dtype
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            targets = images.copy()
        elif self.class_mode in ("binary", "sparse"):
            targets = np.asarray(self.classes)[chosen].astype(dtype)
        elif self.class_mode == "categorical":
            targets = np.zeros((len(chosen), len(self.class_indices)), dtype)
            for target, at in zip(targets, chosen, strict=True):
                target[self.classes[at]] = 1  # of a DataFrame perhaps several
        else:  # of "multi_output" several
            targets = keras.tree.map_structure(lambda labels: labels[chosen], self.labels)
        return images, targets, *self._weights(chosen)


class ArrayIterator(KerasIterator):
    """What `ImageDataGenerator.flow` returns: batches from arrays.

    Args:
        source: Keras's iterator, which has checked and split the arrays.
    """

    def __init__(self, source, generator, **options):
        self.x, self.x_misc, self.y = source.x, source.x_misc, source.y
        self.sample_weight = source.sample_weight
        super().__init__(len(self.x), generator, **options)

    def _images(self, chosen):
        return np.moveaxis(self.x[chosen], self.image_data_generator.channel_axis, 3), chosen

    def _with_targets(self, images, chosen):
        if self.x_misc:
            images = [images, *(other[chosen] for other in self.x_misc)]
        if self.y is None:
            return images
        return images, self.y[chosen], *self._weights(chosen)
