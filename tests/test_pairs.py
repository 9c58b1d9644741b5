"""Pairs of images, and what else scripts for Keras's generator rely on: nothing is mixed up in
silence."""

import re
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from keras.src.legacy.preprocessing import image as keras_image
from PIL import Image

import foldernet
from foldernet.blur import kernels
from foldernet.blur.pairs import BlurDataGenerator
from foldernet.images.reader import ImageError

KerasGenerator = keras_image.ImageDataGenerator
Generator = foldernet.ImageDataGenerator
ALONE = {"class_mode": None, "target_size": (8, 8), "batch_size": 3, "seed": 4}


@pytest.fixture
def pairs(tmp_path):
    """images/ with two classes of four different pictures, and masks/ with their negatives."""
    random = np.random.default_rng(0)
    for number in range(8):
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        for folder, shown in (("images", pixels), ("masks", 255 - pixels)):
            path = tmp_path / folder / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shown).save(path)
    return tmp_path


def by_folder(folder, **options):
    return Generator(validation_split=0.25).flow_from_directory(folder, **ALONE, **options)


def by_table(folder, **options):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    table = pd.DataFrame({"filename": names})
    return Generator(validation_split=0.25).flow_from_dataframe(table, folder, **ALONE, **options)


def epoch(iterator):
    return np.concatenate([iterator[index] for index in range(len(iterator))])


def same_indices(ours, theirs):
    assert ours.class_indices == theirs.class_indices
    assert ours.filenames == theirs.filenames
    np.testing.assert_array_equal(ours.classes, theirs.classes)
    assert ours.samples == theirs.samples


@pytest.mark.parametrize("subset", [None, "training"])
@pytest.mark.parametrize("damaged", ["images", "masks"])
@pytest.mark.parametrize("flow", [by_folder, by_table])
def test_a_damaged_file_of_a_pair_stops_by_name_and_without_both_the_pairs_are_right(
    pairs, flow, damaged, subset
):
    path = pairs / damaged / "b" / "5.png"
    path.write_text("not an image")
    other = "masks" if damaged == "images" else "images"
    epoch(flow(pairs / other, subset=subset))
    told = re.escape(str(path)) + ": not an image .*remove it, and .* of a pair, the other one too"
    with pytest.raises(ImageError, match=told):
        epoch(flow(pairs / damaged, subset=subset))
    for folder in ("images", "masks"):
        (pairs / folder / "b" / "5.png").unlink()
    images, masks = (epoch(flow(pairs / name, subset=subset)) for name in ("images", "masks"))
    np.testing.assert_array_equal(images, 255 - masks)


def test_a_damaged_file_is_never_given_the_prediction_of_another(pairs):
    (pairs / "images" / "a" / "2.png").write_text("not an image")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ImageError, match=r"2\.png"):
        model.predict(by_folder(pairs / "images", shuffle=False), verbose=0)


def test_an_image_with_a_label_is_still_stood_in_for(pairs):
    (pairs / "images" / "a" / "2.png").write_text("not an image")
    for class_mode in ("sparse", "input"):
        options = ALONE | {"class_mode": class_mode}
        iterator = Generator().flow_from_directory(pairs / "images", **options)
        with pytest.warns(UserWarning, match=r"2\.png.*another image takes its place"):
            assert sum(len(iterator[index][0]) for index in range(len(iterator))) == 8


def test_photographs_to_blur_are_read_in_pairs_and_go_on(pairs):
    (pairs / "images" / "a" / "2.png").write_text("not an image")
    generator = BlurDataGenerator(kernels.gaussian(3))
    options = {"target_size": (8, 8), "crops": 8, "batch_size": 8, "seed": 0}
    with pytest.warns(UserWarning, match=r"2\.png.*another image takes its place"):
        images, blurred = generator.flow_from_directory(pairs / "images", **options)[0]
    assert images.shape == blurred.shape == (8, 8, 8, 1)


def test_a_given_class_without_a_folder_has_no_images_as_in_keras(pairs):
    for classes in (["b", "missing"], ["missing", "a", "b"], ["missing"], (), []):
        options = {"classes": classes, "target_size": (8, 8), "shuffle": False}
        ours, theirs = (
            kind().flow_from_directory(pairs / "images", **options)
            for kind in (Generator, KerasGenerator)
        )
        same_indices(ours, theirs)
        for index in range(len(theirs)):
            for array, wanted in zip(ours[index], theirs[index], strict=True):
                np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_a_missing_file_moves_the_subsets_of_a_table_as_in_keras(pairs, subset):
    names = [f"{'ab'[number % 2]}/{number}.png" for number in (0, 1, 99, *range(2, 8))]
    table = pd.DataFrame({"filename": names, "class": [name[0] for name in names]})
    made = []
    for kind in (Generator, KerasGenerator):
        with pytest.warns(UserWarning, match="Found 1 invalid image filename"):
            made.append(
                kind(validation_split=0.3).flow_from_dataframe(
                    table, pairs / "images", subset=subset
                )
            )
    same_indices(*made)


def test_a_file_that_went_missing_is_named_in_both_subsets(pairs):
    iterators = {
        subset: by_folder(pairs / "images", subset=subset) for subset in ("training", "validation")
    }
    shutil.rmtree(pairs / "images")
    for iterator in iterators.values():
        with pytest.raises(ImageError, match=r"\.png: No such file"):
            iterator[0]


@pytest.mark.parametrize("class_mode", ["sparse", None])
@pytest.mark.parametrize("subset", ["training", "validation"])
def test_without_a_share_all_is_for_training_as_in_keras(pairs, subset, class_mode):
    ours, theirs = (
        kind().flow_from_directory(pairs / "images", subset=subset, class_mode=class_mode)
        for kind in (Generator, KerasGenerator)
    )
    same_indices(ours, theirs)
    assert ours.samples == (8 if subset == "training" else 0)


def test_a_class_that_one_subset_lacks_keeps_its_index_as_in_keras(pairs):
    for number in (0, 2, 4):
        (pairs / "images" / "a" / f"{number}.png").unlink()  # one is left
    for kind in (Generator, KerasGenerator):
        iterator = kind(validation_split=0.5).flow_from_directory(
            pairs / "images", subset="validation", target_size=(8, 8)
        )
        assert iterator.class_indices == {"a": 0, "b": 1}
        assert set(iterator.classes) == {1}
        assert iterator[0][1].shape[1] == 2


def test_where_results_differ_from_keras_s_the_docstring_says_why():
    told = " ".join(Generator.__doc__.split())
    for difference in (
        "With `class_mode=None` an `ImageError` names the file",
        "there is none without a generator",
        "Unicode's composed form",
    ):
        assert difference in told
