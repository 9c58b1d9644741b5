"""What a machine or an installation lacks is said at the start, in a sentence."""

from pathlib import Path

import pytest

import train
from foldernet.checks import before_training


@pytest.mark.parametrize("folder", ["models", "logs"])
def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_read(
    folder, stripes_folder, capsys, monkeypatch
):
    Path(folder).write_text("a file where the folder should be")
    assert train.main([str(stripes_folder), "--epochs", "1"]) == 1
    told = capsys.readouterr().err
    assert f"'{folder}/' in" in told
    assert "can't be written to" in told
    assert "Traceback" not in told


def test_a_gpu_that_was_asked_for_and_is_not_there_is_told(stripes_folder, monkeypatch, capsys):
    import keras

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind=None: [])
    assert train.main([str(stripes_folder), "--epochs", "1"]) == 1
    assert "CUDA_VISIBLE_DEVICES=0 asks for a GPU" in capsys.readouterr().err


def test_a_disk_without_room_is_told_before_training(stripes_folder, monkeypatch, capsys):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(before_training.shutil, "disk_usage", lambda path: usage(1, 1, 2**20))
    assert train.main([str(stripes_folder), "--epochs", "1", "--cache", "off"]) == 1
    told = capsys.readouterr().err
    assert "has 1 MB free, and this network needs" in told
    assert not Path("models").exists()
