"""Figures of a run, each made once and shown twice: as a PNG in logs/<run>/ and in TensorBoard."""

from pathlib import Path

import tensorflow as tf
from matplotlib.figure import Figure

DOTS_PER_INCH = 110


class FigureLog:
    """Puts figures where a person looks at them.

    Args:
        folder: logs/<run>; PNG files go there, TensorBoard's events to figures/ in it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._writer = tf.summary.create_file_writer(str(folder / "figures"))

    def show(self, name: str, figure: Figure, step: int = 0) -> None:
        """Write a figure as `name`.png and as TensorBoard's image `name` at `step`."""
        path = self.folder / f"{name}.png"
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")
        with self._writer.as_default():
            tf.summary.image(name, tf.io.decode_png(path.read_bytes(), channels=3)[None], step=step)
        self._writer.flush()
