"""Blur mode as a user runs it, tiny: the filter that comes out is the filter that went in."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from scipy.signal import convolve2d
from test_blur_recovery import ASYMMETRIC as UNSCALED
from test_blur_recovery import textures

import foldernet
import predict
import train
from foldernet.blur import comparison as scores
from foldernet.blur import kernels
from foldernet.blur.pairs import BlurDataGenerator
from foldernet.terminal import UserError

ASYMMETRIC = UNSCALED / UNSCALED.sum()  # as a kernel from a file is
TINY = ["--mode", "blur", "--image-size", "64", "--crops", "128", "--epochs", "6"]


def write_photographs(folder: Path, count: int, seed: int = 0, size: int = 96) -> Path:
    """8-bit gray PNGs with the spectrum of photographs."""
    folder.mkdir(parents=True)
    for index, image in enumerate(textures(count, seed, size)):
        Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """train/ with six photographs and val/ with two."""
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder / "train", 6)
    write_photographs(folder / "val", 2, seed=1)
    return folder


@pytest.fixture(scope="session")
def blurred_run(photographs, tmp_path_factory) -> Path:
    """A working folder with a run, `asymmetric`, that learned a kernel from a file."""
    place = tmp_path_factory.mktemp("blurred")
    np.save(place / "asymmetric.npy", ASYMMETRIC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("sys.warnoptions", ["error"])
        assert (
            train.main(
                [str(photographs), *TINY, "--kernel", "asymmetric.npy", "--name", "asymmetric"]
            )
            == 0
        )
    return place


def metrics_of(place: Path, name: str) -> dict:
    return json.loads((place / f"models/{name}/metrics.json").read_text())


def test_training_recovers_an_asymmetric_kernel(blurred_run):
    learned = np.load(blurred_run / "models/asymmetric/kernel.npy")
    assert len(learned) > 7, "the size must not give the answer away"
    assert scores.relative_l2(learned, ASYMMETRIC) < 1e-4
    assert scores.relative_l2(learned[::-1, ::-1], ASYMMETRIC) > 0.1
    metrics = metrics_of(blurred_run, "asymmetric")
    assert metrics["relative_l2"] == pytest.approx(
        scores.relative_l2(learned, ASYMMETRIC), rel=1e-3
    )
    assert metrics["relative_l2_reference"] < 1e-8
    assert metrics["reference_converged"] is True
    assert metrics["centroid_shift_pixels"] < 0.01
    assert metrics["dc_gain"] == pytest.approx(1, abs=1e-4)
    assert metrics["psnr_holdout"] > 100


def test_a_blur_run_leaves_its_files(blurred_run):
    models, logs = (blurred_run / part / "asymmetric" for part in ("models", "logs"))
    assert {path.name for path in models.iterdir()} == {
        *("best.keras", "last.keras", "config.json", "files.json", "history.csv", "metrics.json"),
        *("state.npz", "state-before.npz", ".lock"),
        *("kernel.npy", "kernel.png"),
    }
    figures = {path.stem for path in logs.glob("*.png")}
    assert figures == {"kernels", "mtf"}
    for path in logs.glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 5, f"{path.name} is blank"
    assert set(metrics_of(blurred_run, "asymmetric")) >= {
        *("relative_l2", "relative_l2_reference", "relative_l2_attainable"),
        *("centroid_shift_pixels", "dc_gain"),
        *("in_band_otf_error", "psnr_holdout"),
        *("identifiable_cycles_per_pixel", "seconds", "images_per_second", "best_epoch"),
    }
    assert "kernel_error" in (models / "history.csv").read_text().splitlines()[0]
    shown = np.asarray(Image.open(models / "kernel.png"), float)
    learned = np.clip(np.load(models / "kernel.npy"), 0, None)
    np.testing.assert_allclose(shown / 255, learned / learned.max(), atol=0.002)


def test_predict_blurs_any_size_in_color_and_overwrites_nothing(blurred_run, tmp_path, capsys):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 90, 3), np.uint8)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures/parrot.png")
    arguments = ["pictures/parrot.png", "--run", str(blurred_run / "models/asymmetric")]
    bare = [sys.executable, ROOT / "predict.py", *arguments]  # that has imported nothing yet
    subprocess.run(bare, check=True, capture_output=True)
    assert predict.main(arguments) == 0
    assert "parrot-blurred-2.png" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"parrot.png"}
    expected = [
        convolve2d(plane, ASYMMETRIC, mode="same") for plane in np.moveaxis(pixels / 1.0, 2, 0)
    ]
    for name in ("parrot-blurred.png", "parrot-blurred-2.png"):
        written = np.asarray(Image.open(name), float)
        assert np.abs(written - np.stack(expected, axis=2)).max() < 0.51


def test_a_filter_saved_by_an_earlier_version_still_blurs(blurred_run, fresh, tmp_path):
    saved, earlier = blurred_run / "models/asymmetric/best.keras", tmp_path / "earlier.keras"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(earlier, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member == "config.json":
                config = json.loads(content)
                (layer,) = [each for each in config["config"]["layers"] if each["name"] == "filter"]
                layer["module"] = "foldernet.models.single_filter"  # which is gone
                layer["registered_name"] = "foldernet>ZeroPaddedConvolution"
                layer["config"]["method"] = "auto"  # and so is this
                zeros = {"module": "keras.initializers", "class_name": "Zeros", "config": {}}
                layer["config"]["kernel_initializer"] = zeros | {"registered_name": None}
                content = json.dumps(config)
            target.writestr(member, content)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)
    Image.fromarray(pixels).save("parrot.png")
    for model in (saved, earlier):
        done = fresh.run(ROOT / "predict.py", "parrot.png", "--run", model, cwd=tmp_path)
        assert done.returncode == 0, done.told
    expected, blurred = (Image.open(f"parrot-blurred{number}.png") for number in ("", "-2"))
    np.testing.assert_array_equal(blurred, expected)


def test_the_same_seed_learns_the_same_filter_whatever_the_workers(photographs):
    short = [str(photographs), *TINY[:4], "--crops", "32", "--epochs", "2"]
    for workers in ("0", "2"):
        extra = ["--name", workers, "--workers", workers, "--sigma", "1"]
        assert train.main([*short, *extra]) == 0
    first, second = (np.load(f"models/{workers}/kernel.npy") for workers in ("0", "2"))
    np.testing.assert_array_equal(first, second)


def test_noise_narrows_the_identifiable_band_and_says_so(photographs, capsys):
    arguments = [str(photographs), *TINY, "--sigma", "1.5", "--noise", "0.03", "--name", "noisy"]
    assert train.main(arguments) == 0
    told = capsys.readouterr()
    metrics = metrics_of(Path(), "noisy")
    assert 0 < metrics["identifiable_cycles_per_pixel"] < 0.5
    assert metrics["what_can_be_known"] in told.out
    assert "beyond it, what you see is the prior" in told.out
    assert "strength" in told.err
    assert metrics["relative_l2"] < 0.1
    assert metrics["in_band_otf_error"] < metrics["relative_l2"] * 1.1
    assert metrics["psnr_holdout"] == pytest.approx(-20 * np.log10(0.03), abs=0.3)


def test_pairs_of_a_users_own_reveal_their_kernel(tmp_path):
    write_photographs(tmp_path / "sharp", 8, size=140)
    (tmp_path / "blurred").mkdir()
    for path in (tmp_path / "sharp").iterdir():
        wide = kernels.blur(np.asarray(Image.open(path), float), ASYMMETRIC)
        Image.fromarray(np.clip(np.rint(wide), 0, 255).astype(np.uint8)[20:-20, 20:-20]).save(
            tmp_path / "blurred" / path.name
        )  # what lies beyond the frame is not black, as in a camera
        Image.open(path).crop((20, 20, 120, 120)).save(path)
    arguments = ["--pairs", "sharp", "blurred", "--name", "pairs", "--image-size", "96"]
    assert train.main(["--mode", "blur", "--crops", "128", "--epochs", "8", *arguments]) == 0
    learned = np.load("models/pairs/kernel.npy")
    metrics = metrics_of(Path(), "pairs")
    assert len(learned) >= 9
    assert scores.relative_l2(learned, ASYMMETRIC) < 0.1
    assert "relative_l2" not in metrics
    assert "in_band_otf_error" not in metrics
    assert metrics["what_can_be_known"]


def test_the_published_settings_reproduce_its_failure(photographs):
    published = ["--init", "glorot_uniform", "--loss", "mse", "--optimizer", "adam"]
    published += ["--name", "failed"]
    assert train.main([str(photographs), *TINY, "--sigma", "2", *published]) == 0
    metrics = metrics_of(Path(), "failed")
    assert metrics["psnr_holdout"] > 15, "the pictures look nearly right"
    assert metrics["relative_l2"] > 1, "and the filter is nothing like the kernel"
    assert metrics["relative_l2_reference"] < 1e-8


def test_the_generator_is_scipys_convolution_of_original_pixels(photographs):
    batches = BlurDataGenerator(ASYMMETRIC, dtype="float64").flow_from_directory(
        photographs / "val", crops=6, target_size=(48, 40), batch_size=4, seed=3
    )
    sharp, blurred = batches[0]
    assert sharp.shape == blurred.shape == (4, 48, 40, 1)
    assert len(batches[1][0]) == 2
    originals = [np.asarray(Image.open(path)) / 255 for path in (photographs / "val").iterdir()]
    for image, result in zip(sharp[..., 0], blurred[..., 0], strict=True):
        windows = [
            np.lib.stride_tricks.sliding_window_view(original, (48, 40)) for original in originals
        ]
        assert any((window == image).all(axis=(2, 3)).any() for window in windows)
        np.testing.assert_allclose(
            result, convolve2d(image, ASYMMETRIC, mode="same", boundary="fill"), atol=1e-12
        )


def test_the_reference_takes_one_epoch_of_the_generator(photographs):
    generator = BlurDataGenerator(ASYMMETRIC, dtype="float64")
    size = {"crops": 40, "target_size": (64, 64), "seed": 1}
    batches = generator.flow_from_directory(photographs / "train", **size)
    estimate = foldernet.estimate_kernel(batches, kernel_size=17)
    assert estimate.converged
    assert scores.relative_l2(estimate.kernel, ASYMMETRIC) < 1e-8


def test_a_batch_is_a_pure_function_of_seed_epoch_and_index(photographs):
    def batches():
        return BlurDataGenerator(ASYMMETRIC, noise=0.1, horizontal_flip=True).flow_from_directory(
            photographs / "train", crops=24, target_size=(32, 32), batch_size=8, seed=5
        )

    first, second = batches(), batches()
    later = [first[index][1] for index in range(3)]
    for index in (2, 0, 1):
        np.testing.assert_array_equal(second[index][1], later[index])
    first.on_epoch_end()
    assert not np.array_equal(first[0][0], second[0][0])
    second.epoch = 1
    np.testing.assert_array_equal(first[0][1], second[0][1])


def test_the_set_that_ships_names_a_license_for_each_photograph():
    from foldernet import shipped

    folder = shipped.folder("photos")
    told = (folder / "README.md").read_text()
    images = [path for part in ("train", "val") for path in (folder / part).iterdir()]
    assert len(images) == 8
    for path in images:
        (line,) = [line for line in told.splitlines() if f"{path.parent.name}/{path.name}" in line]
        assert line.rstrip(" |").endswith(("CC0", "public domain"))


def test_an_option_of_another_mode_is_refused_and_defaults_depend_on_the_mode():
    from foldernet import rooms
    from foldernet.command_line import parse

    classify, blur = map(rooms.options_class, ("classify", "blur"))
    with pytest.raises(UserError, match="--sigma is an option of --mode blur"):
        parse(classify, ["--sigma", "3"], "train", modes_with=rooms.modes_with)
    assert parse(classify, [], "train").with_defaults(100).epochs == 25
    assert parse(blur, ["--mode", "blur"], "train").epochs == 6
    assert parse(blur, ["--mode", "blur", "--epochs", "25"], "train").epochs == 25


def mistaken_pairs(place: Path) -> None:
    write_photographs(place / "pairs/sharp", 3)
    shutil.copytree(place / "pairs/sharp", place / "pairs/other_names")
    (place / "pairs/other_names/0.png").rename(place / "pairs/other_names/7.png")
    write_photographs(place / "pairs/other_sizes", 3, size=90)


MISTAKES = {
    "--pairs pairs/sharp pairs/other_names": "same file names, and only one of them has 0.png, 7.p",
    "--pairs pairs/sharp pairs/other_sizes": "the images of a pair must have the same size",
    "--pairs pairs/sharp pairs/none": "There is no folder 'pairs/none'",
    "pairs/sharp --pairs pairs/sharp pairs/sharp": "not both",
    "one": "holds one photograph",
    "constant --sigma 2": "No training image of class photographs can be read",
    "pairs/sharp --radius 40 --kernel disk": "The kernel is 81x81 pixels, and the images only 64",
    "pairs/sharp --sigma 2 --kernel-size 99": "99 is even, or more than the images' 64",
    "pairs/sharp --sigma 2 --kernel-size 8": "--kernel-size 8 is even",
    "pairs/sharp --kernel nan.npy": "a kernel is a 2-D array of finite numbers",
    "pairs/sharp --kernel gausian": "No kernel can be read from 'gausian'",
    "pairs/sharp --label-smoothing 0.1": "--label-smoothing is an option of --mode classify",
    "pairs/sharp --sigma 2 --optimizer sgd --learning-rate 1e30": "Lower --learning-rate",
}


@pytest.mark.parametrize(("arguments", "told"), MISTAKES.items())
def test_a_mistake_gets_one_sentence(arguments, told, tmp_path, capsys):
    mistaken_pairs(tmp_path)
    write_photographs(tmp_path / "one", 1)
    (tmp_path / "constant").mkdir()
    for index in range(4):
        gray = np.full((80, 80), 40 * index, np.uint8)
        Image.fromarray(gray).save(tmp_path / f"constant/{index}.png")
    np.save(tmp_path / "nan.npy", np.full((3, 3), np.nan))
    assert train.main([*TINY, *arguments.split()]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert told in errors[0]
