"""What the tests share: a folder of easy images, and a place of their own to train in."""

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes share a GPU
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each process has one core: more would spin
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import forked  # noqa: E402 the project is found first
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from foldernet import rooms  # noqa: E402
from foldernet.datasets.folders import class_images  # noqa: E402
from foldernet.datasets.image_list import ImageList  # noqa: E402

STRIPES = {"across": (0, 4), "down": (4, 0), "plain": (0, 0)}  # class -> waves along (y, x)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder and a cache of its own; warnings are left to pytest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    return tmp_path


@pytest.fixture(autouse=True)
def short_training(request, monkeypatch):
    """Trainings are of one convolution in place of three, draw no figures and end with their
    scores: a third of the time. What is about the rest is marked `whole_training`; `trained`, and
    programs in processes of their own, are whole, too."""
    if not request.node.get_closest_marker("whole_training"):
        from one_convolution import one_convolution

        from foldernet.networks import simpleconv3

        left_out = {"draw_batches", "draw_result", "finish"}
        short = {name: [*{*has} - left_out] for name, has in rooms.PACKAGES.items()}
        monkeypatch.setattr(rooms, "PACKAGES", short)
        monkeypatch.setattr(simpleconv3, "simpleconv3", one_convolution)


def scan(folder, follow_links=True) -> ImageList:
    """The images in the class folders of a folder."""
    return ImageList.of_classes(folder, class_images(folder, follow_links))


def stripes(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Write noisy stripes: class folders of 32x32 PNGs that a small network can tell apart."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] / 32
    for name, count in counts.items():
        waves_y, waves_x = STRIPES[name]
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            phase = random.uniform(0, 2 * np.pi)
            wave = np.sin(2 * np.pi * (waves_y * y + waves_x * x) + phase)
            pixels = 128 + 80 * wave[..., None] + random.normal(0, 20, (32, 32, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / name / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="session")
def fresh():
    """What starts Python in a process of its own, with TensorFlow and Keras imported."""
    server = forked.Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def stripes_folder(tmp_path_factory) -> Path:
    """train/ with 40 and val/ with 10 images of each of three classes."""
    folder = tmp_path_factory.mktemp("stripes")
    stripes(folder / "train", dict.fromkeys(STRIPES, 40), seed=0)
    stripes(folder / "val", dict.fromkeys(STRIPES, 10), seed=1)
    return folder


@pytest.fixture(scope="session")
def trained(stripes_folder, tmp_path_factory):
    """A working folder with one run, `first`, that `train.py` left there."""
    import train

    place = tmp_path_factory.mktemp("trained")
    before = Path.cwd()
    os.chdir(place)
    try:
        status = train.main(
            f"{stripes_folder} --name first --epochs 6 --image-size 24 --batch-size 16"
            " --no-horizontal-flip".split()
        )
    finally:
        os.chdir(before)
    assert status == 0
    return place


@pytest.fixture(scope="session")
def browser():
    """Chromium, where there is one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="requirements-dev.txt has it")
    own = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as started:
        path = own or started.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("there is no Chromium: playwright install chromium")
        switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = started.chromium.launch(executable_path=path, args=switches)
        yield opened
        opened.close()
