"""The installed package: its wheel, and the command `foldernet`."""

import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

from foldernet import __version__
from foldernet.__main__ import main


def test_the_wheel_has_the_package_and_the_sets_that_ship(tmp_path):
    pytest.importorskip("build", reason="builds the wheel; requirements-dev.txt has it")
    others = shutil.ignore_patterns(".*", "models", "logs", "tests", "docs", "benchmarks", "build")
    shutil.copytree(ROOT, tmp_path / "source", ignore=others)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, tmp_path / "source"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Could not find a version" in done.stdout + done.stderr:
        pytest.skip("setuptools can't be downloaded")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        about = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    package = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("foldernet/**/*.py")}
    package |= {f"foldernet/analysis/templates/{name}" for name in ("report.html", "scores.txt")}
    page = (ROOT / "foldernet/serving/page").iterdir()
    package |= {path.relative_to(ROOT).as_posix() for path in page}
    package |= {f"foldernet/serving/{name}.json" for name in ("interface", "uvicorn")}
    assert package <= names
    assert {"foldernet/data/animals.zip", "foldernet/data/photos.zip"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/", "data/")) for name in names)
    required = [line for line in about.splitlines() if line.startswith("Requires-Dist: ")]
    assert any("keras" in line for line in required)
    tensorflow = [line for line in required if "tensorflow" in line]
    assert tensorflow
    assert all("extra ==" in line for line in tensorflow), "it comes with an extra alone"


def test_the_command_runs_the_functions_of_the_scripts(
    trained, stripes_folder, monkeypatch, capsys
):
    monkeypatch.chdir(trained)
    assert main(["predict", str(stripes_folder / "val/down/000.png"), "--run", "first"]) == 0
    assert "000.png: " in capsys.readouterr().out
    assert main(["check", str(stripes_folder)]) == 0
    assert "nothing wrong" in capsys.readouterr().out
    assert main(["train", "nowhere"]) == 1
    assert "There is no folder 'nowhere'" in capsys.readouterr().err


def test_the_command_answers_without_a_command_too(capsys):
    assert main([]) == main(["--help"]) == main(["--version"]) == 0
    told = capsys.readouterr().out
    assert "train" in told
    assert f"foldernet {__version__}" in told
    assert main(["trian"]) == 1
    assert "There is no command 'trian'; did you mean 'train'?" in capsys.readouterr().err


def test_a_missing_tensorflow_gets_a_sentence(stripes_folder, monkeypatch, capsys):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name)
    )
    assert main(["train", str(stripes_folder)]) == 1
    assert "pip install 'foldernet[cpu]'" in capsys.readouterr().err
