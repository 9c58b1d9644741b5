"""Batches from arrays and data frames."""

import numpy as np

from foldernet.batches.iterators import Batches, FileIterator


class ArrayIterator(Batches):
    """What `ImageDataGenerator.flow` returns: batches from arrays.

    Args:
        source: Keras's iterator, which has checked and split the arrays.
    """

    def __init__(self, source, generator, **options):
        self.x, self.x_misc, self.y = source.x, source.x_misc, source.y
        self.sample_weight = source.sample_weight
        super().__init__(len(self.x), generator, **options)

    def _images(self, chosen):
        images = self.x[chosen]
        if self.data_format == "channels_first":
            images = np.moveaxis(images, 1, 3)
        return images, chosen

    def _with_targets(self, images, chosen):
        if self.x_misc:
            images = (images, *(other[chosen] for other in self.x_misc))
        batch = [images]
        if self.y is not None:
            batch.append(self.y[chosen])
            if self.sample_weight is not None:
                batch.append(self.sample_weight[chosen])
        return tuple(batch) if len(batch) > 1 else images


class DataFrameIterator(FileIterator):
    """What `ImageDataGenerator.flow_from_dataframe` returns.

    Args:
        source: Keras's iterator, which has checked, filtered and split the table.
    """

    def __init__(self, source, generator, **options):
        for name in ("classes", "class_indices", "_targets"):
            if hasattr(source, name):
                setattr(self, name, getattr(source, name))
        self.sample_weight = source.sample_weight
        super().__init__(source.directory, source.filenames, generator, **options)

    @property
    def labels(self):
        return self._targets if hasattr(self, "_targets") else self.classes
