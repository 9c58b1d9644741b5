"""Model files that mean harm: each is refused with its name and a reason, and nothing runs."""

import importlib.metadata
import io
import json
import shutil
import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

import foldernet
import predict
import train
from benchmarks import damage
from foldernet.networks.simpleconv3 import simpleconv3
from foldernet.terminal import UserError
from foldernet.training import model_file
from foldernet.transfer import weights

METADATA = {
    "mode": "classify",
    "classes": ["cat", "dog"],
    "size": [16, 16],
    "color_mode": "rgb",
    "interpolation": "area",
    "keep_aspect_ratio": False,
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.keras"
    model_file.save_model(simpleconv3((16, 16, 3), 2), path, METADATA)
    return path


def changed(good: Path, path: Path, **members) -> Path:
    """A copy of a model with other members: name without extension -> content, or a function."""
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(path, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            change = members.pop(name.split(".")[0], content)
            copy.writestr(name, change(content) if callable(change) else change)
        for name, content in members.items():
            copy.writestr(name, content)
    return path


def in_config(change):
    """A change of the description of the first layer with weights, as of its bytes."""

    def changed_config(content: bytes) -> bytes:
        config = json.loads(content)
        change(config["config"]["layers"][2])
        return json.dumps(config).encode()

    return changed_config


def refused(path: Path, why: str, weights_too: bool = True) -> None:
    """Neither prediction nor --weights take it; the reason is one sentence with its name."""
    uses = [lambda: foldernet.load(path)]
    if weights_too:
        uses.append(lambda: weights.load_by_name(simpleconv3((16, 16, 3), 2), path))
    for use in uses:
        with pytest.raises(UserError, match=why) as caught:
            use()
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_good_model_is_loaded(good):
    assert foldernet.load(good).classes == ("cat", "dog")
    assert weights.load_by_name(simpleconv3((16, 16, 3), 2), good)


@pytest.mark.parametrize(
    "description",
    [
        {"class_name": "Lambda"},
        {"class_name": "__lambda__"},
        {"class_name": "TFSMLayer"},
        {"class_name": "TextVectorization", "config": {"vocabulary": "/etc/passwd"}},
        {"class_name": "Popen", "module": "subprocess"},
        {"class_name": "get_file", "module": "keras.utils"},
        {"module": "keras.src.saving.saving_lib"},
        {"module": "foldernet.images.reader"},
        {"module": None, "registered_name": "mine>Conv2D"},
    ],
    ids=str,
)
def test_a_model_of_other_classes_than_keras_layers_is_refused(good, tmp_path, description):
    config = in_config(lambda layer: layer.update(description))
    path = changed(good, tmp_path / "evil.keras", config=config)
    refused(path, "can't be loaded", weights_too=False)
    assert weights.load_by_name(simpleconv3((16, 16, 3), 2), path), "arrays, and nothing else"


def test_a_real_lambda_is_refused_and_not_run(tmp_path):
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, keras.layers.Lambda(lambda x: x)(images))
    model_file.save_model(model, tmp_path / "lambda.keras", METADATA)
    refused(tmp_path / "lambda.keras", "can't be loaded .*Lambda", weights_too=False)
    keras.Model(images, keras.layers.Dense(2)(model.output)).save(tmp_path / "lambda.h5")
    with pytest.raises(UserError, match=r"was not saved by train\.py"):
        foldernet.load(tmp_path / "lambda.h5")


def deflated(good: Path, path: Path, name: str, content: bytes) -> Path:
    changed(good, path)
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(path, "w") as copy:
        for member in archive.namelist():
            data, packing = archive.read(member), zipfile.ZIP_STORED
            if member == name:
                data, packing = content, zipfile.ZIP_DEFLATED
            copy.writestr(member, data, packing)
    return path


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_zip_bomb_is_refused(good, tmp_path, name):
    path = deflated(good, tmp_path / "bomb.keras", name, bytes(15 * 10**6))
    refused(path, "unpacks to 15,000,000 bytes")


def test_a_bomb_in_our_own_member_is_refused(good, tmp_path):
    content = b"[" * 15 * 10**6
    path = deflated(good, tmp_path / "bomb.keras", "foldernet.json", content)
    with pytest.raises(UserError, match="unpacks to 15,000,000 bytes"):
        foldernet.load(path)


@pytest.mark.parametrize("name", ["model.weights.npz", "assets/vocabulary.txt", "../escaped.py"])
def test_a_member_that_train_py_does_not_write_is_refused(good, tmp_path, name):
    path = changed(good, tmp_path / "more.keras", **{name: b"more"})
    refused(path, f"holds .*{name}.*, and train.py writes only")


def hdf5(good: Path, write) -> bytes:
    """The weights of a model, changed."""
    with zipfile.ZipFile(good) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        write(file)
    return content.getvalue()


def external_link(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "w")


def soft_link(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/elsewhere")


def external_array(file):
    del file["layers/dense/vars/0"]
    group = file["layers/dense/vars"]
    group.create_dataset("0", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual_array(file):
    del file["layers/dense/vars/0"]
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "w", (4,))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def absurd_shape(file):
    file.create_dataset("array", (10**9, 10**3), "f4", chunks=(1000, 1000), compression="gzip")


def absurd_weights(file):
    del file["layers/dense/vars/0"]  # 4 GB, which Keras would read, out of a kilobyte
    file["layers/dense/vars"].create_dataset("0", 10**9, "f4", chunks=10**6, compression="gzip")


def texts(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = ["cos\nsystem\n(S'true'\ntR."]


def endless(file):
    group = file["layers/dense/vars"]
    del group["0"]
    group["0"] = group


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (external_link, "points to other files"),
        (soft_link, "points to other files"),
        (external_array, "points to other files"),
        (virtual_array, "points to other files"),
        (absurd_shape, "far more than the file holds"),
        (absurd_weights, "far more than the file holds"),
        (texts, "not numbers"),
        (endless, "never end"),
    ],
)
def test_weights_that_are_more_than_arrays_are_refused(good, tmp_path, write, why):
    content = hdf5(good, write)
    path = changed(good, tmp_path / "evil.keras", model=content)
    with pytest.raises(UserError, match=why):
        weights.load_by_name(simpleconv3((16, 16, 3), 2), path)
    with pytest.raises(UserError, match=rf"evil\.keras' (can't be loaded|.*{why})"):
        foldernet.load(path)
    (tmp_path / "evil.weights.h5").write_bytes(content)
    with pytest.raises(UserError, match=why):
        weights.load_by_name(simpleconv3((16, 16, 3), 2), tmp_path / "evil.weights.h5")


PICKLE = b"cos\nsystem\n(S'touch owned'\ntR."
NPY = b"\x93NUMPY\x01\x00" + struct.pack("<H", 54)
NPY += b"{'descr': '|O', 'fortran_order': False, 'shape': ()}".ljust(53) + b"\n" + PICKLE


def torch_file() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", PICKLE)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [PICKLE, NPY, torch_file(), b"", b"PK\3\4"],
    ids=["pickle", "npy", "torch", "", "zip"],
)
def test_a_file_of_something_else_is_refused_and_nothing_in_it_run(tmp_path, content):
    (tmp_path / "other.keras").write_bytes(content)
    refused(tmp_path / "other.keras", r"other\.keras' (was not saved|holds no weights|is refused)")
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "other"),
        ("mode", ["classify"]),
        ("classes", "cat"),
        ("classes", ["cat", "cat"]),
        ("classes", ["cat", 3]),
        ("classes", ["cat", "x" * 300]),
        ("classes", ["cat"]),
        ("size", [16]),
        ("size", [16, 0]),
        ("size", [16, 10**9]),
        ("size", [16.0, 16.0]),
        ("size", [True, True]),
        ("color_mode", "cmyk"),
        ("color_mode", []),
        ("interpolation", "../area"),
        ("keep_aspect_ratio", 1),
        ("keep_aspect_ratio", None),
    ],
)
def test_what_a_model_says_of_itself_is_held_against_a_schema(good, tmp_path, field, value):
    content = json.dumps(METADATA | {field: value})
    path = changed(good, tmp_path / "odd.keras", foldernet=content)
    with pytest.raises(UserError, match=r"odd\.keras"):
        foldernet.load(path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, "\xff"])
def test_what_a_model_says_of_itself_must_be_an_object(good, tmp_path, content):
    path = changed(good, tmp_path / "odd.keras", foldernet=content)
    with pytest.raises(UserError, match=r"was not saved by train\.py"):
        foldernet.load(path)


def test_a_model_that_contradicts_itself_is_refused(good, tmp_path):
    content = json.dumps(METADATA | {"classes": ["cat", "dog", "cow"]})
    path = changed(good, tmp_path / "odd.keras", foldernet=content)
    with pytest.raises(UserError, match="contradicts itself"):
        foldernet.load(path)


@pytest.mark.parametrize(
    "written",
    [keras.layers.Flatten(), keras.Sequential([keras.layers.Flatten()])],
    ids=["layer", "network without an input"],
)
def test_a_file_of_another_keras_object_is_refused(good, tmp_path, written):
    config = json.dumps(keras.saving.serialize_keras_object(written))
    path = changed(good, tmp_path / "odd.keras", config=config)
    refused(path, "no network with a known input shape", weights_too=False)


def test_a_damaged_model_is_refused_or_predicts_the_same(good, tmp_path):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "image.png")
    expected = foldernet.load(good).predict([tmp_path / "image.png"])
    random, whole = np.random.default_rng(0), good.read_bytes()
    for number in range(20):
        change = damage.DAMAGES[number % len(damage.DAMAGES)]
        path = tmp_path / f"{number}.keras"
        path.write_bytes(change(whole, random, whole))
        try:
            outcome = foldernet.load(path).predict([tmp_path / "image.png"])
        except UserError as error:
            outcome = str(error)
        assert outcome == expected or path.name in outcome


@pytest.mark.parametrize("version", ["2.15.0", "3.9.2", "3.14.1"])
@pytest.mark.parametrize("door", [train, predict])
def test_an_old_keras_is_refused_before_it_opens_a_file(
    monkeypatch, capsys, version, door, trained
):
    """Where there is a model.onnx, prediction doesn't need Keras, and so it may be any."""
    best = shutil.copy(trained / "models/first/best.keras", "alone.keras")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert door.main(["folder", "--run", best] if door is predict else ["folder"]) == 1
    assert f"Keras {version} runs code from model files" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["3.15.0", "3.15.1", "3.16.0.dev1", "4.0"])
def test_a_keras_that_is_new_enough_is_not_refused(monkeypatch, version):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    model_file.check_installation()
