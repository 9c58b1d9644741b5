"""Figures of a run, each made once and shown twice, as a PNG in logs/<run>/ and in TensorBoard; and
names of classes and files in them, whatever their language and characters."""

import logging
from collections.abc import Sequence

import tensorflow as tf
from matplotlib import font_manager
from matplotlib.figure import Figure

from foldernet import terminal
from foldernet.training.runs import Run

DOTS_PER_INCH = 110
# Its warnings, of fonts that are a little lighter than asked for, are of no use to anyone.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
# Of every text with a name in it. Matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic,
# Arabic and Hebrew; `drawable` adds families for what else the names are written in. No name is
# markup.
STYLE = {"fontfamily": ["DejaVu Sans"], "parse_math": False, "usetex": False}


def show(run: Run, name: str, figure: Figure) -> None:
    """Write a figure as `name`.png, and as an image of that name in TensorBoard's events."""
    path = run.logs / f"{name}.png"
    figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")
    with tf.summary.create_file_writer(str(run.logs / "figures")).as_default():
        tf.summary.image(name, tf.io.decode_png(path.read_bytes(), channels=3)[None], step=0)


def drawable(names: Sequence[str], noun: str) -> list[str]:
    """Names as texts in `STYLE` can show them: `class 3`, of the noun and the position, is one
    whose characters no font of this system has."""
    names = list(map(terminal.printable, names))
    families = STYLE["fontfamily"]
    missing = set("".join(names)).difference(*map(_characters, families))
    if missing:  # opening every font takes a while
        fonts = {entry.name for entry in font_manager.fontManager.ttflist}
        # A font "of last resort" has a box for every character.
        found = {name: missing & _characters(name) for name in fonts if "Resort" not in name}
        for name in sorted(found, key=lambda name: (-len(found[name]), name)):
            if found[name] & missing:
                families.append(name)
                missing -= found[name]
    return [name if missing.isdisjoint(name) else f"{noun} {at}" for at, name in enumerate(names)]


def fitted(text: str, inches: float, **style) -> str:
    """`text`, shortened in the middle until it is no wider than that in this style."""
    drawn, kept = Figure(dpi=DOTS_PER_INCH).text(0, 0, text, **style), len(text)
    while kept > 1 and (width := drawn.get_window_extent().width / DOTS_PER_INCH) > inches:
        kept = min(kept - 1, int(kept * inches / width) + 2)  # one by one takes seconds
        drawn.set_text(f"{text[: -(-kept // 2)]}…{text[len(text) - kept // 2 :]}")
    return drawn.get_text()


def _characters(family: str) -> set[str]:
    """What the font that Matplotlib takes for a family has."""
    return set(map(chr, font_manager.get_font(font_manager.findfont(family)).get_charmap()))
