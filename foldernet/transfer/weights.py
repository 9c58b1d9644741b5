"""Weights from another file, layer by layer, by name: what fine-tuning starts from.

Only arrays are read from the file, and nothing in it is run. Keras doesn't look through HDF5 files
that are read so; `_arrays_in` does.
"""

import io
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import h5py
import keras
import numpy as np

from foldernet.terminal import UserError, listed
from foldernet.training.model_file import check_arrays, short, weights_member


def load_by_name(model: keras.Model, path: Path) -> list[tuple[str, str]]:
    """Load every layer of a file that has the name and the shapes of one in `model`.

    The new formats match layers by position, so that a renamed layer of the same shape would load
    in silence; here names decide. Nested models are looked into.

    Args:
        model: changed in place; layers that don't match keep their weights.
        path: a .keras or .weights.h5 file.

    Returns:
        (layer name, what became of it) for each layer of the model that has weights, then for each
        layer of the file that the model lacks: "loaded", "other shape: ...", "missing in the file"
        or "unused".

    Raises:
        UserError: no such file, not a weights file, or no layer matched.
    """
    stored, report = _stored(path), []
    for layer in model._flatten_layers():
        own = {}
        layer.save_own_variables(own)
        if not own:
            continue
        there = stored.pop(layer.name, None)
        shapes = {key: tuple(value.shape) for key, value in own.items()}
        if there is None:
            report.append((layer.name, "missing in the file"))
        elif {key: value.shape for key, value in there.items()} != shapes:
            file_shapes = ", ".join(str(value.shape) for value in there.values())
            report.append((layer.name, f"other shape: {file_shapes} in the file"))
        else:
            layer.load_own_variables(there)
            report.append((layer.name, "loaded"))
    if not any(outcome == "loaded" for _, outcome in report):
        raise UserError(
            f"No layer in '{path}' has the name and shapes of one in the network, which has"
            f" {listed(name for name, _ in report)}; the file has"
            f" {listed(stored) or 'other shapes'}. Choose a file of the same network."
        )
    return report + [(name, "unused") for name in stored]


def freeze(model: keras.Model, patterns: tuple[str, ...]) -> list[str]:
    """Make the layers whose names match a pattern untrainable, and return the names of all that
    are.

    Raises:
        UserError: a pattern that matches no layer with weights, or nothing is left to train.
    """
    layers = [layer for layer in model._flatten_layers() if layer.weights and layer is not model]
    for pattern in patterns:
        matching = [layer for layer in layers if fnmatchcase(layer.name, pattern)]
        if not matching:
            raise UserError(
                f"--freeze '{pattern}' matches no layer; there are"
                f" {listed((layer.name for layer in layers), at_most=40)}."
            )
        for layer in matching:
            layer.trainable = False
    if not model.trainable_weights:
        raise UserError("--freeze leaves nothing to train. Freeze fewer layers.")
    return [layer.name for layer in layers if not layer.trainable]


def _stored(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Layer name -> {"0": first weight, ...}, of the HDF5 file that holds the weights, be it inside
    a .keras archive."""
    expected = "Expected a .keras or .weights.h5 file that Keras wrote."
    try:
        source = io.BytesIO(weights_member(path)) if zipfile.is_zipfile(path) else path
        with h5py.File(source, "r") as file:
            arrays = _arrays_in(file, path)
            check_arrays(file, path)
            if layers := _layers(arrays, path):
                return layers
            raise UserError(f"'{path}' has no layers where Keras 3 keeps them. {expected}")
    except UserError:
        raise
    except Exception as error:  # h5py meets damage with nearly every kind of error
        raise UserError(f"'{path}' holds no weights to read: {short(error)}. {expected}") from error


def _arrays_in(file: h5py.File, path: Path) -> list[h5py.Dataset]:
    """All arrays of the file, none of which is read.

    Raises:
        UserError: it points to other files, or holds something else than numbers, or something
            twice, as groups that hold themselves.
    """
    links, items = {}, {}  # by name; what has several is one item
    file.visititems_links(links.__setitem__)
    file.visititems(items.__setitem__)
    arrays = [item for item in items.values() if not isinstance(item, h5py.Group)]
    foreign = [array.name for array in arrays if array.external or array.is_virtual]
    foreign += [name for name, link in links.items() if not isinstance(link, h5py.HardLink)]
    if foreign:
        raise UserError(f"'{path}' points to other files at {foreign[0][:100]}, and is refused.")
    if again := links.keys() - items.keys():
        raise UserError(f"'{path}' is refused: its groups never end, as at {min(again)[:100]}.")
    for array in arrays:
        if array.dtype.kind not in "biuf" and array.size != 0:
            raise UserError(f"'{path}' is refused: {array.name} holds {array.dtype}, not numbers.")
    return arrays


def _layers(arrays: list[h5py.Dataset], path: Path) -> dict[str, dict[str, np.ndarray]]:
    """In Keras 3's format: a group `vars` in each layer's group."""
    layers = {}
    for array in arrays:
        *outer, group, index = array.name.split("/")
        if group == "vars" and "optimizer" not in outer:
            name = array.parent.attrs.get("name", outer[-1])
            if index in layers.setdefault(name, {}):  # nested models may have the same names
                raise UserError(f"Several layers in '{path}' are named '{name}'. Rename them.")
            layers[name][index] = array[()]
    return layers
