"""What the machine and the installation must offer, told before it fails in the middle of a run."""

import importlib.metadata
import os
import platform
import re
import shutil
from pathlib import Path

from foldernet.terminal import UserError
from foldernet.training import runs

PROCESSOR = Path("/proc/cpuinfo")  # Linux's; elsewhere TensorFlow's packages ask for no AVX
OLDEST_KERAS = (3, 15)  # those before it run code from model files
SPARE = 10 * 2**20  # bytes for curves and figures


def check() -> None:
    """Look at what can be seen without importing TensorFlow.

    Raises:
        UserError: Keras is too old, the processor lacks what TensorFlow is compiled for, or the
            working folder can't be written to.
    """
    check_keras()
    if platform.machine() in ("x86_64", "AMD64") and PROCESSOR.exists():
        flags = PROCESSOR.read_text().partition("\nflags")[2].partition("\n")[0].split()
        if flags and "avx" not in flags:
            raise UserError(
                "This processor has no AVX instructions, which TensorFlow's packages need. Use a"
                " machine from 2011 or later, or tell the virtual machine to pass them through."
            )
    runs.check_writable()


def check_keras() -> None:
    """Raise UserError if Keras, which isn't imported for this, is too old to open files safely."""
    version = importlib.metadata.version("keras")
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_KERAS:
        needed = ".".join(map(str, OLDEST_KERAS))
        raise UserError(
            f"Keras {version} runs code from model files, and {needed} is the oldest that doesn't."
            " Upgrade it: pip install -r requirements.txt"
        )


def check_room(model) -> None:
    """Raise UserError if the disk has no room for what training a `keras.Model` writes."""
    weights = 4 * model.count_params()
    # Two states and a third being written, of weights and twice as much of the optimizer; and the
    # best and the last model, and another being written.
    needed = 12 * weights + SPARE
    free = shutil.disk_usage(runs.there(runs.MODELS)).free
    if free < needed:
        raise UserError(
            f"'{runs.MODELS}/' in '{Path.cwd()}' has {free / 2**20:,.0f} MB free, and this network"
            f" needs {needed / 2**20:,.0f}. Make room, or run this in another folder."
        )


def check_graphics() -> None:
    """Raise UserError if CUDA_VISIBLE_DEVICES asks for a GPU and TensorFlow finds none."""
    import keras  # three seconds, which --help should not take

    asked = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if asked not in ("", "-1") and not keras.distribution.list_devices("gpu"):
        raise UserError(
            f"CUDA_VISIBLE_DEVICES={asked} asks for a GPU, and TensorFlow finds none. Install it"
            " with CUDA, as README.md says, or unset the variable to train on the CPU."
        )
