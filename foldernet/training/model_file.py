"""Our .keras files: saved whole, with what prediction needs inside, and opened without trust.

Keras's safe mode, from 3.15 on, refuses code, unknown classes, links to other files, and archives
and arrays that unpack to more than 4 GiB of nothing. What is looked at here is what it lets pass.
"""

import importlib.metadata
import importlib.util
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldernet import files
from foldernet.terminal import UserError, listed, printable

if TYPE_CHECKING:  # who asks for --help, or names a wrong run, needn't wait for it
    import keras

OLDEST_KERAS = (3, 15)  # those before it run code from model files
METADATA = "foldernet.json"
METADATA_LIMIT = 8_000_000  # bytes: 40,000 classes of long names, or what tells strangers
WEIGHTS = "model.weights.h5"
MEMBERS = {"metadata.json", "config.json", WEIGHTS, METADATA}
EXPANSION_LIMIT = 100  # bytes out of one of the file; weights hardly compress


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


def save_model(model: "keras.Model", path: Path, metadata: dict[str, Any]) -> None:
    """Save a functional model whole, with `metadata` as a member of its own in the archive.

    Keras ignores the member, so that `keras.saving.load_model` opens the file without our code. The
    optimizer's state, twice the size of the weights, stays out.
    """
    import keras

    def write(temporary: Path) -> None:
        keras.Model(model.inputs, model.outputs, name=model.name).save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            text = json.dumps(metadata, ensure_ascii=False)
            archive.writestr(METADATA, text.encode(errors="backslashreplace"))

    files.write_whole(path, write)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that `save_model` put into the model at `path`.

    Raises:
        UserError: it isn't a model of ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(archive.getinfo(METADATA), METADATA_LIMIT, path)
            metadata = json.loads(archive.read(METADATA))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"There is no model '{path}'. Train one: python train.py") from None
    except Exception:  # zipfile and json meet damage with nearly every kind of error
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(f"'{path}' was not saved by train.py: its class names are missing.")
    return metadata


def load_model(path: Path, custom_objects: dict | None = None) -> "keras.Model":
    """Open a model, without its optimizer.

    Raises:
        UserError: it is damaged, or refused.
    """
    check_installation()
    import h5py
    import keras

    try:
        with h5py.File(io.BytesIO(weights_member(path))) as file:
            check_arrays(file, path)
        model = keras.saving.load_model(path, custom_objects, compile=False, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras and h5py meet damage with nearly every kind of error
        raise UserError(f"'{path}' can't be loaded ({short(error)}).") from error
    if not hasattr(model, "input_shape"):
        raise UserError(f"'{path}' is refused: it holds no network with a known input shape.")
    return model


def with_features(model: "keras.Model") -> "keras.Model":
    """The same network, which also gives what its last layer sees, (n, width); where that is no
    vector, its outputs: images -> features, outputs."""
    import keras

    last, output = model.layers[-1], model.outputs[0]
    features = last.input if isinstance(last, keras.layers.Dense) else output
    return keras.Model(model.inputs[0], [features, output])


def weights_member(path: Path) -> bytes:
    """The HDF5 file in a .keras archive, whole, so that zipfile compares its checksum: Keras reads
    only parts of it.

    Raises:
        UserError: the archive has other members than `model.save` writes, or members far larger
            than itself.
        Exception: whatever zipfile raises for an archive that is damaged, or none.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not MEMBERS.issuperset(names) or len(set(names)) < len(names):
            raise UserError(
                f"'{path}' is refused: it holds {listed(names)}, and train.py writes only"
                f" {listed(sorted(MEMBERS))}, each once."
            )
        for member in archive.infolist():
            _check_size(member, EXPANSION_LIMIT * member.compress_size, path)
        return archive.read(WEIGHTS)


def check_arrays(file: Any, path: Path) -> None:
    """Raise UserError if an array of an `h5py.File` is far larger than the file.

    Keras refuses such arrays from 4 GiB on only, and takes 15 GB of memory to read one of 4.
    """
    most = EXPANSION_LIMIT * file.id.get_filesize()
    large = file.visititems(lambda name, item: name if getattr(item, "nbytes", 0) > most else None)
    if large:
        raise UserError(
            f"'{path}' is refused: {printable(large[:100])} has the shape {file[large].shape}, far"
            " more than the file holds."
        )


def _check_size(member: zipfile.ZipInfo, most: int, path: Path) -> None:
    if member.file_size > most:
        raise UserError(
            f"'{path}' is refused: {member.filename} unpacks to {member.file_size:,} bytes, where"
            f" at most {most:,} are read."
        )


def short(error: Exception) -> str:
    """The first words of another library's error."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
