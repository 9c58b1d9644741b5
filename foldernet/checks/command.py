"""The function behind check.py and `foldernet check`."""

from collections import defaultdict

from foldernet import command_line, rooms, terminal
from foldernet.checks import quarantine
from foldernet.checks.before_training import NAMED_FILES, refuse
from foldernet.checks.options import CheckOptions
from foldernet.option_types import converted
from foldernet.options import TrainOptions


@terminal.entry_point
def check(arguments: list[str] | None = None) -> int:
    """Find what is wrong with the images of a folder."""
    options = command_line.parse(CheckOptions, arguments, "check")
    task = rooms.task_class(options.mode)
    shared = {name: getattr(options, name) for name in ("data", "mode", "validation_split")}
    dataset = task(task.Options(**converted(task.Options, shared))).find_dataset()

    from foldernet.checks.examine import examine  # decoders, needed now that there are images
    from foldernet.checks.findings import findings, imbalance
    from foldernet.images.store import PixelStore

    cache = "disk"  # for train.py, and for the next time; nothing stays here
    size = (TrainOptions.image_size, TrainOptions.image_size)  # as train.py reads by default
    stores = {
        split: PixelStore(len(images), images.path, size, mode=cache)
        for split, images in dataset.splits.items()
    }
    examined = examine(dataset, stores, cache)
    found = findings(dataset, examined, cache)
    _show(dataset, examined, found, imbalance(dataset))
    left_out = quarantine.update(dataset.root, found)
    count = len({finding.path for finding in left_out})
    if (path := dataset.root / quarantine.FILE).exists():
        images = terminal.count(count, "image")
        terminal.result(f"{path}: {images} left out of training; its column leave_out decides")
    if options.strict:
        refuse(count)
    return 1 if left_out else 0


def _show(dataset, examined, found, imbalance: str | None) -> None:
    """The report on standard output."""
    parts = ", ".join(f"{len(images):,} {split}" for split, images in dataset.splits.items())
    count = terminal.count(len(examined.paths), "image")
    terminal.result(f"{count}: {parts}; {examined.sizes} pixels")
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
    if imbalance:
        terminal.result(imbalance)
    if not found:
        terminal.result("nothing wrong with any image")
