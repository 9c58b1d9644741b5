"""What is wrong with the images of a data set: found before the first epoch, or by check.py."""

import math
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from foldernet import terminal
from foldernet.config import CheckConfig, Config
from foldernet.data import folders, quarantine, records
from foldernet.data.cache import PixelCache
from foldernet.data.folders import Dataset
from foldernet.data.quarantine import COPY, FINDINGS, IN_TEST, NEAR, OTHER_CLASS, Finding
from foldernet.data.reader import FORMATS
from foldernet.data.records import Examined
from foldernet.terminal import UserError

if TYPE_CHECKING:  # it imports Keras, which check.py has no use for
    from foldernet.data.generator import DirectoryIterator

NAMED_FILES = 10  # of each finding, on the terminal
TINY_SIDE = 8  # pixels; a shorter side holds next to nothing
# Of the hash's 256 bits. A copy saved as JPEG, scaled, brightened or made grey differs in 0 to 14
# bits nearly always; the nearest two of the animals, silhouettes of two bears, in 26, and of
# scikit-learn's digits in 20. One less than there are 16-bit words in the hash: see near_copies.
NEAR_BITS = 15
CANDIDATES = 2**20  # pairs compared at once: 64 MB
ODD_PROPORTIONS = 4.0  # times the usual; a phone's photographs upright and lying differ 3.2 times
UNEQUAL_CLASSES = 10.0  # largest over smallest
FORMAT_OF = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".mpo": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
}  # file ending -> format


def examine(config: CheckConfig, dataset: Dataset) -> Examined:
    """Examine a data set without training on it, at the size that train.py reads by default."""
    caches = {}
    for split, listing in dataset.splits.items():
        size = (Config.image_size, Config.image_size)
        paths = listing.paths
        caches[split] = PixelCache(len(paths), paths.__getitem__, size, mode=config.cache)
    return records.examine(dataset, caches, config.cache)


def before_training(
    config: Config, dataset: Dataset, batches: dict[str, "DirectoryIterator"]
) -> tuple[Dataset, Counter[tuple[int, int]]]:
    """Read every image once, into the cache; leave out, and name, the files that can't be read.

    Args:
        dataset: as found.
        batches: split name -> iterator over its images; the unreadable ones are taken out of it.

    Returns:
        The data set less the unreadable files; and how many images have each (height, width).

    Raises:
        UserError: a class of the training images, or all of validation, is unreadable; or --strict
            was asked for, and something leaves images out.
    """
    caches = {split: iterator.cache for split, iterator in batches.items()}
    examined = records.examine(dataset, caches, config.cache)
    errors = list(examined.errors.values())
    _name_errors(errors)
    starts = np.searchsorted(examined.split, np.arange(len(batches)))
    lost = np.array(sorted(examined.errors), int)
    for index, iterator in enumerate(batches.values()):
        here = lost[examined.split[lost] == index]
        if len(here):
            iterator.leave_out(here - starts[index])
    decided = quarantine.decisions(dataset.root)
    found = [
        finding
        for finding in findings(dataset, examined, config.cache)
        if not (FINDINGS[finding.kind] and decided.get(finding.key) is False)  # the user keeps it
    ]
    _tell_copies(config, found)
    if config.strict:
        refuse(sum(FINDINGS[finding.kind] for finding in found))
    how = "can be read, as said above. Replace or remove them."
    return folders.without(dataset, {error.path for error in errors}, how), sizes(examined)


def refuse(count: int) -> None:
    """What --strict does about `count` images that would be left out.

    Raises:
        UserError: there are any.
    """
    if count:
        raise UserError(
            f"{terminal.count(count, 'image')} can't be used, as said above, and --strict allows"
            " none. Mend or remove them."
        )


def _name_errors(errors: list) -> None:
    if errors:
        terminal.warn(f"{terminal.count(len(errors), 'file')} can't be read, and are left out:")
        for error in errors[:NAMED_FILES]:
            terminal.status(f"  {terminal.printable(str(error))}")
        if len(errors) > NAMED_FILES:
            terminal.status(f"  and {len(errors) - NAMED_FILES:,} more")


def _tell_copies(config: Config, found: list[Finding]) -> None:
    """In one line: what makes validation better than it is, or the labels contradict themselves."""
    counts = Counter(finding.kind for finding in found if "copy" in finding.kind)
    if counts:
        told = ", ".join(f"{kind}: {terminal.count(counts[kind], 'image')}" for kind in counts)
        terminal.warn(f"{told}. `{_command(config)}` names them.")


def _command(config: Config) -> str:
    """How check.py is called for the same images."""
    folder = config.blur.pairs[0] if config.blur.pairs else config.data
    words = ["python", "check.py", *([os.fspath(folder)] if folder else [])]
    for field in ("mode", "validation_split"):
        if getattr(config, field) != getattr(Config, field):
            words += [f"--{field.replace('_', '-')}", str(getattr(config, field))]
    return terminal.printable(shlex.join(words))


def replaced(batches: dict[str, "DirectoryIterator"]) -> dict:
    """How many images went bad after they had been checked; names them, too."""
    bad = {}
    for iterator in batches.values():
        bad |= iterator.unreadable
    if bad:
        named = terminal.listed((f"{path} ({reason})" for path, reason in bad.items()), NAMED_FILES)
        count = terminal.count(len(bad), "image")
        terminal.warn(f"{count} went bad during training, and others took their place: {named}")
    return {"images_replaced": len(bad)}


def findings(dataset: Dataset, examined: Examined, cache: str) -> list[Finding]:
    """All that is found of the images, in the order of `FINDINGS` and of the images.

    Args:
        cache: as of `foldernet.data.cache.ArrayCache`, for the hashes of files' contents.
    """
    readable = np.ones(len(examined.paths), bool)
    readable[list(examined.errors)] = False
    found = [
        *((position, error.kind, error.reason) for position, error in examined.errors.items()),
        *_copies(examined, readable, cache),
        *_oddities(examined, readable),
    ]
    copied = {position for position, kind, _ in found if "copy" in kind}
    found += _near_copies(examined, readable, copied)
    order = list(FINDINGS)
    found.sort(key=lambda item: (order.index(item[1]), item[0]))
    named = []
    for position, kind, detail in found:
        if isinstance(detail, int | np.integer):
            detail = quarantine.relative(examined.paths[detail], dataset.root)
        named.append(
            Finding(quarantine.relative(examined.paths[position], dataset.root), kind, detail)
        )
    return named


def _copies(examined: Examined, readable: np.ndarray, cache: str) -> Iterator[tuple[int, str, int]]:
    """Exact copies across splits or classes, as (position, kind, position of the other)."""
    for group in _same_content(examined, readable, cache):
        by_split, by_label = {}, {}  # -> the first image of the group there
        for position in group:
            by_split.setdefault(examined.splits[examined.split[position]], position)
            by_label.setdefault(examined.label[position], position)
        judged = [(split, first) for split, first in by_split.items() if split != "training"]
        for position in group:
            split = examined.splits[examined.split[position]]
            if split == "training" and judged:
                yield position, COPY.format(judged[0][0]), judged[0][1]
            elif split == "validation" and "test" in by_split:
                yield position, IN_TEST, by_split["test"]
            for label, first in by_label.items():
                if label != examined.label[position]:
                    yield position, OTHER_CLASS, first
                    break


def _same_content(examined: Examined, readable: np.ndarray, cache: str) -> list[list[int]]:
    """Groups of positions whose files have the same bytes."""
    by_size = defaultdict(list)
    for position in np.flatnonzero(readable).tolist():
        try:
            by_size[os.path.getsize(examined.paths[position])].append(position)
        except OSError:
            continue  # it has gone since it was read
    # Only files of one size can be copies, and photographs seldom share it.
    alike = [position for same in by_size.values() if len(same) > 1 for position in same]
    if not alike:
        return []
    hashes = folders.content_hashes([examined.paths[position] for position in alike], cache)
    groups = defaultdict(list)
    for position, content in sorted(zip(alike, hashes.tolist(), strict=True)):
        groups[content].append(position)
    return [group for group in groups.values() if len(group) > 1]


def _near_copies(
    examined: Examined, readable: np.ndarray, copied: set[int]
) -> Iterator[tuple[int, str, int]]:
    """Images that look like one of another split, as (position, kind, position of the other)."""
    seen = readable & ~examined.records["blank"]
    seen[list(copied)] = False
    hashes = examined.records["hash"]
    of_split = [np.flatnonzero(seen & (examined.split == i)) for i in range(len(examined.splits))]
    for index, ours in enumerate(of_split):
        told = set()
        for other in range(index + 1, len(of_split)):
            theirs = of_split[other]
            for position, nearest in near_copies(hashes[ours], hashes[theirs]):
                if position not in told:
                    yield int(ours[position]), NEAR.format(examined.splits[other]), theirs[nearest]
                told.add(position)


def near_copies(hashes: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Which hashes have another within `NEAR_BITS` bits, and the nearest such one.

    Two hashes that differ in fewer bits than they have words are equal in one word at least; so
    only those that share one are compared, found by sorting. [1]

    Args:
        hashes: (n, 4) uint64.
        others: (m, 4) uint64.

    Returns:
        Pairs of an index of `hashes` and one of `others`.

    References:
        [1] M. Norouzi, A. Punjani, D. J. Fleet, "Fast search in Hamming space with multi-index
            hashing", CVPR 2012.
    """
    bits = np.full(len(hashes), NEAR_BITS + 1)
    nearest = np.zeros(len(hashes), int)
    for word, other_word in zip(hashes.view(np.uint16).T, others.view(np.uint16).T, strict=True):
        order = np.argsort(other_word, kind="stable")
        first = np.searchsorted(other_word[order], word, "left")
        counts = np.searchsorted(other_word[order], word, "right") - first
        ends = np.cumsum(counts)
        cuts = np.searchsorted(ends, np.arange(CANDIDATES, ends[-1:].sum(), CANDIDATES))
        for part in np.split(np.arange(len(hashes)), np.unique(cuts)):
            if not len(part):
                continue
            ours = np.repeat(part, counts[part])
            within = np.arange(len(ours)) - np.repeat(np.cumsum(counts[part]), counts[part])
            theirs = order[np.repeat(first[part] + counts[part], counts[part]) + within]
            differing = np.bitwise_count(hashes[ours] ^ others[theirs]).sum(axis=1)
            before = bits[ours]
            np.minimum.at(bits, ours, differing)
            nearer = np.flatnonzero((differing < before) & (differing == bits[ours]))[::-1]
            nearest[ours[nearer]] = theirs[nearer]  # of several, the first: the last one written
    return [(index, int(nearest[index])) for index in np.flatnonzero(bits <= NEAR_BITS).tolist()]


def _oddities(examined: Examined, readable: np.ndarray) -> Iterator[tuple[int, str, str]]:
    """What an image shows by itself or beside the usual one, as (position, kind, detail)."""
    known = np.flatnonzero(readable)
    seen = examined.records[known]
    named = [FORMATS.index(FORMAT_OF[_ending(examined.paths[position])]) for position in known]
    proportions = np.log(seen["width"] / np.maximum(seen["height"], 1))
    usual = np.median(proportions) if len(known) else 0
    flags = {
        "wrong ending": seen["format"] != named,
        "tiny": np.minimum(seen["width"], seen["height"]) < TINY_SIDE,
        "blank": seen["blank"],
        "odd proportions": np.abs(proportions - usual) > math.log(ODD_PROPORTIONS),
    }
    for kind, flagged in flags.items():
        for position, record in zip(known[flagged].tolist(), seen[flagged], strict=True):
            details = {
                "wrong ending": f"a {FORMATS[record['format']]} file by its content",
                "blank": "all pixels are alike",
            }
            size = f"{record['width']}x{record['height']} pixels"
            yield position, kind, details.get(kind, size)


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def unequal(dataset: Dataset) -> str | None:
    """One sentence on classes of very different sizes, or None."""
    counts = {label: len(names) for label, names in dataset.splits["training"].files.items()}
    small, large = min(counts, key=counts.get), max(counts, key=counts.get)
    if counts[large] < UNEQUAL_CLASSES * counts[small]:
        return None
    return (
        f"unequal classes: {counts[large]:,} training images of"
        f" {terminal.printable(large)}, {counts[small]:,} of {terminal.printable(small)};"
        " --class-weights balanced lets them weigh the same"
    )


def sizes(examined: Examined) -> Counter[tuple[int, int]]:
    """How many of the readable images have each (height, width)."""
    known = np.delete(examined.records, list(examined.errors))
    return Counter(zip(known["height"].tolist(), known["width"].tolist(), strict=True))


def sizes_in_words(sizes: Counter[tuple[int, int]]) -> str:
    """`28x28`, or `100x80 to 4000x3000, most often 640x480`: width x height in pixels."""
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    (often, _), *_ = sizes.most_common(1)
    smallest, largest, often = (
        f"{width}x{height}" for height, width in (by_area[0], by_area[-1], often)
    )
    return often if len(sizes) == 1 else f"{smallest} to {largest}, most often {often}"


def tell(dataset: Dataset, examined: Examined, found: list[Finding]) -> None:
    """The report of check.py, on standard output."""
    parts = ", ".join(f"{len(listing):,} {split}" for split, listing in dataset.splits.items())
    known = sizes(examined)
    seen = f"; {sizes_in_words(known)} pixels" if known else ""
    terminal.result(f"{terminal.count(len(examined.paths), 'image')}: {parts}{seen}")
    by_kind = defaultdict(list)
    for finding in found:
        by_kind[finding.kind].append(finding)
    for kind, some in by_kind.items():
        terminal.result(f"{kind}: {terminal.count(len(some), 'image')}")
        for finding in some[:NAMED_FILES]:
            path, detail = terminal.printable(finding.path), terminal.printable(finding.detail)
            terminal.result(f"  {path}: {detail}")
        if len(some) > NAMED_FILES:
            terminal.result(f"  and {len(some) - NAMED_FILES:,} more")
    if told := unequal(dataset):
        terminal.result(told)
    if not found:
        terminal.result("nothing wrong with any image")


def tell_quarantine(dataset: Dataset, left_out: list[Finding]) -> None:
    """What becomes of it, and how to change that."""
    path = dataset.root / quarantine.FILE
    if path.exists():
        images = terminal.count(len({finding.path for finding in left_out}), "image")
        terminal.result(f"{path}: {images} left out of training; its column leave_out decides")
