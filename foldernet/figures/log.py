"""Figures of a run, each made once and shown twice: as a PNG in logs/<run>/ and in TensorBoard."""

import tensorflow as tf
from matplotlib.figure import Figure

from foldernet.training.runs import Run

DOTS_PER_INCH = 110


def show(run: Run, name: str, figure: Figure) -> None:
    """Write a figure as `name`.png, and as an image of that name in TensorBoard's events."""
    path = run.logs / f"{name}.png"
    figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")
    with tf.summary.create_file_writer(str(run.logs / "figures")).as_default():
        tf.summary.image(name, tf.io.decode_png(path.read_bytes(), channels=3)[None], step=0)
