"""`BlurDataGenerator`: batches of crops of photographs, each with its blurred version."""

import os

import numpy as np
import psutil

from foldernet.batches.generator import ImageDataGenerator
from foldernet.batches.iterators import DirectoryIterator
from foldernet.blur.kernels import observe
from foldernet.blur.photographs import photographs
from foldernet.datasets.image_list import ImageList
from foldernet.images.reader import READER, Header, ImageError, Rule, read_image, read_with_header
from foldernet.images.store import MEMORY_SHARE, ArrayStore
from foldernet.terminal import UserError


class BlurDataGenerator(ImageDataGenerator):
    """Pairs (image, blurred image): gray crops of the original pixels of photographs, 0..1.

    Either the pairs are made: a crop is augmented as the arguments of `ImageDataGenerator` say,
    and then blurred with a known kernel, zero-padded as by `scipy.signal.convolve2d(image, kernel,
    mode="same", boundary="fill")`. Or they are found: the same crop of two files of one name.

    Args:
        kernel: float (size, size), as from `foldernet.blur.kernels`; None for pairs that are found.
        noise: standard deviation of the white noise added to what was blurred, as a share of the
            range; drawn anew for each crop in each epoch.
        bits: of the blurred image's values, 8 as in a camera's file; 0 doesn't round.
        **keywords: as for `ImageDataGenerator`. Flips leave pixels as they are; turns and zooms
            take the highest frequencies, and with them what there is to learn, away.

    Example:
        pairs = BlurDataGenerator(kernels.gaussian(7)).flow_from_directory("photographs")
        images, blurred = pairs[0]  # (32, 256, 256, 1) float32 each
    """

    def __init__(self, kernel=None, noise=0.0, bits=0, **keywords):
        super().__init__(**keywords)
        self.camera = kernel, noise, bits

    def flow_from_directory(self, directory, blurred=None, crops=512, **options):
        """Batches of crops of the photographs in a folder.

        Args:
            directory: of photographs at any depth, or an `ImageList` of them.
            blurred: folder with the blurred versions, under the same names; None makes them.
            crops: in an epoch, shared evenly by the photographs.
            target_size: (height, width) of the crops in pixels; (256, 256) by default.
            batch_size: crops in a batch; 32 by default.
            shuffle: draw other crops, in another order, in each epoch, as by default; else each has
                the same.
            seed: of the crops, the augmentation and the noise: with it, a batch depends on the
                epoch and its index alone.

        Returns:
            A `BlurIterator`, which `fit` takes.

        Raises:
            ValueError: the generator has no kernel and no folder of blurred photographs is named,
                or it has both.
        """
        if (self.camera[0] is None) == (blurred is None):
            raise ValueError("Give the generator a kernel, or name a folder of blurred images.")
        images = directory if isinstance(directory, ImageList) else photographs(directory)
        return BlurIterator(images, self, blurred, crops, **options)


class BlurIterator(DirectoryIterator):
    """What `BlurDataGenerator.flow_from_directory` returns."""

    def __init__(self, images: ImageList, generator, blurred, crops, **options):
        self.blurred_folder = blurred
        store = PhotographStore(len(images), self.path, self._read, generator.cache)
        super().__init__(images, generator, store=store, per_epoch=crops, **options)

    def batch(self, epoch, index):
        """Sharp and blurred crops, each (n, height, width, 1), 0..1."""
        generator = self.image_data_generator
        random, chosen = self.drawn(epoch if self.shuffle else 0, index)
        photographs, _ = self._images(chosen)
        crops = np.stack([self._crop(photograph, random) for photograph in photographs])
        if self.blurred_folder is None:
            sharp = generator.transform_batch(crops, random) / 255.0
            blurred = observe(sharp[..., 0], *generator.camera, random)[..., None]
        else:
            sharp, blurred = crops[..., :1] / 255, crops[..., 1:] / 255
        return sharp.astype(self.dtype), blurred.astype(self.dtype)

    def _crop(self, photograph, random):
        # A place up to a quarter of a crop outside is moved to the edge: else the photograph's
        # edges are seen least, and under the fading window of the loss hardly at all.
        size = height, width = np.array(self.target_size)
        last, beyond = photograph.shape[:2] - size, size // 4
        top, left = np.clip(random.integers(-beyond, last + beyond + 1), 0, last)
        return photograph[top : top + height, left : left + width]

    def _read(self, position: int) -> tuple[np.ndarray, Header]:
        """A photograph, (height, width, 1) uint8, or with its blurred version as a second channel;
        and its file's header.

        Raises:
            ImageError: it can't be read, or nothing can be learned from it.
            UserError: its blurred version has another size.
        """
        path = self.path(position)
        pixels, header = read_with_header(path, rule=Rule("grayscale"))
        (height, width), (rows, columns) = pixels.shape[:2], self.target_size
        if height < rows or width < columns:
            raise ImageError(path, f"its {width}x{height} pixels are less than {columns}x{rows}")
        if pixels.min() == pixels.max():
            raise ImageError(path, "all its pixels are alike, which tells nothing about a blur")
        if self.blurred_folder is None:
            return pixels, header
        twin = os.path.join(self.blurred_folder, self.filenames[position])
        other = read_image(twin, color_mode="grayscale")
        if other.shape != pixels.shape:
            raise UserError(f"'{path}' and '{twin}': the images of a pair must have the same size.")
        return np.concatenate([pixels, other], axis=2), header


def stacked(batches: BlurIterator, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """All sharp and all blurred crops of an epoch's batches, or of the first `most`."""
    pairs = (batches[index] for index in range(len(batches))[:most])
    return tuple(map(np.concatenate, zip(*pairs, strict=True)))


class PhotographStore(ArrayStore):
    """Photographs of any size, kept in memory once they are decoded, as far as they fit.

    Args:
        count: how many photographs.
        path_of: position -> path.
        read: position -> uint8 array and the file's header; what it raises as ImageError is not
            kept.
        mode: "off" keeps nothing; otherwise a quarter of the memory that is free is filled, or
            with "memory" any.
    """

    def __init__(self, count, path_of, read, mode="auto"):
        super().__init__(count, path_of, lambda at: read(at)[0], (), READER, "memory")
        self.read, self._rows = read, np.empty(count, object)  # whose shapes differ
        self._sizes = np.zeros(count, int)  # in bytes, of what is kept
        free = MEMORY_SHARE * psutil.virtual_memory().available
        self._room = {"off": 0, "memory": float("inf")}.get(mode, free)

    def in_words(self) -> str:
        """What the terminal says of it."""
        return f"{self._sizes[self._slot].sum() / 1e6:,.1f} MB in memory"

    def _made(self, position, make=None):
        row, slot = super()._made(position, make), self._slot[position]
        self._sizes[slot] = getattr(row, "nbytes", 0)  # an ImageError has none
        if self._sizes.sum() > self._room:
            self._rows[slot], self._sizes[slot], self._keys[slot] = None, 0, 0
        return row
