"""The training recipe: time budget, moving average, clipping, focal loss, precision."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_resume import assert_same_run, interrupt

import train
from foldernet.recipe import time_budget
from foldernet.recipe.adapt import Options, seconds
from foldernet.terminal import UserError
from foldernet.training import callbacks, optimizers

SMALL = ["--epochs", "2", "--image-size", "16", "--batch-size", "8"]
ALL = ["--ema", "0.9", "--clip-norm", "0.5", "--loss", "focal", "--class-weights", "balanced"]


def run(folder, name, *options) -> Path:
    assert train.main([str(folder), *SMALL, "--name", name, *options]) == 0
    return Path("models") / name


def history(models: Path) -> list[dict]:
    with open(models / "history.csv") as file:
        return list(csv.DictReader(file))


def load(path: Path):
    import keras

    return keras.saving.load_model(path)


def assert_equal_weights(one, other):
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


# Moving average


def test_the_saved_model_is_the_average_of_the_weights_of_all_steps(stripes_folder, monkeypatch):
    seen = []

    def note(pace, batch, logs=None):
        seen.append([weight.numpy() for weight in pace.model.trainable_variables])
        hook(pace, batch, logs)

    hook = callbacks.Pace.on_train_batch_end
    monkeypatch.setattr(callbacks.Pace, "on_train_batch_end", note)
    step = {"steps_per_execution": 1, "jit_compile": False}
    monkeypatch.setattr(optimizers, "execution", lambda: step)
    models = run(stripes_folder, "average", "--ema", "0.9", "--epochs", "3")
    assert len(seen) == 3 * 15
    averages, average = [], seen[0]
    for weights in seen:
        average = [0.9 * a + 0.1 * w for a, w in zip(average, weights, strict=True)]
        averages.append(average)
    best = json.loads((models / "metrics.json").read_text())["best_epoch"]
    for name, epoch in (("best", best), ("last", 3)):
        saved = load(models / f"{name}.keras").trainable_variables
        for weight, expected in zip(saved, averages[15 * epoch - 1], strict=True):
            np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_average_is_what_is_validated(stripes_folder):
    models = run(stripes_folder, "validated", "--ema", "0.9")
    metrics = json.loads((models / "metrics.json").read_text())
    row = history(models)[metrics["best_epoch"] - 1]
    assert metrics["accuracy"] == pytest.approx(float(row["val_accuracy"]))
    assert metrics["loss"] == pytest.approx(float(row["val_loss"]), rel=1e-4)


@pytest.mark.parametrize("moments", [[(1, 8)], [(0, 30), (1, 30)]], ids=["step", "validation"])
def test_with_all_of_the_recipe_a_resumed_run_is_the_uninterrupted_one(
    moments, stripes_folder, tmp_path, monkeypatch
):
    # 15 steps an epoch, in calls of 8 and 7; 30 stands for validation
    run(stripes_folder, "whole", *ALL)
    interrupt(monkeypatch, *moments)
    assert train.main([str(stripes_folder), *SMALL, *ALL, "--name", "halting"]) == 143
    for status in [143] * (len(moments) - 1) + [0]:
        assert train.main(["--resume", "--name", "halting"]) == status
    assert_same_run(tmp_path, tmp_path, "whole", "halting")
    assert_equal_weights(load("models/whole/last.keras"), load("models/halting/last.keras"))


def test_more_epochs_go_on_from_the_weights_and_not_from_their_average(stripes_folder):
    constant = ["--schedule", "constant", "--ema", "0.9"]
    long = run(stripes_folder, "long", *constant)
    run(stripes_folder, "more", *constant, "--epochs", "1")
    assert train.main(["--resume", "--name", "more", "--epochs", "2"]) == 0
    assert_equal_weights(load(long / "last.keras"), load("models/more/last.keras"))


# Clipping, focal loss, precision


def test_clipping_bounds_the_norm_of_the_gradient(stripes_folder):
    """With SGD without momentum's past, one step of rate 1 is the gradient itself."""
    import keras

    plain = ["--optimizer", "sgd", "--learning-rate", "1", "--schedule", "constant"]
    one_step = ["--weight-decay", "0", "--batch-size", "120", "--epochs", "1"]
    moved = {}
    for name, norm in (("free", "0"), ("clipped", "0.01")):
        models = run(stripes_folder, name, *plain, *one_step, "--clip-norm", norm)
        state = dict(np.load(models / "state.npz"))
        before = dict(np.load(models / "state-before.npz"))
        network = load(models / "last.keras")
        trained = [v.path for v in network.trainable_variables]
        steps = [
            state[f"arr_{i}"] - before[f"arr_{i}"]
            for i, variable in enumerate(network.variables)
            if variable.path in trained
        ]
        moved[name] = float(keras.ops.norm(np.concatenate([step.ravel() for step in steps])))
    assert moved["clipped"] == pytest.approx(0.01, rel=1e-3)
    assert moved["free"] > 0.02


def test_focal_loss_is_what_training_and_metrics_show(stripes_folder):
    models = run(stripes_folder, "focal", "--loss", "focal")
    metrics = json.loads((models / "metrics.json").read_text())
    row = history(models)[metrics["best_epoch"] - 1]
    assert metrics["loss"] == pytest.approx(float(row["val_loss"]), rel=1e-4)
    assert metrics["loss"] < 0.25 * np.log(3), "Keras weighs all classes by a quarter"


def test_mixed_precision_computes_in_bfloat16_and_saves_float32(stripes_folder, monkeypatch):
    plain = run(stripes_folder, "plain")
    models = run(stripes_folder, "mixed", "--mixed-precision", "on")
    network = load(models / "best.keras")
    assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}
    assert {weight.dtype for weight in network.weights} == {"float32"}
    first, second = history(plain)[0]["loss"], history(models)[0]["loss"]
    assert first != second
    assert float(first) == pytest.approx(float(second), rel=0.05)


# Time


@pytest.fixture
def slow_clock(monkeypatch):
    """A clock by which everything that is measured takes 100 seconds."""
    import time

    ticks = itertools.count(time.perf_counter(), 100)
    monkeypatch.setattr(time_budget, "clock", lambda: next(ticks))


def test_as_many_epochs_as_fit_are_trained_and_the_schedule_ends_there(
    slow_clock, stripes_folder, monkeypatch, capsys
):
    # 15 + 4 steps of some seconds each; trial and start take about 1,100
    epochs, average = ["--epochs", "50"], ["--ema", "0.9"]
    interrupt(monkeypatch, (1, 0))
    command = [str(stripes_folder), *SMALL, *epochs, *average, "--time", "2h", "--name", "timed"]
    assert train.main(command) == 143
    told = capsys.readouterr().err
    config = Path("models/timed/config.json")
    chosen = json.loads(config.read_text())["config"]["epochs"]
    assert 2 < chosen < 50
    assert f"time: {chosen} epochs; " in told
    assert train.main(["--resume"]) == 0
    assert json.loads(config.read_text())["config"]["epochs"] == chosen
    rows = history(config.parent)
    assert len(rows) == chosen
    assert float(rows[-1]["time_used"]) > float(rows[0]["time_used"])
    spent = json.loads((config.parent / "metrics.json").read_text())["time"]
    assert spent["share"] == pytest.approx(spent["seconds"] / 7200, abs=1e-3)
    given = run(stripes_folder, "given", "--epochs", str(chosen), *average)
    assert_equal_weights(load("models/timed/last.keras"), load(given / "last.keras"))


def test_a_time_that_no_epoch_fits_in_is_refused(slow_clock, stripes_folder, capsys):
    command = [str(stripes_folder), *SMALL, "--time", "90s", "--name", "short"]
    assert train.main(command) == 1
    told = capsys.readouterr().err
    assert "--time 90s leaves no room for an epoch" in told
    assert not Path("models/short").exists()


def test_training_ends_early_where_epochs_take_longer_than_in_the_trial():
    from types import SimpleNamespace

    session = SimpleNamespace(began=0, history=[{"seconds": 2.0}])
    keeper = time_budget.TimeBudget(100, session, after=5)
    keeper.params, model = {"epochs": 50}, SimpleNamespace(stop_training=False)
    keeper.set_model(model)
    keeper.on_train_begin()
    keeper.before, stopped = 8, []
    for epoch in range(4):
        logs = {"seconds": 2 + 25.0 * (epoch + 1)}
        keeper.on_epoch_end(epoch, logs)
        stopped.append(model.stop_training)
    assert stopped == [False, False, True, True]  # 10 + 3 * 25 + 25 + 5 is too much
    assert logs["time_used"] == pytest.approx(1.1)


def test_epochs_fit_between_what_is_over_and_the_report():
    assert time_budget.epochs_that_fit(600, 36, 10) == 52
    assert time_budget.epochs_that_fit(30, 36, 10) == 0


def test_times_are_written_as_people_write_them():
    assert [*map(seconds, ("90s", "10m", "1h30m", "2h5s"))] == [90, 600, 5400, 7205]
    for wrong in ("10", "m", "", "10 minutes", "1m1h", "-5m"):
        with pytest.raises(UserError, match="Write it as 90s, 10m or 1h30m"):
            Options(time=wrong)


# What prediction sees


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"keep_aspect_ratio": True},
        {"background": "black"},
        {"interpolation": "lanczos"},
        {"interpolation": "nearest", "keep_aspect_ratio": True, "background": "gray"},
    ],
    ids=str,
)
def test_prediction_sees_the_pixels_of_validation(rule, tmp_path, monkeypatch):
    import foldernet
    from foldernet.tasks.classify import Classify

    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        for name in "ab":
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for index in range(count):  # wide or high, half of them transparent
                shape = (40, 70 + index, 4) if index % 2 else (90 + index, 50, 4)
                pixels = random.integers(0, 256, shape, np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / split / name / f"{index}.png")
    kept, options = {}, dict(rule)
    if interpolation := options.pop("interpolation", None):  # no option of train.py
        plain = Classify.rule.fget
        given = property(lambda task: plain(task) | {"interpolation": interpolation})
        monkeypatch.setattr(Classify, "rule", given)
    report = Classify.report

    def keep(task, dataset, batches, *others):
        kept.update(iterator=batches["validation"], images=dataset.splits["validation"])
        return report(task, dataset, batches, *others)

    monkeypatch.setattr(Classify, "report", keep)
    foldernet.train(
        tmp_path / "set", epochs=1, image_size=24, model="simpleconv3", name="rule", **options
    )
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    predictor = foldernet.load("rule")
    seen, _ = kept["iterator"].batch(0, 0)
    paths = [kept["images"].path(position) for position in range(len(seen))]
    assert len(paths) == 6
    np.testing.assert_array_equal(seen, [predictor.read(path) for path in paths])
    if rule:
        from foldernet.images.reader import read_image

        default = np.stack([read_image(path, (24, 24)) for path in paths])
        assert (seen != default).any(), "the rule makes a difference"
