"""The structure of the code: imports go down, optional packages come out, what is new is a file."""

import importlib
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from test_resume import interrupt

import train
from foldernet import rooms

house = runpy.run_path(str(ROOT / "benchmarks/house.py"))
QUICK = ["--epochs", "1", "--image-size", "16", "--batch-size", "16"]
FILES = house["files"]()


def test_imports_go_down_the_floors_and_nowhere_else():
    floor = house["floor"]
    up = [
        f"{file} imports {other}"
        for file in FILES
        if file != house["TABLES"]
        for other in house["imports"](file)
        if floor(other) < floor(file)
    ]
    assert up == []


def test_no_imports_go_in_a_circle():
    imported = {
        file: house["imports"](file) if file != house["TABLES"] else set() for file in FILES
    }
    clear = set()
    while len(clear) < len(FILES):
        freed = {file for file in FILES if imported[file] <= clear} - clear
        assert freed, f"circular: {sorted(set(FILES) - clear)}"
        clear |= freed


def test_the_core_names_optional_packages_only_in_the_tables():
    room = house["room"]
    for file in FILES:
        if room(file) is None and file != house["TABLES"]:
            named = {other for other in house["imports"](file) if room(other) is not None}
            assert named == set(), f"{file} names {named}"


def test_files_and_packages_stay_small():
    sizes = {file: house["sizes"](ROOT / file) for file in FILES}
    too_long = {file: lines for file, (_, lines) in sizes.items() if lines > 350}
    assert too_long == {}
    core = house["core"]()
    assert {file for file in FILES if house["room"](file) is None} - core == {
        "foldernet/__main__.py"  # which the scripts do without
    }
    assert sum(sizes[file][0] for file in core) <= 2500
    assert sum(code for code, _ in sizes.values()) <= 6500


def without(rooms: tuple[str, ...], place: Path) -> Path:
    """A copy of the project without some optional packages and their lines in the tables."""
    copy = place / "project"
    shutil.copytree(ROOT / "foldernet", copy / "foldernet", ignore=shutil.ignore_patterns("__py*"))
    for script in ("train.py", "predict.py"):
        shutil.copy(ROOT / script, copy)
    tables = copy / "foldernet/rooms.py"
    lines = tables.read_text().splitlines(keepends=True)
    for room in rooms:
        path = copy / "foldernet" / room
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        name = room.removesuffix(".py")
        lines = [line for line in lines if not re.search(rf'"foldernet\.{name}[."]', line)]
    tables.write_text("".join(lines))
    return copy


COMMANDS = """
import json, sys
import predict, train
for script, *arguments in json.loads(sys.argv[1]):
    assert {"train.py": train, "predict.py": predict}[script].main(arguments) == 0
"""


def test_optional_packages_have_what_the_table_says():
    for module, names in rooms.PACKAGES.items():
        assert [name for name in names if not hasattr(importlib.import_module(module), name)] == []


@pytest.fixture
def run(fresh):
    """Runs scripts of a project in a process that has none of our code; returns what they print."""

    def of(project: Path, *commands: list) -> str:
        commands = json.dumps([list(map(str, command)) for command in commands])
        done = fresh.run("-c", COMMANDS, commands, cwd=project)
        assert done.returncode == 0, done.told
        return done.said

    return of


@pytest.mark.parametrize(
    "rooms", [*((room,) for room in house["ROOMS"]), house["ROOMS"]], ids=" and ".join
)
def test_optional_packages_can_be_taken_out(rooms, run, stripes_folder, tmp_path):
    project = without(rooms, tmp_path)
    image = stripes_folder / "val/down/000.png"
    answer = run(
        project,
        ["train.py", stripes_folder, *QUICK, "--epochs", "4", "--name", "bare"],
        ["predict.py", image, "--run", "bare"],
    )
    assert json.loads((project / "models/bare/metrics.json").read_text())["accuracy"] > 0.4
    assert re.search(r"000\.png: (across|down|plain) \d", answer)


# A network


MLP = """
import keras
from keras import layers


def mlp(input_shape, classes, units=32):
    images = keras.Input(input_shape)
    x = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    x = layers.Dense(units, activation="relu")(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(x), name="mlp")
"""
NESTED = """
import keras
from keras import layers

VARIANTS = {"wide": {"filters": 16}}


def nested(input_shape, classes, filters=4):
    images = keras.Input(input_shape)
    inner = keras.Input(input_shape)
    x = layers.Conv2D(filters, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(inner))
    backbone = keras.Model(inner, layers.GlobalAveragePooling2D()(x), name="backbone")
    outputs = layers.Dense(classes, activation="softmax")(backbone(images))
    return keras.Model(images, outputs, name="nested")
"""


@pytest.mark.parametrize(("name", "code"), [("mlp", MLP), ("nested", NESTED)])
def test_a_network_is_a_file(name, code, run, stripes_folder, tmp_path):
    """In `networks/`, it is a choice of --model, and trains, resumes, reports and predicts."""
    project = without((), tmp_path)
    (project / f"foldernet/networks/{name}.py").write_text(code)
    answer = run(
        project,
        ["train.py", stripes_folder, *QUICK, "--model", name, "--name", "new"],
        ["train.py", "--resume", "--name", "new", "--epochs", "2"],
        ["predict.py", stripes_folder / "val/down/000.png", "--run", "new"],
    )
    metrics = json.loads((project / "models/new/metrics.json").read_text())
    assert metrics["epochs"] == 2
    assert (project / "logs/new/confusion_matrix.png").exists()
    assert (project / "logs/new/first_layer_filters.png").exists() == (name == "nested")
    assert "000.png: " in answer


def test_a_network_of_the_users_own_is_named_by_its_path(stripes_folder):
    Path("mine").mkdir()
    Path("mine/nested.py").write_text(NESTED)

    def weights(name, *options):
        model = ["--model", options[0], "--name", name, *options[1:]]
        assert train.main([str(stripes_folder), *QUICK, *model]) == 0
        import keras

        network = keras.saving.load_model(f"models/{name}/last.keras")
        return network.get_layer("backbone").count_params()

    assert weights("plain", "mine/nested.py") == 4 * 28
    assert weights("wide", "mine/nested.py:wide") == 16 * 28
    assert weights("typed", "mine/nested.py", "--model-options", "filters=8") == 8 * 28


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "simpelconv3"], "no network 'simpelconv3'; did you mean 'simpleconv3'?"),
        (["--model", "gone.py"], "no file 'gone.py'"),
        (["--model", "other.py"], "'other.py' has no function 'other', named like its file"),
        (["--model", "logits.py"], "The outputs of the network 'logits.py' are no probabilities"),
        (["--model", "simpleconv3:huge"], "no variant 'huge'"),
        (["--model-options", "momentum=1"], "unexpected keyword argument 'momentum'"),
        (["--model-options", "momentum"], "Expected name=value"),
    ],
)
def test_a_wrong_network_gets_one_sentence(options, told, stripes_folder, capsys):
    Path("other.py").write_text(MLP)
    logits = MLP.replace("def mlp", "def logits").replace(', activation="softmax"', "")
    Path("logits.py").write_text(logits)
    assert train.main([str(stripes_folder), *QUICK, *options]) == 1
    output = capsys.readouterr()
    assert told in output.err
    assert "Traceback" not in output.err


# A mode


BRIGHTNESS = '''
"""A third mode: how bright is an image on average?"""

import numpy as np

from foldernet.tasks.task import Task


class Brightness(Task):
    """Learn the mean brightness of images."""

    network_name = "mean"

    def batches(self, dataset):
        batches = super().batches(dataset)
        for iterator in batches.values():
            plain = iterator.batch

            def with_means(epoch, index, plain=plain):
                images, _ = plain(epoch, index)
                return images, images.mean(axis=(1, 2, 3), keepdims=True)[:, :, 0, 0] / 255

            iterator.batch = with_means
        return batches

    def network(self, dataset):
        import keras
        from keras import layers

        size = self.options.image_size
        images = keras.Input((size, size, 3))
        x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(images))
        return keras.Model(images, layers.Dense(1)(x), name="mean")
'''


def test_a_mode_is_a_file_and_a_line(run, stripes_folder, tmp_path):
    assert len(BRIGHTNESS.splitlines()) < 60
    project = without((), tmp_path)
    (project / "foldernet/tasks/brightness.py").write_text(BRIGHTNESS)
    tables = project / "foldernet/rooms.py"
    line = '    "blur": "foldernet.blur.task:Blur",\n'
    text = tables.read_text()
    assert line in text
    tables.write_text(
        text.replace(line, f'{line}    "brightness": "foldernet.tasks.brightness:Brightness",\n')
    )
    options = ["--mode", "brightness", "--learning-rate", "0.05", "--weight-decay", "0"]
    image = stripes_folder / "val/down/000.png"
    answer = run(
        project,
        ["train.py", stripes_folder, *QUICK, *options, "--epochs", "10", "--name", "bright"],
        ["train.py", "--resume", "--name", "bright", "--epochs", "25"],
        ["predict.py", image, "--run", "bright", "--json", "-"],
    )
    metrics = json.loads((project / "models/bright/metrics.json").read_text())
    assert metrics["epochs"] == 25
    assert metrics["loss"] < 1e-3
    (item,) = json.loads(answer[answer.index("[") :])
    from PIL import Image

    assert item["values"] == pytest.approx([np.asarray(Image.open(image)).mean() / 255], abs=0.1)


# From Python


def test_train_is_a_function_that_returns_a_run(stripes_folder, tmp_path):
    import foldernet

    result = foldernet.train(
        stripes_folder, epochs=2, image_size=16, batch_size=16, name="from-python"
    )
    assert result.name == "from-python"
    assert result.models == Path("models/from-python")
    assert result.logs == Path("logs/from-python")
    assert result.metrics == json.loads((result.models / "metrics.json").read_text())
    for named in ("from-python", result.models, result.models / "best.keras"):
        (answer,) = foldernet.load(named).predict([stripes_folder / "val/down/000.png"])
        assert answer.ranking[0][0] in ("across", "down", "plain")


def test_train_works_in_a_thread_that_is_not_the_main_one(stripes_folder):
    import signal
    import threading

    import foldernet

    results = []
    before = signal.getsignal(signal.SIGTERM)

    def work():
        results.append(foldernet.train(stripes_folder, epochs=1, image_size=16, name="threaded"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [result.metrics["epochs"] for result in results] == [1]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_mistake_in_python_is_a_user_error(stripes_folder):
    import foldernet
    from foldernet.terminal import UserError

    with pytest.raises(UserError, match=r"epochs 0 .* at least 1"):
        foldernet.train(stripes_folder, epochs=0)
    with pytest.raises(UserError, match=r"no option 'epohcs'; did you mean 'epochs'\?"):
        foldernet.train(stripes_folder, epohcs=3)


def test_a_config_repeats_a_run_with_other_options_on_top(stripes_folder, monkeypatch):
    first = [str(stripes_folder), *QUICK, "--seed", "3", "--rotation-range", "0", "--name", "first"]
    assert train.main(first) == 0
    repeat = ["--config", "models/first/config.json"]
    assert train.main([*repeat, "--name", "again"]) == 0
    interrupt(monkeypatch, (0, 0))
    assert train.main([*repeat, "--name", "longer", "--epochs", "2"]) == 143
    configs = {
        name: json.loads(Path(f"models/{name}/config.json").read_text())["config"]
        for name in ("first", "again", "longer")
    }
    for config in configs.values():
        del config["name"], config["config"]
    assert configs["again"] == configs["first"]
    assert configs["longer"] == configs["first"] | {"epochs": 2}
    metrics = [
        json.loads(Path(f"models/{name}/metrics.json").read_text()) for name in ("first", "again")
    ]
    assert metrics[0]["loss"] == metrics[1]["loss"]
    assert train.main(["--config", "nowhere.json"]) == 1


def test_the_description_of_the_structure_is_that_of_the_code(capsys):
    house["main"]()
    table = capsys.readouterr().out
    assert all(file in table for file in FILES)
