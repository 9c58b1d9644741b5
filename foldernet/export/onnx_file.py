"""model.onnx beside best.keras: the same network for ONNX Runtime, which answers within a second.

best.keras stays the source of truth: model.onnx holds its SHA-256, and another model's isn't used.
"""

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import Dataset
from foldernet.files import write_whole
from foldernet.training import runs
from foldernet.training.model_file import METADATA, read_metadata, short, with_features

FILE, DIGEST = "model.onnx", "sha256"  # the latter is a name of its metadata
COMPARED, AT_ONCE = 256, 32  # validation images
MOST = 1e-3  # difference of probabilities, beyond which it is another network


def finish(
    task: Any, dataset: Dataset, batches: dict, model: Any, run: runs.Run, scores: dict
) -> dict[str, Any]:
    """Write model.onnx, if it gives what the best model gives on validation images.

    Returns:
        onnx: largest_difference of outputs, and same_class, the share of images whose first class
        is the same; nothing where there is no such file, which a warning says.
    """
    best = run.models / runs.BEST
    metadata = read_metadata(best)
    if "size" not in metadata:  # of a mode that has no network to run, as blur
        return {}
    images, network, found = batches["validation"], with_features(model), {}
    some = np.arange(min(COMPARED, images.n))

    def outputs(of: Any) -> np.ndarray:
        parts = np.array_split(some, -(-len(some) // AT_ONCE))
        return np.concatenate([of.predict_on_batch(images.images_at(part))[1] for part in parts])

    def write(temporary: Path) -> None:
        # A classifier's report has asked the network already.
        expected = task.outputs["validation"][some] if task.outputs else outputs(network)
        convert(network, temporary, {METADATA: json.dumps(metadata), DIGEST: digest(best)})
        given = outputs(OnnxNetwork(temporary))
        found["largest_difference"] = float(np.abs(given - expected).max())
        found["same_class"] = float(np.mean(given.argmax(axis=1) == expected.argmax(axis=1)))
        if not found["largest_difference"] <= MOST:
            raise ValueError(f"its outputs differ by {found['largest_difference']:.1e}")

    try:
        write_whole(run.models / FILE, write)
    except Exception as error:  # TensorFlow, tf2onnx and ONNX Runtime raise nearly everything
        terminal.warn(f"no {FILE} could be made, and predict.py will use Keras: {short(error)}")
        return {}
    return {"onnx": found}


def opened(path: Path) -> "OnnxNetwork | None":
    """The network of a .keras file by ONNX Runtime; None where there is no model.onnx of it."""
    file = path.with_name(FILE)
    if path.name != runs.BEST or not file.exists():
        return None
    try:
        network = OnnxNetwork(file)
        if network.metadata.get(DIGEST) != digest(path):
            raise ValueError(f"it was not made from '{path}'")
        return network
    except Exception as error:  # ONNX Runtime raises nearly everything for a damaged file
        terminal.warn(f"'{file}' can't be used, and Keras is instead: {short(error)}")
        return None


class OnnxNetwork:
    """What ONNX Runtime makes of a file, with those of Keras's names that prediction needs.

    Attributes:
        metadata: name -> text.
        input_shape: (None, height, width, channels).
        output_shape: of the features, and of the outputs.
    """

    def __init__(self, file: Path):
        # It would keep an identifier of this computer, and tell Microsoft of each model.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # a tenth of a second

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        self._session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0]
        self.metadata = self._session.get_modelmeta().custom_metadata_map
        self.input_shape = (None, *self._input.shape[1:])
        self.output_shape = [(None, *each.shape[1:]) for each in self._session.get_outputs()]

    def predict_on_batch(self, images: np.ndarray) -> list[np.ndarray]:
        """Features (n, width) and outputs (n, outputs) of pixels (n, height, width, channels)."""
        return self._session.run(None, {self._input.name: images.astype("float32")})


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(network: Any, path: Path, metadata: dict[str, str]) -> None:
    """Write a Keras model as ONNX, with metadata."""
    with warnings.catch_warnings(), terminal.quiet_tensorflow():
        warnings.simplefilter("ignore")  # of tf2onnx, on NumPy's future
        import onnx

        for layer in network._flatten_layers():
            if type(layer).__name__ == "Normalization":  # of TensorFlow's tensors, it makes inputs
                layer.mean, layer.variance = np.array(layer.mean), np.array(layer.variance)
        # Or Keras won't export it; in training, layers that normalize a batch would learn from it.
        network(np.zeros((1, *network.input_shape[1:]), "float32"), training=False)
        network.export(path, format="onnx", verbose=False)
        made = onnx.load(path)
        onnx.helper.set_model_props(made, metadata)
        onnx.save(made, path)
