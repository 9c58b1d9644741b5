"""`ImageDataGenerator`: Keras's class with the same arguments, without its faults.

Keras's own class and iterators are the base, so that whatever asks for their attributes or type
finds them. What is replaced is how an image is read, how the random numbers are drawn, and how a
batch is put together: each batch is a pure function of (seed, epoch, index), whichever thread asks
for it and however often.
"""

import os
import time
import warnings

import cv2
import keras
import numpy as np
from keras.src.legacy.preprocessing import image as keras_image  # DataFrameIterator is not public

from foldernet.data import augment, folders
from foldernet.data.cache import PixelCache
from foldernet.data.reader import INTERPOLATIONS, ImageError

INTERPOLATION_ORDERS = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR}  # more than that: cubic


class ImageDataGenerator(keras_image.ImageDataGenerator):
    """Batches of augmented images, by the arguments of Keras's ImageDataGenerator.

    A script written for Keras's class runs with only its import changed. Results differ where
    Keras's are at fault:

    - A batch depends on (seed, epoch, index) alone: any number of workers yields the same ones, and
      NumPy's global random state is left alone. Without a seed, one is drawn from that state, so
      that `keras.utils.set_random_seed` governs it. After `reset()` the same epoch starts again.
    - `width_shift_range` moves along the width, `height_shift_range` along the height; images that
      are not square turn about their centre.
    - `subset="validation"` takes the images whose content's hash falls below `validation_split`,
      not the first ones, and leaves them unaugmented; exact copies fall on one side.
    - Images are read by `foldernet.data.reader.read_image`: EXIF orientation applied, transparency
      composited on white, 16 bits scaled to 8, WebP and GIF known. `interpolation` defaults to
      "area", which uses all pixels of a large photograph; Keras's names work as there.
    - An unreadable file is warned of once by name, and the next readable image of the listing
      stands in for it with that image's own label, instead of ending `fit`.
    - Hidden files and folders are not listed, and folders linked in a loop are listed once.
    - Flips are part of the one warp; `fill_mode` "constant" and "wrap" differ from SciPy's in the
      outermost pixel, brightness isn't rounded to 8 bits, and an `interpolation_order` above 1
      means cubic.

    With `dtype="uint8"` pixels stay 8 bits all the way to the network: a quarter of the memory.

    Args:
        cache: where images are kept once they are decoded and resized: "auto", "memory", "disk" or
            "off", as `foldernet.data.cache.ArrayCache` says. Batches are the same with each.
        *arguments, **keywords: as for Keras's class.
    """

    def __init__(self, *arguments, cache="auto", **keywords):
        super().__init__(*arguments, **keywords)
        self.cache = cache

    def flow(
        self,
        x,
        y=None,
        batch_size=32,
        shuffle=True,
        sample_weight=None,
        seed=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        ignore_class_split=False,
        subset=None,
    ):
        """Batches from arrays; the arguments are Keras's."""
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            ignore_class_split=ignore_class_split,
            subset=subset,
            dtype=self.dtype,
        )

    def flow_from_directory(
        self,
        directory,
        target_size=(256, 256),
        color_mode="rgb",
        classes=None,
        class_mode="categorical",
        batch_size=32,
        shuffle=True,
        seed=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        follow_links=False,
        subset=None,
        interpolation="area",
        keep_aspect_ratio=False,
    ):
        """Batches from a folder of class folders; the arguments are Keras's.

        `directory` may also be a `foldernet.data.folders.Listing`: a folder listed already.
        """
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
        )

    def flow_from_dataframe(
        self,
        dataframe,
        directory=None,
        x_col="filename",
        y_col="class",
        weight_col=None,
        target_size=(256, 256),
        color_mode="rgb",
        classes=None,
        class_mode="categorical",
        batch_size=32,
        shuffle=True,
        seed=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        subset=None,
        interpolation="area",
        validate_filenames=True,
        keep_aspect_ratio=False,
        **deprecated,
    ):
        """Batches from the files that a pandas DataFrame names; the arguments are Keras's.

        `has_ext`, `sort` and `drop_duplicates` do nothing, as in Keras, which still takes them.
        """
        unknown = set(deprecated) - {"has_ext", "sort", "drop_duplicates"}
        if unknown:
            raise TypeError(f"flow_from_dataframe has no argument {', '.join(sorted(unknown))}.")
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
            validate_filenames=validate_filenames,
        )

    def get_random_transform(self, img_shape, seed=None):
        """Draw the parameters of one image's transformation, under Keras's names.

        `tx` and `ty` are pixels along x and y (Keras has them the other way round).
        """
        random = np.random.default_rng(np.random.randint(2**31) if seed is None else seed)
        shape = (img_shape[self.row_axis - 1], img_shape[self.col_axis - 1])
        drawn = augment.draw(self, 1, shape, random)
        return {name: None if values is None else values[0] for name, values in drawn.items()}

    def apply_transform(self, x, transform_parameters):
        """Transform one image, (height, width, channels) or as `data_format` says."""
        drawn = {
            name: None if value is None else np.array([value])
            for name, value in (UNCHANGED | transform_parameters).items()
        }
        x = np.asarray(x)
        warped = self._warped(self._channels_last(x[None]), drawn, x.dtype)
        return self._in_data_format(warped)[0].astype(x.dtype, copy=False)

    def transform_batch(self, images, random):
        """Augment a batch, and standardize it.

        Args:
            images: n of (height, width, channels), whatever `data_format` says.
            random: a `numpy.random.Generator` to draw from; None leaves the images unaugmented.

        Returns:
            (n, height, width, channels), or as `data_format` says, of the generator's dtype.
        """
        if random is None or not self._augments():
            batch = np.stack(images)
        else:
            drawn = augment.draw(self, len(images), images[0].shape[:2], random)
            batch = self._warped(images, drawn, self.dtype)
        batch = self._in_data_format(batch).astype(self.dtype, copy=False)
        if self.preprocessing_function or self.samplewise_center:
            return np.stack([self.standardize(image) for image in batch]).astype(self.dtype)
        return self.standardize(batch)

    def _augments(self) -> bool:
        """Whether any transformation is asked for."""
        return bool(
            self.rotation_range
            or np.any(self.width_shift_range)
            or np.any(self.height_shift_range)
            or self.shear_range
            or tuple(self.zoom_range) != (1, 1)
            or self.channel_shift_range
            or self.horizontal_flip
            or self.vertical_flip
            or self.brightness_range is not None
        )

    def _warped(self, images, drawn, dtype):
        """Images transformed as drawn: in 8 bits if `dtype` is, else in floating point."""
        working = np.uint8 if np.dtype(dtype) == np.uint8 else np.float32
        interpolation = INTERPOLATION_ORDERS.get(self.interpolation_order, cv2.INTER_CUBIC)
        return augment.apply(images, drawn, working, self.fill_mode, self.cval, interpolation)

    def _channels_last(self, batch):
        """From `data_format` to what OpenCV takes."""
        return batch if self.data_format == "channels_last" else np.moveaxis(batch, 1, 3)

    def _in_data_format(self, batch):
        if self.data_format == "channels_last":
            return batch
        return np.ascontiguousarray(np.moveaxis(batch, 3, 1))


UNCHANGED = {
    "theta": 0,
    "tx": 0,
    "ty": 0,
    "shear": 0,
    "zx": 1,
    "zy": 1,
    "flip_horizontal": False,
    "flip_vertical": False,
    "channel_shift_intensity": None,
    "brightness": None,
}


class _PureBatches:
    """How batches come about, in place of the methods of Keras's `Iterator`.

    Attributes:
        epoch: which epoch's batches `iterator[index]` and `next` yield; `fit` counts it up.
        first: the batch of this epoch that `iterator[0]` is: above 0 in an epoch that is resumed.
        ready: when each `iterator[index]` was last ready, by time.perf_counter().
    """

    def _begin(self, augmented: bool) -> None:
        """Complete a Keras iterator; without a seed, one comes from NumPy's global state."""
        self.epoch = self.first = 0
        self._ordered = None
        self.ready = [0.0] * len(self)
        self.augmented = augmented
        self._entropy = np.random.randint(2**31) if self.seed is None else self.seed
        if self.save_to_dir:
            os.makedirs(self.save_to_dir, exist_ok=True)

    def begin(self, epoch: int, first: int = 0) -> None:
        """Have `fit` take this epoch next, from batch `first` on."""
        self.epoch, self.first = epoch, first

    @property
    def num_batches(self):
        """How many batches `fit` takes of this epoch."""
        return len(self) - self.first

    def __getitem__(self, idx):
        if not 0 <= idx < self.num_batches:
            raise ValueError(
                f"Batch {idx} was asked for, and there are {self.num_batches}, from 0 on."
            )
        batch = self.batch(self.epoch, self.first + idx)
        self.ready[idx] = time.perf_counter()
        return batch

    def __next__(self):
        with self.lock:
            epoch, index = self.epoch, self.batch_index
            self.batch_index = (index + 1) % len(self)
            self.epoch += self.batch_index == 0
        return self.batch(epoch, index)

    def next(self):
        """The next batch, endlessly: as `next(iterator)`."""
        return self.__next__()

    def on_epoch_end(self):
        self.begin(self.epoch + 1)

    def _set_index_array(self):
        self.index_array = self._order(self.epoch)

    def _order(self, epoch: int) -> np.ndarray:
        """The images in the order in which the epoch takes them."""
        # Kept for the epoch: made anew for each batch, it would cost as much as there are images.
        known = self._ordered  # read once; another thread may replace it, whole
        if known is None or known[0] != (epoch, self.n):
            order = np.arange(self.n)
            if self.shuffle:
                order = np.random.default_rng([self._entropy, epoch]).permutation(self.n)
            known = self._ordered = ((epoch, self.n), order)
        return known[1]

    def _chosen(self, epoch: int, index: int) -> np.ndarray:
        """The positions of the images in batch `index` of `epoch`."""
        return self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]

    def batch(self, epoch: int, index: int):
        """Batch `index` of `epoch`: images, then labels and weights where there are any."""
        # A stream of its own for each batch; the order has [seed, epoch].
        random = np.random.default_rng([self._entropy, epoch, index])
        images, chosen = self._images(self._chosen(epoch, index))
        images = self.image_data_generator.transform_batch(
            images, random if self.augmented else None
        )
        if self.save_to_dir:
            self._save(images, chosen, random)
        return self._with_targets(images, chosen)

    def _get_batches_of_transformed_samples(self, index_array):
        """The images at `index_array` as the first batch of this epoch would transform them."""
        images, chosen = self._images(np.asarray(index_array))
        random = np.random.default_rng([self._entropy, self.epoch, 0]) if self.augmented else None
        return self._with_targets(self.image_data_generator.transform_batch(images, random), chosen)

    def _save(self, images, chosen, random):
        for image, position in zip(images, chosen, strict=True):
            name = f"{self.save_prefix}_{position}_{random.integers(10**7)}.{self.save_format}"
            picture = keras.utils.array_to_img(image, self.data_format, scale=True)
            picture.save(os.path.join(self.save_to_dir, name))

    def _label_dtype(self):
        """Labels in the dtype of the images, as in Keras; 8 bits would be too few for classes."""
        return "float32" if np.issubdtype(self.dtype, np.integer) else self.dtype


class _ImagesFromFiles(_PureBatches):
    """Batches whose images are files: `directory` joined with `filenames`."""

    white_list_formats = folders.IMAGE_ENDINGS

    def set_processing_attrs(self, image_data_generator, *arguments, **keywords):
        super().set_processing_attrs(image_data_generator, *arguments, **keywords)
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"Unknown interpolation: {self.interpolation}; expected one of {INTERPOLATIONS}."
            )
        self.unreadable = {}  # path -> reason, of the files met so far

    @property
    def filepaths(self):
        return [self.path(position) for position in range(self.samples)]

    def path(self, position: int) -> str:
        """The file at a position of `filenames`."""
        return os.path.join(self.directory, self.filenames[position])

    def files(self, epoch: int, index: int) -> list[str]:
        """The files that batch `index` of `epoch` is made of."""
        return [self.path(position) for position in self._chosen(epoch, index) % self.samples]

    def _begin(self, augmented):
        super()._begin(augmented)
        self.cache = self._new_cache()

    def _new_cache(self):
        rule = (self.color_mode, self.interpolation, self.keep_aspect_ratio)
        mode = self.image_data_generator.cache
        return PixelCache(self.samples, self.path, self.target_size, rule, mode)

    def on_epoch_end(self):
        super().on_epoch_end()
        self.cache.flush()

    def images_at(self, positions):
        """The images at these positions of `filenames`, unaugmented: (n, height, width, channels)
        uint8."""
        return np.stack(self._images(np.asarray(positions))[0])

    def leave_out(self, positions):
        """Take the images at these positions of `filenames` out of this iterator."""
        kept = np.setdiff1d(np.arange(self.samples), positions)
        self.cache.keep(kept)
        self.filenames = [self.filenames[position] for position in kept]
        self.classes = self.classes[kept]
        self.samples = self.n = len(kept)
        self.ready = [0.0] * len(self)

    def _images(self, chosen):
        """n of (height, width, channels) uint8, and the positions that they are of."""
        rows, chosen = self.cache.rows(chosen), chosen.copy()
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
                (row,) = self.cache.rows(np.array([candidate]))
                if not isinstance(row, ImageError):
                    return row, candidate
        raise ImageError(error.path, f"{error.reason}; and no other image can be read")

    def _with_targets(self, images, chosen):
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            targets = images.copy()
        elif self.class_mode in {"binary", "sparse"}:
            targets = np.asarray(self.classes)[chosen].astype(self._label_dtype())
        elif self.class_mode == "categorical":
            targets = np.zeros((len(chosen), len(self.class_indices)), self._label_dtype())
            for row, position in zip(targets, chosen, strict=True):
                row[self.classes[position]] = 1  # a DataFrame may name several classes for one
        elif self.class_mode == "multi_output":
            targets = tuple(output[chosen] for output in self.labels)
        else:
            targets = self.labels[chosen]
        if self.sample_weight is None:
            return images, targets
        return images, targets, self.sample_weight[chosen]


class DirectoryIterator(_ImagesFromFiles, keras_image.DirectoryIterator):
    """What `ImageDataGenerator.flow_from_directory` returns."""

    def __init__(
        self,
        directory,
        image_data_generator,
        target_size=(256, 256),
        color_mode="rgb",
        classes=None,
        class_mode="categorical",
        batch_size=32,
        shuffle=True,
        seed=None,
        data_format=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        follow_links=False,
        subset=None,
        interpolation="area",
        keep_aspect_ratio=False,
        dtype=None,
    ):
        self.set_processing_attrs(
            image_data_generator,
            target_size,
            color_mode,
            data_format or keras.config.image_data_format(),
            save_to_dir,
            save_prefix,
            save_format,
            subset,
            interpolation,
            keep_aspect_ratio,
        )
        if class_mode not in self.allowed_class_modes:
            raise ValueError(
                f"Invalid class_mode: {class_mode}; expected one of {self.allowed_class_modes}."
            )
        self.class_mode = class_mode
        self.dtype = dtype or keras.config.floatx()
        listing = directory
        if not isinstance(directory, folders.Listing):
            listing = folders.scan(directory, classes, follow_links=follow_links)
        if subset is not None:
            share = image_data_generator._validation_split
            cache = image_data_generator.cache
            listing = folders.split_by_content(listing, share, cache)[subset]
        self.directory = listing.directory
        self.filenames = [name for names in listing.files.values() for name in names]
        self.samples = len(self.filenames)
        self.num_classes = len(listing.files)
        self.class_indices = {label: index for index, label in enumerate(listing.files)}
        counts = [len(names) for names in listing.files.values()]
        self.classes = np.repeat(np.arange(self.num_classes, dtype="int32"), counts)
        if listing is not directory:
            print(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        keras_image.Iterator.__init__(self, self.samples, batch_size, shuffle, seed)
        self._begin(augmented=subset != "validation")


class DataFrameIterator(_ImagesFromFiles, keras_image.DataFrameIterator):
    """What `ImageDataGenerator.flow_from_dataframe` returns."""

    def __init__(self, dataframe, directory=None, image_data_generator=None, **arguments):
        subset = arguments.pop("subset", None)
        if subset is not None:
            share = image_data_generator._validation_split
            column = arguments.get("x_col", "filename")
            if arguments.get("class_mode", "categorical") in ("binary", "categorical", "sparse"):
                labels, classes = arguments.get("y_col", "class"), arguments.get("classes")
                _, arguments["classes"] = self._filter_classes(dataframe, labels, classes)
            paths = [os.path.join(directory or "", name) for name in dataframe[column]]
            positions = folders.content_positions(paths, image_data_generator.cache)
            dataframe = dataframe[_on_side(positions, subset, share)]
        super().__init__(dataframe, directory, image_data_generator, **arguments)
        self.subset = subset
        self._begin(augmented=subset != "validation")


class NumpyArrayIterator(_PureBatches, keras_image.NumpyArrayIterator):
    """What `ImageDataGenerator.flow` returns."""

    def __init__(
        self,
        x,
        y,
        image_data_generator,
        *,
        sample_weight=None,
        subset=None,
        ignore_class_split=False,
        **arguments,
    ):
        if subset is not None:
            images, *others = x if isinstance(x, tuple | list) else (x,)
            share = image_data_generator._validation_split
            contents = (np.asarray(image).tobytes() for image in images)
            positions = np.array([folders.content_position(content) for content in contents])
            chosen = _on_side(positions, subset, share)
            if y is not None and not ignore_class_split:
                missing = set(np.unique(y)) - set(np.unique(np.asarray(y)[chosen]))
                if missing:
                    raise ValueError(
                        f"The {subset} subset would lack classes {sorted(missing)}: too few images,"
                        " or pass `ignore_class_split=True`."
                    )
            x = np.asarray(images)[chosen]
            if others:
                others = others[0] if isinstance(others[0], list) else others
                x = (x, [np.asarray(other)[chosen] for other in others])
            y = None if y is None else np.asarray(y)[chosen]
            sample_weight = None if sample_weight is None else np.asarray(sample_weight)[chosen]
        super().__init__(x, y, image_data_generator, sample_weight=sample_weight, **arguments)
        self._begin(augmented=subset != "validation")

    def _images(self, chosen):
        return self.image_data_generator._channels_last(self.x[chosen]), chosen

    def _with_targets(self, images, chosen):
        if self.x_misc:
            images = (images, *(other[chosen] for other in self.x_misc))
        batch = [images]
        if self.y is not None:
            batch.append(self.y[chosen])
            if self.sample_weight is not None:
                batch.append(self.sample_weight[chosen])
        return tuple(batch) if len(batch) > 1 else images


def _on_side(positions: np.ndarray, subset: str, validation_split: float) -> np.ndarray:
    """Which contents, by their positions in [0, 1), are on the side `subset`: (n,) bool."""
    if subset not in ("training", "validation"):
        raise ValueError(f'Invalid subset name: {subset}; expected "training" or "validation".')
    return (positions < validation_split) == (subset == "validation")
