"""`ImageDataGenerator` for scripts that were written for Keras's class, without its faults."""

import functools
import inspect

import numpy as np
from keras.src.legacy.preprocessing.image import DataFrameIterator

from foldernet.batches import augmentation
from foldernet.batches import generator as batches
from foldernet.datasets import folders
from foldernet.datasets.image_list import ImageList, split_by_content
from foldernet.drop_in.iterators import ArrayIterator, DirectoryIterator

# Arguments of Keras's methods that are our iterators' too: of all, and of those that read files.
COMMON = ("subset", "batch_size", "shuffle", "seed", "save_to_dir", "save_prefix", "save_format")
READING = ("target_size", "color_mode", "class_mode", "interpolation")
# What a DataFrame is read by.
TABLE = ("dataframe", "directory", "x_col", "y_col", "weight_col", "classes", "validate_filenames")
CLASS_MODES = ("categorical", "binary", "sparse", "input", None)


def with_keras_signature(method):
    """Give a method the signature of Keras's method of its name, with our default interpolation."""
    signature = inspect.signature(getattr(batches.KerasGenerator, method.__name__))
    known = signature.parameters.values()
    ours = [one.replace(default="area") if one.name == "interpolation" else one for one in known]
    signature = signature.replace(parameters=ours)

    @functools.wraps(method)
    def with_all_arguments(*arguments, **keywords):
        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        return method(**(bound.arguments | bound.arguments.pop("kwargs", {})))

    with_all_arguments.__signature__ = signature
    return with_all_arguments


class ImageDataGenerator(batches.ImageDataGenerator):
    """Batches of augmented images, by the arguments of Keras's ImageDataGenerator.

    A script written for Keras's class runs with only its import changed. Results differ where
    Keras's are at fault:

    - A batch depends on (seed, epoch, index) alone: any number of workers yields the same ones, and
      NumPy's global random state is left alone. Without a seed, one is drawn from that state, so
      that `keras.utils.set_random_seed` governs it. After `reset()` the same epoch starts again.
    - `width_shift_range` moves along the width, `height_shift_range` along the height; images that
      are not square turn about their center.
    - Of a folder of classes, `subset="validation"` takes the images whose content's hash falls
      below `validation_split`, not the first ones: adding images moves none, and exact duplicates
      fall on one side. Arrays, data frames and `class_mode=None`, which may be paired with
      others, are split by position, as in Keras. Validation images are not augmented.
    - Images are read by `foldernet.images.reader.read_image`: EXIF orientation applied,
      transparency composited on white, 16 bits scaled to 8, WebP and GIF known. `interpolation`
      defaults to "area", which uses all pixels of a large photograph; Keras's names work as there.
    - An unreadable file is warned of once by name, and the next readable image stands in for it
      with that image's own label, instead of ending `fit`. With `class_mode=None` an `ImageError`
      names the file, as Keras, too, would end: images and masks, or predictions and file names,
      would no longer belong together. Generators whose labeled batches are put together can't be
      known; run check.py first. Where one of two folders may lack a file, compare `filenames`.
    - Of several inputs or outputs, `next` yields lists as in Keras, `iterator[index]` tuples: `fit`
      refuses lists.
    - Hidden files and folders and links that lead nowhere are not listed, and folders linked in a
      loop are listed once. Class names that aren't given are in Unicode's composed form (NFC).
    - Iterators are made by the methods `flow...` alone: they share their generator's dtype and
      cache, and there is none without a generator.
    - Flips are part of the one warp; `fill_mode` "constant" and "wrap" differ from SciPy's in the
      outermost pixel, brightness isn't rounded to 8 bits, and an `interpolation_order` above 1
      means cubic.

    The arguments are those of `foldernet.batches.generator.ImageDataGenerator`.
    """

    @with_keras_signature
    def flow(self, **arguments):
        """Batches from arrays; the arguments are Keras's."""
        source, subset = super().flow(**arguments), arguments["subset"]
        if source.sample_weight is not None:  # which Keras doesn't split; validation comes first
            part = slice(len(source.x)) if subset == "validation" else slice(-len(source.x), None)
            source.sample_weight = source.sample_weight[part]
        return ArrayIterator(source, self, **{name: arguments[name] for name in COMMON})

    @with_keras_signature
    def flow_from_directory(self, directory, classes, class_mode, follow_links, subset, **options):
        """Batches from a folder of class folders; the arguments are Keras's.

        `directory` may also be an `ImageList`: a folder listed already.
        """
        if class_mode not in CLASS_MODES:
            raise ValueError(f"Invalid class_mode: {class_mode}; expected one of {CLASS_MODES}.")
        listed = isinstance(directory, ImageList)
        images = directory if listed else _scan(directory, classes, follow_links)
        if subset is not None:
            images = self._subset(images, subset, by_position=class_mode is None)
        if not listed:
            print(f"Found {len(images)} images belonging to {len(images.classes)} classes.")
        return DirectoryIterator(images, self, class_mode=class_mode, subset=subset, **options)

    @with_keras_signature
    def flow_from_dataframe(self, *, keep_aspect_ratio=False, **arguments):
        """Batches from the files that a pandas DataFrame names; the arguments are Keras's."""
        options = {name: arguments[name] for name in (*COMMON, *READING)}
        if options["class_mode"] == "other":
            options["class_mode"] = "raw"  # as Keras has called it since 2019
        table = {name: arguments[name] for name in TABLE}
        source = KerasTable(image_data_generator=self, **table, **options)
        images = ImageList.of_classes(source.directory, {"": source.filenames})
        iterator = DirectoryIterator(images, self, keep_aspect_ratio=keep_aspect_ratio, **options)
        for name in ("classes", "class_indices", "labels", "sample_weight"):
            setattr(iterator, name, getattr(source, name, None))
        return iterator

    def transform_batch(self, images, random):
        """As of the base, and standardized; axes in the order of `data_format`."""
        batch = np.moveaxis(super().transform_batch(images, random), 3, self.channel_axis)
        if self.preprocessing_function or self.samplewise_center:
            return np.stack([self.standardize(image) for image in batch]).astype(self.dtype)
        return self.standardize(batch)

    def get_random_transform(self, img_shape, seed=None):
        """Draw the parameters of one image's transformation, under Keras's names.

        `tx` and `ty` are pixels along x and y (Keras has them the other way round).
        """
        random = np.random.default_rng(np.random.randint(2**31) if seed is None else seed)
        shape = (img_shape[self.row_axis - 1], img_shape[self.col_axis - 1])
        drawn = augmentation.draw(self, 1, shape, random)
        return {name: None if values is None else values[0] for name, values in drawn.items()}

    def apply_transform(self, x, transform_parameters):
        """Transform one image, (height, width, channels) or as `data_format` says."""
        given = ((name, value) for name, value in transform_parameters.items() if value is not None)
        drawn = {name: np.array([value]) for name, value in given}
        images = np.moveaxis(np.asarray(x)[None], self.channel_axis, 3)
        warped = augmentation.apply(self, images, drawn, images.dtype)
        return np.moveaxis(warped, 3, self.channel_axis)[0].astype(images.dtype, copy=False)

    def _subset(self, images: ImageList, subset: str, by_position: bool) -> ImageList:
        share = self._validation_split
        if subset not in ("training", "validation"):
            raise ValueError(f'Invalid subset name: {subset}; expected "training" or "validation".')
        if share and not by_position:
            return split_by_content(images, share, self.cache)[subset]
        held_out = [place < int(share * count) for count in images.counts for place in range(count)]
        return images.take(np.array(held_out, bool) == (subset == "validation"))


class KerasTable(DataFrameIterator):
    """Keras's iterator, which checks, filters and splits a DataFrame; it knows seven extensions."""

    white_list_formats = folders.IMAGE_EXTENSIONS


def _scan(directory, classes: list[str] | None, follow_links: bool) -> ImageList:
    """A folder's images; as in Keras, a class that is given and has no folder has no images."""
    if classes:
        names_of = {label: folders.list_images(directory, label, follow_links) for label in classes}
    else:
        names_of = folders.class_images(directory, follow_links)
    return ImageList.of_classes(directory, names_of)
