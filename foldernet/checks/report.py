"""What a person reads of the findings."""

import contextlib
import math
import os
import shlex
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from foldernet import terminal
from foldernet.checks.options import StrictOptions
from foldernet.checks.quarantine import Finding
from foldernet.datasets.image_list import Dataset
from foldernet.terminal import UserError

if TYPE_CHECKING:  # it needs OpenCV, which --help should not load
    from foldernet.checks.examine import Examined
    from foldernet.images.store import PixelStore

NAMED = 10  # of each finding
MOSTLY = 0.5  # of a class's images
TRIED = 16  # images at most, with each background


def show(dataset: Dataset, sizes: str, found: list[Finding], imbalance: str | None) -> None:
    """All that was found, on standard output.

    Args:
        sizes: of the images, in words.
        imbalance: of the classes, in words, if there is one.
    """
    parts = ", ".join(f"{len(images):,} {split}" for split, images in dataset.splits.items())
    count = terminal.count(sum(map(len, dataset.splits.values())), "image")
    terminal.result(f"{count}: {parts}; {sizes} pixels")
    by_kind = defaultdict(list)
    for finding in found:
        by_kind[finding.kind].append(f"{finding.path}: {finding.detail}")
    for kind, texts in by_kind.items():
        terminal.result(f"{kind}: {terminal.count(len(texts), 'image')}\n{_first(texts)}")
    if imbalance:
        terminal.result(imbalance)
    if not found:
        terminal.result("nothing wrong with any image")


def name_unreadable(errors: list[Exception]) -> None:
    """Warn of files that can't be read."""
    if errors:
        count = terminal.count(len(errors), "file")
        are = "is" if len(errors) == 1 else "are"
        terminal.warn(f"{count} can't be read and {are} left out:\n{_first(map(str, errors))}")


def name_blank_classes(dataset: Dataset, examined: "Examined", store: "PixelStore") -> None:
    """Warn of classes whose training images are mostly blank as the network sees them, and of the
    backgrounds that mend it where transparency is the cause.

    Args:
        store: of the training images.
    """
    import numpy as np

    training = (examined.split == 0) & examined.readable
    blank = np.flatnonzero(training & examined.records["blank"])
    counts = [
        np.bincount(examined.label[at], minlength=len(dataset.classes)) for at in (blank, training)
    ]
    shares = counts[0] / np.maximum(counts[1], 1)
    if worst := np.flatnonzero(shares > MOSTLY).tolist():
        blank = [at for at in blank.tolist() if examined.label[at] in worst]
        mends = _mending([examined.paths[at] for at in blank], dataset, store)
        mend = f" They are transparent: try --background {' or '.join(mends)}." if mends else ""
        names = terminal.listed(dataset.classes[at] for at in worst)
        terminal.warn(
            f"most training images of class {names} are of one color only, and nothing can be"
            f" learned from those.{mend}"
        )


def _mending(paths: list[str], dataset: Dataset, store: "PixelStore") -> list[str]:
    """The backgrounds on which most of the images, of which some are tried, aren't blank."""
    from foldernet.checks.levels import MEAN, mean_color
    from foldernet.images.reader import ImageError, read_image

    def shows(path: str, color: str) -> bool:
        rule = vars(store.rule) | {"background": color}
        with contextlib.suppress(ImageError):  # it has gone since it was read
            pixels = read_image(path, store.size, **rule)
            return bool((pixels != pixels[:1, :1]).any())
        return False

    tried = paths[:: math.ceil(len(paths) / TRIED)]
    colors = {name: name for name in ("white", "gray", "black")}
    colors[MEAN] = mean_color(dataset.splits["training"])
    return [
        name
        for name, color in colors.items()
        if sum(shows(path, color) for path in tried) > MOSTLY * len(tried)
    ]


def count_duplicates(options: StrictOptions, found: list[Finding]) -> None:
    """Warn in one line of what makes validation better than it is, or the labels contradict
    themselves."""
    counts = Counter(finding.kind for finding in found if "duplicate" in finding.kind)
    if counts:
        kinds = ", ".join(f"{kind}: {terminal.count(counts[kind], 'image')}" for kind in counts)
        terminal.warn(f"{kinds}. `{_check_command(options)}` names them.")


def refuse(left_out: list[Finding]) -> None:
    """What --strict does about findings that leave images out: raises UserError."""
    if left_out:
        count = terminal.count(len({finding.path for finding in left_out}), "image")
        raise UserError(
            f"{count} can't be used, as said above, and --strict allows none. Repair or remove"
            " them."
        )


def _first(texts) -> str:
    """The first few of many texts, a line each."""
    texts = list(map(terminal.printable, texts))
    more = [f"and {len(texts) - NAMED:,} more"] if len(texts) > NAMED else []
    return "\n".join(f"  {text}" for text in texts[:NAMED] + more)


def _check_command(options: StrictOptions) -> str:
    """How check.py is called for the same images."""
    words = ["python", "check.py", *([os.fspath(options.data)] if options.data else [])]
    for name in ("mode", "validation_split", "megapixels"):
        value = getattr(options, name)
        if value != type(options).__dataclass_fields__[name].default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return terminal.printable(shlex.join(words))
