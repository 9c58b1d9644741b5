"""What a check has to know of each image, learned from the one decoding that training needs anyway,
and kept in the user's cache like the pixels."""

import dataclasses
import math

import numpy as np
from PIL import Image

from foldernet import terminal
from foldernet.datasets.image_list import Dataset
from foldernet.images import threads
from foldernet.images.reader import FORMATS, Header, ImageError
from foldernet.images.store import ArrayStore

# Of ImageHash's perceptual hash: 256 bits, since 64 can't tell one silhouette from another.
HASH_SIDE = 16
HASH_FACTOR = 3  # it looks at 48x48 pixels, the size that images are read at by default
RECORD = np.dtype(
    [
        ("hash", np.uint64, HASH_SIDE**2 // 64),  # alike for images that look alike
        ("height", np.uint32),  # pixels, of the file
        ("width", np.uint32),
        ("format", np.uint8),  # of the content, as an index of FORMATS
        ("blank", np.bool_),  # all pixels that the network sees are alike
    ]
)


@dataclasses.dataclass(frozen=True)
class Examined:
    """The images of all splits, one after the other, and what was found in them.

    Attributes:
        paths: of the n files.
        splits: names, in the order of their indices.
        split: (n,) int, the index of each image's split.
        label: (n,) int, the index of its class.
        records: (n,) of `RECORD`; zeros where a file can't be read.
        errors: why a file can't be read, of each such file.
    """

    paths: list[str]
    splits: tuple[str, ...]
    split: np.ndarray
    label: np.ndarray
    records: np.ndarray
    errors: list[ImageError]

    @property
    def readable(self) -> np.ndarray:
        """Which files could be read: (n,) bool."""
        return self.records["height"] > 0

    @property
    def sizes(self) -> str:
        """`28x28`, or `100x80 to 4000x3000`, the smallest and the largest: width x height."""
        known = self.records[self.readable][["width", "height"]].tolist()
        sizes = sorted(set(known), key=math.prod)
        ends = [f"{width}x{height}" for width, height in sizes[:1] + sizes[1:][-1:]]
        return " to ".join(ends) or "none that can be read"


def examine(dataset: Dataset, stores: dict, mode: str) -> Examined:
    """Read every image that isn't known yet, into the stores.

    Args:
        stores: split -> the `PixelStore` of its images, or what acts like one.
        mode: as of `ArrayStore`, for the records.
    """
    found = [_records(store, mode, f"Reading {split} images") for split, store in stores.items()]
    lists = [dataset.splits[split] for split in stores]
    return Examined(
        paths=[path for images in lists for path in images.paths],
        splits=tuple(stores),
        split=np.repeat(np.arange(len(lists)), list(map(len, lists))),
        label=np.concatenate([images.labels for images in lists]),
        records=np.concatenate([records for records, _ in found]),
        errors=[error for _, errors in found for error in errors],
    )


def _records(store, mode: str, doing: str) -> tuple[np.ndarray, list[ImageError]]:
    """The records of a store's images, and the errors of those that have none."""

    def make(position: int) -> np.ndarray:
        pixels, header = store.read(position)
        store.row(position, lambda _: pixels)  # which keeps them, for training
        return np.frombuffer(_record(pixels, header).tobytes(), np.uint8)

    kept = "memory" if mode == "off" else mode
    purpose = f"records 1 of {store.purpose}"
    records = ArrayStore(len(store), store.path_of, make, (RECORD.itemsize,), purpose, kept)
    unknown = set(records.missing.tolist())
    wanted = np.union1d(records.missing, store.missing).astype(int).tolist()

    def look(position: int) -> np.ndarray | ImageError:
        return (records if position in unknown else store).row(position)

    rows = terminal.progress(threads.map(look, wanted), doing, len(wanted))
    errors = {at: row for at, row in zip(wanted, rows, strict=True) if isinstance(row, ImageError)}
    records.flush()
    store.flush()
    found = np.zeros(len(store), RECORD)
    known = np.delete(np.arange(len(store)), list(errors))
    if len(known):
        found[known] = np.array(records.rows(known)).view(RECORD)[:, 0]
    return found, list(errors.values())


def _record(pixels: np.ndarray, header: Header) -> np.ndarray:
    """A `RECORD` of an image, (height, width, channels) uint8."""
    import imagehash  # half a second, with the SciPy it brings; a known image needs neither

    # Of a pair of photographs, and of one that is gray, the first channel stands for the image.
    seen = pixels if pixels.shape[2] == 3 else pixels[..., 0]
    bits = imagehash.phash(Image.fromarray(seen), HASH_SIDE, HASH_FACTOR).hash
    words = np.packbits(bits).view(np.uint64)
    blank = (pixels == pixels[:1, :1]).all()
    form = FORMATS.index(header.format)
    return np.array((words, header.height, header.width, form, blank), RECORD)
