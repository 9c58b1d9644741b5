"""Augmentation of photographs: what each row does, by a slow reference, and what --augment sets."""

import colorsys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from test_resume import OPTIONS, assert_same_run, interrupt

import foldernet
import foldernet.batches.generator
import train
from foldernet import augmentations, command_line, rooms
from foldernet.batches import augmentation
from foldernet.photo_augmentation import boxes, colors, mixing, rows, trivial
from foldernet.terminal import UserError

COUNT = 20_000
STRONG = rows.preset({"augment": "strong"})


ODD_CHANNELS = pytest.mark.filterwarnings("ignore:NumpyArrayIterator is set")


def photograph(size=(40, 56), seed=0, low=0, high=255):
    """Smooth colors between two levels, (height, width, 3) uint8."""
    noise = np.random.default_rng(seed).uniform(low, high, (5, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(noise).resize(size[::-1], Image.Resampling.BILINEAR))


def batch_of(images, targets=None, epoch=0, index=0, batch_size=32, **options):
    generator = foldernet.ImageDataGenerator(dtype=images.dtype.name, **options)
    flow = generator.flow(images, targets, batch_size=batch_size, shuffle=False, seed=3)
    return flow.batch(epoch, index)


# Boxes


@pytest.mark.parametrize("smallest", [0.05, 0.35, 0.9, 1.0])
def test_crops_lie_inside_and_have_areas_and_aspect_ratios_within_their_ranges(smallest):
    random = np.random.default_rng(0)
    left, top, width, height = boxes.draw_crop(smallest, COUNT, (50, 80), random)["crop"].T
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-12
    areas, ratios = width * height, width / height
    assert smallest - 1e-9 <= areas.min() <= smallest + 0.01
    assert areas.mean() == pytest.approx((1 + smallest) / 2, abs=0.01)
    assert 3 / 4 - 1e-9 <= ratios.min() <= ratios.max() <= 4 / 3 + 1e-9
    if smallest < 0.5:
        assert ratios.min() < 0.76
        assert ratios.max() > 1.32
        assert np.log(ratios).mean() == pytest.approx(0, abs=0.01)
        assert (left + width / 2).mean() == pytest.approx(0.5, abs=0.01)


def bilinear(image, y, x):
    """The pixel at a place, by its four neighbors; beyond the border is the border."""
    height, width = image.shape[:2]
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    total = 0
    for row, weight_y in ((y0, 1 - y + y0), (y0 + 1, y - y0)):
        for column, weight_x in ((x0, 1 - x + x0), (x0 + 1, x - x0)):
            pixel = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
            total = total + weight_y * weight_x * pixel.astype(float)
    return total


@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_is_the_box_enlarged_to_the_whole_image(flip):
    image = photograph()
    height, width = image.shape[:2]
    box = np.array([0.2, 0.1, 0.45, 0.6])
    expected = np.empty(image.shape)
    for row in range(height):
        for column in range(width):
            y = (box[1] + box[3] * (row + 0.5) / height) * height - 0.5
            x = (box[0] + box[2] * (column + 0.5) / width) * width - 0.5
            expected[row, column] = bilinear(image, y, x)
    generator = foldernet.ImageDataGenerator(random_resized_crop=0.2)
    cropped = generator.apply_transform(image, {"crop": box, "flip_horizontal": flip})
    cropped = cropped[:, ::-1] if flip else cropped
    np.testing.assert_allclose(cropped, expected, atol=2)  # OpenCV has places in 1/32 pixel


@ODD_CHANNELS
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_erased_boxes_have_the_mean_color_and_the_rest_is_left_alone(channels):
    image = np.concatenate([photograph((60, 60), seed) for seed in (0, 1)], axis=2)[..., :channels]
    images = np.stack(32 * [image])
    changed = batch_of(images, random_erasing=0.6)
    share = 0
    for erased in changed:
        differs = (erased != image).any(axis=2)
        if not differs.any():
            continue
        share += 1 / len(changed)
        y, x = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        box = erased[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
        assert 0.015 < box[..., 0].size / image[..., 0].size < 0.36
        assert np.ptp(box, axis=(0, 1)).max() == 0
        np.testing.assert_allclose(box[0, 0], image.mean(axis=(0, 1)), atol=1)
    assert share == pytest.approx(0.6, abs=0.2)
    drawn = boxes.draw_erased(0.25, COUNT, (60, 60), np.random.default_rng(0))["erased"]
    assert drawn.any(axis=1).mean() == pytest.approx(0.25, abs=0.01)


# Colors


def jittered(image, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0):
    changed = image[None].copy()
    colors.jitter(changed, np.array([[brightness, contrast, saturation, hue]]))
    return changed[0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.uint8, 1), (np.float32, 1e-3)])
def test_brightness_contrast_and_saturation_are_changed_one_after_the_other(dtype, tolerance):
    image = photograph(low=90, high=150)
    luma = np.array([0.299, 0.587, 0.114])
    expected = 1.2 * image.astype(float)
    gray = (expected @ luma).mean()
    expected = gray + 0.7 * (expected - gray)
    grays = (expected @ luma)[..., None]
    expected = grays + 1.6 * (expected - grays)
    assert 0 < expected.min() < expected.max() < 255
    changed = jittered(image.astype(dtype), 1.2, 0.7, 1.6)
    assert changed.dtype == dtype
    np.testing.assert_allclose(changed, expected, atol=tolerance)


def test_a_third_of_the_color_wheel_makes_red_green_and_green_blue():
    image = photograph()
    np.testing.assert_allclose(jittered(image, hue=1 / 3), np.roll(image, 1, axis=2), atol=1)
    pixel = np.full((1, 1, 3), (150, 100, 100), np.float32)
    for hue in (-0.1, 0.05, 0.25):
        turned = jittered(pixel, hue=hue)[0, 0]
        assert colorsys.rgb_to_hsv(*turned)[0] == pytest.approx(hue % 1, abs=0.02)
        assert turned.mean() == pytest.approx(pixel.mean(), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_colors_of_images_that_are_not_rgb_have_brightness_and_contrast(channels):
    image = np.concatenate([photograph(low=90, high=150)] * 2, axis=2)[..., :channels]
    changed = jittered(image.astype(np.float32), 1.1, 0.5, 1.0, 0.3)
    mean = image.astype(float).mean()
    np.testing.assert_allclose(changed, 1.1 * (mean + 0.5 * (image - mean)), rtol=1e-4)


def test_jitter_stays_within_its_ranges_and_clips():
    drawn = colors.draw_jitter(0.4, COUNT, (8, 8), np.random.default_rng(0))["color_jitter"]
    np.testing.assert_allclose(drawn.min(axis=0), [0.6, 0.6, 0.6, -0.04], atol=0.01)
    np.testing.assert_allclose(drawn.max(axis=0), [1.4, 1.4, 1.4, 0.04], atol=0.01)
    bright = jittered(photograph().astype(np.float32), 1.9, 1.9)
    assert (bright.min(), bright.max()) == (0, 255)


# TrivialAugment


def enhanced(kind):
    return lambda image, strength: getattr(ImageEnhance, kind)(image).enhance(1 + 0.99 * strength)


PILLOWS = {  # operations, in their order, by Pillow, as torchvision uses it
    "brightness": enhanced("Brightness"),
    "contrast": enhanced("Contrast"),
    "saturation": enhanced("Color"),
    "sharpen": enhanced("Sharpness"),
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(6 * abs(strength))),
    "solarize": lambda image, strength: ImageOps.solarize(image, int(256 - 255 * abs(strength))),
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
}


@pytest.mark.parametrize("strength", [-0.9, -0.35, 0.2, 0.6])
@pytest.mark.parametrize("name", PILLOWS)
def test_the_colors_of_trivial_augment_are_those_of_pillow(name, strength):
    image = photograph((224, 200), low=40, high=200)
    image = image + np.random.default_rng(1).integers(0, 40, image.shape, "uint8")
    strengths = np.zeros((1, trivial.COUNT))
    strengths[0, trivial.FIRST_COLOR + [*PILLOWS].index(name)] = strength
    for dtype in (np.uint8, np.float32):
        changed = image[None].astype(dtype)
        trivial.recolor(changed, strengths)
        expected = np.asarray(PILLOWS[name](Image.fromarray(image), strength)).astype(float)
        inner = np.s_[1:-1, 1:-1]  # Pillow leaves the border unsharpened
        difference = np.abs(changed[0][inner] - expected[inner])
        assert difference.max() <= (6 if name == "equalize" else 2), dtype
        assert np.abs(expected - image).max() > 5 or abs(strength) < 0.5


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_trivial_augment_leaves_blank_images_and_odd_channels_alone(channels):
    blank = np.full((trivial.COUNT, 8, 8, channels), 200, np.uint8)
    trivial.recolor(blank, np.eye(trivial.COUNT) * 0.1)
    assert blank.shape == (trivial.COUNT, 8, 8, channels)
    for name in ("autocontrast", "equalize", "sharpen"):
        assert (blank[trivial.FIRST_COLOR + [*PILLOWS].index(name)] == 200).all()


def test_each_operation_of_trivial_augment_is_as_likely_and_of_any_strength():
    drawn = trivial.draw(True, COUNT, (8, 8), np.random.default_rng(0))["trivial"]
    assert trivial.COUNT == 14
    assert (np.count_nonzero(drawn, axis=1) == 1).all()
    np.testing.assert_allclose((drawn != 0).mean(axis=0), 1 / 14, atol=0.01)
    counts, _ = np.histogram(drawn[drawn != 0], 10, (-1, 1))
    np.testing.assert_allclose(counts / COUNT, 0.1, atol=0.01)


@pytest.mark.parametrize("column", range(5), ids=["shear x", "shear y", "x", "y", "angle"])
def test_the_movements_of_trivial_augment_are_about_the_center(column):
    shape, strength, center = (30, 40), 0.5, np.array([19.5, 14.5])
    identity = augmentation.matrices(augmentation.UNCHANGED, 1, shape)
    strengths = np.zeros((1, trivial.COUNT))
    strengths[0, column] = strength
    (affine,) = trivial.move(identity, strengths, shape)
    linear, offset = affine[:, :2], affine[:, 2]
    amount = 0.99 * strength
    angle = np.deg2rad(135) * strength
    turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    expected = [[[1, amount], [0, 1]], [[1, 0], [amount, 1]], np.eye(2), np.eye(2), turn][column]
    moved = [0, 0, np.array([40 / 14, 0]), np.array([0, 30 / 14]), 0][column]
    np.testing.assert_allclose(linear, expected, atol=1e-12)
    np.testing.assert_allclose(linear @ center + offset, center + moved, atol=1e-12)


# Mixing


def flat(count=24, channels=3, dtype="uint8"):
    """Images of one level each, by which they are known again, and targets of a class each."""
    levels = np.linspace(0, 250, count).astype(dtype)
    images = np.broadcast_to(levels[:, None, None, None], (count, 20, 30, channels))
    return np.ascontiguousarray(images), np.eye(count, dtype="float32"), levels.astype(float)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1}])
def test_targets_are_mixed_by_the_shares_that_the_images_have(options, dtype, data_format):
    images, targets, levels = flat(dtype=dtype)
    first = data_format == "channels_first"
    given = np.moveaxis(images, 3, 1) if first else images
    before = given.copy(), targets.copy()
    mixed, blended = batch_of(given, targets, data_format=data_format, **options)
    np.testing.assert_array_equal(given, before[0])
    np.testing.assert_array_equal(targets, before[1])
    assert (mixed.dtype, mixed.shape) == (images.dtype, given.shape)
    assert blended.dtype == np.float32
    np.testing.assert_allclose(blended.sum(axis=1), 1, atol=1e-6)
    assert (np.count_nonzero(blended, axis=1) <= 2).all()
    assert np.count_nonzero(blended, axis=1).mean() > 1.5
    means = mixed.astype(float).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, blended @ levels, atol=0.51)
    pasted = [np.unique(image).size > 1 for image in mixed]
    if len(options) == 2:
        assert 0.2 < np.mean(pasted) < 0.8
    else:
        assert any(pasted) == ("cutmix" in options)
    own = blended[np.arange(24), np.arange(24)]
    assert own.min() < 0.4
    assert own.max() > 0.9


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_a_mixed_batch_is_that_of_its_images_by_share_and_weight(smoothing):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    labels = random.integers(0, 4, 16)
    targets, weights = np.eye(4, dtype="float32")[labels], random.uniform(0, 5, 16)
    generator = SimpleNamespace(mixup=1.0, cutmix=0.0, data_format="channels_last")
    random = np.random.default_rng(1)
    _, mixed, total = mixing.mix(generator, (images, targets, weights), random)
    _, plain = mixing.mix(generator, (images, np.eye(16)), np.random.default_rng(1))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing, reduction=None)
    outputs = np.random.default_rng(2).dirichlet(np.ones(4), 16).astype("float32")
    expected = np.zeros(16)
    for index in range(16):
        for other in range(16):
            one = loss(targets[other : other + 1], outputs[index : index + 1])
            expected[index] += plain[index, other] * weights[other] * float(one[0])
    found = np.asarray(loss(mixed, outputs)) * total
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("class_mode", ["sparse", "input", None])
def test_targets_that_cannot_be_mixed_are_refused(class_mode, stripes_folder):
    generator = foldernet.ImageDataGenerator(mixup=0.2)
    flow = generator.flow_from_directory(
        stripes_folder / "train", (16, 16), class_mode=class_mode, batch_size=8
    )
    with pytest.raises(ValueError, match="need one array of images and one-hot targets"):
        flow[0]


def test_validation_images_are_not_mixed(stripes_folder):
    task = rooms.task(rooms.options_class("classify")(image_size=16, batch_size=8, **STRONG))
    task.options.__dict__["data"] = stripes_folder
    batches = task.batches(rooms.find_dataset(task))
    _, mixed = batches["training"][0]
    _, plain = batches["validation"][0]
    assert set(np.unique(plain)) == {0, 1}
    assert len(np.unique(mixed)) > 2


def test_class_weights_train_as_keras_s_do(stripes_folder):
    """To the bit, where nothing is mixed; the batches have them, and not `fit`."""
    Options = rooms.options_class("classify")
    options = Options(data=stripes_folder, image_size=16, batch_size=8, class_weights="balanced")
    weights = []
    for by_keras in (True, False):
        task = rooms.task(options)
        dataset = rooms.find_dataset(task)
        skewed = dataset.splits["training"].take(np.arange(120) >= 25)
        dataset.splits["training"] = skewed
        given = task.class_weight(dataset)
        np.testing.assert_allclose(given, 95 / (3 * np.array([15, 40, 40])), rtol=1e-6)
        batches = task.batches(dataset)["training"]
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
        network.compile(optimizer="sgd", loss="categorical_crossentropy")
        batches.class_weight = None if by_keras else given
        argument = dict(enumerate(given)) if by_keras else None
        network.fit(batches, class_weight=argument, shuffle=False, verbose=0)
        weights.append(network.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


# Batches


def test_a_strong_batch_depends_on_seed_epoch_and_index_alone():
    images = np.stack([photograph(seed=seed) for seed in range(30)])
    targets = np.eye(30, dtype="float32")

    def iterator():
        generator = foldernet.ImageDataGenerator(dtype="uint8", **STRONG)
        return generator.flow(images, targets, batch_size=8, seed=5)

    places = [(epoch, index) for epoch in range(2) for index in range(4)]
    there = {place: iterator().batch(*place) for place in reversed(places)}
    shared = iterator()
    with ThreadPoolExecutor(4) as pool:
        again = dict(zip(places, pool.map(lambda place: shared.batch(*place), places), strict=True))
    for place in places:
        for one, other in zip(there[place], again[place], strict=True):
            np.testing.assert_array_equal(one, other)
    assert (there[0, 0][0] != there[1, 0][0]).any()


def test_the_rows_of_this_package_leave_batches_as_they_were_without_it(monkeypatch):
    images = np.stack([photograph(seed=seed) for seed in range(8)])
    light = rooms.options_class("classify")().augmentation()
    before = batch_of(images, **light)
    own = [row for row in augmentations.ROWS if row not in rows.ROWS]
    assert len(own) == len(augmentations.ROWS) - len(rows.ROWS)
    for module in (augmentation, foldernet.batches.generator):
        monkeypatch.setattr(module, "ROWS", own)
    light = {row.name: light[row.name] for row in own}
    np.testing.assert_array_equal(batch_of(images, **light), before)


def test_mixing_leaves_the_images_that_are_mixed_as_they_were():
    images, targets, _ = flat(8)
    images = images + photograph((20, 30), low=0, high=5)
    options = STRONG | {"mixup": 0.0}
    pasted, _ = batch_of(images, targets, **options)
    plain, _ = batch_of(images, targets, **options | {"cutmix": 0.0})
    for one in pasted:
        found = [(one == other).all(axis=2) for other in plain]
        assert np.any(found, axis=0).all()


@ODD_CHANNELS
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_strong_augmentation_takes_images_of_any_channels(channels, dtype):
    images = np.concatenate([photograph((24, 20)), photograph((24, 20), 1)], axis=2)
    images = np.stack(40 * [images[..., :channels]]).astype(dtype)
    batch, targets = batch_of(
        images, np.eye(40, dtype="float32"), batch_size=40, **STRONG | {"color_jitter": 0.4}
    )
    assert (batch.dtype, batch.shape) == (images.dtype, images.shape)
    assert np.isfinite(targets).all()
    assert 0 <= batch.min() <= batch.max() <= 255


def test_what_is_drawn_for_an_image_can_be_applied_to_it():
    images = np.stack([photograph((24, 20))])
    options = STRONG | {"color_jitter": 0.3, "mixup": 0.0, "cutmix": 0.0}
    generator = foldernet.ImageDataGenerator(dtype="uint8", **options)
    flow = generator.flow(images, batch_size=1, shuffle=False, seed=3)
    drawn = generator.get_random_transform(images[0].shape, seed=[3, 0, 0])
    np.testing.assert_array_equal(generator.apply_transform(images[0], drawn), flow[0][0])


# Presets


def parsed(*arguments):
    typed = command_line.peek(list(arguments))
    Options, defaults = rooms.options_and_defaults(typed)
    return command_line.parse(Options, list(arguments), "train", defaults, rooms.modes_with)


def test_light_is_the_default_and_none_turns_all_off():
    plain, light, none = parsed(), parsed("--augment", "light"), parsed("--augment", "none")
    assert vars(light) == vars(plain)
    generator = foldernet.ImageDataGenerator(**none.augmentation())
    assert not augmentation.is_on(generator)
    assert foldernet.ImageDataGenerator(**none.augmentation()).zoom_range == [1, 1]
    strong = parsed("--augment", "strong")
    assert {name for name, value in STRONG.items() if value} == {
        *("horizontal_flip", "trivial_augment", "random_resized_crop", "random_erasing"),
        *("mixup", "cutmix"),
    }
    assert all(getattr(strong, name) == value for name, value in STRONG.items())


def test_an_option_that_is_given_wins_over_the_preset():
    strong = parsed("--augment", "strong", "--mixup", "0", "--no-horizontal-flip")
    assert (strong.mixup, strong.horizontal_flip, strong.cutmix) == (0, False, 1)
    # Even if it is given as what would be the default.
    none = parsed("--rotation-range", "8", "--augment=none")
    assert (none.rotation_range, none.shear_range) == (8, 0)
    from_python = train_options(augment="strong", rotation_range=5)
    assert (from_python.rotation_range, from_python.trivial_augment) == (5, True)


def train_options(**given):
    from foldernet.train import make_options

    return make_options(None, given)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--augment", "heavy"], "invalid choice 'heavy' for argument '--augment'"),
        (["--random-resized-crop", "0"], "--random-resized-crop 0.0 is too small"),
        (["--augment"], "--augment lacks a value"),
        (["--mode", "blur", "--augment", "strong"], "--augment is an option of --mode classify"),
    ],
    ids=" ".join,
)
def test_a_wrong_preset_is_a_sentence(arguments, told):
    with pytest.raises(UserError) as error:
        parsed(*arguments)
    assert told in str(error.value)


def test_a_strong_training_resumes_to_the_bit_in_the_middle_of_an_epoch(
    stripes_folder, tmp_path, monkeypatch
):
    options = [*OPTIONS, "--augment", "strong", "--class-weights", "balanced"]
    arguments = [str(stripes_folder), *options]
    assert train.main([*arguments, "--name", "whole"]) == 0
    interrupt(monkeypatch, (1, 16))
    assert train.main([*arguments, "--name", "halting"]) == 143
    assert train.main(["--resume", "--name", "halting"]) == 0
    assert_same_run(tmp_path, tmp_path, "whole", "halting")
    repeat = ["--config", "models/whole/config.json", "--name", "again"]
    options = parsed(*repeat)
    assert (options.trivial_augment, options.augment) == (True, "strong")
    assert parsed(*repeat, "--augment", "none").trivial_augment is False
