"""A dataset of color photographs that no backbone has seen: the stamps of Tux Paint.

    apt-get download tuxpaint-stamps-default && dpkg-deb -x tuxpaint-stamps-default_*.deb stamps
    python benchmarks/stamps.py stamps/usr/share/tuxpaint/stamps OUT
    python benchmarks/photographs.py --data OUT

A class is a folder of stamps with at least 20 photographs in color. What counts as one is a PNG that
has more than 300 opaque colors that differ from gray by more than 12 levels on average, and isn't
another's mirror image. Every fourth, by name, is for validation. The stamps are under the GPL, so
nothing of them is in the project.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

FEWEST, COLORS, SATURATION, OPAQUE = 20, 300, 12, 200
HELD_OUT = 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("stamps", type=Path)
    options.add_argument("out", type=Path, help="folder that is made, with train/ and val/")
    options = options.parse_args()
    options.out.mkdir(parents=True)
    for folder in sorted(path for path in options.stamps.iterdir() if path.is_dir()):
        found = [path for path in sorted(folder.rglob("*.png")) if is_photograph(path)]
        for at, path in enumerate(found if len(found) >= FEWEST else ()):
            split = "train" if at % HELD_OUT else "val"
            name = "-".join(path.relative_to(folder).parts)
            to = options.out / split / folder.name / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


def is_photograph(path: Path) -> bool:
    if path.stem.endswith(("_mirror", "_flip")):
        return False
    pixels = np.asarray(Image.open(path).convert("RGBA")).reshape(-1, 4)
    colors = pixels[pixels[:, 3] > OPAQUE][:, :3]
    if len(np.unique(colors, axis=0)) <= COLORS:
        return False
    return np.ptp(colors, axis=1).mean() > SATURATION


if __name__ == "__main__":
    main()
