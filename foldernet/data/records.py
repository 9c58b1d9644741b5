"""What a check has to know of each image, learnt from the one decoding that training needs anyway,
and kept in the user's cache like the pixels."""

import dataclasses

import numpy as np
from PIL import Image

from foldernet import terminal
from foldernet.data import threads
from foldernet.data.cache import ArrayCache, PixelCache
from foldernet.data.folders import Dataset
from foldernet.data.reader import FORMATS, Header, ImageError, read_header

HASH_SIDE = (
    16  # of ImageHash's perceptual hash: 256 bits; 64 can't tell one silhouette from another
)
HASH_FACTOR = 3  # the hash looks at 48x48 pixels, the size that images are read at by default
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
        errors: position -> why that file can't be read.
    """

    paths: list[str]
    splits: tuple[str, ...]
    split: np.ndarray
    label: np.ndarray
    records: np.ndarray
    errors: dict[int, ImageError]


def examine(dataset: Dataset, caches: dict[str, PixelCache], mode: str) -> Examined:
    """Read every image that isn't known yet, into the caches.

    Args:
        caches: split name -> the cache of its images, in the order of its listing; or a
            `foldernet.data.pairs.PhotographCache`.
        mode: as of `ArrayCache`, for the records.
    """
    records, errors, before = [], {}, 0
    for split, cache in caches.items():
        found, lost = _records(cache, mode, f"Reading {split} images")
        records.append(found)
        errors |= {before + position: error for position, error in lost.items()}
        before += len(found)
    listings = [dataset.splits[split] for split in caches]
    counts = [[len(names) for names in listing.files.values()] for listing in listings]
    labels = [np.repeat(np.arange(len(count)), count) for count in counts]
    return Examined(
        paths=[path for listing in listings for path in listing.paths],
        splits=tuple(caches),
        split=np.repeat(np.arange(len(caches)), [len(listing) for listing in listings]),
        label=np.concatenate(labels),
        records=np.concatenate(records),
        errors=errors,
    )


def _records(cache: PixelCache, mode: str, doing: str) -> tuple[np.ndarray, dict[int, ImageError]]:
    """The records of a cache's images, and the errors of those that have none."""

    def make(position: int) -> np.ndarray:
        headers = []

        def read(position: int) -> np.ndarray:
            pixels, header = cache.read(position)
            headers.append(header)
            return pixels

        pixels = cache.row(position, read)
        if isinstance(pixels, ImageError):
            raise pixels
        header = headers[0] if headers else read_header(cache.path_of(position))
        return np.frombuffer(_record(pixels, header).tobytes(), np.uint8)

    kept = "memory" if mode == "off" else mode
    purpose = f"records 1 of {cache.purpose}"
    records = ArrayCache(len(cache), cache.path_of, make, (RECORD.itemsize,), purpose, kept)
    unknown = set(records.missing.tolist())
    wanted = np.union1d(records.missing, cache.missing).astype(int).tolist()

    def look(position: int) -> np.ndarray | ImageError:
        return (records if position in unknown else cache).row(position)

    rows = terminal.progress(threads.stream(look, wanted), doing, len(wanted))
    errors = {
        position: row
        for position, row in zip(wanted, rows, strict=True)
        if isinstance(row, ImageError)
    }
    records.flush()
    cache.flush()
    found = np.zeros(len(cache), RECORD)
    known = np.setdiff1d(np.arange(len(cache)), list(errors)).astype(int)
    if len(known):
        found[known] = np.array(records.rows(known)).view(RECORD)[:, 0]
    return found, errors


def _record(pixels: np.ndarray, header: Header) -> np.ndarray:
    """A `RECORD` of an image, (height, width, channels) uint8."""
    import imagehash  # half a second, with the SciPy it brings; a known image needs neither

    # Of a pair of photographs, and of one that is grey, the first channel stands for the image.
    seen = pixels if pixels.shape[2] == 3 else pixels[..., 0]
    bits = imagehash.phash(Image.fromarray(seen), HASH_SIDE, HASH_FACTOR).hash
    record = np.zeros((), RECORD)
    record["hash"] = np.packbits(bits).view(np.uint64)
    record["height"], record["width"] = header.height, header.width
    record["format"] = FORMATS.index(header.format)
    record["blank"] = (pixels == pixels[:1, :1]).all()
    return record
