"""The rows that photographs want, and the presets of --augment."""

from typing import Any, Literal

from foldernet import augmentations
from foldernet.augmentations import AugmentationOptions, Row
from foldernet.option_types import Range
from foldernet.photo_augmentation import boxes, colors, mixing, trivial

ONLY_WITH = AugmentationOptions
ROWS = (
    Row("brightness_range", tuple[float, float] | None, None, None, Range(0),
        "Multiply the pixels by a factor between these two.",
        colors.draw_brightness, {"brightness": colors.multiply}),
    Row("color_jitter", float, 0.0, 0, Range(0, 1),
        "Maximum change of brightness, contrast and saturation, and of hue by a tenth of it: 0.4 is"
        " 0.6 to 1.4 of each, and 0.04 of the color wheel.", colors.draw_jitter,
        in_place={"color_jitter": colors.jitter}),
    Row("trivial_augment", bool, False, False, Range(),
        "Change each image in one of fourteen ways, a little or very much, as TrivialAugment does.",
        trivial.draw, maps={"trivial": trivial.move}, in_place={"trivial": trivial.recolor}),
    Row("random_resized_crop", float, 1.0, 1, Range(0.05, 1),
        "Smallest share of an image's area that is cut out and enlarged to all of it, its aspect"
        " ratio changed by up to a third; 1 is off.", boxes.draw_crop, maps={"crop": boxes.crop}),
    Row("random_erasing", float, 0.0, 0, Range(0, 1),
        "Probability that a rectangle, a fiftieth to a third of the image, becomes its mean color.",
        boxes.draw_erased, in_place={"erased": boxes.erase}),
    Row("mixup", float, 0.0, 0, Range(0, 10),
        "Blend each image with another one, and their targets, by shares from Beta(MIXUP, MIXUP)."
        " The training accuracy then counts the class with the larger share.",
        mix=mixing.mix),
    Row("cutmix", float, 0.0, 0, Range(0, 10),
        "Paste a part of another image into each, and mix their targets by area, which is from"
        " Beta(CUTMIX, CUTMIX). Beside --mixup, each image has one of the two.",
        mix=mixing.mix),
)  # fmt: skip


class Options(augmentations.options_of(ROWS)):
    """Augmentation of photographs."""

    augment: Literal["none", "light", "strong"] = "light"
    """Preset of the augmentations that aren't given: none; light, which moves images a little; or
    strong, for photographs and long trainings: TrivialAugment, crops, erasing, MixUp, CutMix."""


def preset(given: dict[str, Any]) -> dict[str, Any]:
    """The options, by name, that `--augment` stands for; none where it isn't given."""
    rows = (*augmentations.ROWS, *ROWS)
    off = {row.name: row.off for row in rows} | {"zoom_range": 0.0}  # Keras's off is a list
    strong = {"horizontal_flip": True, "trivial_augment": True, "random_resized_crop": 0.35}
    strong |= {"random_erasing": 0.1, "mixup": 0.2, "cutmix": 1.0}
    light = {row.name: row.default for row in rows}
    return {"none": off, "light": light, "strong": off | strong}.get(given.get("augment"), {})
