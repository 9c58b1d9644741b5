"""Foldernet: from folders of images to a trained Keras classifier."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["BlurDataGenerator", "ImageDataGenerator", "estimate_kernel", "load"]

# Imported when asked for: TensorFlow takes three seconds, which `--help` should not.
_HOMES = {
    "BlurDataGenerator": "foldernet.data.pairs",
    "ImageDataGenerator": "foldernet.data.generator",
    "estimate_kernel": "foldernet.blur.reference",
    "load": "foldernet.prediction",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'foldernet' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
