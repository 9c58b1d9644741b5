"""A run that was interrupted and resumed is the run that wasn't."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pytest
from conftest import ROOT

import train
from foldernet.resume import state as states
from foldernet.resume.checkpoint import Checkpoint
from foldernet.training import model_file

# 120 images in batches of 4 are 30 steps an epoch, in calls of 8, 8, 8 and 6.
OPTIONS = ["--epochs", "3", "--image-size", "16", "--batch-size", "4"]
OPTIONS += ["--model", str(ROOT / "tests/one_convolution.py")]  # in other processes, too
TIMES = ("seconds", "images_per_second", "waiting")


@pytest.fixture(scope="module")
def uninterrupted(stripes_folder, tmp_path_factory):
    """A working folder with the run `whole`, which nothing interrupted."""
    place, before = tmp_path_factory.mktemp("uninterrupted"), Path.cwd()
    os.chdir(place)
    try:
        assert train.main([str(stripes_folder), *OPTIONS, "--name", "whole"]) == 0
    finally:
        os.chdir(before)
    return place


def interrupt(monkeypatch, *moments):
    """Have SIGTERM come before the steps at these (epoch, batch), each once; at batch 30, in
    validation. Before (0, 0), all is said and written but what takes longest is not yet done."""
    waiting = list(moments)

    def before(hook, place):
        def stopping(keeper, batch, logs=None):
            if (keeper.epoch, place(keeper, batch)) in waiting:
                waiting.remove((keeper.epoch, place(keeper, batch)))
                os.kill(os.getpid(), signal.SIGTERM)
            hook(keeper, batch, logs)

        monkeypatch.setattr(Checkpoint, hook.__name__, stopping)

    before(Checkpoint.on_train_batch_begin, lambda keeper, batch: keeper.first + batch)
    before(Checkpoint.on_test_batch_begin, lambda keeper, batch: 30)


def history(models: Path) -> list[dict]:
    with open(models / "history.csv") as file:
        rows = list(csv.DictReader(file))
    return [{name: row[name] for name in row if name not in TIMES} for row in rows]


def curves(logs: Path) -> dict:
    """(part, tag, step) -> value of every scalar but those of time."""
    import tensorflow as tf

    found = {}
    for path in sorted(logs.rglob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                kind = value.metadata.plugin_data.plugin_name
                if kind == "scalars" and not value.tag.endswith(TIMES):
                    number = float(tf.make_ndarray(value.tensor))
                    key = (path.parent.name, value.tag, event.step)
                    assert found.setdefault(key, number) == number
    return found


def assert_same_run(one: Path, other: Path, name: str, other_name: str):
    first, second = (
        dict(np.load(place / "models" / run / states.NEWEST))
        for place, run in ((one, name), (other, other_name))
    )
    assert first.keys() == second.keys()
    for key in first.keys() - {states.FACTS}:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
    assert history(one / "models" / name) == history(other / "models" / other_name)
    assert curves(one / "logs" / name) == curves(other / "logs" / other_name)
    best = [
        json.loads((place / "models" / run / "metrics.json").read_text())
        for place, run in ((one, name), (other, other_name))
    ]
    assert best[0]["best_epoch"] == best[1]["best_epoch"]
    assert best[0]["accuracy"] == best[1]["accuracy"]


def test_a_resumed_run_equals_one_that_was_never_stopped(
    uninterrupted, stripes_folder, tmp_path, monkeypatch, capsys
):
    """Stopped before its first step, amid an epoch, before an epoch's last call, in validation."""
    interrupt(monkeypatch, (0, 0), (1, 16), (1, 24), (2, 30))
    assert train.main([str(stripes_folder), *OPTIONS, "--name", "halting"]) == 143
    assert "python train.py --resume --name halting" in capsys.readouterr().err
    for _ in range(3):
        assert train.main(["--resume"]) == 143
    assert train.main(["--resume"]) == 0
    assert_same_run(uninterrupted, tmp_path, "whole", "halting")


@pytest.fixture(scope="module")
def once_halted(stripes_folder, tmp_path_factory):
    """A working folder with a run `halted` of three epochs on `set`, stopped amid the second."""
    place = tmp_path_factory.mktemp("halted")
    shutil.copytree(stripes_folder, place / "set")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        patch.setattr("sys.warnoptions", ["error"])
        interrupt(patch, (1, 16))
        assert train.main(["set", *OPTIONS, "--name", "halted", "--state-minutes", "0"]) == 143
    return place


@pytest.fixture
def halted(once_halted, tmp_path):
    """The folder of that run, and all that is around it, in the test's own working folder."""
    shutil.copytree(once_halted, tmp_path, dirs_exist_ok=True)
    return tmp_path / "models/halted"


def test_what_would_change_a_run_is_named_and_nothing_is_touched(halted, capsys):
    before = {path: path.read_bytes() for path in halted.iterdir()}

    def refused(*arguments):
        assert train.main(["--resume", *arguments]) == 1
        told = capsys.readouterr().err
        assert "Traceback" not in told
        assert {path: path.read_bytes() for path in halted.iterdir()} == before
        return told

    assert "--batch-size 8 (it was 4)" in refused("--batch-size", "8")
    assert "--shear-range 3.0 (it was 8.0)" in refused("--shear-range", "3")
    for other in ("other", "../halted"):
        told = refused("--name", other)
        assert f"no run '{other}' in 'models' to resume. Unfinished are halted" in told

    images = sorted(Path("set/train/down").iterdir())
    content = images[0].read_bytes()
    images[0].write_bytes(images[1].read_bytes())
    assert "other files: since then, training/down/000.png were added, removed or" in refused()
    images[0].rename("set/train/down/new.png")
    assert "since then, training/down/000.png, training/down/new.png were" in refused()
    Path("set/train/down/new.png").unlink()
    shutil.copytree("set/train/down", "set/train/more")
    images[0].write_bytes(content)
    assert "training/more/001.png, training/more/002.png, training/more/003.png and 36" in refused()

    shutil.rmtree("set/train/more")
    with filelock.FileLock(halted / ".lock"):
        before[halted / ".lock"] = b""
        assert "Another process is training the run 'halted'" in refused()


def test_what_does_not_matter_may_change(halted, uninterrupted, tmp_path):
    Path("set").rename("elsewhere")
    assert train.main(["elsewhere", "--resume", "--workers", "3", "--cache", "off"]) == 0
    assert_same_run(uninterrupted, tmp_path, "whole", "halted")
    config = json.loads((halted / "config.json").read_text())
    assert config["config"]["data"] == "elsewhere"
    assert len(config["resumed"]) == 1


def test_a_damaged_state_is_named_and_the_one_before_is_used(
    halted, uninterrupted, tmp_path, capsys
):
    whole = (halted / states.NEWEST).read_bytes()
    (halted / states.NEWEST).write_bytes(whole[: len(whole) // 2])
    (halted / ".123-state.npz").write_bytes(whole[:1000])  # as a killed run leaves it
    assert train.main(["--resume"]) == 0
    assert "state.npz' is damaged; the checkpoint before it is used" in capsys.readouterr().err
    assert not (halted / ".123-state.npz").exists()
    assert_same_run(uninterrupted, tmp_path, "whole", "halted")


def test_only_damaged_states_say_why_the_run_cannot_go_on(halted, capsys):
    for name in (states.NEWEST, states.BEFORE):
        (halted / name).write_bytes(b"not a state")
    assert train.main(["--resume"]) == 1
    told = capsys.readouterr().err
    assert "'models/halted' has no undamaged checkpoint to resume from" in told
    assert "Traceback" not in told


def test_a_flipped_bit_or_a_cut_in_a_state_is_noticed(halted):
    whole = (halted / states.NEWEST).read_bytes()
    random = np.random.default_rng(0)
    damaged = []
    for place in random.integers(len(whole) * 8, size=60).tolist():
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    damaged += [whole[:length] for length in random.integers(len(whole), size=30).tolist()]
    for content in damaged:
        (halted / "damaged.npz").write_bytes(content)
        with pytest.raises(ValueError, match="checksum"):
            states._load(halted / "damaged.npz")
    assert states._load(halted / states.NEWEST).epoch == 1


def test_a_finished_run_goes_on_as_a_longer_one_if_more_epochs_are_asked_for(
    stripes_folder, monkeypatch, capsys
):
    constant = [*OPTIONS, "--schedule", "constant", "--batch-size", "16"]
    assert train.main([str(stripes_folder), *constant, "--name", "long"]) == 0
    assert train.main([str(stripes_folder), *constant, "--epochs", "1", "--name", "more"]) == 0
    assert train.main(["--resume"]) == 1
    assert "no unfinished run" in capsys.readouterr().err
    assert train.main(["--resume", "--name", "more"]) == 1
    assert "is finished, after 1 epoch." in capsys.readouterr().err
    best = Path("models/more/best.keras").read_bytes()
    interrupt(monkeypatch, (2, 0))
    assert train.main(["--resume", "--name", "more", "--epochs", "3"]) == 143
    kept = json.loads(Path("models/more/metrics-1-epochs.json").read_text())
    assert kept["epochs"] == 1, "nothing that a run has told is lost"
    assert train.main(["--resume"]) == 0
    metrics = json.loads(Path("models/more/metrics.json").read_text())
    rows = history(Path("models/more"))
    assert rows == history(Path("models/long"))
    assert metrics["epochs"] == len(rows) == 3
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert metrics["accuracy"] == pytest.approx(max(accuracies)), "the best of all, not of the last"
    if metrics["best_epoch"] == 1:
        assert Path("models/more/best.keras").read_bytes() == best


def test_an_option_that_came_with_an_update_is_its_default_in_a_run_from_before(halted):
    config = json.loads((halted / "config.json").read_text())
    del config["config"]["vertical_flip"], config["config"]["clip_norm"]
    (halted / "config.json").write_text(json.dumps(config))
    assert train.main(["--resume"]) == 0


def test_a_run_that_has_the_epochs_that_are_asked_for_ends_with_its_report(halted):
    best = (halted / "best.keras").read_bytes()
    assert train.main(["--resume", "--epochs", "1"]) == 0
    assert (halted / "best.keras").read_bytes() == best
    assert json.loads((halted / "metrics.json").read_text())["epochs"] == 1


def test_patience_outlives_a_restart(stripes_folder, monkeypatch):
    still = ["--learning-rate", "0", "--weight-decay", "0", "--schedule", "constant"]
    stopping = ["--epochs", "30", "--early-stopping", "3", "--batch-size", "16"]
    arguments = [str(stripes_folder), *OPTIONS, *still, *stopping]
    assert train.main([*arguments, "--name", "once"]) == 0
    assert len(history(Path("models/once"))) < 30, "no epoch is better any more"
    interrupt(monkeypatch, (2, 0))
    assert train.main([*arguments, "--name", "twice"]) == 143
    assert train.main(["--resume"]) == 0
    assert history(Path("models/twice")) == history(Path("models/once"))


def test_a_worse_epoch_after_a_restart_does_not_replace_the_best(halted, monkeypatch):
    from foldernet.training.callbacks import BestModel

    best = (halted / "best.keras").read_bytes()
    remember = BestModel.on_epoch_end

    def worse(self, epoch, logs=None):
        remember(self, epoch, logs | {"val_accuracy": 0.0})

    monkeypatch.setattr(BestModel, "on_epoch_end", worse)
    assert train.main(["--resume"]) == 0
    assert (halted / "best.keras").read_bytes() == best
    assert json.loads((halted / "metrics.json").read_text())["best_epoch"] == 1


def test_blur_mode_resumes_to_the_same_filter(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    from PIL import Image

    Path("photos").mkdir()
    for index in range(4):
        pixels = random.integers(0, 256, (80, 80), np.uint8)
        Image.fromarray(pixels).save(f"photos/{index}.png")
    options = [
        "--mode",
        "blur",
        "photos",
        "--image-size",
        "64",
        "--sigma",
        "1",
        "--crops",
        "32",
        "--epochs",
        "2",
    ]
    assert train.main([*options, "--name", "whole"]) == 0
    interrupt(monkeypatch, (1, 2))
    assert train.main([*options, "--name", "halted"]) == 143
    assert train.main(["--resume"]) == 0
    filters = [np.load(f"models/{name}/kernel.npy") for name in ("whole", "halted")]
    np.testing.assert_array_equal(*filters)
    assert history(Path("models/whole")) == history(Path("models/halted"))


def test_a_training_that_diverges_says_so_and_keeps_the_last_good_checkpoint(
    stripes_folder, monkeypatch, capsys
):
    from foldernet.batches.iterators import DirectoryIterator

    batch_of = DirectoryIterator.batch

    def with_an_infinite_image(self, epoch, index):
        images, labels = batch_of(self, epoch, index)
        images = images.astype("float32")
        images[:1] = np.inf if epoch == 1 else images[:1]
        return images, labels

    monkeypatch.setattr(DirectoryIterator, "batch", with_an_infinite_image)
    often = ["--state-minutes", "0", "--name", "bad"]
    assert train.main([str(stripes_folder), *OPTIONS, *often]) == 1
    told = capsys.readouterr().err
    assert "became NaN or infinite in epoch 2: training diverged. Lower --learning-rate" in told
    assert "Traceback" not in told
    state = states.read(Path("models/bad"))
    assert all(np.isfinite(array).all() for array in state.arrays)


TRAIN = ROOT / "train.py"


def wait_for(process, text):
    """Read what the process says until `text` comes."""
    said = ""
    for line in process.stderr:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


LONG = ["--epochs", "100000", "--image-size", "16", "--batch-size", "4"]


def test_signals_save_and_say_how_to_go_on_and_a_second_one_leaves_at_once(
    stripes_folder, fresh, tmp_path
):
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with fresh.start(TRAIN, stripes_folder, *LONG, "--name", status, cwd=tmp_path) as process:
            wait_for(process, "val_accuracy")
            process.send_signal(number)
            _, told = process.communicate()
        assert process.returncode == status
        assert f"Stopped by {number.name}. Resume: python train.py --resume --name {status}" in told
        assert "Traceback" not in told
        assert states.read(tmp_path / f"models/{status}").epoch >= 0

    with fresh.start(TRAIN, stripes_folder, *LONG, "--name", "twice", cwd=tmp_path) as process:
        wait_for(process, "val_accuracy")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
    assert process.returncode in (130, 143)


def test_kills_lose_nothing(stripes_folder, uninterrupted, fresh, tmp_path):
    random = np.random.default_rng(0)
    arguments = [stripes_folder, *OPTIONS, "--state-minutes", "0", "--name", "killed"]
    for kills in range(3):
        with fresh.start(TRAIN, *arguments, cwd=tmp_path) as process:
            wait_for(process, "run ")  # training begins
            time.sleep(random.uniform(0.2, 1.2))
            process.kill()
        assert kills or process.returncode == -signal.SIGKILL
        if (tmp_path / "models/killed/metrics.json").exists():
            break  # this machine was faster
        if (tmp_path / "models/killed/best.keras").exists():
            model_file.read_metadata(tmp_path / "models/killed/best.keras")
        arguments = ["--resume", "--name", "killed"]
    os.chdir(tmp_path)
    if not Path("models/killed/metrics.json").exists():
        assert train.main(arguments) == 0
    assert_same_run(uninterrupted, tmp_path, "whole", "killed")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_while_the_report_is_made_leaves_a_run_that_makes_it(
    number, stripes_folder, fresh, tmp_path
):
    killed = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from foldernet import commands
from foldernet.analysis import html_report
html_report.finish = lambda *_: os.kill(os.getpid(), {number})
sys.exit(commands.train(sys.argv[1:]))
"""
    program = fresh.run("-c", killed, stripes_folder, *OPTIONS, "--name", "killed", cwd=tmp_path)
    assert program.returncode == (143 if number == signal.SIGTERM else -number), program.told
    models = tmp_path / "models/killed"
    assert not (models / "metrics.json").exists()
    again = fresh.run(TRAIN, "--resume", "--name", "killed", cwd=tmp_path)
    assert again.returncode == 0, again.told
    assert (models / "metrics.json").exists()
    assert (models / "report.html").exists()


def test_a_run_whose_images_have_moved_says_how_to_go_on(halted, capsys):
    before = (halted / "config.json").read_bytes()
    Path("set").rename("elsewhere")
    assert train.main(["--resume"]) == 1
    told = capsys.readouterr().err
    assert "The images of the run 'halted' are not in 'set'" in told
    assert "python train.py FOLDER --resume --name halted" in told
    assert (halted / "config.json").read_bytes() == before


WRITER = """
import itertools, pathlib, sys
import numpy as np
from foldernet.resume.state import State, write
for number in itertools.count():
    arrays = [np.full(2_000_000, number, "float32")]
    write(pathlib.Path(sys.argv[1]), State(number, 0, arrays, {}, [], {}))
    print(number, flush=True)
"""


def test_a_state_outlives_kills_while_it_is_written(tmp_path):
    random = np.random.default_rng(0)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.2))
            process.kill()
            written = [0, *map(int, process.stdout.read().split())]
        state = states.read(tmp_path)
        assert state.epoch >= written[-1], "the last state that was said to be written is there"
        assert (state.arrays[0] == state.epoch).all()


NO_LARGE_FILES = f"""
import resource, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import train
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))
sys.exit(train.main())
"""


@pytest.mark.whole_training
def test_a_full_disk_ends_the_run_with_a_sentence_and_it_goes_on_afterwards(
    stripes_folder, fresh, tmp_path
):
    large = [str(stripes_folder), *OPTIONS[:-2]]
    arguments = [*large, "--state-minutes", "0", "--name", "full"]
    done = fresh.run("-c", NO_LARGE_FILES, *arguments, cwd=tmp_path)
    assert done.returncode == 1, done.told
    assert "Traceback" not in done.told
    assert "resume: python train.py --resume --name full" in done.told
    assert train.main(["--resume"]) == 0
    assert train.main([*large, "--name", "whole"]) == 0
    assert_same_run(tmp_path, tmp_path, "whole", "full")


def test_a_best_model_that_cannot_be_written_ends_the_run_with_a_sentence(
    stripes_folder, uninterrupted, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patched:

        def full(model, path, metadata):
            raise OSError(28, "No space left on device", str(path))

        patched.setattr(model_file, "save_model", full)
        assert train.main([str(stripes_folder), *OPTIONS, "--name", "full"]) == 1
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "resume: python train.py --resume --name full" in told
    assert train.main(["--resume"]) == 0
    assert_same_run(uninterrupted, tmp_path, "whole", "full")
