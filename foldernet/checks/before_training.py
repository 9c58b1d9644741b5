"""The checks that train.py makes before the first epoch."""

import os
import shlex
from collections import Counter
from typing import Any

from foldernet import terminal
from foldernet.checks import quarantine
from foldernet.checks.options import StrictOptions
from foldernet.checks.quarantine import FINDINGS
from foldernet.datasets.image_list import Dataset
from foldernet.terminal import UserError

Options = StrictOptions
NAMED_FILES = 10


def exclude(options: StrictOptions, dataset: Dataset) -> Dataset:
    """The dataset less the images that its quarantine.csv leaves out."""
    return quarantine.obeyed(dataset, options.strict)


def examine(
    options: StrictOptions, dataset: Dataset, batches: dict[str, Any]
) -> tuple[Dataset, list[tuple[str, str]]]:
    """Read every image once, into the stores; leave out, and name, the files that can't be read.

    Args:
        batches: split -> iterator over its images; the unreadable ones are taken out of it.

    Returns:
        The dataset less the unreadable files, and the sizes of its images for the terminal.

    Raises:
        UserError: all images of a class, or all of validation, are unreadable; or `strict`, and
            something leaves images out.
    """
    import numpy as np

    from foldernet.checks.examine import examine as examine_images
    from foldernet.checks.findings import findings

    stores = {split: iterator.store for split, iterator in batches.items()}
    examined = examine_images(dataset, stores, options.cache)
    _name_unreadable(list(examined.errors.values()))
    for index, iterator in enumerate(batches.values()):
        unreadable = np.flatnonzero(~examined.readable[examined.split == index])
        if len(unreadable):
            iterator.leave_out(unreadable)
    decided = quarantine.decisions(dataset.root)
    found = [
        finding
        for finding in findings(dataset, examined, options.cache)
        if not (FINDINGS[finding.kind] and decided.get(finding.key) is False)  # the user keeps it
    ]
    _count_duplicates(options, found)
    if options.strict:
        refuse(sum(FINDINGS[finding.kind] for finding in found))
    unreadable = {error.path for error in examined.errors.values()}
    why = "can be read, as said above. Replace or remove them."
    dataset = dataset.without(unreadable, why) if unreadable else dataset
    return dataset, [("images", examined.sizes)]


def refuse(count: int) -> None:
    """What --strict does about `count` images that would be left out: raises UserError."""
    if count:
        raise UserError(
            f"{terminal.count(count, 'image')} can't be used, as said above, and --strict allows"
            " none. Repair or remove them."
        )


def _name_unreadable(errors: list) -> None:
    if errors:
        count = terminal.count(len(errors), "file")
        terminal.warn(f"{count} can't be read and {'is' if len(errors) == 1 else 'are'} left out:")
        for error in errors[:NAMED_FILES]:
            terminal.status(f"  {error}")
        if len(errors) > NAMED_FILES:
            terminal.status(f"  and {len(errors) - NAMED_FILES:,} more")


def _count_duplicates(options: StrictOptions, found: list) -> None:
    """In one line: what makes validation better than it is, or the labels contradict themselves."""
    counts = Counter(finding.kind for finding in found if "duplicate" in finding.kind)
    if counts:
        kinds = ", ".join(f"{kind}: {terminal.count(counts[kind], 'image')}" for kind in counts)
        terminal.warn(f"{kinds}. `{_check_command(options)}` names them.")


def _check_command(options: StrictOptions) -> str:
    """How check.py is called for the same images."""
    words = ["python", "check.py", *([os.fspath(options.data)] if options.data else [])]
    for name in ("mode", "validation_split"):
        value = getattr(options, name)
        if value != type(options).__dataclass_fields__[name].default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return terminal.printable(shlex.join(words))
