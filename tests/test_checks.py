"""`check.py` as a user runs it, on small sets with every kind of finding, and train.py after it."""

import csv
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from conftest import ROOT, STRIPES, scan, stripes
from PIL import Image
from test_resume import interrupt

import check
import foldernet
import predict
import train
from foldernet.batches.generator import ImageDataGenerator
from foldernet.checks import quarantine
from foldernet.checks.findings import NEAR_BITS, format_named, nearest
from foldernet.datasets.folders import IMAGE_EXTENSIONS
from foldernet.images.reader import FORMATS, read_image
from foldernet.images.store import PixelStore

QUICK = ["--epochs", "1", "--image-size", "16", "--batch-size", "16"]


def bomb() -> bytes:
    """A PNG of some bytes that asks for 60,000x60,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.fixture
def blank(tmp_path) -> Path:
    """A small set with one finding, that an image is blank."""
    folder = tmp_path / "set"
    stripes(folder / "train", dict.fromkeys(STRIPES, 12), seed=0)
    stripes(folder / "val", dict.fromkeys(STRIPES, 4), seed=1)
    Image.new("RGB", (30, 30), "red").save(folder / "train/plain/red.png")
    return folder


@pytest.fixture
def spoilt(blank) -> Path:
    """A small set with one of each finding, one name of which is hostile."""
    folder, down, plain = blank, blank / "train/down", blank / "train/plain"
    whole = (down / "000.png").read_bytes()
    (down / "=cmd\n.png").write_text("not an image")
    (down / "cut.png").write_bytes(whole[: len(whole) // 2])
    (down / "bomb.png").write_bytes(bomb())
    (down / "lies.jpg").write_bytes((down / "001.png").read_bytes())
    (down / "copy.png").write_bytes((folder / "val/down/000.png").read_bytes())
    (plain / "other.png").write_bytes((folder / "train/across/003.png").read_bytes())
    near = Image.open(folder / "val/down/001.png")
    near.save(down / "near.jpg", quality=95)
    near.resize((5, 5)).save(plain / "tiny.png")
    return folder


def rows_of(folder: Path) -> list[dict]:
    with open(folder / "quarantine.csv", newline="") as file:
        return list(csv.DictReader(file))


def edit(folder: Path, change) -> None:
    """Write quarantine.csv with the rows that `change` makes of each of its rows."""
    rows = [new for row in rows_of(folder) for new in change(row)]
    with open(folder / "quarantine.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else quarantine.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def test_every_finding_is_reported_and_nothing_is_touched(spoilt, capsys):
    before = {path: path.read_bytes() for path in spoilt.rglob("*") if path.is_file()}
    assert check.main([str(spoilt)]) == 1
    told = capsys.readouterr().out
    assert {path: path.read_bytes() for path in before} == before
    found = {(row["path"], row["finding"]): row["leave_out"] for row in rows_of(spoilt)}
    assert found == {
        ("train/down/=cmd\\n.png", "unreadable"): "yes",
        ("train/down/cut.png", "truncated"): "yes",
        ("train/down/bomb.png", "too large"): "yes",
        ("train/down/copy.png", "duplicate of a validation image"): "yes",
        ("train/across/003.png", "duplicate in another class"): "no",
        ("train/plain/other.png", "duplicate in another class"): "no",
        ("train/down/near.jpg", "near-duplicate of a validation image"): "no",
        ("train/down/lies.jpg", "wrong extension"): "no",
        ("train/plain/tiny.png", "tiny"): "no",
        ("train/plain/red.png", "blank"): "no",
    }
    for name in {name for key in found for name in key}:
        assert f"{name}: " in told
    assert "\n.png" not in told
    assert "4 images left out" in told


def test_a_clean_set_exits_with_0_and_a_second_run_decodes_nothing(tmp_path, monkeypatch, capsys):
    folder = stripes(tmp_path / "set/train", dict.fromkeys(STRIPES, 6)).parent
    assert check.main([str(folder)]) == 0
    assert "nothing wrong with any image" in capsys.readouterr().out
    assert not (folder / "quarantine.csv").exists()
    monkeypatch.setattr("foldernet.images.store.read_with_header", None)
    monkeypatch.setattr("foldernet.checks.findings._record", None)
    assert check.main([str(folder)]) == 0


def test_what_the_user_wrote_or_deleted_stays_so_and_what_matches_nothing_is_named(
    spoilt, monkeypatch, capsys
):
    check.main([str(spoilt)])
    answers = {"duplicate of a validation image": "no", "blank": "YES"}
    own = {"path": "train/plain/000.png", "finding": "ugly", "detail": "", "leave_out": "yes"}

    def change(row):
        kind = row["finding"]
        row |= {"leave_out": answers.get(kind, row["leave_out"]), "note": "mine"}
        return {"wrong extension": [], "tiny": [row, own]}.get(kind, [row])

    edit(spoilt, change)
    (spoilt / "train/down/cut.png").unlink()
    Image.new("RGB", (30, 30), "blue").save(spoilt / "train/plain/blue.png")
    check.main([str(spoilt)])
    kept = {(row["path"], row["finding"]): row for row in rows_of(spoilt)}
    assert kept["train/down/copy.png", "duplicate of a validation image"]["leave_out"] == "no"
    assert kept["train/plain/red.png", "blank"]["leave_out"] == "YES"
    assert kept["train/plain/tiny.png", "tiny"]["note"] == "mine"
    assert kept["train/plain/000.png", "ugly"]["leave_out"] == "yes"
    assert kept["train/plain/blue.png", "blank"]["leave_out"] == "no", "it is new"
    assert "wrong extension" not in {finding for _, finding in kept}, "it was deleted"
    capsys.readouterr()
    interrupt(monkeypatch, (0, 0))
    assert train.main([str(spoilt), *QUICK]) == 143
    assert "names images that aren't there: train/down/cut.png" in capsys.readouterr().err


def test_new_images_get_rows_however_old_their_files_are(blank, tmp_path):
    (tmp_path / "more").mkdir()
    shutil.copy(blank / "val/down/000.png", tmp_path / "more/moved.png")
    check.main([str(blank)])
    (tmp_path / "more").rename(blank / "train/down/more")
    shutil.copy(blank / "val/down/001.png", blank / "train/down/added.png")
    edit(blank, lambda row: [row])
    assert check.main([str(blank)]) == 1
    found = {row["path"]: row["leave_out"] for row in rows_of(blank)}
    added = dict.fromkeys(["train/down/added.png", "train/down/more/moved.png"], "yes")
    assert found == {"train/plain/red.png": "no"} | added


def test_a_deleted_row_counts_as_no_even_in_a_copy_until_the_file_is_deleted(
    blank, monkeypatch, capsys
):
    shutil.copy(blank / "val/down/000.png", blank / "train/down/same.png")
    assert check.main([str(blank)]) == 1
    edit(blank, lambda row: [])
    copy = shutil.copytree(blank, blank.with_name("copied"))
    assert check.main([str(copy), "--strict"]) == 0
    assert rows_of(copy) == []
    capsys.readouterr()
    interrupt(monkeypatch, (0, 0))
    assert train.main([str(copy), *QUICK, "--strict"]) == 143
    assert "duplicate" not in capsys.readouterr().err
    (copy / "quarantine.csv").unlink()
    assert check.main([str(copy)]) == 1
    assert len(rows_of(copy)) == 2


def test_a_file_of_an_earlier_version_is_obeyed(spoilt, capsys):
    check.main([str(spoilt)])
    (spoilt / ".quarantine-rows").unlink()
    text = (spoilt / "quarantine.csv").read_text()
    text = text.replace("duplicate", "copy").replace("wrong extension", "wrong ending")
    text = text.replace("val/down/000.png,yes", "val/down/000.png,no")
    text = re.sub("(wrong ending,.*),no", r"\1,yes", text)
    (spoilt / "quarantine.csv").write_text(text)
    capsys.readouterr()
    assert check.main([str(spoilt)]) == 1
    assert "4 images left out" in capsys.readouterr().out
    assert (spoilt / "quarantine.csv").read_text() == text
    edit(spoilt, lambda row: [row] if "copy" not in row["finding"] else [])
    check.main([str(spoilt)])
    assert not [row for row in rows_of(spoilt) if "duplicate" in row["finding"]]
    assert train.main([str(spoilt), *QUICK, "--strict"]) == 1
    assert "error: 4 images would be left out" in capsys.readouterr().err


def test_the_row_of_what_was_repaired_is_the_users_to_delete(spoilt, capsys):
    check.main([str(spoilt)])
    shutil.copy(spoilt / "train/down/002.png", spoilt / "train/down/cut.png")
    check.main([str(spoilt)])
    left_out = []
    for rows in (lambda row: [row], lambda row: [row] if row["finding"] != "truncated" else []):
        edit(spoilt, rows)
        capsys.readouterr()
        assert train.main([str(spoilt), *QUICK, "--strict"]) == 1
        left_out.append(int(re.search(r"error: (\d+) image", capsys.readouterr().err)[1]))
    assert left_out[0] == left_out[1] + 1


def test_a_folder_that_cannot_be_written_is_an_error(blank, monkeypatch, capsys):
    error = PermissionError(13, "Permission denied")
    monkeypatch.setattr(quarantine, "write_csv", Mock(side_effect=error))
    assert check.main([str(blank)]) == 1
    assert "quarantine.csv' can't be written (Permission denied)" in capsys.readouterr().err


def test_what_is_decided_on_a_read_only_folder_is_kept_and_obeyed(
    blank, tmp_path, monkeypatch, capsys
):
    before = sorted(blank.rglob("*"))
    (blank / "train/plain/000.png").write_text("not an image")
    monkeypatch.setattr(quarantine.os, "access", lambda *_: False)
    monkeypatch.setattr(quarantine.platformdirs, "user_data_path", lambda _: tmp_path / "data")
    assert check.main([str(blank)]) == 1
    path = quarantine.Quarantine(blank).path
    assert f"{path}: 1 image left out" in capsys.readouterr().out
    assert sorted(blank.rglob("*")) == before
    path.write_text(path.read_text().replace(",no", ",yes"))
    interrupt(monkeypatch, (0, 0))
    assert train.main([str(blank), *QUICK]) == 143
    assert f"2 images left out, as '{path}' says" in capsys.readouterr().err


def test_what_training_passes_over_is_named_in_a_line(blank, monkeypatch, capsys):
    (blank / "train/plain/scene.nef").touch()
    (blank / "train/plain/notes.txt").touch()
    (blank / "LICENSE").touch()  # no surprise there
    Image.new("RGB", (9, 9)).save(blank / "train/loose.png")
    (blank / "@eaDir").mkdir()
    stripes(blank / "extra", dict.fromkeys(STRIPES, 1), seed=2)
    (blank / "test").mkdir()
    Image.new("RGB", (9, 9)).save(blank / "test/1.png")
    interrupt(monkeypatch, (0, 0))
    for main in (check.main, train.main):
        main([str(blank), *(QUICK if main is train.main else [])])
        told = capsys.readouterr().err
        line = next(line for line in told.splitlines() if line.startswith("warning: passed over"))
        names, parts = line.split(": ")[1:]
        assert names == f"passed over in '{blank}'"
        beside = ["1 x image beside the class folders", "1 x folder @eaDir"]
        assert sorted(parts.split(", ")) == sorted(["1 x .nef", "1 x .txt", *beside])
        assert f"beside '{blank / 'train'}', not used: extra, test (images without labels" in told
        assert f"python predict.py {blank / 'test'} names them" in told


@pytest.mark.parametrize("inner", [("train", "val"), ("cat", "dog")])
def test_folders_that_look_like_datasets_are_not_taken_for_classes(tmp_path, inner, capsys):
    for outer in ("first", "second"):
        for name in inner:
            folder = tmp_path / "set" / outer / name
            folder.mkdir(parents=True)
            for number in range(4):
                Image.effect_noise((9, 9), 80).save(folder / f"{number}.png")
    assert train.main([str(tmp_path / "set")]) == 1
    told = capsys.readouterr().err
    assert f"folders of the same names, {inner[0]}, {inner[1]}: they look like datasets" in told
    assert f"Name one of them, as '{tmp_path / 'set' / 'first'}'" in told


def test_a_split_among_the_classes_is_told(tmp_path, capsys):
    stripes(tmp_path / "set/train", dict.fromkeys(STRIPES, 2))
    stripes(tmp_path / "set/train/validation", dict.fromkeys(STRIPES, 4), seed=1)
    assert check.main([str(tmp_path / "set")]) == 1
    told = capsys.readouterr().err
    assert "validation' holds folders named as other classes, across" in told


def test_links_to_images_that_are_not_there_are_counted(blank, capsys):
    (blank / "train/down/gone.png").symlink_to("nowhere.png")
    (blank / "train/down/self.png").symlink_to("self.png")
    (blank / "train/down/there.png").symlink_to("000.png")
    assert check.main([str(blank)]) == 0
    assert "2 x link to an image that isn't there" in capsys.readouterr().err


def test_the_range_of_16_bit_images_is_the_datasets_own_and_kept(tmp_path, monkeypatch, capsys):
    """Stripes of 12 bits, brighter or darker: shifted by 8 bits, 16 gray levels would be left."""
    random = np.random.default_rng(0)
    for label, low in (("bright", 2000), ("dark", 1990)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(low, low + 9, (12, 12), np.uint16)
            pixels[0, 0] = 4000
            Image.fromarray(pixels).save(tmp_path / "set" / label / f"{number}.png")
    folder = str(tmp_path / "set")
    for name, given, level in (("own", [], 4095), ("full", ["--white-level", "65535"], 65535)):
        assert train.main([folder, *QUICK, "--name", name, *given]) == 0
        told = (
            "16-bit images use levels up to 4,000: 4,095 becomes white" in capsys.readouterr().err
        )
        assert told == (name == "own")
        image = tmp_path / "set/bright/0.png"
        ((_, file),) = foldernet.load(name).named_images(str(image))
        pixels = foldernet.load(name).read(file)
        levels = np.asarray(Image.open(image)).astype(int) * 256 // (level + 1)
        np.testing.assert_array_equal(pixels, read_image(image, (16, 16), white_level=level))
        assert abs(int(pixels.max()) - levels.max()) < 2
    interrupt(monkeypatch, (1, 0))
    assert train.main(["--resume", "--name", "own", "--epochs", "2"]) == 143
    assert json.loads(Path("models/own/config.json").read_text())["config"]["white_level"] == 4095


def test_blank_classes_are_named_before_training_with_what_mends_them(
    tmp_path, monkeypatch, capsys
):
    for label, top in (("down", 0), ("up", 8)):
        (tmp_path / "icons" / label).mkdir(parents=True)
        for number in range(8):
            icon = np.full((16, 16, 4), (255, 255, 255, 0), np.uint8)
            icon[top : top + 8, number : number + 4, 3] = 255
            Image.fromarray(icon).save(tmp_path / "icons" / label / f"{number}.png")
    interrupt(monkeypatch, (0, 0))
    assert train.main([str(tmp_path / "icons"), *QUICK]) == 143
    told = capsys.readouterr().err
    assert "most training images of class down, up are of one color only" in told
    assert "They are transparent: try --background gray or black." in told
    assert (
        train.main([str(tmp_path / "icons"), *QUICK, "--background", "black", "--name", "b"]) == 0
    )
    assert "of one color" not in capsys.readouterr().err
    assert foldernet.load("b").read(str(tmp_path / "icons/up/0.png")).max() == 255
    assert foldernet.load("b").rule.background == "black"


def test_the_mean_color_of_what_is_opaque_is_decided_once_kept_and_obeyed(tmp_path, capsys):
    """Red and blue icons on transparency whose hidden pixels are white."""
    for label, color in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
        (tmp_path / "icons" / label).mkdir(parents=True)
        for number in range(6):
            icon = np.full((16, 16, 4), (255, 255, 255, 0), np.uint8)
            icon[4 : 12 + number % 2, 4:12] = (*color, 255)
            Image.fromarray(icon).save(tmp_path / "icons" / label / f"{number}.png")
    icons = str(tmp_path / "icons")
    assert train.main([icons, *QUICK, "--background", "mean", "--name", "m"]) == 0
    color = re.search("mean color of the training images: (#[0-9a-f]{6})", capsys.readouterr().err)
    red, green, blue = bytes.fromhex(color[1][1:])
    assert green == 0
    assert abs(red + blue - 200) <= 1
    model = foldernet.load("m")
    assert model.rule.background == color[1]
    np.testing.assert_array_equal(model.read(f"{icons}/red/0.png")[0, 0], (red, green, blue))
    assert train.main(["--resume", "--name", "m", "--epochs", "2"]) == 0
    assert json.loads(Path("models/m/config.json").read_text())["config"]["background"] == color[1]


@pytest.mark.parametrize(
    ("colors", "mends"),
    [
        # On the mean of one color that color stays blank; a color of its own is blank nowhere else.
        ((255, 255), "gray or black"),
        ((255, 200), "gray or black or mean"),
    ],
)
def test_a_background_is_named_only_if_it_mends(colors, mends, tmp_path, capsys):
    for label, color in zip(("down", "up"), colors, strict=True):
        (tmp_path / "icons" / label).mkdir(parents=True)
        for number in range(8):
            icon = np.full((16, 16, 4), (color, color, color, 0), np.uint8)
            icon[4:12, number : number + 4, 3] = 255
            Image.fromarray(icon).save(tmp_path / "icons" / label / f"{number}.png")
    assert train.main([str(tmp_path / "icons"), *QUICK]) == 0
    assert f"They are transparent: try --background {mends}." in capsys.readouterr().err


def test_what_is_no_color_is_a_sentence(tmp_path, capsys):
    stripes(tmp_path / "set", dict.fromkeys(("across", "down"), 3))
    assert train.main([str(tmp_path / "set"), *QUICK, "--background", "whitish"]) == 1
    assert "'whitish' is no color. Choose white, gray, black, mean" in capsys.readouterr().err


def test_the_range_of_16_bit_colors_is_the_datasets_own_too(tmp_path, capsys):
    """12 bits stored in 16: the 8 bits that Pillow reads would leave 16 levels."""
    random = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(0, 4001, (16, 16, 3), np.uint16)
            pixels[0, 0] = 4000
            cv2.imwrite(str(tmp_path / "set" / label / f"{number}.png"), pixels)
    assert train.main([str(tmp_path / "set"), *QUICK, "--name", "deep"]) == 0
    assert "16-bit images use levels up to 4,000: 4,095 becomes white" in capsys.readouterr().err
    seen = foldernet.load("deep").read(str(tmp_path / "set/b/3.png"))
    np.testing.assert_array_equal(seen, pixels[..., ::-1] * 256.0 // 4096)


def test_a_larger_image_is_read_by_the_option_that_its_error_names(tmp_path, capsys):
    """In training, check.py and prediction, which have the same option."""
    folder = stripes(tmp_path / "set", dict.fromkeys(("across", "down"), 5))
    large = folder / "down/large.png"
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (1010, 1000), np.uint8)).save(large)
    small = ["--megapixels", "1"]
    assert train.main([str(folder), *QUICK, "--name", "m", *small]) == 0
    told = capsys.readouterr().err
    assert "1,000x1,010 are 1.0 megapixels, where at most 1 are allowed" in told
    assert "save it smaller, or allow it: --megapixels 2" in told
    assert "check.py" not in told
    assert check.main([str(folder), *small]) == 1
    assert "too large: 1 image" in capsys.readouterr().out
    assert predict.main([str(large), "--run", "m", *small]) == 1
    assert "allow it: --megapixels 2" in capsys.readouterr().err
    assert predict.main([str(large), "--run", "m", "--megapixels", "2"]) == 0
    assert train.main(["--resume", "--name", "m", "--epochs", "2", *small]) == 0


@pytest.mark.parametrize(("photographs", "side"), [(False, 48), (True, 288)])
def test_check_decodes_at_the_size_that_training_will_use(photographs, side, tmp_path):
    folder, random = tmp_path / "set", np.random.default_rng(0)
    stripes(folder, dict.fromkeys(("across", "down"), 4))
    if not photographs:  # to the reader, noisy stripes are some
        for path in folder.rglob("*.png"):
            shape = np.zeros((random.integers(100, 120), 120, 3), np.uint8)
            shape[:50, random.integers(60) :] = 200
            Image.fromarray(shape).save(path)
    else:
        for path in folder.rglob("*.png"):
            Image.open(path).resize((120, 120), Image.Resampling.BICUBIC).save(path)
    assert check.main([str(folder)]) == 0
    paths = list(map(str, folder.rglob("*.png")))
    assert len(PixelStore(8, paths.__getitem__, (side, side)).missing) == 0


def test_hostile_names_start_no_formula_and_are_found_again(tmp_path):
    names = ["=1+1.png", "+a.png", "-b.png", "@c.png", "\td.png", "\re.png", "'f.png", 'g",.png']
    findings = [quarantine.Finding(name, "blank", "=alike") for name in names]
    quarantine.Quarantine(tmp_path).update(findings)
    for row in rows_of(tmp_path):
        for cell in row.values():
            assert cell.isprintable()
            assert not cell.startswith(("=", "+", "-", "@"))
    assert set(quarantine.Quarantine(tmp_path).decided) == {finding.key for finding in findings}
    before = (tmp_path / "quarantine.csv").read_bytes()
    quarantine.Quarantine(tmp_path).update(findings)
    assert (tmp_path / "quarantine.csv").read_bytes() == before


def test_a_file_that_cannot_be_understood_is_an_error_and_stays(spoilt, capsys):
    for text, told in (("a,b\n1,2\n", "has no column path"), ("\xff", "has no column")):
        (spoilt / "quarantine.csv").write_text(text)
        for entry_point in (check, train):
            assert entry_point.main([str(spoilt)]) == 1
            assert told in capsys.readouterr().err
        assert (spoilt / "quarantine.csv").read_text() == text
    (spoilt / "quarantine.csv").write_text("path,finding,detail,leave_out\na,b,c,perhaps\n")
    assert train.main([str(spoilt)]) == 1
    assert "doesn't say yes or no" in capsys.readouterr().err


def test_train_names_duplicates_and_obeys_the_file(spoilt, capsys):
    assert train.main([str(spoilt), *QUICK, "--name", "before"]) == 0
    told = capsys.readouterr().err
    assert "3 files can't be read" in told
    assert "duplicate of a validation image: 1 image" in told
    assert "duplicate in another class: 2 images" in told
    assert "python check.py names them" in told
    check.main([str(spoilt)])
    capsys.readouterr()
    assert train.main([str(spoilt), *QUICK, "--name", "after"]) == 0
    told = capsys.readouterr().err
    assert "4 images left out, as" in told
    assert "can't be read" not in told
    images = json.loads(Path("models/after/config.json").read_text())["data"]["images"]
    assert images["training"]["down"] == 14
    assert json.loads(Path("models/after/metrics.json").read_text())["images_replaced"] == 0


def test_strict_makes_it_an_error(spoilt, capsys):
    for entry_point in (train, check):
        assert entry_point.main([str(spoilt), "--strict"]) == 1
        assert "error: 4 images would be left out" in capsys.readouterr().err
    assert train.main([str(spoilt), *QUICK, "--strict"]) == 1
    assert "error: 4 images would be left out" in capsys.readouterr().err
    edit(spoilt, lambda row: [row | {"leave_out": "no"}])  # which makes no file readable
    for entry_point in (check, train):
        assert entry_point.main([str(spoilt), "--strict"]) == 1
        assert "error: 3 images would be left out" in capsys.readouterr().err
    assert not Path("models").exists()


def test_imbalanced_classes_are_reported_from_10_to_1(tmp_path, capsys):
    folder = stripes(tmp_path / "set/train", {"across": 20, "down": 2}).parent
    stripes(folder / "val", {"across": 2, "down": 2}, seed=1)
    assert check.main([str(folder)]) == 0
    told = "imbalanced classes: 20 training images of across, 2 of down"
    assert told in capsys.readouterr().out
    (folder / "train/across/000.png").unlink()
    check.main([str(folder)])
    assert "imbalanced" not in capsys.readouterr().out


def test_photographs_are_checked_without_classes(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for index in range(6):
        Image.effect_noise((40, 40), 80).save(tmp_path / f"photos/{index}.png")
    assert check.main([str(tmp_path / "photos"), "--mode", "blur"]) == 0
    assert "nothing wrong" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*another image takes its place")
def test_an_image_that_goes_bad_is_replaced_by_the_same_one_each_time(tmp_path, capsys):
    from foldernet.training.summary import pace

    folder = stripes(tmp_path / "set", dict.fromkeys(STRIPES, 4))
    found = []
    for _ in range(2):
        iterator = ImageDataGenerator(cache="off").flow_from_directory(scan(folder), seed=1)
        (folder / "down/002.png").write_text("gone bad")
        found.append(iterator[0][0])
        assert pace(0, [{"seconds": 1.0}], {"training": iterator})["images_replaced"] == 1
        assert "002.png" in capsys.readouterr().err
    np.testing.assert_array_equal(*found)


def test_training_goes_on_when_an_image_goes_bad_and_says_so(tmp_path, monkeypatch, capsys):
    from foldernet.checks import before_training as checks

    folder = stripes(tmp_path / "set", dict.fromkeys(STRIPES, 20))
    examine = checks.examine

    def then_spoil(options, dataset, batches):
        found = examine(options, dataset, batches)
        Path(batches["training"].path(3)).write_text("not an image any more")
        return found

    monkeypatch.setattr(checks, "examine", then_spoil)
    with pytest.warns(UserWarning, match="another image takes its place"):
        assert train.main([str(folder), *QUICK, "--cache", "off", "--name", "spoilt"]) == 0
    assert "1 image went bad during training" in capsys.readouterr().err
    assert json.loads(Path("models/spoilt/metrics.json").read_text())["images_replaced"] == 1


def test_near_duplicates_are_those_of_comparing_all():
    random = np.random.default_rng(0)
    ours = random.integers(0, 2, (300, 256), np.uint8)
    others = random.integers(0, 2, (200, 256), np.uint8)
    for index in range(100):
        others[index] = ours[index]
        others[index, random.choice(256, index % 30, replace=False)] ^= 1
    hashes, other_hashes = (np.packbits(bits, axis=1).view(np.uint64) for bits in (ours, others))
    distances = (ours[:, None] != others[None]).sum(axis=2)
    expected = [
        (index, int(row.argmin())) for index, row in enumerate(distances) if row.min() <= NEAR_BITS
    ]
    assert nearest(hashes, other_hashes) == expected
    assert nearest(hashes[:0], other_hashes) == []
    assert nearest(hashes, other_hashes[:0]) == []


def test_every_extension_has_its_format():
    assert {format_named(f"a{extension}") for extension in IMAGE_EXTENSIONS} == set(FORMATS)


def test_checking_needs_no_tensorflow(tmp_path):
    folder = stripes(tmp_path / "set", dict.fromkeys(STRIPES, 6))
    code = (
        f"import sys, check\nassert check.main([{str(folder)!r}]) == 0\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
