"""What the machine must offer, checked before a run can fail in its middle."""

import shutil
from pathlib import Path

from foldernet.terminal import UserError
from foldernet.training import runs

SPARE_BYTES = 10 * 2**20  # for curves and figures


def prepare(options, network, batches) -> list:
    """Check that the disk has room for what training a `keras.Model` writes; the terminal need say
    nothing.

    Raises:
        UserError: it hasn't.
    """
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
