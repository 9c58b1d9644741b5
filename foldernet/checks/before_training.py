"""The checks that train.py makes before the first epoch."""

import os
import shutil
from pathlib import Path

import numpy as np

from foldernet.checks import layout, report
from foldernet.checks.options import StrictOptions as Options
from foldernet.checks.quarantine import Quarantine, check_strict, without
from foldernet.datasets.folders import NoClassesError
from foldernet.datasets.image_list import Dataset
from foldernet.terminal import UserError
from foldernet.training import runs

SPARE_BYTES = 10 * 2**20  # for curves and figures


def explain(options: Options, error: UserError) -> None:
    """Raise UserError if the folder shows why no classes were found in it."""
    if isinstance(error, NoClassesError) and options.data:
        layout.explain(options.data.expanduser())


def exclude(options: Options, dataset: Dataset) -> Dataset:
    """The dataset less the images that its quarantine.csv leaves out; names what isn't used."""
    options.allow()
    layout.check(dataset)
    return Quarantine(dataset.root).obeyed(dataset, options.strict)


def examine(
    options: Options, dataset: Dataset, batches: dict
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
    from foldernet.checks.findings import examine as examine_images
    from foldernet.checks.levels import name_blank_classes

    stores = {split: iterator.store for split, iterator in batches.items()}
    examined, found = examine_images(dataset, stores, options.cache)
    report.name_unreadable(examined.errors)
    for index, iterator in enumerate(batches.values()):
        _keep(iterator, np.flatnonzero(examined.readable[examined.split == index]))
    quarantine = Quarantine(dataset.root)
    name_blank_classes(dataset, examined, batches["training"].store)
    report.count_duplicates([each for each in found if each.key not in quarantine.decided])
    check_strict(options.strict, quarantine.left_out(found))
    unreadable = {error.path for error in examined.errors}
    why = "can be read, as said above. Replace or remove them."
    return without(dataset, unreadable, why), [("images", examined.sizes)]


def prepare(options: Options, network, batches: dict) -> list[tuple[str, str]]:
    """Check that the disk has room for what training a `keras.Model` writes, and that there is a
    GPU if one is asked for; the terminal need say nothing.

    Raises:
        UserError: there isn't.
    """
    import keras  # three seconds, which --help should not take

    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if wanted not in ("", "-1") and not keras.distribution.list_devices("gpu"):
        raise UserError(
            f"CUDA_VISIBLE_DEVICES={wanted} asks for a GPU, and TensorFlow finds none. Install"
            " TensorFlow with CUDA, as README.md says, or unset the variable to train on the CPU."
        )
    # Two checkpoints and a third being written, of weights and twice as much of the optimizer; and
    # the best and the last model, and another being written.
    needed = 12 * 4 * network.count_params() + SPARE_BYTES
    free = shutil.disk_usage(runs.MODELS if runs.MODELS.exists() else Path.cwd()).free
    if free < needed:
        raise UserError(
            f"'{runs.MODELS}/' in '{Path.cwd()}' has {free / 2**20:,.0f} MB free, and this network"
            f" needs {needed / 2**20:,.0f}. Free some space, or run this in another folder."
        )
    return []


def _keep(iterator, kept: np.ndarray) -> None:
    """Keep only the files at these positions in an iterator of which nothing has been taken."""
    iterator.store.keep(kept)
    iterator.filenames = [iterator.filenames[position] for position in kept]
    iterator.classes = iterator.classes[kept]
    iterator.samples = len(kept)
    iterator.n = iterator.per_epoch or iterator.samples
