"""The checks that train.py makes before the first epoch."""

from typing import Any

from foldernet.checks import quarantine, report
from foldernet.checks.options import StrictOptions
from foldernet.checks.quarantine import FINDINGS
from foldernet.datasets.image_list import Dataset

Options = StrictOptions


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
    report.name_unreadable(list(examined.errors.values()))
    for index, iterator in enumerate(batches.values()):
        unreadable = np.flatnonzero(~examined.readable[examined.split == index])
        if len(unreadable):
            iterator.leave_out(unreadable)
    found = findings(dataset, examined, options.cache)
    decided = quarantine.decisions(dataset.root)
    kept = {key for key, leave_out in decided.items() if not leave_out and FINDINGS.get(key[1])}
    report.count_duplicates(options, [finding for finding in found if finding.key not in kept])
    if options.strict:
        report.refuse(quarantine.leaving_out(found, decided))
    unreadable = {error.path for error in examined.errors.values()}
    why = "can be read, as said above. Replace or remove them."
    dataset = dataset.without(unreadable, why) if unreadable else dataset
    return dataset, [("images", examined.sizes)]
