"""What augmentation promises: Keras's distributions, and pixels that are moved but not invented."""

import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

import foldernet
import foldernet.batches.generator
from foldernet import augmentations, command_line, rooms
from foldernet.augmentations import ROWS, Row
from foldernet.batches import augmentation
from foldernet.option_types import Range
from foldernet.options import ClassifyOptions
from foldernet.terminal import UserError

COUNT = 20_000
OFF = {
    "rotation_range": 0,
    "width_shift_range": 0.0,
    "height_shift_range": 0.0,
    "shear_range": 0.0,
    "zoom_range": [1, 1],
    "horizontal_flip": False,
    "vertical_flip": False,
    "channel_shift_range": 0.0,
    "brightness_range": None,
    "color_jitter": 0.0,
    "trivial_augment": False,
    "random_resized_crop": 1.0,
    "random_erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
# An option, a value for it, and what it draws
OPTIONS = [
    ("rotation_range", 30, {"theta"}),
    ("width_shift_range", 0.2, {"tx"}),
    ("width_shift_range", 5, {"tx"}),
    ("width_shift_range", [3, 7], {"tx"}),
    ("height_shift_range", 0.2, {"ty"}),
    ("height_shift_range", 5, {"ty"}),
    ("shear_range", 15, {"shear"}),
    ("zoom_range", [0.8, 1.3], {"zx", "zy"}),
    ("horizontal_flip", True, {"flip_horizontal"}),
    ("vertical_flip", True, {"flip_vertical"}),
    ("channel_shift_range", 40, {"channel_shift_intensity"}),
    ("brightness_range", (0.5, 1.5), {"brightness"}),
    ("color_jitter", 0.4, {"color_jitter"}),
    ("trivial_augment", True, {"trivial"}),
    ("random_resized_crop", 0.3, {"crop"}),
    ("random_erasing", 0.5, {"erased"}),
]


def draw(count=COUNT, shape=(50, 80), seed=0, **options):
    """What is drawn with these options, all others off."""
    generator = SimpleNamespace(**(OFF | options))
    return augmentation.draw(generator, count, shape, np.random.default_rng(seed))


def apply(images, drawn, fill_mode="nearest", cval=0.0):
    generator = SimpleNamespace(fill_mode=fill_mode, cval=cval, interpolation_order=1)
    return augmentation.apply(generator, images, drawn, images.dtype)


def transformed(images, fill_mode="nearest", **transform):
    """`images` under one transformation, what isn't named being off."""
    drawn = {name: np.full(len(images), value) for name, value in transform.items()}
    return apply(images, draw(len(images)) | drawn, fill_mode)


def pictures(channels=3, dtype=np.uint8, shape=(12, 17)):
    """Four images of noise."""
    return np.random.default_rng(0).integers(0, 256, (4, *shape, channels)).astype(dtype)


# Drawing


def assert_uniform(values, low, high):
    assert low <= values.min() <= low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) <= values.max() <= high
    counts, _ = np.histogram(values, 10, (low, high))
    np.testing.assert_allclose(counts / len(values), 0.1, atol=0.015)


@pytest.mark.parametrize(
    ("option", "value", "name", "low", "high"),
    [
        ("rotation_range", 30, "theta", -30, 30),
        ("shear_range", 15, "shear", -15, 15),
        ("width_shift_range", 0.2, "tx", -16, 16),
        ("height_shift_range", 0.2, "ty", -10, 10),
        ("width_shift_range", 3.0, "tx", -3, 3),
        ("zoom_range", [0.8, 1.3], "zx", 0.8, 1.3),
        ("zoom_range", [0.8, 1.3], "zy", 0.8, 1.3),
        ("channel_shift_range", 40, "channel_shift_intensity", -40, 40),
        ("brightness_range", (0.5, 1.5), "brightness", 0.5, 1.5),
    ],
)
def test_values_are_uniform_over_their_range(option, value, name, low, high):
    assert_uniform(draw(**{option: value})[name], low, high)


@pytest.mark.parametrize(
    ("shift_range", "expected"),
    [
        (3, {-2: 1, -1: 1, 0: 2, 1: 1, 2: 1}),  # np.random.choice(3), to one side or the other
        ([2, 9], {-9: 1, -2: 1, 2: 1, 9: 1}),
        ([0.1, 0.25], {-20: 1, -8: 1, 8: 1, 20: 1}),  # shares of 80 pixels
    ],
)
def test_shifts_of_a_whole_number_or_a_list_are_those_values(shift_range, expected):
    values, counts = np.unique(draw(width_shift_range=shift_range)["tx"], return_counts=True)
    np.testing.assert_allclose(values, list(expected))
    shares = np.array(list(expected.values())) / sum(expected.values())
    np.testing.assert_allclose(counts / COUNT, shares, atol=0.02)


@pytest.mark.parametrize("name", ["horizontal", "vertical"])
def test_every_other_image_is_flipped(name):
    flips = draw(**{f"{name}_flip": True})
    assert flips[f"flip_{name}"].mean() == pytest.approx(0.5, abs=0.02)
    assert not flips["flip_vertical" if name == "horizontal" else "flip_horizontal"].any()


def test_values_are_drawn_independently():
    drawn = draw(**{option: value for option, value, _ in OPTIONS})
    # The places of boxes depend on their sizes.
    drawn |= {name: drawn[name][:, 2:].prod(axis=1) for name in ("crop", "erased")}
    columns = np.column_stack([values.astype(float) for values in drawn.values()])
    columns = columns[:, columns.any(axis=0)]  # TrivialAugment leaves some as they are
    correlations = np.corrcoef(columns.T)
    assert np.abs(correlations - np.eye(len(correlations))).max() < 0.04


@pytest.mark.parametrize(("option", "value", "drawn"), OPTIONS)
def test_switching_a_range_on_leaves_all_other_numbers_as_they_were(option, value, drawn):
    others = {other: setting for other, setting, _ in OPTIONS if other != option}
    before, after = draw(**others), draw(**others, **{option: value})
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == drawn


def test_all_off_changes_nothing():
    drawn = draw(4)
    images = pictures()
    np.testing.assert_array_equal(apply(images, drawn), images)
    assert not augmentation.is_on(SimpleNamespace(**OFF))


# Applying


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_identity_leaves_pixels_untouched(channels, dtype):
    images = pictures(channels, dtype)
    before = images.copy()
    result = transformed(images)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, before)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("channels", [5, 7, 8, 12])
@pytest.mark.parametrize("fill_mode", augmentation.BORDERS)
def test_each_of_many_channels_is_moved_like_one_alone(channels, fill_mode):
    images = pictures(channels, np.float32)
    movement = {"theta": 20.0, "tx": 2.0, "zx": 1.2, "shear": 8.0}
    together = transformed(images, fill_mode, **movement)
    for channel in range(channels):
        alone = transformed(images[..., channel : channel + 1], fill_mode, **movement)
        np.testing.assert_array_equal(together[..., channel], alone[..., 0])


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_shift_by_whole_pixels_moves_pixels_and_repeats_the_border(channels):
    images = pictures(channels)
    right = transformed(images, tx=-3.0)
    np.testing.assert_array_equal(right[:, :, 3:], images[:, :, :-3])
    np.testing.assert_array_equal(right[:, :, :3], images[:, :, :1].repeat(3, axis=2))
    down = transformed(images, ty=-2.0)
    np.testing.assert_array_equal(down[:, 2:], images[:, :-2])
    np.testing.assert_array_equal(down[:, :2], images[:, :1].repeat(2, axis=1))


@pytest.mark.parametrize("shape", [(12, 17), (17, 12), (9, 9)])
def test_half_a_turn_is_both_flips(shape):
    images = pictures(3, np.float32, shape)
    turned = transformed(images, theta=180.0)
    np.testing.assert_allclose(turned, images[:, ::-1, ::-1], atol=0.1)
    flipped = transformed(images, flip_horizontal=True, flip_vertical=True)
    np.testing.assert_array_equal(flipped, images[:, ::-1, ::-1])


def test_zoom_factor_below_one_enlarges_the_center():
    images = pictures(1, np.float32, (9, 9))
    enlarged = transformed(images, zx=0.5, zy=0.5)
    np.testing.assert_array_equal(enlarged[:, ::2, ::2], images[:, 2:7, 2:7])


def test_each_image_has_its_own_transformation():
    images = pictures()
    transform = draw(4)
    transform["tx"] = np.array([0.0, 1.0, 2.0, 3.0])
    moved = apply(images, transform)
    for image, result, pixels in zip(images, moved, range(4), strict=True):
        np.testing.assert_array_equal(result[:, : 17 - pixels], image[:, pixels:])


@pytest.mark.parametrize(
    ("fill_mode", "expected"),
    [
        ("nearest", [10, 10, 10, 20]),
        ("reflect", [20, 10, 10, 20]),
        ("wrap", [30, 40, 10, 20]),
        ("constant", [7, 7, 10, 20]),
    ],
)
def test_fill_mode_says_what_comes_in_from_beyond_the_border(fill_mode, expected):
    image = np.broadcast_to(np.array([10, 20, 30, 40], np.uint8)[:, None], (1, 4, 4, 1))
    transform = draw(1) | {"tx": np.array([-2.0])}
    moved = apply(np.ascontiguousarray(image), transform, fill_mode, 7)
    assert moved[0, 0, :, 0].tolist() == expected


def test_brightness_multiplies_and_clips():
    images = pictures()
    np.testing.assert_array_equal(
        transformed(images, brightness=1.5), np.rint(np.minimum(images * 1.5, 255))
    )


def test_channel_shift_stays_within_the_image_s_own_range():
    images = np.clip(pictures(dtype=np.float32), 50, 200)
    np.testing.assert_array_equal(
        transformed(images, channel_shift_intensity=30.0), np.minimum(images + 30, 200)
    )
    np.testing.assert_array_equal(
        transformed(images, channel_shift_intensity=-30.0), np.maximum(images - 30, 50)
    )


# The table


def noise(count=64, shape=(16, 16, 3)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype("float32")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_an_option_and_an_argument_and_has_an_effect(row, capsys):
    option = "--" + row.name.replace("_", "-")
    Options = rooms.options_class("classify")
    with pytest.raises(SystemExit):
        command_line.parse(Options, ["--help"], "train")
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert option in told
    assert row.help.split(". ")[0] in told
    assert getattr(Options(), row.name) == row.default
    if row.range.high is not None:
        with pytest.raises(UserError, match=f"{option} .* is too large"):
            Options(**{row.name: row.range.high + 1})

    value = {bool: True, float: row.range.high or 0.3}.get(row.type, (0.5, 0.7))
    value = 0.5 if row.name == "random_resized_crop" else value  # whose highest value is off
    images, targets = noise(), np.eye(64, dtype="float32")
    generator = foldernet.ImageDataGenerator(**{row.name: value})
    changed, _ = generator.flow(images, targets, shuffle=False, seed=0)[0]
    share = np.mean([(one != other).any() for one, other in zip(changed, images, strict=False)])
    assert share > (0.3 if row.type is bool else 0.9)
    plain, _ = foldernet.ImageDataGenerator().flow(images, targets, shuffle=False, seed=0)[0]
    np.testing.assert_array_equal(plain, images[: len(plain)])


def test_default_batches_never_change():
    """Nor does the order of draws: a run repeated with a later version sees the same images."""
    row, column = np.mgrid[:32, :48]
    images = np.stack([row * 4 + column * number for number in range(6)]).astype("uint8")[..., None]
    generator = foldernet.ImageDataGenerator(dtype="uint8", **ClassifyOptions().augmentation())
    iterator = generator.flow(images, seed=7, batch_size=4)
    # Sums instead of a checksum: processors may round a pixel differently.
    sums = [(iterator.batch(epoch, 0)[..., 0] * column).sum(axis=(1, 2)) for epoch in (0, 3)]
    expected = [5033323, 4694109, 2202791, 4740250], [5264253, 2133137, 4070641, 4903895]
    np.testing.assert_allclose(sums, expected, rtol=1e-4)


def saturate(pixels, amount):
    gray = pixels.mean(axis=3, keepdims=True)
    return (gray + (pixels - gray) * (1 + amount)).clip(0, 255)


SATURATION = Row(
    "saturation_range",
    float,
    0.0,
    0,
    Range(0, 1),
    "Maximum change of saturation, as a share.",
    augmentations.symmetric("saturation"),
    {"saturation": saturate},
)


def test_the_recipe_for_an_augmentation_makes_an_option_of_train_py(tmp_path):
    """In a copy of the project, with the function and the row that CONTRIBUTING.md has."""
    recipe = (ROOT / "CONTRIBUTING.md").read_text().partition("## An augmentation")[2]
    function, _, row = recipe.split("```")[1].removeprefix("python\n").partition("\n\n\n")
    shutil.copytree(ROOT / "foldernet", tmp_path / "foldernet")
    shutil.copy(ROOT / "train.py", tmp_path)
    file = tmp_path / "foldernet/augmentations.py"
    before, start, after = file.read_text().partition("ROWS = [")
    rows, end, after = after.partition("\n]")
    file.write_text(f"{before}{function}\n\n\n{start}{rows}\n{row.strip()},{end}{after}")

    def train(*arguments):
        command = [sys.executable, "train.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    told = " ".join(train("--help").stdout.replace("│", " ").split())
    assert "--saturation-range" in told
    assert "Maximum change of saturation, as a share." in told
    assert "--saturation-range 2.0 is too large" in train("--saturation-range", "2").stderr


def test_a_row_is_all_that_an_augmentation_takes(monkeypatch, capsys):
    rows = (*ROWS, SATURATION)
    for module in (augmentations, augmentation, foldernet.batches.generator):
        monkeypatch.setattr(module, "ROWS", rows)
    options_class = augmentations.options_of(rows)
    with pytest.raises(SystemExit):
        command_line.parse(options_class, ["--help"], "train")
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--saturation-range" in told
    assert "Maximum change of saturation, as a share." in told
    with pytest.raises(UserError, match=r"--saturation-range 2\.0 is too large"):
        command_line.parse(options_class, ["--saturation-range", "2"], "train")

    options = command_line.parse(options_class, ["--saturation-range", "0.9"], "train")
    images = noise()
    only = vars(options) | {row.name: row.off for row in ROWS}
    changed = foldernet.ImageDataGenerator(**only).flow(images, shuffle=False, seed=0)[0]
    images = images[: len(changed)]
    np.testing.assert_allclose(changed.mean(axis=3), images.mean(axis=3), atol=40)
    ratio = changed.std(axis=3).mean(axis=(1, 2)) / images.std(axis=3).mean(axis=(1, 2))
    assert ratio.min() < 0.5
    assert ratio.max() > 1.1

    before = foldernet.ImageDataGenerator(rotation_range=20).flow(images, seed=0)[0]
    monkeypatch.undo()
    after = foldernet.ImageDataGenerator(rotation_range=20).flow(images, seed=0)[0]
    np.testing.assert_array_equal(before, after)
