"""`train.py` as a user runs it, tiny."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import ROOT, STRIPES, stripes
from PIL import Image

import train
from foldernet.training import model_file

QUICK = ["--epochs", "1", "--image-size", "16", "--batch-size", "16"]


def test_training_reaches_a_useful_accuracy(trained):
    metrics = json.loads((trained / "models/first/metrics.json").read_text())
    assert metrics["accuracy"] >= 0.9
    assert metrics["epochs"] == 6


def test_a_run_leaves_its_files(trained):
    models, logs = trained / "models/first", trained / "logs/first"
    names = {path.name for path in models.iterdir()}
    assert names == {
        *("best.keras", "last.keras", "config.json", "files.json", "history.csv", "metrics.json"),
        *("predictions.csv", "report.html", "model.onnx"),
        *("state.npz", "state-before.npz", ".lock"),
    }
    figures = {path.name for path in logs.glob("*.png")}
    assert figures == {
        "confusion_matrix.png",
        "first_layer_filters.png",
        "training_images.png",
        "worst_mistakes.png",
    }
    for path in logs.glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 5, f"{path.name} is blank"


def test_config_says_everything_needed_to_repeat_the_run(trained, stripes_folder):
    config = json.loads((trained / "models/first/config.json").read_text())
    assert config["config"]["image_size"] == 24
    assert config["config"]["horizontal_flip"] is False
    assert config["data"]["classes"] == sorted(STRIPES)
    assert config["data"]["images"]["training"] == dict.fromkeys(sorted(STRIPES), 40)
    assert Path(config["data"]["folder"]) == stripes_folder.resolve()
    assert config["versions"]["keras"] == keras.__version__
    assert all(config["versions"].values())


def test_metrics_are_those_of_the_best_epoch(trained):
    metrics = json.loads((trained / "models/first/metrics.json").read_text())
    with open(trained / "models/first/history.csv") as file:
        history = [
            {key: float(value) for key, value in row.items()} for row in csv.DictReader(file)
        ]
    best = max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert metrics["best_epoch"] == best["epoch"] + 1
    assert metrics["accuracy"] == pytest.approx(best["val_accuracy"])
    assert metrics["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert len(history) == 6
    for scores in metrics["per_class"].values():
        assert scores["images"] == 10
    assert "top5_accuracy" not in metrics, "of three classes, five always hold the right one"


def test_best_opens_with_plain_keras_and_without_our_code(trained, fresh):
    code = (
        "import sys, keras\n"
        f"model = keras.saving.load_model({str(trained / 'models/first/best.keras')!r})\n"
        "assert not any(name.startswith('foldernet') for name in sys.modules)\n"
        "print(model.predict(keras.ops.zeros((2, 24, 24, 3)), verbose=0).sum())\n"
    )
    done = fresh.run("-c", code, cwd=trained)
    assert done.returncode == 0, done.told
    assert float(done.said) == pytest.approx(2, abs=1e-4)


def test_best_file_carries_classes_and_preprocessing(trained):
    metadata = model_file.read_metadata(trained / "models/first/best.keras")
    for name in ("temperature", "unknown", "own_class"):
        assert metadata.pop(name)
    assert metadata == {
        "mode": "classify",
        "classes": sorted(STRIPES),
        "size": [24, 24],
        "color_mode": "rgb",
        "interpolation": "area",
        "keep_aspect_ratio": False,
        "background": "white",
        "white_level": 65535,
    }


def weights_of(path: Path) -> list[np.ndarray]:
    return keras.saving.load_model(path, compile=False).get_weights()


def test_the_same_seed_gives_the_same_weights_under_any_number_of_workers(stripes_folder):
    for workers in ("0", "1", "3"):
        arguments = ["--name", f"workers{workers}", "--workers", workers, "--seed", "7"]
        assert train.main([str(stripes_folder), *QUICK, *arguments]) == 0
    assert train.main([str(stripes_folder), *QUICK, "--name", "other", "--seed", "8"]) == 0
    reference, *same = (
        weights_of(Path(f"models/workers{workers}/last.keras")) for workers in (0, 1, 3)
    )
    for weights in same:
        for first, second in zip(reference, weights, strict=True):
            np.testing.assert_array_equal(first, second)
    assert any(
        (first != second).any()
        for first, second in zip(
            reference, weights_of(Path("models/other/last.keras")), strict=True
        )
    )


def test_class_folders_alone_are_split(tmp_path, capsys):
    stripes(tmp_path / "set", dict.fromkeys(STRIPES, 30))
    (tmp_path / "set/notes.txt").write_text("not a class")
    assert train.main([str(tmp_path / "set"), *QUICK, "--name", "split"]) == 0
    images = json.loads(Path("models/split/config.json").read_text())["data"]["images"]
    for name in STRIPES:
        assert images["training"][name] + images["validation"][name] == 30
        assert 0 < images["validation"][name] < 15


def test_a_test_folder_is_scored_under_test(tmp_path, stripes_folder):
    shutil.copytree(stripes_folder, tmp_path / "set")
    stripes(tmp_path / "set/test", {"down": 5, "plain": 3}, seed=3)
    assert train.main([str(tmp_path / "set"), *QUICK, "--name", "tested"]) == 0
    test = json.loads(Path("models/tested/metrics.json").read_text())["test"]
    assert {name: scores["images"] for name, scores in test["per_class"].items()} == {
        "across": 0,
        "down": 5,
        "plain": 3,
    }
    assert test["per_class"]["across"]["recall"] is None


def test_every_schedule_optimizer_and_balance_trains(stripes_folder, tmp_path):
    options = [
        ["--schedule", "step", "--optimizer", "sgd", "--learning-rate", "0.01", "--epochs", "4"],
        [
            *("--schedule", "constant", "--optimizer", "adam", "--class-weights", "balanced"),
            *("--brightness-range", "0.8", "1.2", "--channel-shift-range", "20", "--vertical-flip"),
        ],
        ["--color-mode", "grayscale", "--optimizer", "rmsprop", "--label-smoothing", "0"],
    ]
    for index, extra in enumerate(options):
        assert train.main([str(stripes_folder), *QUICK, "--name", str(index), *extra]) == 0
    with open("models/0/history.csv") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rates, [1e-2, 1e-2, 1e-3, 1e-4], rtol=1e-6)


def test_cosine_schedule_rises_in_a_twelfth_of_the_steps_and_falls_to_zero():
    from foldernet.options import TrainOptions
    from foldernet.training import optimizers

    options = TrainOptions(epochs=12, learning_rate=0.01)
    optimizer, (schedule,) = optimizers.optimizer(options, steps_per_epoch=10)
    rates = []
    for step in (0, 5, 10, 65, 120):
        optimizer.iterations.assign(step)
        schedule.on_train_batch_end(0, logs=None)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [1e-3, 5.5e-3, 1e-2, 5e-3, 0], atol=1e-8)


def test_an_unreadable_image_is_named_and_the_run_goes_on(tmp_path, stripes_folder, capsys):
    shutil.copytree(stripes_folder, tmp_path / "set")
    whole = (tmp_path / "set/train/down/000.png").read_bytes()
    (tmp_path / "set/train/down/broken.png").write_bytes(whole[: len(whole) // 2])
    assert train.main([str(tmp_path / "set"), *QUICK, "--name", "broken"]) == 0
    told = capsys.readouterr().err
    assert "1 file can't be read" in told
    assert "broken.png: " in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "no folder 'nowhere'"),
        (["--epohcs", "3"], "did you mean '--epochs'?"),
        (["--epochs", "0"], "must be at least 1"),
        (["--epochs", "many"], "--epochs can't be 'many'"),
        (["--optimizer", "adamm"], "adamm"),
        (["--name", "../up"], "can't name a folder"),
        (["--weights", "none.keras"], "There is no run 'none.keras' in 'models', nor a file"),
        (["--freeze", "convolution*"], "matches no layer; there are conv1, bn_conv1"),
        (["--freeze", "*"], "leaves nothing to train"),
        (["one", "two"], "'two' is one argument too many"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(arguments, told, stripes_folder, capsys):
    if arguments[0].startswith("--"):
        arguments = [str(stripes_folder), *QUICK, *arguments]
    assert train.main(arguments) == 1
    output = capsys.readouterr()
    assert told in output.err
    assert "Traceback" not in output.err
    assert output.out == ""
    assert not Path("models").exists()


def test_a_run_is_never_overwritten(trained, stripes_folder, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    before = {path: path.read_bytes() for path in Path("models/first").iterdir()}
    assert train.main([str(stripes_folder), *QUICK, "--name", "first"]) == 1
    assert "The run 'first' can't be made ('models/first': File exists)" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in Path("models/first").iterdir()}


def test_a_learning_rate_that_diverges_is_told(stripes_folder, capsys):
    wild = ["--optimizer", "sgd", "--learning-rate", "1e30", "--name", "wild"]
    assert train.main([str(stripes_folder), *QUICK, *wild]) == 1
    assert "Lower --learning-rate" in capsys.readouterr().err


def test_batch_and_step_suit_the_number_of_images():
    from foldernet.options import TrainOptions

    chosen = {count: TrainOptions().with_defaults(count) for count in (10, 640, 3000, 10**6)}
    assert [options.batch_size for options in chosen.values()] == [16, 32, 128, 128]
    assert chosen[3000].learning_rate == pytest.approx(0.003)
    assert chosen[640].learning_rate == pytest.approx(0.0015)
    given = TrainOptions(batch_size=7, learning_rate=0.1).with_defaults(3000)
    assert (given.batch_size, given.learning_rate) == (7, 0.1)


def command(*arguments, cwd):
    """Run a script the way a user does, in a process of its own, its output going to pipes."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fresh_clone_unpacks_the_set_that_ships_and_trains_on_it(fresh, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "foldernet", clone / "foldernet")
    (clone / "data").mkdir()
    shutil.copy(ROOT / "data/animals.zip", clone / "data")
    shutil.copy(ROOT / "train.py", clone)
    small = ["--epochs", "1", "--image-size", "16"]
    done = fresh.run("train.py", *small, "--name", "fresh", cwd=clone)
    assert done.returncode == 0, done.told
    assert "Unpacking animals.zip" in done.told
    assert "zebra" in done.told
    assert (clone / "models/fresh/best.keras").exists()
    assert json.loads((clone / "models/fresh/metrics.json").read_text())["accuracy"] > 0.3
    again = fresh.run("-c", "from foldernet import shipped; shipped.folder('animals')", cwd=clone)
    assert (again.returncode, again.told) == (0, "")


def test_piped_output_is_what_the_user_needs_and_nothing_else(tmp_path, stripes_folder):
    done = command(
        ROOT / "train.py", stripes_folder, *QUICK, "--epochs", "2", "--name", "quiet", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    expected = ["network:", "Starting", "class", *sorted(STRIPES), "all", "images", "loss"]
    expected += ["network", "batches", "cache", "run", "epoch", "epoch"]
    assert [line.split()[0] for line in lines] == expected
    first_words = [line.split()[0] for line in done.stdout.splitlines()]
    assert first_words == ["best", "on", "training", "predict:", "look:"]
    assert "on validation: accuracy " in done.stdout
    assert "never reaches 0, as labels are smoothed by 0.1" in done.stderr


def test_what_is_waited_for_is_said_before_tensorflow_is_imported(tmp_path, stripes_folder):
    code = (
        "import sys, train\n"
        "from foldernet import terminal\n"
        "def quiet():\n    assert 'tensorflow' not in sys.modules\n    sys.exit(3)\n"
        "terminal.quiet_tensorflow = quiet\n"
        f"train.main([{str(stripes_folder)!r}, '--model', 'simpleconv3'])\n"
    )
    done = command("-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "Starting TensorFlow ...\n")


@pytest.mark.parametrize(
    ("every", "batch", "lines"),
    [
        (-1, 5, ["epoch 1/1: step 9 of 12"]),
        (-1, 15, ["epoch 1/1: step 12 of 12"]),  # Keras counts on to the end of a call of several
        (30, 5, []),
    ],
)
def test_a_long_epoch_says_now_and_then_how_far_it_is(every, batch, lines, monkeypatch, capsys):
    from types import SimpleNamespace

    from foldernet.training import callbacks

    monkeypatch.setattr(callbacks, "LINE_EVERY", every)
    batches = type("Batches", (list,), {"first": 3})(range(12))  # resumed at the fourth
    progress = callbacks.ProgressLog(SimpleNamespace(best_epoch=None), batches, epochs=1)
    progress.set_params({"epochs": 1})
    progress.on_epoch_begin(0)
    progress.on_train_batch_end(batch)
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize(("classes", "shown"), [(19, False), (20, True)])
def test_top5_is_a_score_only_of_many_classes(classes, shown):
    from foldernet.evaluation.scores import classification_scores

    names, loss = tuple(map(str, range(classes))), keras.losses.CategoricalCrossentropy()
    scores = classification_scores(np.arange(classes), np.eye(classes), names, loss)
    assert ("top5_accuracy" in scores) == shown


NOT_NAMES = [
    "a:b",
    "a<b",
    "a|b",
    'a"',
    "a?",
    "a*",
    "a.",
    "a ",
    "con",
    "NUL",
    "com1",
    "aux.x",
    "a/b",
]


@pytest.mark.parametrize("name", NOT_NAMES)
def test_a_name_that_some_system_cannot_have_is_refused(name):
    from foldernet.terminal import UserError
    from foldernet.training import runs

    with pytest.raises(UserError, match="can't name a folder everywhere"):
        runs.check_name(name)


def test_a_name_that_every_system_can_have_is_taken():
    from foldernet.training import runs

    for name in ("pets-1", "конь", "console", "a.b", "my pets", "com", "v1.0"):
        runs.check_name(name)


def test_help_and_mistakes_do_not_load_tensorflow(tmp_path):
    code = (
        "import sys, train\n"
        "try:\n    train.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "train.main(['--epohcs', '3'])\ntrain.main(['nowhere'])\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'cv2', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = command("-c", code, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for field in ("--image-size", "--freeze", "--horizontal-flip", "default: adamw"):
        assert field in " ".join(done.stdout.split())


def test_tensorboard_serves_the_run(trained, monkeypatch):
    monkeypatch.chdir(trained)
    with subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", "logs", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            ask_for_everything(server)
        finally:
            server.terminate()


def ask_for_everything(server):
    """Ask a TensorBoard over HTTP for the tags and images of the run `first`."""
    address = next(
        word for line in server.stderr for word in line.split() if word.startswith("http://")
    )

    def ask(route):
        with urllib.request.urlopen(address + "data/" + route) as answer:
            return answer.read()

    found = []
    for _ in range(300):  # it reads the logs in the background
        found = json.loads(ask("runs"))
        if {"first/train", "first/validation", "first/figures"} <= set(found):
            break
        time.sleep(0.1)
    scalars = json.loads(ask("plugin/scalars/tags"))
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"} <= set(scalars["first/train"])
    assert {"epoch_loss", "epoch_accuracy"} <= set(scalars["first/validation"])
    assert not any("_vs_iterations" in tag for tags in scalars.values() for tag in tags)
    curve = json.loads(ask("plugin/scalars/scalars?run=first/validation&tag=epoch_loss"))
    assert [step for _, step, _ in curve] == [1, 2, 3, 4, 5, 6], "as on the terminal"
    images = set(json.loads(ask("plugin/images/tags"))["first/figures"])
    assert images == {
        "training_images",
        "confusion_matrix",
        "worst_mistakes",
        "first_layer_filters",
    }
    for tag in images:
        query = f"run=first/figures&tag={tag}&sample=0"
        (image,) = json.loads(ask(f"plugin/images/images?{query}"))
        shown = Image.open(io.BytesIO(ask(f"plugin/images/individualImage?{image['query']}")))
        written = Image.open(f"logs/first/{tag}.png").convert("RGB")
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(written))
