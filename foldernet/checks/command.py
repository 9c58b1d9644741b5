"""The function behind check.py and `foldernet check`."""

from foldernet import command_line, rooms, terminal
from foldernet.checks import layout, quarantine, report
from foldernet.checks.options import CheckOptions
from foldernet.options import IMAGE_SIZE


@terminal.entry_point
def check(arguments: list[str] | None = None) -> int:
    """Find what is wrong with the images of a folder."""
    options = command_line.parse(CheckOptions, arguments, "check")
    task = rooms.task_class(options.mode)
    shared = {name: getattr(options, name) for name in ("data", "mode", "validation_split")}
    dataset = rooms.find_dataset(task(task.Options(**shared)))
    layout.check(dataset)

    from foldernet.checks.examine import examine  # decoders, needed now that there are images
    from foldernet.checks.findings import findings, imbalance
    from foldernet.images.store import PixelStore

    cache = "disk"  # for train.py, and for the next time; nothing stays here
    size = (IMAGE_SIZE, IMAGE_SIZE)  # as train.py reads what isn't photographs
    stores = {
        split: PixelStore(len(images), images.path, size, mode=cache)
        for split, images in dataset.splits.items()
    }
    examined = examine(dataset, stores, cache)
    found = findings(dataset, examined, cache)
    report.show(dataset, examined.sizes, found, imbalance(dataset))
    left_out = quarantine.update(dataset.root, found)
    if (path := quarantine.file_of(dataset.root)).exists():
        where = terminal.printable(str(path))
        images = terminal.count(len({finding.path for finding in left_out}), "image")
        terminal.result(f"{where}: {images} left out of training; its column leave_out decides")
    if options.strict:
        report.refuse(left_out)
    return 1 if left_out else 0
