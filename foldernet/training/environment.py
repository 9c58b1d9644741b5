"""What the installation must offer, checked at the start."""

import importlib.metadata
import importlib.util

from foldernet.terminal import UserError

OLDEST_KERAS = (3, 15)  # those before it run code from model files


def check_installation() -> None:
    """Raise UserError if Keras, which isn't imported for this, is missing or too old to open model
    files safely, or TensorFlow is missing."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "TensorFlow is not installed. Install it: pip install 'foldernet[cpu]', or"
            " 'foldernet[gpu]' on Linux with an NVIDIA GPU."
        )
    version = importlib.metadata.version("keras")
    if tuple(map(int, version.split(".")[:2])) < OLDEST_KERAS:
        raise UserError(
            f"Keras {version} runs code from model files. Upgrade: pip install -r requirements.txt"
        )
