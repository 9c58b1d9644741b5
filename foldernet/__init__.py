"""Foldernet: from folders of images to a trained Keras classifier."""

import importlib

__version__ = "0.2.0"

from foldernet.rooms import EXPORTS
from foldernet.train import train  # now: imported later, the module would take its name

__all__ = ["train", *EXPORTS]


def __getattr__(name: str):
    """Imported when asked for: TensorFlow takes three seconds, which `--help` should not."""
    if name not in EXPORTS:
        raise AttributeError(f"module 'foldernet' has no attribute '{name}'")
    return getattr(importlib.import_module(EXPORTS[name]), name)
