"""The promises of the folder scan: what is found, of which class, on which side, or why not."""

import itertools
import os
import shutil
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import scan
from PIL import Image

from foldernet import rooms, shipped
from foldernet.datasets import folders
from foldernet.datasets.folders import expand, find
from foldernet.datasets.image_list import ImageList, split_by_content
from foldernet.shipped import unpacked
from foldernet.terminal import UserError


def add(path, number=None):
    """Write a small image, of content `number` or one that follows from its name and folders."""
    if number is None:
        number = zlib.crc32("/".join(path.parts[-3:]).encode()) % 2**24
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), (number // 65536, number // 256 % 256, number % 256)).save(path)
    return path


def files(images):
    """Class -> the names of its images."""
    return {
        label: [images.names[position] for position in np.flatnonzero(images.labels == index)]
        for index, label in enumerate(images.classes)
    }


def add_classes(root, classes=("cat", "dog"), count=2):
    """Write `count` images for each class, and return `root`."""
    for label in classes:
        for number in range(count):
            add(root / label / f"{number}.png")
    return root


def many(root):
    """Two classes of 150 images of known content: enough for shares."""
    for number in range(300):
        add(root / ("cat", "dog")[number % 2] / f"{number}.png", 1000 + number)
    return root


def sides(root, validation_split=0.2):
    """Path relative to `root` -> split."""
    return {
        os.path.relpath(path, root): split
        for split, listing in find(root, validation_split).splits.items()
        for path in listing.paths
    }


def found(root):
    """As `find`, and what the checks say where nothing is found."""
    return rooms.find_dataset(rooms.task(rooms.options_class("classify")(data=root)))


def link(path, target):
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")


@pytest.fixture
def root(tmp_path):
    """An empty folder for data, apart from whatever else a test leaves behind."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


# Layouts


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_validation_folder_by_each_of_its_names(root, name):
    add_classes(root / "train", count=3)
    add_classes(root / name, count=1)
    dataset = find(root)
    assert dataset.classes == ("cat", "dog")
    assert {split: len(listing) for split, listing in dataset.splits.items()} == {
        "training": 6,
        "validation": 2,
    }
    assert dataset.splits["validation"].directory == str(root / name)
    assert files(dataset.splits["training"])["dog"] == [f"dog{os.sep}{n}.png" for n in range(3)]


def test_test_folder_is_a_third_split(root):
    for split in ("train", "val", "test"):
        add_classes(root / split)
    dataset = find(root)
    assert list(dataset.splits) == ["training", "validation", "test"]
    assert dataset.splits["test"].directory == str(root / "test")
    assert {tuple(files(listing)) for listing in dataset.splits.values()} == {("cat", "dog")}


def test_train_folder_alone_is_split_and_test_kept_apart(root):
    many(root / "train")
    add_classes(root / "test")
    dataset = find(root)
    assert len(dataset.splits["training"]) + len(dataset.splits["validation"]) == 300
    assert len(dataset.splits["validation"]) > 0
    assert len(dataset.splits["test"]) == 4


def test_classes_are_sorted_and_their_files_too(root):
    add_classes(root / "train", ("dog", "ant", "cat"), count=12)
    add_classes(root / "val", ("cat", "dog", "ant"))
    dataset = find(root)
    assert dataset.classes == ("ant", "cat", "dog")
    for listing in dataset.splits.values():
        assert list(files(listing)) == ["ant", "cat", "dog"]
        assert all(names == sorted(names) for names in files(listing).values())


def test_tilde_is_the_home_folder(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("USERPROFILE", str(root))
    many(root / "pets")
    assert find(Path("~/pets")).classes == ("cat", "dog")


# The split


def test_class_folders_alone_are_split_about_as_asked(root):
    many(root)
    for share in (0.2, 0.5):
        validation = find(root, share).splits["validation"]
        for names in files(validation).values():
            assert len(names) == pytest.approx(150 * share, abs=20)


def test_every_image_is_on_exactly_one_side(root):
    many(root)
    training, validation = find(root).splits.values()
    assert not set(training.paths) & set(validation.paths)
    assert sorted(training.paths + validation.paths) == sorted(map(str, root.glob("*/*.png")))


def test_adding_images_never_moves_one_between_splits(root):
    before = sides(many(root))
    for label in ("ape", "cat", "cow", "dog"):
        for number in range(100):
            add(root / label / f"added {number}.png")
    after = sides(root)
    assert len(after) == 700
    assert {path: after[path] for path in before} == before


def test_removing_images_never_moves_one_between_splits(root):
    before = sides(many(root))
    for number in range(0, 300, 3):
        next(root.glob(f"*/{number}.png")).unlink()
    after = sides(root)
    assert after == {path: before[path] for path in after}
    assert len(after) == 200


def test_renaming_images_never_moves_one_between_splits(root):
    before = sides(many(root / "pets"))
    renamed = {}
    for path in before:
        target = Path("deep", f"renamed {Path(path).stem}.PNG")
        renamed[str(Path(path).parent / target)] = before[path]
        (root / "pets" / path).parent.joinpath("deep").mkdir(exist_ok=True)
        (root / "pets" / path).rename((root / "pets" / path).parent / target)
    (root / "pets").rename(root / "elsewhere")
    assert sides(root / "elsewhere") == renamed


def test_exact_copies_are_on_one_side_even_in_other_classes(root):
    many(root)
    for path in list(root.glob("cat/*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
        shutil.copy(path, root / "dog" / f"cat {path.name}")
    found = sides(root)
    for path in (path for path in found if path.startswith("cat")):
        name = Path(path).name.removeprefix("copy of ")
        copies = (f"cat/{name}", f"cat/copy of {name}", f"dog/cat {name}")
        assert len({found[str(Path(copy))] for copy in copies}) == 1
    assert set(found.values()) == {"training", "validation"}


def test_larger_validation_split_only_moves_images_to_validation(root):
    many(root)
    small, large = sides(root, 0.2), sides(root, 0.4)
    moved = {(small[path], large[path]) for path in small if small[path] != large[path]}
    assert moved == {("training", "validation")}


def test_a_class_of_one_image_is_trained_on_and_named_as_not_validated(root, capsys):
    add(many(root) / "rare" / "0.png", 7)
    dataset = find(root, 0.9)
    assert len(files(dataset.splits["training"])["rare"]) == 1
    assert "no validation images of class rare" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_of_two_images_of_a_class_one_is_for_validation(root, share):
    for number in range(20):
        for image in range(2):
            add(root / f"class {number}" / f"{image}.png", 2 * number + image)
    for images in find(root, share).splits.values():
        assert np.all(images.counts == 1)


def test_equal_images_stay_on_one_side_in_a_class_of_two(root):
    for label in ("cat", "dog"):
        for number in range(2):
            add(root / label / f"{number}.png", 5)
    with pytest.raises(UserError, match=r"an image for validation\. Add images"):
        find(root)


# Names, links, and what is not an image


def test_nested_folders_belong_to_their_class(root):
    add_classes(root)
    add(root / "cat" / "tabby" / "young" / "a.png")
    add(root / "cat" / "siamese" / "b.png")
    names = files(scan(root))["cat"]
    assert names == [
        os.path.join("cat", *parts)
        for parts in (("0.png",), ("1.png",), ("siamese", "b.png"), ("tabby", "young", "a.png"))
    ]


def test_spaces_and_unicode_in_names(root):
    classes = ("black cat", "Ünïcödé 猫", "🐶 [dog] *")
    add_classes(root / "train", classes)
    add_classes(root / "val", classes)
    dataset = find(root)
    composed = {unicodedata.normalize("NFC", label) for label in classes}
    assert set(dataset.classes) == composed
    assert all(os.path.exists(path) for split in dataset.splits.values() for path in split.paths)


def test_composed_and_decomposed_folder_names_are_one_class(root):
    composed = unicodedata.normalize("NFC", "épagneul")
    decomposed = unicodedata.normalize("NFD", "épagneul")
    assert composed != decomposed
    add_classes(root / "train", (composed, "cat"))
    add_classes(root / "val", (decomposed, "cat"))
    dataset = find(root)
    assert dataset.classes == ("cat", composed)
    assert len(files(dataset.splits["validation"])[composed]) == 2
    assert all(os.path.exists(path) for path in dataset.splits["validation"].paths)


def test_composed_and_decomposed_folders_side_by_side_are_joined(root):
    composed, decomposed = (unicodedata.normalize(form, "épagneul") for form in ("NFC", "NFD"))
    add_classes(root, (composed, decomposed, "cat"))
    if len(list(root.iterdir())) == 2:
        pytest.skip("this file system takes the two for one")
    assert {label: len(names) for label, names in files(scan(root)).items()} == {
        "cat": 2,
        composed: 4,
    }


def test_class_order_does_not_depend_on_how_the_file_system_spells_names(root):
    composed = unicodedata.normalize("NFC", "épagneul")
    for form in ("NFC", "NFD"):
        add_classes(root / form, (unicodedata.normalize(form, composed), "cat", "wolf"))
        assert list(files(scan(root / form))) == ["cat", "wolf", composed]


def test_extensions_in_upper_case(root):
    for name in ("a.PNG", "b.Png", "c.png"):
        add(root / "cat" / name)
    assert len(scan(root)) == 3


def test_every_extension_is_listed_and_no_other(root):
    for extension in (*folders.IMAGE_EXTENSIONS, ".txt", ".xml", ".db", ".jpg.part", ""):
        (root / "cat").mkdir(exist_ok=True)
        (root / "cat" / f"image{extension}").touch()
    found = {os.path.splitext(name)[1] for name in files(scan(root))["cat"]}
    assert found == {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".gif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif"),
        *((".heic", ".heif", ".hif") if find_spec("pillow_heif") else ()),
    }


def test_hidden_files_and_folders_are_passed_over(root):
    add_classes(root)
    add(root / "cat" / ".hidden.png")
    add(root / "cat" / "._0.png")
    add(root / "cat" / ".thumbnails" / "a.png")
    add(root / ".cache" / "a.png")
    assert {label: len(names) for label, names in files(scan(root)).items()} == {"cat": 2, "dog": 2}


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "__MACOSX", ".ipynb_checkpoints"]
)
def test_the_folders_of_systems_are_no_classes(root, name):
    add_classes(root)
    for folder in (root / name, root / "cat" / name):
        add(folder / "a.png")
    assert {label: len(names) for label, names in files(scan(root)).items()} == {"cat": 2, "dog": 2}


def test_our_own_runs_are_no_classes_and_folders_of_their_names_may_be(root):
    add_classes(root, ("models", "logs"))
    assert scan(root).classes == ("logs", "models")
    add(root / "logs" / "run" / "figures.png")
    (root / "models" / "run").mkdir()
    (root / "models" / "run" / ".lock").touch()
    (root / "logs" / "run" / "train").mkdir()
    (root / "logs" / "run" / "train" / "events.out.tfevents.1.v2").touch()
    assert scan(root).classes == ()


def test_a_folder_that_cannot_be_listed_does_not_stop_the_rest(root, monkeypatch, capsys):
    add_classes(root)
    add(root / "cat" / "locked" / "a.png")
    list_folder = os.scandir

    def refused(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert len(scan(root)) == 4
    assert "locked' can't be listed (Permission denied), and is passed over" in (
        capsys.readouterr().err
    )


def test_macosx_folders_are_passed_over(root):
    add_classes(root)
    add(root / "__MACOSX" / "cat" / "a.png")
    add(root / "cat" / "__MACOSX" / "a.png")
    assert {label: len(names) for label, names in files(scan(root)).items()} == {"cat": 2, "dog": 2}


def test_files_beside_the_class_folders_are_no_class(root):
    many(root)
    (root / "labels.csv").write_text("name,class")
    add(root / "overview.png")
    assert find(root).classes == ("cat", "dog")


def test_linked_folders_and_files_are_followed(root):
    add_classes(root / "elsewhere", ("wolf",), count=3)
    add(root / "elsewhere" / "one.png")
    add_classes(root / "data")
    link(root / "data" / "wolf", root / "elsewhere" / "wolf")
    link(root / "data" / "dog" / "wild", root / "elsewhere" / "wolf")
    link(root / "data" / "cat" / "linked.png", root / "elsewhere" / "one.png")
    found = files(scan(root / "data"))
    assert {label: len(names) for label, names in found.items()} == {"cat": 3, "dog": 5, "wolf": 3}
    apart = files(scan(root / "data", follow_links=False))
    assert len(apart["dog"]) == 2


def test_linked_data_set_is_followed(root):
    many(root / "real")
    link(root / "linked", root / "real")
    assert find(root / "linked").classes == ("cat", "dog")


def test_link_that_loops_neither_hangs_nor_repeats_an_image(root):
    add_classes(root)
    add(root / "cat" / "tabby" / "a.png")
    link(root / "cat" / "tabby" / "again", root / "cat")
    link(root / "cat" / "itself", root / "cat" / "itself")
    link(root / "cat" / "itself.png", root / "cat" / "itself.png")
    link(root / "round", root / "round")
    assert {label: len(names) for label, names in files(scan(root)).items()} == {"cat": 3, "dog": 2}


@pytest.mark.parametrize("target", ["pets", "pets/train"])
def test_link_to_a_folder_above_does_not_give_a_class_the_images_of_others(root, target):
    add_classes(root / "pets" / "train")
    link(root / "pets" / "train" / "cat" / "above", root / target)
    found = files(scan(root / "pets" / "train"))
    assert {label: len(names) for label, names in found.items()} == {"cat": 2, "dog": 2}


def test_broken_links_are_passed_over(root):
    add_classes(root)
    link(root / "cat" / "gone.png", root / "nowhere.png")
    link(root / "cat" / "gone", root / "nowhere")
    link(root / "gone", root / "nowhere")
    assert list(files(scan(root))) == ["cat", "dog"]
    assert len(scan(root)) == 4


def test_folder_that_ends_like_an_image_is_a_folder(root):
    add_classes(root)
    add(root / "cat" / "album.jpg" / "a.png")
    assert os.path.join("cat", "album.jpg", "a.png") in files(scan(root))["cat"]
    assert len(scan(root)) == 5


def test_listing_without_some_images_keeps_its_classes(root):
    listing = scan(add_classes(root))
    rest = listing.take(np.array([False, False, True, True]))
    assert files(rest) == {"cat": [], "dog": [os.path.join("dog", f"{n}.png") for n in range(2)]}
    assert rest.paths == [str(root / "dog" / "0.png"), str(root / "dog" / "1.png")]
    assert len(listing) == 4


# Mistakes


def test_empty_class_is_left_out_with_a_warning_that_names_it(root, capsys):
    many(root)
    (root / "unicorn").mkdir()
    (root / "yeti").mkdir()
    (root / "yeti" / "notes.txt").touch()
    assert find(root).classes == ("cat", "dog")
    assert "warning: no images in class unicorn, yeti; left out" in capsys.readouterr().err


def test_complete_data_set_is_found_without_a_word(root, capsys):
    add_classes(root / "train")
    add_classes(root / "val")
    find(root)
    assert capsys.readouterr() == ("", "")


def test_one_class_only_is_an_error_that_names_it(root):
    add_classes(root, ("cat",))
    with pytest.raises(UserError, match=r"too few classes: cat\. .* at least two"):
        find(root)


def test_folder_one_level_too_high_is_told_the_one_below(root):
    add_classes(root / "pets")
    with pytest.raises(UserError, match=r"Perhaps you meant '.*pets'"):
        found(root)


def test_no_images_is_an_error_that_tells_what_is_there(root):
    (root / "cat").mkdir()
    for name in ("a.txt", "b.txt", "c.nef"):
        (root / "cat" / name).touch()
    with pytest.raises(UserError, match=r"No class folders with .*, but 2 \.txt, 1 \.nef\."):
        found(root)


def test_empty_folder_is_an_error_that_tells_what_was_expected(root):
    with pytest.raises(UserError, match=r"images in '.*', but nothing\. .* <class>/\*\.jpg, or "):
        found(root)


def test_images_without_class_folders_are_an_error_with_the_mend(root):
    add(root / "a.png")
    add(root / "b.PNG")
    with pytest.raises(UserError, match=r"No class folders with images in .*, but 2 \.png"):
        found(root)


def test_file_instead_of_a_folder_is_an_error(root):
    with pytest.raises(UserError, match=r"no folder '.*a\.png'\. Name one that holds"):
        find(add(root / "a.png"))


def test_missing_folder_is_an_error(root):
    with pytest.raises(UserError, match=r"There is no folder '.*nowhere'\. Name one that"):
        find(root / "nowhere")


@pytest.mark.parametrize(("folder", "split"), [("val", "validation"), ("test", "test")])
def test_class_that_training_lacks_is_an_error_that_names_it(root, folder, split):
    for part in ("train", "val", "test"):
        add_classes(root / part)
    add(root / folder / "wolf" / "a.png")
    with pytest.raises(UserError, match=f"The {split} split has classes that training lacks: wolf"):
        find(root)


def test_empty_class_folder_that_training_lacks_is_no_error(root):
    add_classes(root / "train")
    add_classes(root / "val")
    (root / "val" / "wolf").mkdir()
    assert list(files(find(root).splits["validation"])) == ["cat", "dog"]


@pytest.mark.parametrize(("folder", "split"), [("val", "validation"), ("test", "test")])
def test_class_that_another_split_lacks_is_a_warning_that_names_it(root, capsys, folder, split):
    for part in ("train", "val", "test"):
        add_classes(root / part, ("ant", "bee", "cat"))
    shutil.rmtree(root / folder / "bee")
    listing = find(root).splits[split]
    assert list(files(listing)) == ["ant", "bee", "cat"]
    assert files(listing)["bee"] == []
    assert f"warning: no {split} images of class bee" in capsys.readouterr().err


def test_two_validation_folders_are_an_error_that_names_both(root):
    for part in ("train", "val", "valid"):
        add_classes(root / part)
    with pytest.raises(UserError, match="has val, valid, and only one of them can be"):
        find(root)


@pytest.mark.parametrize("there", ["cat", "0.png"])
def test_validation_without_images_in_class_folders_is_an_error(root, there):
    add_classes(root / "train")
    add(root / "val/0.png") if there == "0.png" else (root / "val" / there).mkdir(parents=True)
    with pytest.raises(UserError, match=r"No class folder of '.*val' .* class folders in val/"):
        find(root)


def test_file_that_is_gone_still_has_a_side(root):
    listing = ImageList(str(root), ["gone.png"], np.zeros(1, int), ("cat",))
    split = split_by_content(listing, 0.5)
    assert sum(map(len, split.values())) == 1


# What a user names for prediction


def test_image_paths_takes_files_folders_and_patterns_in_their_order(root, monkeypatch):
    monkeypatch.chdir(root)
    add_classes(Path("pets"), ("cat", "dog"))
    add(Path("z.png"))
    add(Path("a.png"))
    Path("pets", "cat", "notes.txt").touch()
    found, missing = expand(["z.png", "pets", "*.png"])
    inside = [
        os.path.join("pets", *parts)
        for parts in itertools.product(("cat", "dog"), ("0.png", "1.png"))
    ]
    assert found == ["z.png", *inside, "a.png"]
    assert missing == []


def test_image_paths_knows_double_stars(root):
    add(root / "a" / "b" / "deep.png")
    add(root / "top.png")
    found, missing = expand([str(root / "**" / "*.png")])
    assert found == [str(root / "a" / "b" / "deep.png"), str(root / "top.png")]
    assert missing == []


def test_image_paths_takes_a_named_file_whatever_its_extension(root):
    odd = root / "picture.dat"
    odd.touch()
    assert expand([str(odd)]) == ([str(odd)], [])


def test_image_paths_takes_a_name_with_pattern_letters_literally(root):
    path = add(root / "a[1].png")
    add(root / "a1.png")
    assert expand([str(path)]) == ([str(path)], [])


def test_image_paths_tells_what_was_not_found(root):
    (root / "empty").mkdir()
    image = str(add(root / "a.png"))
    lost = [str(root / name) for name in ("empty", "gone.png", "*.jpg")]
    assert expand([lost[0], image, *lost[1:]]) == ([image], lost)


def test_image_paths_names_each_image_once(root):
    image = str(add(root / "a.png"))
    assert expand([image, str(root), str(root / "*")]) == ([image], [])


# The set that ships


@pytest.fixture
def archive(root):
    """An animals.zip with animals/train and animals/val."""
    add_classes(root / "source" / "animals" / "train")
    add_classes(root / "source" / "animals" / "val")
    (root / "data").mkdir()
    path = root / "data" / "animals.zip"
    with zipfile.ZipFile(path, "w") as members:
        for file in sorted((root / "source").rglob("*.png")):
            members.write(file, file.relative_to(root / "source"))
    return path


def test_a_shipped_set_says_so_and_is_unpacked_once(archive, capsys):
    folder = unpacked(archive, archive.parent)
    assert folder == archive.parent / "animals"
    assert len(list(folder.rglob("*.png"))) == 8
    assert "Unpacking animals.zip to" in capsys.readouterr().err
    (folder / "train" / "cat" / "0.png").unlink()
    assert unpacked(archive, archive.parent) == folder
    assert len(list(folder.rglob("*.png"))) == 7
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in archive.parent.iterdir()) == ["animals", "animals.zip"]


@pytest.mark.parametrize(
    ("where", "expected"), [("CHECKOUT", "root/data/animals"), ("INSTALLED", "data/animals")]
)
def test_no_folder_named_is_the_set_that_ships(archive, monkeypatch, tmp_path, where, expected):
    monkeypatch.setattr(shipped, "CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setattr(shipped, where, archive.parent)
    dataset = rooms.task(rooms.options_class("classify")()).find_dataset()
    assert dataset.root.resolve() == tmp_path / expected
    assert {split: len(listing) for split, listing in dataset.splits.items()} == {
        "training": 4,
        "validation": 4,
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("No space left on device")])
def test_unpacking_leaves_nothing_half_done(archive, monkeypatch, error):
    def interrupted(archive, path):
        with zipfile.ZipFile(archive) as members:
            members.extract(members.namelist()[0], path)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "unpack_archive", interrupted)
        with pytest.raises(error if isinstance(error, type) else type(error)):
            unpacked(archive, archive.parent)
    assert list(archive.parent.iterdir()) == [archive]
    assert len(list(unpacked(archive, archive.parent).rglob("*.png"))) == 8


def test_two_runs_that_unpack_at_once_unpack_once(archive, monkeypatch):
    plain, others = shutil.unpack_archive, []

    def meanwhile_another(archive, path):
        plain(archive, path)
        monkeypatch.setattr(shutil, "unpack_archive", plain)
        others.append(unpacked(archive, Path(archive).parent))

    monkeypatch.setattr(shutil, "unpack_archive", meanwhile_another)
    assert len(list(unpacked(archive, archive.parent).rglob("*.png"))) == 8
    assert len(others) == 1
    assert sorted(path.name for path in archive.parent.iterdir()) == ["animals", "animals.zip"]


@pytest.mark.parametrize(
    ("training", "validation", "test"),
    [
        ("Training", "Validation", "Testing"),
        ("train", "dev", "eval"),
        ("TRAIN", "Valid", "evaluation"),
        ("pets_train", "pets-val", "pets test"),
        ("train2017", "val2017", "test2017"),
        ("training_set", "validation_set", "test_set"),
    ],
)
def test_splits_are_known_by_their_common_names(root, training, validation, test):
    for name in (training, validation, test):
        add_classes(root / name)
    directories = {split: images.directory for split, images in find(root).splits.items()}
    assert directories == {
        "training": str(root / training),
        "validation": str(root / validation),
        "test": str(root / test),
    }


def test_classes_that_sound_like_splits_are_classes(root):
    add_classes(root, ("train", "bus", "test_tube", "valid", "invalid"))
    assert find(root).classes == ("bus", "invalid", "test_tube", "train", "valid")


def test_a_split_inside_of_itself_is_told_the_folder_to_name(root):
    add_classes(root / "train" / "train")
    with pytest.raises(UserError, match=r"Perhaps you meant '.*root/train'"):
        found(root)
    assert find(root / "train").classes == ("cat", "dog")


def test_names_of_a_zip_from_windows_get_the_command_that_mends_them(root):
    for label in ("cat", "dog"):
        for number in range(4):
            add(root / f"{label}\\{number}.png", number)
    with pytest.raises(UserError, match="hold backslashes") as caught:
        found(root)
    command = str(caught.value).partition("of them: ")[2].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True)
    assert find(root).classes == ("cat", "dog")


def test_split_folders_may_be_capitalized(tmp_path):
    for split in ("Train", "VAL"):
        for name in ("a", "b"):
            add(tmp_path / "set" / split / name / "1.png")
    dataset = find(tmp_path / "set")
    assert dataset.classes == ("a", "b")
    assert set(dataset.splits) == {"training", "validation"}


def test_a_test_folder_without_train_is_no_class(tmp_path):
    for path in ("a/1.png", "b/1.png", "test/a/1.png"):
        add(tmp_path / "set" / path)
    with pytest.raises(UserError, match="has test/ but no train/"):
        find(tmp_path / "set")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    add(tmp_path / "set/a/1.png")
    add(tmp_path / "set/b/1.png")

    def refused(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(UserError, match=r"can.t be listed .Permission denied."):
        find(tmp_path / "set")
