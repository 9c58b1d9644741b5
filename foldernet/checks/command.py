"""The function behind check.py and `foldernet check`."""

import contextlib
import io

from foldernet import command_line, rooms, terminal
from foldernet.checks import layout, report
from foldernet.checks.options import CheckOptions
from foldernet.checks.quarantine import Quarantine, check_strict


@terminal.entry_point
def check(arguments: list[str] | None = None) -> int:
    """Find what is wrong with the images of a folder."""
    options = command_line.parse(rooms.with_options(CheckOptions, []), arguments, "check")
    options.allow()
    training = rooms.options_class(options.mode)(**vars(options))
    dataset = rooms.find_dataset(rooms.task(training))
    layout.check(dataset)
    with contextlib.redirect_stderr(io.StringIO()):  # train.py will say what it chooses
        for package in rooms.packages("choose"):
            training = package.choose(training, dataset)
    training = training.with_defaults(images=len(dataset.splits["training"]))

    from foldernet.checks.findings import examine  # decoders, needed now that there are images
    from foldernet.images.reader import Rule
    from foldernet.images.store import PixelStore

    # Pixels as train.py will read them, for it and for the next time; nothing stays in memory.
    size, rule = 2 * [training.image_size], Rule(**rooms.task(training).rule)
    stores = {
        split: PixelStore(len(images), images.path, size, rule, mode="disk")
        for split, images in dataset.splits.items()
    }
    examined, found = examine(dataset, stores, mode="disk")
    report.show(dataset, examined.sizes, found)
    quarantine = Quarantine(dataset.root)
    quarantine.update(found)
    left_out = quarantine.left_out(found)
    if quarantine.path.exists():
        images = terminal.count(len(left_out), "image")
        terminal.result(f"{quarantine.path}: {images} left out of training; leave_out decides")
    check_strict(options.strict, left_out)
    return 1 if left_out else 0
