"""What `--weights` and `--freeze` do to a network before it is compiled."""

from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction

from foldernet import terminal
from foldernet.option_types import BaseOptions, shown_as
from foldernet.training import runs


class Options(BaseOptions):
    """Fine-tuning."""

    weights: Annotated[Path | None, shown_as("RUN")] = None
    """Start from the weights of this run, its name or folder, or in this .keras or .weights.h5
    file, of each layer whose name and shapes match. For applications:NAME, also Keras's own file of
    weights, ..._notop.h5."""

    freeze: Annotated[UseAppendAction[tuple[str, ...]], shown_as("PATTERN")] = ()
    """Freeze layers whose names match this pattern, as 'conv*' (repeatable)."""


def prepare(options: Options, network, batches) -> list[tuple[str, str]]:
    """Load weights by name and freeze layers.

    Args:
        network: a `keras.Model`, changed in place.
        batches: of each split; not looked at.

    Returns:
        (name, text) of what the terminal says before training.

    Raises:
        UserError: the file can't be used, or a pattern matches no layer or leaves none to train.
    """
    from foldernet.transfer import weights

    if options.weights:
        path = runs.model_of(runs.find(options.weights, options.mode))
        loaded = weights.load_by_name(network, path)
        terminal.status(f"Weights from {path}:\n{terminal.table(loaded)}\n")
    frozen = weights.freeze(network, options.freeze)
    return [("frozen", terminal.listed(frozen))] if frozen else []
