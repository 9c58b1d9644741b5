"""The function behind export.py and `foldernet export`, and its options."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from foldernet import command_line, terminal
from foldernet.analysis.command import labeled_images
from foldernet.export.folder import FORMATS, INT8, fill
from foldernet.option_types import BaseOptions, shown_as
from foldernet.predict import load
from foldernet.training import model_file, runs


class ExportOptions(BaseOptions):
    """Export a trained classifier: a folder to hand over, with the model, its labels, a script that
    uses it, and how its answers compare with those of the run."""

    run: Annotated[Positional[str | None], shown_as("[RUN]")] = None
    """A run's name or folder, or a .keras file of one. By default the newest classifier in
    models/."""

    format: Literal[*FORMATS] = "onnx"
    """Of ONNX Runtime, in browsers too; of LiteRT, which was TensorFlow Lite; TensorFlow's
    SavedModel; OpenVINO; or Keras."""

    out: Annotated[Path | None, shown_as("DIR")] = None
    """Folder to make. By default RUN-FORMAT, here."""

    int8: bool = False
    """Compute in 8 bits, of ranges found on training images: a quarter of the size."""

    uint8_input: bool = False
    """Take pixels as bytes, as decoders give them, in place of float32."""


@terminal.entry_point
def export(arguments: list[str] | None = None) -> None:
    """Export a trained classifier to a folder."""
    options = command_line.parse(ExportOptions, arguments, "export")
    path = runs.model_of(runs.find(options.run, mode="classify"))
    out = options.out or Path(f"{path.parent.name}-{options.format}")
    if out.exists():
        raise terminal.UserError(f"'{out}' exists already. Name another folder with --out.")
    if options.int8 and options.format not in INT8:
        raise terminal.UserError(f"--int8 is for --format {' or '.join(INT8)}. Choose one of them.")
    terminal.status(f"Using {path.parent}")
    predictor, splits = load(path), labeled_images(None, path.parent)
    if not hasattr(predictor, "classes"):
        raise terminal.UserError(f"'{path}' is no classifier. Name a run of one.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place,
            terminal.quiet_tensorflow(),
        ):
            table = fill(Path(place, out.name), options, predictor, splits)
            Path(place, out.name).rename(out)
    except terminal.UserError:
        raise
    except Exception as error:  # of a network that a format can't hold, of nearly every kind
        raise terminal.UserError(
            f"'{path}' can't be exported as {options.format} ({model_file.short(error)}). Choose"
            " another --format; if a module is missing, pip install -r requirements-export.txt."
        ) from error
    terminal.result(table)
    terminal.status(f"export: {out}")
