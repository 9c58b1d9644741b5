"""A folder to hand over: a classifier in a file of some format, with the names of its classes and
all that its probabilities need; what uses it; and how that compares with the run."""

import contextlib
import json
import multiprocessing
import runpy
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from foldernet import terminal
from foldernet.datasets.image_list import ImageList
from foldernet.export import onnx_file
from foldernet.images.reader import ImageError
from foldernet.inference.classifier import calibrated
from foldernet.training import model_file

TEMPLATES = Environment(
    loader=PackageLoader("foldernet.export"), trim_blocks=True, keep_trailing_newline=True
)
# The classes, one a line, in the order of the outputs; what can compute in 8 bits; and the share of
# the images whose first class has to be the run's.
LABELS, INT8, LEAST_SAME = "labels.txt", ("onnx", "litert"), 0.9


def fill(folder: Path, options: Any, predictor: Any, splits: dict[str, ImageList]) -> str:
    """Make a folder of a model and what uses it, and have its script answer in a fresh process.

    Args:
        folder: which is made.
        options: a `foldernet.export.command.ExportOptions`.
        predictor: a `foldernet.inference.classifier.Classifier`.
        splits: its labeled images; 8 bits are chosen by those of training, and the script's answers
            compared on the first of the others.

    Returns:
        The table of the comparison.

    Raises:
        UserError: the script's answers are not the run's.
        Exception: whatever comes of a network that the format can't hold.
    """
    file, packages, write = FORMATS[options.format]
    metadata = {name: predictor.metadata[name] for name in predictor.SCHEMA}
    metadata |= {"mode": "classify", "temperature": 1.0}  # which is in the network
    known = metadata | vars(options) | {"file": file, "packages": packages}
    known |= {"dtype": "uint8" if options.uint8_input else "float32", "side": predictor.size[0]}
    known |= {"channels": predictor.rule.channels, "run": predictor.path.parent.name}

    def write_from(template: str, **more: Any) -> None:
        text = TEMPLATES.get_template(f"{template}.jinja").render(known | more)
        (folder / template).write_text(text, encoding="utf-8")

    folder.mkdir()
    names = "".join(f"{terminal.printable(name)}\n" for name in predictor.classes)
    (folder / LABELS).write_text(names, encoding="utf-8")
    model, temperature = model_file.load_model(predictor.path), predictor.metadata["temperature"]
    network = inference_network(model, temperature, known["dtype"])
    own = splits.pop("training")
    training = _pixels(predictor, own)[0] if options.int8 else ()
    write(network, folder / file, metadata, names, np.array(training, known["dtype"]))
    write_from("predict.py")
    if options.format == "onnx":
        write_from("predict.html")

    table = compared(folder, predictor, next(iter(splits.values())), options.int8)
    write_from("README.md", table=table, calibrated=len(training))
    return table


def compared(folder: Path, predictor: Any, images: ImageList, int8: bool) -> str:
    """What the script of a folder makes of images, in a fresh process, beside what the run does.

    Returns:
        A table, as `fill` does.

    Raises:
        UserError: the answers are not the run's.
    """
    pixels, labels = _pixels(predictor, images)
    outputs = predictor.network.predict_on_batch(np.stack(pixels))[1]
    expected = calibrated(outputs, predictor.metadata["temperature"])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        given, milliseconds = fresh.submit(answers, folder / "predict.py", pixels).result()
    difference = float(np.abs(given - expected).max())
    firsts = np.array([expected.argmax(axis=1), given.argmax(axis=1)])
    same, (own, right) = np.mean(firsts[0] == firsts[1]), np.mean(firsts == labels, axis=1)
    if same < LEAST_SAME or not (difference <= onnx_file.MOST or int8):
        raise terminal.UserError(
            f"The export is not the run's network: probabilities differ by up to"
            f" {terminal.number(difference)}, and {same:.1%} of {len(labels)} images get the same"
            " class. Nothing was written; choose another --format, or leave out --int8."
        )
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    cells = terminal.number(difference), f"{same:.1%}", f"{right:.4f}", f"{milliseconds:.2f}"
    head = "size", "largest difference", "same class", "accuracy", "ms an image"
    rows = [("the run", "", "", "", f"{own:.4f}"), ("this", f"{size / 1e6:.2f} MB", *cells)]
    return terminal.table([(f"{len(labels)} images", *head), *rows])


def answers(script: Path, pixels: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """What the script of a folder makes of images, (n, classes), and milliseconds an image."""
    predict = runpy.run_path(str(script))["predict"]
    predict(pixels[0])  # the first one prepares
    started = time.perf_counter()
    given = np.array([predict(each) for each in pixels])
    return given, 1000 * (time.perf_counter() - started) / len(pixels)


def _pixels(predictor: Any, images: ImageList) -> tuple[list[np.ndarray], list[int]]:
    """Images as the network sees them, evenly spaced over the list, and their classes; what can't
    be read, or is of a class that the run doesn't have, is missing."""
    pixels, labels = [], []
    for at in np.linspace(0, len(images) - 1, min(len(images), onnx_file.COMPARED), dtype=int):
        with contextlib.suppress(ImageError, ValueError):
            label = predictor.classes.index(images.classes[images.labels[at]])
            pixels.append(predictor.read(images.path(at)))
            labels.append(label)
    return pixels, labels


def inference_network(model: Any, temperature: float, dtype: str) -> Any:
    """A network that answers, and does nothing else: random layers and those that normalize a batch
    are fixed in it, in whichever way it is written.

    Args:
        model: of a classifier; the weights of its last layer are changed.
        temperature: as of `foldernet.inference.classifier.calibrated`.
        dtype: of the pixels, "float32" or "uint8".

    Returns:
        Pixels (n, height, width, channels) 0..255 -> calibrated probabilities (n, classes).
    """
    import keras
    from keras import layers, ops

    images, last = keras.Input(model.input_shape[1:], dtype=dtype, name="images"), model.layers[-1]
    if folded := isinstance(last, layers.Dense) and last.activation is keras.activations.softmax:
        last.set_weights([each / temperature for each in last.get_weights()])
    model = keras.Model(model.inputs[0], model.outputs[0])
    outputs = model(layers.Rescaling(1.0)(images), training=False)
    if not folded:  # not for all: 8 bits hold little of a logarithm
        outputs = ops.softmax(ops.log(outputs) / temperature)
    return keras.Model(images, outputs)


def _onnx(network: Any, path: Path, metadata: dict, names: str, training: Any) -> None:
    onnx_file.convert(network, path, {model_file.METADATA: json.dumps(metadata), LABELS: names})
    if len(training):
        from onnxruntime import quantization

        samples = iter([{"images": each[None]} for each in training])
        reader = SimpleNamespace(get_next=lambda: next(samples, None))
        quantization.quant_pre_process(path, path, skip_symbolic_shape=True)
        quantization.quantize_static(path, path, reader, per_channel=True)


def _litert(network: Any, path: Path, metadata: dict, names: str, training: Any) -> None:
    import tensorflow as tf

    more = {}
    if len(training):
        more["optimizations"] = [tf.lite.Optimize.DEFAULT]
        more["representative_dataset"] = lambda: ([each[None]] for each in training)
    network.export(path, format="litert", verbose=False, **more)
    with zipfile.ZipFile(path, "a") as archive:  # where TFLite's tools look for files
        archive.writestr(LABELS, names)


def _openvino(network: Any, path: Path, *_: Any) -> None:
    sys.modules["openvino_telemetry"] = None  # it would report to Google Analytics
    from openvino.frontend.tensorflow import utils

    utils.get_environment_setup = lambda _: {"tensorflow": "2.6.0"}  # its own fails on Python 3.13
    network.export(str(path), format="openvino", verbose=False)


def _keras(network: Any, path: Path, metadata: dict, *_: Any) -> None:
    model_file.save_model(network, path, metadata)


# Format -> its file; what pip installs to open it; and what writes it, of a network, the path,
# metadata, the text of `LABELS`, and training images by which ranges of values are found, if it is
# to compute in 8 bits.
FORMATS = {
    "onnx": ("model.onnx", "onnxruntime", _onnx),
    "litert": ("model.tflite", "ai-edge-litert", _litert),
    "saved_model": ("model", "tensorflow", lambda net, to, *_: net.export(to, verbose=False)),
    "openvino": ("model.xml", "openvino", _openvino),
    "keras": ("model.keras", "keras tensorflow", _keras),
}
