"""export.py: each format, opened by its own runtime, gives what predict.py gives."""

import functools
import http.server
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import export
import foldernet
from foldernet.export import folder
from foldernet.training.model_file import load_model, read_metadata, save_model

RUNTIMES = {"litert": "ai_edge_litert", "openvino": "openvino"}  # which an extra brings
CLASSES = "across\ndown\nplain\n"


@pytest.fixture(autouse=True)
def at_run(trained, place):
    """A working folder with a copy of the run `first`."""
    shutil.copytree(trained / "models/first", place / "models/first")


def needs(name: str) -> None:
    """Skip a test where the runtime of a format isn't installed."""
    pytest.importorskip(RUNTIMES.get(name, "keras"), reason="requirements-export.txt has it")


def exported(*arguments: str) -> Path:
    """The folder that export.py makes."""
    assert export.main(["first", "--out", "out", *arguments]) == 0
    return Path("out")


@pytest.mark.parametrize("name", folder.FORMATS)
def test_an_export_answers_as_predict_does(name, stripes_folder, fresh, capsys):
    needs(name)
    made = exported("--format", name)
    table = capsys.readouterr().out
    assert table.strip() in (made / "README.md").read_text().replace("\n    ", "\n")
    assert "100.0%" in table  # have the same class
    if name == "keras":
        assert read_metadata(made / "model.keras")["classes"] == CLASSES.split()
    assert (made / "labels.txt").read_text() == CLASSES
    if name == "litert":  # where its tools look for them
        with zipfile.ZipFile(made / "model.tflite") as archive:
            assert archive.read("labels.txt").decode() == CLASSES
    images = sorted(map(str, (stripes_folder / "val").rglob("*.png")))[::9]
    program = fresh.run("predict.py", *images, cwd=made.resolve())
    assert program.returncode == 0, program.told
    expected = foldernet.load("first").predict(images)
    lines = program.said.splitlines()
    for line, answer in zip(lines, expected, strict=True):
        label, probability = answer.ranking[0]
        assert line.startswith(f"{answer.path}: {label} ")
        assert abs(float(line.split()[-1].rstrip("%")) / 100 - probability) < 0.002


@pytest.mark.parametrize("name", folder.INT8)
def test_in_8_bits_it_is_a_third_of_the_size_and_says_nearly_the_same(name):
    needs(name)
    made = exported("--format", name, "--int8", "--uint8-input")
    size = (made / folder.FORMATS[name][0]).stat().st_size
    assert size < Path("models/first/model.onnx").stat().st_size / 3
    readme = (made / "README.md").read_text()
    assert "ranges found on 120 training images" in readme
    assert "(n, 24, 24, 3) uint8" in readme


def test_probabilities_are_calibrated_whatever_the_last_layer_is():
    """A temperature of 2 halves the logits, in a Dense layer's weights or after an Activation."""
    import keras

    random = np.random.default_rng(0)
    pixels = random.uniform(0, 255, (5, 4, 4, 3)).astype("float32")
    images = keras.Input((4, 4, 3))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    whole = keras.Model(images, keras.layers.Dense(3, activation="softmax")(flat))
    parts = keras.Model(images, keras.layers.Softmax()(keras.layers.Dense(3)(flat)))
    for model in (whole, parts):
        expected = model.predict_on_batch(pixels) ** 0.5
        expected /= expected.sum(axis=1, keepdims=True)
        network = folder.inference_network(model, 2.0, "float32")
        np.testing.assert_allclose(network.predict_on_batch(pixels), expected, atol=1e-5)


def test_another_networks_answers_fail_and_leave_nothing(monkeypatch, capsys):
    made = folder.inference_network
    monkeypatch.setattr(folder, "inference_network", lambda model, _, dtype: made(model, 9, dtype))
    assert export.main(["first", "--out", "out"]) == 1
    assert "not the run's network: probabilities differ by up to" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["models"]


def test_layers_that_are_random_or_normalize_with_fixed_numbers_can_be_exported(capsys):
    """Keras alone exports the former without complaint, and they fail when they are opened; ONNX
    takes the latter's numbers for inputs."""
    import keras

    best = Path("models/first/best.keras")
    model = load_model(best)
    images = keras.Input(model.input_shape[1:])
    same = keras.layers.Normalization(mean=[0.0], variance=[1.0])(images)
    random = keras.layers.RandomRotation(0.5)(keras.layers.RandomFlip()(same))
    kept = {name: value for name, value in read_metadata(best).items() if name != "unknown"}
    save_model(keras.Model(images, model(random)), best, kept)
    exported()
    assert "100.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "models"], "'models' exists already. Name another folder with --out."),
        (
            ["--int8", "--format", "keras"],
            "--int8 is for --format onnx or litert. Choose one of them.",
        ),
        (["--format", "tflite"], "--format"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments, told, capsys):
    assert export.main(["first", *arguments]) == 1
    assert told in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["models"]


def test_a_missing_runtime_is_named_with_what_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert export.main(["first", "--format", "openvino", "--out", "out"]) == 1
    told = capsys.readouterr().err
    assert "openvino" in told
    assert "pip install -r requirements-export.txt" in told
    assert not Path("out").exists()


def test_pixels_of_the_script_are_those_of_training_and_its_file_says_what_they_are():
    """Large, small, lying on their side, gray, transparent, of 16 bits, of a palette."""
    import runpy

    random = np.random.default_rng(0)
    kinds = {
        "large.jpg": Image.fromarray(random.integers(0, 255, (300, 200, 3), np.uint8)),
        "small.png": Image.fromarray(random.integers(0, 255, (9, 13, 3), np.uint8)),
        "gray.png": Image.fromarray(random.integers(0, 255, (40, 40), np.uint8)),
        "transparent.png": Image.fromarray(random.integers(0, 255, (40, 50, 4), np.uint8)),
        "deep.png": Image.fromarray(random.integers(0, 65536, (40, 50), np.uint16)),
        "palette.gif": Image.fromarray(random.integers(0, 255, (40, 50, 3), np.uint8)).quantize(16),
    }
    side = kinds["large.jpg"].getexif()
    side[0x0112] = 6
    kinds["large.jpg"].save("side.jpg", exif=side)
    for name, image in kinds.items():
        image.save(name)
    read, predictor = (
        runpy.run_path(str(exported() / "predict.py"))["read"],
        foldernet.load("first"),
    )
    for name in (*kinds, "side.jpg"):
        np.testing.assert_array_equal(read(name), predictor.read(name), err_msg=name)


def test_the_page_of_an_onnx_export_answers_in_a_browser(browser, stripes_folder):
    """With onnxruntime-web from the folder that ONNXRUNTIME_WEB names: 33 MB from npm."""
    if not (web := os.environ.get("ONNXRUNTIME_WEB")):
        pytest.skip("ONNXRUNTIME_WEB names no folder of onnxruntime-web; .ci/run fetches it")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(exported()))

    def local(route):
        name = route.request.url.partition("/dist/")[2]
        kind = "application/wasm" if name.endswith(".wasm") else "text/javascript"
        headers = {"access-control-allow-origin": "*"}
        route.fulfill(path=Path(web, "dist", name), content_type=kind, headers=headers)

    image = str(next((stripes_folder / "val/down").glob("*.png")))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        page = browser.new_page()
        page.route("https://cdn.jsdelivr.net/**", local)
        page.goto(f"http://127.0.0.1:{server.server_port}/predict.html")
        page.set_input_files("input", image)
        page.get_by_text("%").wait_for()
        label, share = page.inner_text("p").split()
        page.close()
        server.shutdown()
    ranking = dict(foldernet.load("first").predict(image)[0].ranking)
    assert label == "down"
    assert float(share.rstrip("%")) / 100 == pytest.approx(ranking["down"], abs=0.05)
