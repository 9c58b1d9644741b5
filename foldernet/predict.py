"""`foldernet.load`: from a run to what answers for images."""

import os
import pkgutil

from foldernet import rooms, terminal
from foldernet.training import model_file, runs


def load(run: str | os.PathLike | None = None):
    """Open a trained model; a file that could run code, or isn't ours, is refused.

    Args:
        run: a run's name, its folder, or a .keras file that train.py saved; by default the newest
            classifier in models/.

    Returns:
        A `foldernet.inference.predictor.Predictor`, of the class that the run's mode has.

    Raises:
        UserError: there is no such run, or the file is something else, damaged, or refused.

    Example:
        foldernet.load("pets-1").predict("cat.jpg")[0].ranking[0]  # ("cats", 0.98)
    """
    path = runs.model_of(runs.find(run, mode="classify"))
    metadata = model_file.read_metadata(path)
    mode = metadata.get("mode")
    if not isinstance(mode, str) or mode not in rooms.TASKS:
        raise terminal.UserError(
            f"'{path}' was trained in mode {terminal.printable(repr(mode)[:60])}, and this version"
            f" knows {terminal.listed(rooms.TASKS)}. It may be from a newer one."
        )
    engines = (package.opened(path) for package in rooms.packages("opened"))
    network = next(filter(None, engines), None)
    with terminal.quiet_tensorflow():
        kind = pkgutil.resolve_name(rooms.task_class(mode).predictor)
        predictor = kind(path, metadata, network)
    for package in rooms.packages("extend"):
        package.extend(predictor)
    return predictor
