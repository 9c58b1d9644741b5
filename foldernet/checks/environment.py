"""What the machine must offer, checked before a run can fail in its middle."""

import os
import shutil
from pathlib import Path

from foldernet.terminal import UserError
from foldernet.training import runs

SPARE_BYTES = 10 * 2**20  # for curves and figures


def prepare(options, network, batches) -> list:
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
