"""What `--weights` and `--freeze` do to a network before it is compiled."""

from foldernet import terminal
from foldernet.training import runs
from foldernet.transfer.options import TransferOptions

Options = TransferOptions


def prepare(options: TransferOptions, network, batches) -> list[tuple[str, str]]:
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
        found = runs.find(options.weights, options.mode)
        path = found / runs.BEST if found.is_dir() else found
        loaded = weights.load_by_name(network, path)
        terminal.status(f"Weights from {path}:\n{terminal.table(loaded)}\n")
    frozen = weights.freeze(network, options.freeze)
    if not frozen:
        return []
    trained = sum(weight.numpy().size for weight in network.trainable_weights)
    return [("frozen", f"{terminal.listed(frozen)}; {trained:,} parameters are trained")]
