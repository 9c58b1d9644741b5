"""What the machine and the installation must offer, checked before a run can fail in its middle."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
from pathlib import Path

from foldernet.terminal import UserError
from foldernet.training import runs

OLDEST_KERAS = (3, 15)  # those before it run code from model files
SPARE_BYTES = 10 * 2**20  # for curves and figures


def check_installation() -> None:
    """Raise UserError if Keras, which isn't imported for this, is missing or too old to open model
    files safely, or TensorFlow is missing."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "TensorFlow is not installed. Install it: pip install 'foldernet[cpu]', or"
            " 'foldernet[gpu]' on Linux with an NVIDIA GPU."
        )
    version = importlib.metadata.version("keras")
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_KERAS:
        needed = ".".join(map(str, OLDEST_KERAS))
        raise UserError(
            f"Keras {version} runs code from model files; {needed} is the oldest that doesn't."
            " Upgrade it: pip install -r requirements.txt"
        )


def check_disk_space(model) -> None:
    """Raise UserError if the disk has no room for what training a `keras.Model` writes."""
    # Two checkpoints and a third being written, of weights and twice as much of the optimizer; and
    # the best and the last model, and another being written.
    needed = 12 * 4 * model.count_params() + SPARE_BYTES
    free = shutil.disk_usage(runs.existing(runs.MODELS)).free
    if free < needed:
        raise UserError(
            f"'{runs.MODELS}/' in '{Path.cwd()}' has {free / 2**20:,.0f} MB free, and this network"
            f" needs {needed / 2**20:,.0f}. Free some space, or run this in another folder."
        )


def check_gpu() -> None:
    """Raise UserError if CUDA_VISIBLE_DEVICES asks for a GPU and TensorFlow finds none."""
    import keras  # three seconds, which --help should not take

    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if wanted not in ("", "-1") and not keras.distribution.list_devices("gpu"):
        raise UserError(
            f"CUDA_VISIBLE_DEVICES={wanted} asks for a GPU, and TensorFlow finds none. Install"
            " TensorFlow with CUDA, as README.md says, or unset the variable to train on the CPU."
        )
