"""What `ImageDataGenerator` promises: Keras's interface, Keras's results where Keras is right, and
batches that depend on seed, epoch and index alone."""

import inspect
import os
import random
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from conftest import scan
from keras.src.legacy.preprocessing import image as keras_image
from PIL import Image

import foldernet
from foldernet.datasets.image_list import split_by_content
from foldernet.images.reader import ImageError

KerasGenerator = keras_image.ImageDataGenerator
Generator = foldernet.ImageDataGenerator

AUGMENTED = {
    "rotation_range": 20,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "shear_range": 10,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "brightness_range": (0.8, 1.2),
    "channel_shift_range": 20.0,
}
# Keras warps through a namespace that SciPy is about to drop.
scipy_namespace = pytest.mark.filterwarnings(
    "ignore:.*scipy.ndimage.interpolation.*:DeprecationWarning"
)


def smooth(height, width, channels=3, seed=0):
    """(height, width, channels) uint8 without hard edges."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (5, 5, channels)).astype(np.float32)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return pixels.reshape(height, width, channels).astype(np.uint8)


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth(20, 26, seed=seed)).save(path)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder of three classes and 19 different pictures, not to be changed."""
    root = tmp_path_factory.mktemp("pets")
    for seed in range(17):
        write(root / ("cat", "dog", "owl")[seed % 3] / f"{seed}.png", seed)
    write(root / "dog" / "old" / "a.png", 17)
    write(root / "dog" / "old dogs" / "b.png", 18)
    return root


@pytest.fixture(scope="module")
def table(pets):
    """A DataFrame that names the pictures of `pets`."""
    names = sorted(str(path.relative_to(pets)) for path in pets.rglob("*.png"))
    number = np.arange(len(names))
    return pd.DataFrame(
        {
            "filename": names,
            "class": [name.split("/")[0] for name in names],
            "tags": [["cat", "wet"] if row % 2 else ["dog"] for row in number],
            "age": number * 1.5,
            "size": number % 4,
            "weight": 1.0 + number,
        }
    )


@pytest.fixture(scope="module")
def arrays():
    """19 images (20, 26, 3) as float32, and their labels."""
    images = np.stack([smooth(20, 26, seed=seed) for seed in range(19)]).astype("float32")
    return images, np.arange(19) % 3


def flat(batch):
    """The arrays in a batch, whatever tuples and lists hold them."""
    return [np.asarray(array) for array in keras.tree.flatten(batch)]


def assert_same(batches, expected):
    batches, expected = list(batches), list(expected)
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        assert len(flat(batch)) == len(flat(other))
        for array, wanted in zip(flat(batch), flat(other), strict=True):
            assert array.dtype == wanted.dtype
            np.testing.assert_array_equal(array, wanted)


def epoch(iterator):
    return [iterator[index] for index in range(len(iterator))]


# The interface


@pytest.mark.parametrize("name", ["flow", "flow_from_directory", "flow_from_dataframe"])
def test_arguments_are_keras_s_in_the_same_order(name):
    def parameters(owner):
        found = inspect.signature(getattr(owner, name)).parameters.values()
        return [one for one in found if one.kind is not inspect.Parameter.VAR_KEYWORD]

    ours, theirs = parameters(Generator), parameters(KerasGenerator)
    assert [one.name for one in ours[: len(theirs)]] == [one.name for one in theirs]
    different = {
        one.name for one, other in zip(ours, theirs, strict=False) if one.default != other.default
    }
    assert different <= {"interpolation"}


def test_constructor_takes_keras_s_arguments_by_name_and_by_place():
    given = (
        False, True, False, True, False, 1e-5, 3, 0.1, [2, 4], (0.5, 1.5), 4.0, (0.8, 1.0), 5.0,
        "wrap", 7.0, True, True, 0.5, per_image, "channels_first", 0.3, 0, "float64",
    )  # fmt: skip
    names = list(inspect.signature(KerasGenerator).parameters)
    expected = vars(KerasGenerator(*given))
    for generator in (Generator(*given), Generator(**dict(zip(names, given, strict=True)))):
        found = {name: value for name, value in vars(generator).items() if name in expected}
        assert found == expected


def test_fit_takes_the_iterators_and_keras_code_the_generator(pets, table, arrays):
    generator = Generator()
    assert isinstance(generator, KerasGenerator)
    for iterator in (
        generator.flow_from_directory(pets),
        generator.flow_from_dataframe(table, pets),
        generator.flow(*arrays),
    ):
        assert isinstance(iterator, keras.utils.PyDataset)


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_directory_iterator_has_keras_s_attributes(pets, color_mode, data_format):
    options = {"target_size": (8, 10), "batch_size": 5, "color_mode": color_mode}
    ours, theirs = (
        kind(data_format=data_format).flow_from_directory(str(pets), **options)
        for kind in (Generator, KerasGenerator)
    )
    for name in (
        "samples", "n", "class_indices", "filenames", "filepaths", "num_classes", "batch_size",
        "image_shape", "target_size", "color_mode", "data_format", "class_mode", "directory",
        "shuffle", "seed", "batch_index",
    ):  # fmt: skip
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("classes", "labels"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert len(ours) == len(theirs) == 4
    assert next(ours)[0].shape == ours.next()[0].shape == (5, *ours.image_shape)


def test_given_classes_keep_their_order(pets):
    options = {"classes": ["owl", "cat"], "shuffle": False}
    ours = Generator().flow_from_directory(pets, **options)
    theirs = KerasGenerator().flow_from_directory(pets, **options)
    assert ours.class_indices == theirs.class_indices == {"owl": 0, "cat": 1}
    assert ours.filenames == theirs.filenames


def test_listing_can_stand_for_the_folder(pets, capsys):
    listing = split_by_content(scan(pets), 0.5)["training"]
    iterator = Generator().flow_from_directory(listing, shuffle=False)
    assert iterator.filepaths == listing.paths
    assert iterator.class_indices == {"cat": 0, "dog": 1, "owl": 2}
    assert capsys.readouterr().out == ""


def test_folder_without_class_folders_has_no_images(tmp_path, capsys):
    iterator = Generator().flow_from_directory(tmp_path)
    assert (iterator.samples, iterator.num_classes, len(iterator)) == (0, 0, 0)
    assert "Found 0 images belonging to 0 classes." in capsys.readouterr().out


def test_named_classes_are_listed_in_the_order_given(pets):
    named = list(reversed(scan(pets).classes))
    iterator = foldernet.ImageDataGenerator().flow_from_directory(
        pets, classes=named, batch_size=1000
    )
    assert list(iterator.class_indices) == named
    found = [named[label] for label in iterator.classes]
    assert found == [name.split(os.sep)[0] for name in iterator.filenames]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_mode": "ordinal"}, "Invalid class_mode: ordinal"),
        ({"color_mode": "cmyk"}, "Unknown color_mode 'cmyk'"),
        ({"interpolation": "cubist"}, "interpolation 'cubist'"),
        ({"subset": "test"}, "Invalid subset name: test"),
    ],
)
def test_wrong_options_are_named(pets, options, message):
    with pytest.raises(ValueError, match=message):
        Generator(validation_split=0.2).flow_from_directory(pets, **options)


def test_batch_beyond_the_last_is_an_error(pets):
    iterator = Generator().flow_from_directory(pets)
    with pytest.raises(ValueError, match="Batch 1 was asked for, and there are 1"):
        iterator[1]


# Keras's results


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "lanczos"])
def test_unaugmented_batches_from_a_folder_equal_keras_s(
    pets, class_mode, color_mode, data_format, interpolation
):
    options = {
        "target_size": (12, 9),
        "batch_size": 8,
        "shuffle": False,
        "class_mode": class_mode,
        "color_mode": color_mode,
        "interpolation": interpolation,
    }
    ours, theirs = (
        kind(rescale=1 / 255, data_format=data_format).flow_from_directory(pets, **options)
        for kind in (Generator, KerasGenerator)
    )
    assert_same(epoch(ours), epoch(theirs))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_mode": "sparse"},
        {"class_mode": "sparse", "classes": ["owl", "dog"]},
        {"class_mode": "binary", "classes": ["owl", "dog"]},
        {"class_mode": "input"},
        {"class_mode": None},
        {"class_mode": "raw", "y_col": "age"},
        {"class_mode": "raw", "y_col": ["age", "size"]},
        {"class_mode": "multi_output", "y_col": ["age", "size"]},
        {"class_mode": "categorical", "y_col": "tags"},
        {"class_mode": "raw", "y_col": "age", "weight_col": "weight"},
    ],
    ids=str,
)
def test_unaugmented_batches_from_a_dataframe_equal_keras_s(pets, table, options):
    options = {
        "target_size": (9, 12),
        "batch_size": 8,
        "shuffle": False,
        "interpolation": "bilinear",
        **options,
    }
    ours, theirs = (
        kind().flow_from_dataframe(table, str(pets), **options)
        for kind in (Generator, KerasGenerator)
    )
    assert_same(epoch(ours), epoch(theirs))
    assert ours.filepaths == theirs.filepaths
    assert getattr(ours, "class_indices", None) == getattr(theirs, "class_indices", None)


def test_unaugmented_batches_from_arrays_equal_keras_s(arrays):
    images, labels = arrays
    weights = np.linspace(1, 2, len(images))
    ages, sizes = labels * 2.0, labels[:, None] * [1.0, 3.0]
    for arguments in (
        {"x": images},
        {"x": images, "y": labels},
        {"x": images, "y": labels, "sample_weight": weights},
        {"x": (images, ages), "y": labels},
        {"x": (images, [ages, sizes]), "y": labels, "sample_weight": weights},
    ):
        ours, theirs = (
            kind().flow(**arguments, batch_size=8, shuffle=False)
            for kind in (Generator, KerasGenerator)
        )
        assert_same(epoch(ours), epoch(theirs))


def per_image(image):
    """Something that mixing the images of a batch up would change."""
    return (image - image.min()) / (np.ptp(image) + 1)


@pytest.mark.parametrize(
    "options",
    [
        {"rescale": 1 / 255},
        {"featurewise_center": True},
        {"featurewise_center": True, "featurewise_std_normalization": True},
        {"samplewise_center": True},
        {"samplewise_center": True, "samplewise_std_normalization": True},
        {"preprocessing_function": per_image},
        {"preprocessing_function": per_image, "rescale": 3.0, "samplewise_center": True},
        {"featurewise_center": True, "zca_whitening": True},
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_standardization_equals_keras_s(arrays, options, data_format):
    images = arrays[0][:, :8, :8]
    images = images if data_format == "channels_last" else np.moveaxis(images, 3, 1)
    batches = []
    for kind in (Generator, KerasGenerator):
        generator = kind(**options, data_format=data_format)
        generator.fit(images)
        batches.append(np.concatenate(epoch(generator.flow(images, batch_size=8, shuffle=False))))
    ours, theirs = batches
    assert np.abs(theirs - images).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_standardization_that_was_not_fitted_warns_as_in_keras(arrays):
    iterator = Generator(featurewise_center=True).flow(arrays[0])
    with pytest.warns(UserWarning, match="hasn't been fit on any training data"):
        iterator[0]


def test_standardizing_leaves_the_user_s_arrays_alone(arrays):
    images = arrays[0].copy()
    epoch(Generator(rescale=1 / 255, samplewise_center=True, **AUGMENTED).flow(images))
    np.testing.assert_array_equal(images, arrays[0])


def random_parameters(seed, side):
    draw = np.random.default_rng(seed).uniform
    return {
        "theta": draw(-90, 90),
        "shear": draw(-30, 30),
        "zx": draw(0.6, 1.5),
        "zy": draw(0.6, 1.5),
        "tx": draw(-0.3, 0.3) * side,
        "ty": draw(-0.3, 0.3) * side,
        "flip_horizontal": draw() > 0.5,
        "flip_vertical": draw() > 0.5,
    }


@scipy_namespace
@pytest.mark.parametrize("fill_mode", ["nearest", "reflect"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_apply_transform_equals_keras_s_on_square_images(fill_mode, data_format):
    image = smooth(33, 33).astype("float32")
    image = image if data_format == "channels_last" else np.moveaxis(image, 2, 0)
    ours, theirs = (
        kind(fill_mode=fill_mode, data_format=data_format) for kind in (Generator, KerasGenerator)
    )
    for seed in range(30):
        parameters = random_parameters(seed, 33)
        difference = ours.apply_transform(image, parameters) - theirs.apply_transform(
            image, parameters
        )
        assert np.abs(difference).max() < 1e-3, parameters


@scipy_namespace
def test_channel_shift_equals_keras_s(arrays):
    image = arrays[0][0]
    for parameters in (
        {"channel_shift_intensity": 40.0},
        {"channel_shift_intensity": -40.0, "flip_horizontal": True},
    ):
        ours, theirs = (
            kind().apply_transform(image, parameters) for kind in (Generator, KerasGenerator)
        )
        assert not np.array_equal(theirs, image)
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("factor", [0.4, 1.7])
def test_brightness_multiplies_and_clips_as_keras_s(arrays, factor):
    image = arrays[0][0]
    brightened = Generator().apply_transform(image, {"brightness": factor})
    np.testing.assert_allclose(brightened, np.clip(image * factor, 0, 255), atol=1e-3)
    keras_s = KerasGenerator().apply_transform(image, {"brightness": factor})
    assert np.abs(brightened - keras_s).max() <= 1  # rounded to whole grey levels there


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("shape", [(20, 26, 3), (21, 9, 1), (9, 9, 4)])
def test_flips_move_pixels_and_change_none(shape, horizontal, vertical):
    image = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    parameters = {"flip_horizontal": horizontal, "flip_vertical": vertical}
    expected = image[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    np.testing.assert_array_equal(Generator().apply_transform(image, parameters), expected)
    np.testing.assert_array_equal(KerasGenerator().apply_transform(image, parameters), expected)


def test_random_transform_is_keras_s_method(arrays):
    generator = Generator(**AUGMENTED)
    image = arrays[0][0]
    parameters = generator.get_random_transform(image.shape, seed=3)
    others = set(parameters) - set(KerasGenerator(**AUGMENTED).get_random_transform(image.shape))
    assert {parameters.pop(name) for name in others} <= {None}
    assert set(parameters) == set(KerasGenerator(**AUGMENTED).get_random_transform(image.shape))
    transformed = generator.random_transform(image, seed=3)
    np.testing.assert_array_equal(transformed, generator.apply_transform(image, parameters))
    assert not np.array_equal(transformed, generator.random_transform(image, seed=4))


def test_fit_on_augmented_images_repeats_with_its_seed(arrays):
    means = []
    for seed in (1, 1, 2):
        generator = Generator(featurewise_center=True, **AUGMENTED)
        generator.fit(arrays[0], augment=True, rounds=2, seed=seed)
        means.append(generator.mean)
    np.testing.assert_array_equal(means[0], means[1])
    assert not np.array_equal(means[0], means[2])


# What is right here and wrong in Keras


def test_width_shift_moves_along_the_width_and_height_shift_along_the_height():
    columns = np.broadcast_to(smooth(1, 40, 1, seed=1), (30, 40, 1)).astype("float32")
    rows = np.broadcast_to(smooth(30, 1, 1, seed=2), (30, 40, 1)).astype("float32")
    for options, moved, unmoved in (
        ({"width_shift_range": 0.4}, columns, rows),
        ({"height_shift_range": 0.4}, rows, columns),
    ):
        images = Generator(**options).flow(np.stack([moved, unmoved]), shuffle=False, seed=0)[0]
        assert np.abs(images[0] - moved).max() > 10
        np.testing.assert_allclose(images[1], unmoved, atol=1e-3)


def test_shift_range_of_whole_numbers_is_in_pixels():
    image = smooth(30, 40, 1).astype("float32")
    batch = Generator(width_shift_range=[5]).flow(np.stack([image] * 8), seed=0)[0]
    right, left = image[:, :-5], image[:, 5:]
    for shifted in batch:
        moved_right = np.allclose(shifted[:, 5:], right, atol=1e-3)
        moved_left = np.allclose(shifted[:, :-5], left, atol=1e-3)
        assert moved_right != moved_left


@pytest.mark.parametrize("shape", [(20, 60, 3), (61, 21, 3)])
def test_images_that_are_not_square_turn_about_their_centre(shape):
    image = smooth(*shape).astype("float32")
    generator = Generator()
    half_turn = generator.apply_transform(image, {"theta": 180})
    np.testing.assert_allclose(half_turn, image[::-1, ::-1], atol=0.1)
    there_and_back = generator.apply_transform(
        generator.apply_transform(image, {"theta": 10}), {"theta": -10}
    )
    inner = (
        slice(shape[0] // 2 - 3, shape[0] // 2 + 3),
        slice(shape[1] // 2 - 3, shape[1] // 2 + 3),
    )
    assert np.abs(there_and_back[inner] - image[inner]).mean() < 3


def test_subsets_are_disjoint_and_complete(pets):
    generator = Generator(validation_split=0.4)
    training, validation = (
        set(generator.flow_from_directory(pets, subset=subset).filenames)
        for subset in ("training", "validation")
    )
    assert not training & validation
    assert training | validation == set(generator.flow_from_directory(pets).filenames)
    assert validation


def test_adding_images_never_moves_one_between_subsets(pets, tmp_path):
    generator = Generator(validation_split=0.4)
    before = generator.flow_from_directory(pets, subset="validation").filenames
    shutil.copytree(pets, tmp_path / "pets")
    for seed in range(100, 130):
        write(tmp_path / "pets" / "cat" / f"0{seed}.png", seed)
    after = generator.flow_from_directory(tmp_path / "pets", subset="validation").filenames
    assert set(before) == set(after) - {f"cat/0{seed}.png" for seed in range(100, 130)}


def test_validation_subset_is_not_augmented(pets, table, arrays):
    generator = Generator(validation_split=0.4, **AUGMENTED)
    plain = Generator(validation_split=0.4)
    for flow in (
        lambda kind, subset: kind.flow_from_directory(pets, subset=subset, shuffle=False),
        lambda kind, subset: kind.flow_from_dataframe(table, pets, subset=subset, shuffle=False),
        lambda kind, subset: kind.flow(*arrays, subset=subset, shuffle=False),
    ):
        assert_same(epoch(flow(generator, "validation")), epoch(flow(plain, "validation")))
        training, untouched = (flow(kind, "training")[0][0] for kind in (generator, plain))
        assert not np.array_equal(training, untouched)


def test_subsets_of_arrays_keep_what_belongs_together(arrays):
    images, labels = arrays
    weights = labels + 10.0
    found = []
    for subset in ("training", "validation"):
        iterator = Generator(validation_split=0.4).flow(
            (images, labels * 2), labels, sample_weight=weights, subset=subset, seed=0
        )
        for (pixels, misc), label, weight in epoch(iterator):
            np.testing.assert_array_equal(misc, label * 2)
            np.testing.assert_array_equal(weight, label + 10)
            found += [image.tobytes() for image in pixels]
    assert sorted(found) == sorted(image.tobytes() for image in images)


def test_paired_generators_stay_paired_in_both_subsets(pets, table, arrays, tmp_path):
    """Images and masks, under the same names or positions: what is one's subset is the other's."""
    for path in pets.rglob("*.png"):
        mask = tmp_path / path.relative_to(pets)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - np.asarray(Image.open(path))).save(mask)
    generator = Generator(validation_split=0.4)
    options = {"seed": 1, "batch_size": 64}
    files = options | {"class_mode": None, "target_size": (20, 26)}
    for subset in ("training", "validation"):
        folders_of = [
            generator.flow_from_directory(folder, subset=subset, **files)
            for folder in (pets, tmp_path)
        ]
        tables_of = [
            generator.flow_from_dataframe(table, folder, subset=subset, **files)
            for folder in (pets, tmp_path)
        ]
        arrays_of = [
            generator.flow(images, subset=subset, **options)
            for images in (arrays[0], 255 - arrays[0])
        ]
        for image_batches, mask_batches in (folders_of, tables_of, arrays_of):
            assert image_batches.n == mask_batches.n > 0
            np.testing.assert_array_equal(image_batches[0], 255 - mask_batches[0])


def test_subset_of_arrays_that_lacks_a_class_is_an_error(arrays):
    images, labels = arrays[0], np.arange(19)
    generator = Generator(validation_split=0.4)
    with pytest.raises(ValueError, match="different number of classes after the split"):
        generator.flow(images, labels, subset="validation")
    assert generator.flow(images, labels, subset="validation", ignore_class_split=True).n > 0


@pytest.mark.parametrize("class_mode", ["categorical", "sparse"])
def test_subsets_of_a_dataframe_share_their_class_indices(pets, table, class_mode):
    rare = table.assign(**{"class": ["a rare one", *["cat", "dog"] * 9]})
    generator = Generator(validation_split=0.4)
    indices = [
        generator.flow_from_dataframe(
            rare, pets, subset=subset, class_mode=class_mode
        ).class_indices
        for subset in ("training", "validation")
    ]
    assert indices == [{"a rare one": 0, "cat": 1, "dog": 2}] * 2


@pytest.mark.parametrize("ending", ["webp", "gif", "tiff", "jpg"])
def test_dataframe_may_name_every_format_that_is_read(tmp_path, ending):
    Image.fromarray(smooth(8, 8)).save(tmp_path / f"a.{ending}")
    named = pd.DataFrame({"filename": [f"a.{ending}"]})
    iterator = Generator().flow_from_dataframe(named, tmp_path, class_mode=None)
    assert iterator.samples == 1


def test_missing_files_of_a_dataframe_are_left_out_with_a_warning(pets, table):
    more = pd.concat([table, table.iloc[:1].assign(filename="cat/gone.png")])
    with pytest.warns(UserWarning, match="Found 1 invalid image filename"):
        iterator = Generator().flow_from_dataframe(more, pets)
    assert iterator.samples == len(table)


def test_images_are_averaged_when_shrunk_and_turned_by_their_exif(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "cat").mkdir()
    Image.fromarray(pixels).save(tmp_path / "cat" / "a.png", exif=exif)
    images = Generator().flow_from_directory(tmp_path, target_size=(6, 4), class_mode=None)[0]
    blocks = np.rot90(pixels, -1).reshape(6, 10, 4, 10, 3).mean(axis=(1, 3))
    assert np.abs(images[0] - blocks).max() <= 0.51


# Files that can't be read


@pytest.fixture
def damaged(tmp_path):
    """Four cats and four dogs, of which cat/1.png and the last dog, dog/7.png, are no images."""
    for seed in range(8):
        write(tmp_path / ("cat" if seed < 4 else "dog") / f"{seed}.png", seed)
    for name in ("cat/1.png", "dog/7.png"):
        (tmp_path / name).write_text("not an image")
    return tmp_path


def test_unreadable_file_is_warned_of_once_by_name(damaged):
    iterator = Generator(**AUGMENTED).flow_from_directory(damaged, batch_size=3, seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            epoch(iterator)
            iterator.on_epoch_end()
    messages = sorted(str(warning.message) for warning in caught)
    assert [message.split(": ")[0] for message in messages] == [
        str(damaged / "cat" / "1.png"),
        str(damaged / "dog" / "7.png"),
    ]
    assert all("not an image of a known format" in message for message in messages)


@pytest.mark.filterwarnings("ignore:.*another image takes its place")
def test_unreadable_file_is_replaced_by_the_next_image_with_its_own_label(damaged):
    options = {"shuffle": False, "class_mode": "sparse", "batch_size": 3, "target_size": (8, 8)}
    images, labels = (
        np.concatenate(arrays)
        for arrays in zip(*epoch(Generator().flow_from_directory(damaged, **options)), strict=True)
    )
    np.testing.assert_array_equal(images[1], images[2])
    np.testing.assert_array_equal(images[7], images[0])
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
    again = Generator().flow_from_directory(damaged, **options)
    backwards = [again[index] for index in reversed(range(len(again)))][::-1]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in backwards]), images)


def test_only_unreadable_files_are_an_error(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_text("not an image")
    iterator = Generator().flow_from_directory(tmp_path)
    with (
        pytest.warns(UserWarning, match="not an image of a known format"),
        pytest.raises(ImageError, match=r"a\.png: .*"),
    ):
        iterator[0]


# Pure batches


def flows(pets, table, arrays, seed=5):
    """An iterator of each kind, shuffled and augmented."""
    generator = Generator(**AUGMENTED)
    return [
        generator.flow_from_directory(pets, target_size=(12, 12), batch_size=4, seed=seed),
        generator.flow_from_dataframe(table, pets, target_size=(12, 12), batch_size=4, seed=seed),
        generator.flow(*arrays, batch_size=4, seed=seed),
    ]


def two_epochs(iterator):
    first = epoch(iterator)
    iterator.on_epoch_end()
    return first + epoch(iterator)


def test_batches_do_not_depend_on_the_order_they_are_asked_in(pets, table, arrays):
    for iterator, other in zip(flows(pets, table, arrays), flows(pets, table, arrays), strict=True):
        order = list(range(len(iterator))) * 2
        random.Random(0).shuffle(order)
        expected = epoch(iterator)
        assert_same([other[index] for index in order], [expected[index] for index in order])


def test_batches_do_not_depend_on_the_thread_that_asks(pets, table, arrays):
    for iterator, other in zip(flows(pets, table, arrays), flows(pets, table, arrays), strict=True):
        order = list(range(len(iterator))) * 4
        with ThreadPoolExecutor(8) as pool:
            fetched = list(pool.map(other.__getitem__, order))
        assert_same(fetched, epoch(iterator) * 4)


def test_next_gives_the_batches_of_one_epoch_after_the_other(pets, table, arrays):
    for iterator, other in zip(flows(pets, table, arrays), flows(pets, table, arrays), strict=True):
        assert_same([next(other) for _ in range(2 * len(other))], two_epochs(iterator))


def test_seed_decides_and_epochs_differ(pets, table, arrays):
    for iterator, other in zip(
        flows(pets, table, arrays), flows(pets, table, arrays, seed=6), strict=True
    ):
        batches = two_epochs(iterator)
        first, second = batches[: len(iterator)], batches[len(iterator) :]
        assert not np.array_equal(first[0][0], second[0][0])
        assert not np.array_equal(first[0][0], other[0][0])


def test_reset_starts_the_same_epoch_again(pets, table, arrays):
    for iterator in flows(pets, table, arrays):
        for _ in range(len(iterator)):
            next(iterator)
        second = [next(iterator) for _ in range(3)]
        iterator.reset()
        assert_same([next(iterator) for _ in range(3)], second)


def test_every_epoch_has_every_image_once(pets):
    iterator = Generator().flow_from_directory(pets, target_size=(20, 26), batch_size=4, seed=0)
    plain = Generator().flow_from_directory(pets, target_size=(20, 26), shuffle=False)
    everything = sorted(image.tobytes() for image in plain[0][0])
    orders = []
    for _ in range(2):
        orders.append([image.tobytes() for images, _ in epoch(iterator) for image in images])
        iterator.on_epoch_end()
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == everything


@pytest.mark.parametrize("seed", [None, 5])
def test_numpy_s_global_state_is_left_alone_by_batches(pets, table, arrays, seed):
    for iterator in flows(pets, table, arrays, seed):
        np.random.seed(0)
        before = np.random.get_state()[1].copy(), np.random.get_state()[2]
        two_epochs(iterator)
        next(iterator)
        np.testing.assert_array_equal(np.random.get_state()[1], before[0])
        assert np.random.get_state()[2] == before[1]


def test_set_random_seed_governs_iterators_without_a_seed(pets, table, arrays):
    runs = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        runs.append([iterator[0] for iterator in flows(pets, table, arrays, None)])
    assert_same(runs[0], runs[1])
    for batch, other in zip(runs[0], runs[2], strict=True):
        assert not np.array_equal(batch[0], other[0])


def seen_by_fit(iterator, epochs=2, **options):
    """The batches that `fit` hands a model, and which epochs of the iterator it takes them from."""
    seen, taken = [], []

    class Recorder(keras.Model):
        def train_step(self, data):
            seen.append(flat(data))
            return {"loss": 0.0}

    model = Recorder()
    model.compile(run_eagerly=True)
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: taken.append(iterator.epoch)
    )
    model.fit(iterator, epochs=epochs, verbose=0, callbacks=[note], **options)
    return seen, taken


def of_epochs(iterator, numbers):
    batches = []
    for iterator.epoch in numbers:
        batches += epoch(iterator)
    return batches


@pytest.mark.parametrize("workers", [0, 1, 2, 8])
def test_fit_sees_the_same_batches_with_any_number_of_workers(pets, table, arrays, workers):
    for iterator, other in zip(flows(pets, table, arrays), flows(pets, table, arrays), strict=True):
        iterator.workers = workers
        seen, taken = seen_by_fit(iterator, shuffle=False)
        assert taken == [taken[0], taken[0] + 1]
        assert_same(seen, of_epochs(other, taken))


def test_fit_with_its_own_shuffling_sees_the_same_batches_in_another_order(pets, table, arrays):
    iterator, other = (flows(pets, table, arrays)[0] for _ in range(2))
    iterator.workers = 2
    seen, taken = seen_by_fit(iterator, epochs=1)
    assert sorted(images.tobytes() for images, _ in seen) == sorted(
        images.tobytes() for images, _ in of_epochs(other, taken)
    )


# Scripts for Keras's class


def head(units, activation, loss, size=8):
    """A small network of 3 * size**2 inputs, compiled."""
    inputs = keras.Input((size, size, 3))
    outputs = keras.layers.Dense(units, activation)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss)
    return model


HEADS = {
    "categorical": (3, "softmax", "categorical_crossentropy"),
    "sparse": (3, "softmax", "sparse_categorical_crossentropy"),
    "binary": (1, "sigmoid", "binary_crossentropy"),
}


@pytest.mark.parametrize("class_mode", HEADS)
def test_script_for_keras_s_class_ends_with_keras_s_losses(pets, class_mode):
    def script(kind):
        keras.utils.set_random_seed(3)
        generator = kind(rescale=1 / 255)
        options = {
            "target_size": (8, 8),
            "batch_size": 4,
            "class_mode": class_mode,
            "classes": ["cat", "dog"] if class_mode == "binary" else None,
            "shuffle": False,
            "interpolation": "bilinear",
        }
        training = generator.flow_from_directory(pets, **options)
        validation = generator.flow_from_directory(pets, **options)
        model = head(*HEADS[class_mode])
        history = model.fit(
            training,
            steps_per_epoch=len(training),
            epochs=2,
            validation_data=validation,
            validation_steps=len(validation),
            verbose=0,
        ).history
        validation.reset()
        predictions = model.predict(validation, verbose=0)
        assert len(predictions) == len(validation.filenames)
        return history["loss"] + history["val_loss"] + [model.evaluate(validation, verbose=0)]

    np.testing.assert_allclose(script(Generator), script(KerasGenerator), rtol=1e-5)


def test_autoencoder_trains_on_class_mode_input(pets):
    iterator = Generator(rescale=1 / 255).flow_from_directory(
        pets, target_size=(8, 8), class_mode="input"
    )
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    model.compile("sgd", "mse")
    losses = model.fit(iterator, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_class_mode_none_feeds_predict(pets):
    iterator = Generator().flow_from_directory(
        pets, target_size=(8, 8), class_mode=None, shuffle=False, batch_size=4
    )
    model = head(3, "softmax", "categorical_crossentropy")
    predictions = model.predict(iterator, verbose=0)
    everything = np.concatenate(epoch(iterator))
    np.testing.assert_allclose(predictions, model.predict(everything, verbose=0), atol=1e-5)


def test_dataframe_with_several_outputs_trains(pets, table):
    iterator = Generator(rescale=1 / 255).flow_from_dataframe(
        table, pets, y_col=["age", "size"], class_mode="multi_output", target_size=(8, 8)
    )
    inputs = keras.Input((8, 8, 3))
    flattened = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(1)(flattened) for _ in range(2)])
    model.compile("sgd", ["mse", "mae"])
    assert len(model.fit(iterator, epochs=2, verbose=0).history["loss"]) == 2
    assert type(next(iterator)[1]) is list  # as in Keras, whose `fit` refuses it


def test_dataframe_with_weights_trains(pets, table):
    iterator = Generator(rescale=1 / 255).flow_from_dataframe(
        table, pets, y_col="age", class_mode="raw", weight_col="weight", target_size=(8, 8)
    )
    losses = head(1, None, "mse").fit(iterator, epochs=2, verbose=0).history["loss"]
    assert len(losses) == 2


def test_arrays_with_another_input_and_weights_train(arrays):
    images, labels = arrays
    iterator = Generator(rescale=1 / 255, **AUGMENTED).flow(
        (images, labels[:, None] * 1.0), labels, sample_weight=np.ones(19), batch_size=4
    )
    pixels, misc = keras.Input((20, 26, 3)), keras.Input((1,))
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(pixels), misc])
    model = keras.Model([pixels, misc], keras.layers.Dense(3, "softmax")(joined))
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert len(model.fit(iterator, epochs=2, verbose=0).history["loss"]) == 2


def test_arrays_with_another_input_predict(arrays):
    images, labels = arrays
    iterator = Generator().flow((images, labels[:, None] * 1.0), batch_size=4, shuffle=False)
    pixels, misc = keras.Input((20, 26, 3)), keras.Input((1,))
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(pixels), misc])
    model = keras.Model([pixels, misc], keras.layers.Dense(3, "softmax")(joined))
    expected = model.predict([images, labels[:, None] * 1.0], verbose=0)
    np.testing.assert_allclose(model.predict(iterator, verbose=0), expected, atol=1e-5)
    assert type(next(iterator)) is list


# Forms of batches


def test_save_to_dir_keeps_every_image_as_it_was_yielded(pets, tmp_path):
    iterator = Generator(**AUGMENTED).flow_from_directory(
        pets,
        target_size=(8, 10),
        shuffle=False,
        seed=0,
        save_to_dir=tmp_path / "made",
        save_prefix="pet",
        save_format="png",
    )
    images, _ = iterator[0]
    files = {path.name.split("_")[1]: path for path in (tmp_path / "made").iterdir()}
    assert set(files) == {str(number) for number in range(19)}
    for number, path in files.items():
        assert path.name.startswith("pet_")
        expected = keras.utils.array_to_img(images[int(number)])
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(expected))


def test_save_to_dir_writes_the_same_files_for_the_same_batch(arrays, tmp_path):
    iterator = Generator(**AUGMENTED).flow(arrays[0], save_to_dir=tmp_path, batch_size=19, seed=0)
    iterator[0]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 19
    iterator[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_uint8_pixels_stay_eight_bits(pets, table, arrays):
    options = {"target_size": (12, 12), "seed": 0, "class_mode": "sparse"}
    small, large = Generator(dtype="uint8", **AUGMENTED), Generator(**AUGMENTED)
    for flow in (
        lambda kind: kind.flow_from_directory(pets, **options),
        lambda kind: kind.flow_from_dataframe(table, pets, **options),
        lambda kind: kind.flow(*arrays, seed=0),
    ):
        images, labels = flow(small)[0]
        expected, expected_labels = flow(large)[0]
        assert images.dtype == np.uint8
        assert np.abs(images.astype(float) - expected).max() <= 3
        np.testing.assert_array_equal(labels, expected_labels)


def test_uint8_pixels_leave_labels_their_range(tmp_path):
    for number in range(300):
        write(tmp_path / f"{number:03}" / "a.png", 0)
    iterator = Generator(dtype="uint8").flow_from_directory(
        tmp_path, target_size=(2, 2), class_mode="sparse", batch_size=300, shuffle=False
    )
    assert iterator[0][1].tolist() == list(range(300))


def test_channels_first_is_the_same_batch_with_its_axes_moved(pets):
    options = {"target_size": (10, 14), "seed": 0}
    last, first = (
        Generator(data_format=data_format, **AUGMENTED).flow_from_directory(pets, **options)[0]
        for data_format in ("channels_last", "channels_first")
    )
    assert first[0].shape == (19, 3, 10, 14)
    np.testing.assert_array_equal(np.moveaxis(first[0], 1, 3), last[0])
    np.testing.assert_array_equal(first[1], last[1])


def test_constant_fill_has_the_value_asked_for():
    image = np.full((1, 20, 20, 3), 100.0, "float32")
    generator = Generator(width_shift_range=[10], fill_mode="constant", cval=7.0)
    shifted = generator.flow(image, seed=0)[0]
    assert set(np.unique(shifted)) == {7.0, 100.0}


@pytest.mark.parametrize("option", [("brightness_range", (0.3, 0.6)), ("channel_shift_range", 50)])
def test_brightness_and_channel_shift_alone_are_applied(option):
    images = np.stack([smooth(12, 12, seed=seed) for seed in range(6)]).astype("float32")
    name, value = option
    changed = Generator(**{name: value}).flow(images, shuffle=False, seed=0)[0]
    for image, plain in zip(changed, images, strict=True):
        assert np.abs(image - plain).max() > 1
        if name == "brightness_range":
            inside = image[plain > 0] / plain[plain > 0]
            assert inside.min() >= 0.29
            assert inside.max() <= 0.61
            np.testing.assert_allclose(inside, inside.mean(), rtol=1e-4)
        else:
            assert image.min() >= plain.min()
            assert image.max() <= plain.max()
