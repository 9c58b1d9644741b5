"""model.onnx: the same answers as Keras's, without waiting for TensorFlow."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from conftest import ROOT

import foldernet
from foldernet.export import onnx_file
from foldernet.training.model_file import read_metadata

NO_TENSORFLOW = """
import sys
sys.path.insert(0, sys.argv[1])
import predict
assert predict.main(sys.argv[2:]) == 0
slow = {"tensorflow", "keras", "scipy", "sklearn", "matplotlib"} & sys.modules.keys()
assert not slow, slow
"""


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a trained run's folder."""
    return shutil.copytree(trained / "models/first", tmp_path / "run")


def images(stripes_folder):
    return sorted((stripes_folder / "val").rglob("*.png"))


def test_training_leaves_the_network_as_onnx_with_what_prediction_needs(run):
    made = {prop.key: prop.value for prop in onnx.load(run / "model.onnx").metadata_props}
    assert json.loads(made["foldernet.json"]) == read_metadata(run / "best.keras")
    assert made["sha256"] == onnx_file.digest(run / "best.keras")
    told = json.loads((run / "metrics.json").read_text())["onnx"]
    assert told["largest_difference"] < 1e-5
    assert told["same_class"] == 1


def test_prediction_with_it_needs_no_tensorflow_and_tells_nobody(run, stripes_folder, tmp_path):
    command = [sys.executable, "-W", "error", "-c", NO_TENSORFLOW, str(ROOT)]
    arguments = ["--run", str(run), *map(str, images(stripes_folder)[:2])]
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=os.environ | places
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("%") >= 2
    assert list(home.rglob("*")) == [], "ONNX Runtime's telemetry is off"


def test_it_gives_the_answers_of_keras(run, stripes_folder):
    by_onnx = foldernet.load(run)
    assert isinstance(by_onnx.network, onnx_file.OnnxNetwork)
    (run / "model.onnx").unlink()
    by_keras = foldernet.load(run)
    for one, other in zip(
        by_onnx.predict(images(stripes_folder)),
        by_keras.predict(images(stripes_folder)),
        strict=True,
    ):
        assert [name for name, _ in one.ranking] == [name for name, _ in other.ranking]
        shares = [[share for _, share in each.ranking] for each in (one, other)]
        np.testing.assert_allclose(*shares, atol=1e-4)
        assert one.unknown == other.unknown


@pytest.mark.parametrize("wrong", ["of another model", "damaged", "empty"])
def test_a_file_that_does_not_fit_is_told_in_a_line_and_keras_answers(
    wrong, run, stripes_folder, capsys
):
    if wrong == "of another model":
        model = foldernet.load(run).model
        model.layers[-1].bias.assign_add(np.ones(3))
        metadata = read_metadata(run / "best.keras")
        foldernet.training.model_file.save_model(model, run / "best.keras", metadata)
    else:
        content = (run / "model.onnx").read_bytes()
        (run / "model.onnx").write_bytes(content[:1000] if wrong == "damaged" else b"")
    capsys.readouterr()
    answer = foldernet.load(run).predict(images(stripes_folder)[0])[0]
    told = capsys.readouterr().err
    assert answer.ranking
    assert told.count("\n") == 1
    assert "model.onnx' can't be used, and Keras is instead" in told


def test_a_network_that_onnx_gives_other_outputs_leaves_no_file(trained, tmp_path, capsys):
    """So does one that can't be converted; training ends well all the same."""
    from types import SimpleNamespace

    model = foldernet.load(trained / "models/first").model
    shutil.copytree(trained / "models/first", tmp_path / "models/odd")
    (tmp_path / "models/odd/model.onnx").unlink()
    seen = np.zeros((2, 24, 24, 3), "uint8")
    batches = {"validation": SimpleNamespace(n=2, images_at=lambda positions: seen)}
    odd = SimpleNamespace(models=tmp_path / "models/odd")
    task = SimpleNamespace(outputs={})  # of a mode that hasn't asked the network
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "MOST", -1.0)
        assert onnx_file.finish(task, None, batches, model, odd, {}) == {}
    assert "its outputs differ by" in capsys.readouterr().err
    assert not (tmp_path / "models/odd/model.onnx").exists()
    assert onnx_file.finish(task, None, batches, model, odd, {})["onnx"]["same_class"] == 1
    assert (tmp_path / "models/odd/model.onnx").exists()
