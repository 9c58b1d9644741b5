"""The options of training and prediction, once each; the command line is made of them."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from foldernet.augmentations import AugmentationOptions
from foldernet.option_types import MAY_CHANGE_ON_RESUME, BaseOptions, Range, shown_as
from foldernet.terminal import UserError

IMAGE_SIZE, EPOCHS = 48, 25  # where nothing suits a network better


class TrainOptions(BaseOptions):
    """Train a Keras network on a folder of images, one folder per class."""

    data: Annotated[Positional[Path | None], shown_as("[DATA]"), MAY_CHANGE_ON_RESUME] = None
    """Folder with train/ and val/ (and test/, if you like), or with the class folders themselves,
    of which a part is then kept for validation. By default, the animals that come with the
    project."""

    mode: str = "classify"
    """What is learned."""

    name: Annotated[str | None, shown_as("NAME"), MAY_CHANGE_ON_RESUME] = None
    """Run name, used for models/NAME and logs/NAME. By default mode, network and time."""

    seed: Annotated[int, Range(0)] = 0
    """Seed of everything random. The same seed gives the same run."""

    image_size: Annotated[int | None, Range(8, 4096), shown_as("", "--imgsz", "--img-size")] = None
    """Pixels per side that images are resized to. By default 48, or as a pretrained network is used
    to. Twice the size costs four times the work."""

    validation_split: Annotated[float, Range(0.01, 0.9)] = 0.2
    """Share of every class kept for validation where there is no val/, chosen by a hash of each
    image's content, so that adding images moves hardly any."""

    cache: Annotated[Literal["auto", "memory", "disk", "off"], MAY_CHANGE_ON_RESUME] = "auto"
    """Where decoded images are kept: on disk for the next run, and in memory if they fit in a
    quarter of what is free (auto); only in memory or on disk; or nowhere."""

    workers: Annotated[int, Range(0), MAY_CHANGE_ON_RESUME] = 1
    """Batches prepared at a time. Each uses all cores already, so that more are seldom faster; they
    never change results."""

    epochs: Annotated[int | None, Range(1), shown_as(), MAY_CHANGE_ON_RESUME] = None
    """Passes over the training images. By default 25, or fewer where a pretrained network needs no
    more."""

    batch_size: Annotated[int | None, Range(1), shown_as("", "--batch", "-b")] = None
    """Images per step. By default 16 to 128, so that an epoch has some twenty steps."""

    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    """Optimizer."""

    learning_rate: Annotated[float | None, Range(0), shown_as("RATE", "--lr", "--lr0")] = None
    """Highest learning rate. By default 0.003 at 128 images per step, scaled by the square root of
    the batch size."""

    weight_decay: Annotated[float, Range(0)] = 0.05
    """Weight decay; 0 is off."""

    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Learning-rate schedule: cosine warms up in the first twelfth of the steps and falls to zero;
    step divides by ten after half and three quarters of the epochs."""

    early_stopping: Annotated[int, Range(0), MAY_CHANGE_ON_RESUME] = 0
    """Stop after so many epochs without a better validation loss; 0 is off."""

    def with_defaults(self, images: int) -> "TrainOptions":
        """These options with what is left open; the batch size and learning rate suit so many
        training images.

        Large batches use the cores better, and a small dataset needs its steps. The learning rate
        grows with the square root of the batch size, as the noise of a gradient falls with it.
        """
        batch = self.batch_size or next((n for n in (128, 64, 32) if images >= 20 * n), 16)
        chosen = {"batch_size": batch, "learning_rate": 0.003 * (batch / 128) ** 0.5}
        chosen |= {"image_size": IMAGE_SIZE, "epochs": EPOCHS}
        unset = {name: value for name, value in chosen.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **unset)


class ClassifyOptions(AugmentationOptions, TrainOptions):
    """Train a Keras network on a folder of images, one folder per class."""

    model: str = "auto"
    """Network: one of foldernet/networks, perhaps with a variant (name:variant), as
    applications:ResNet50 of keras.applications, or the path of a .py file of your own. auto looks
    at the images: efficientnet_lite for photographs, else simpleconv3."""

    model_options: Annotated[UseAppendAction[tuple[str, ...]], shown_as("NAME=VALUE")] = ()
    """Argument of the network's function (repeatable)."""

    color_mode: Literal["rgb", "grayscale"] = "rgb"
    """Color or grayscale images."""

    background: Annotated[str, arg(metavar="COLOR")] = "white"
    """What lies behind transparent images: white, gray, black, a color as '#ff8800', or mean, the
    mean color of the training images where they are opaque. White icons are blank on white."""

    white_level: Annotated[int | None, Range(1, 65535), shown_as("INT")] = None
    """Value that becomes white, of images of 16 bits. By default, the lowest of 1023, 4095, 16383
    and 65535 that the training images don't exceed."""

    keep_aspect_ratio: bool = False
    """Cut images to a centered square instead of stretching them, in prediction too; what lies
    outside is never seen."""

    loss: Literal["crossentropy", "focal"] = "crossentropy"
    """focal lets images that are classified well already count for less, as suits rare classes."""

    label_smoothing: Annotated[float, Range(0, 0.9)] = 0.1
    """Probability taken from the true class, against overconfidence."""

    class_weights: Literal["none", "balanced"] = "none"
    """balanced lets images of rare classes count for more, so that all classes weigh the same."""


class PredictOptions(BaseOptions):
    """Say which class is on images, with the newest classifier that was trained or another; or blur
    them, with a --run of the blur mode."""

    paths: Annotated[Positional[tuple[str, ...]], shown_as("PATH [PATH ...]")] = ()
    """Images, folders of images, or patterns ('*.jpg')."""

    run: Annotated[str | None, shown_as("RUN")] = None
    """A run's name or folder, or a .keras file of one. By default the newest classifier in
    models/."""

    top: Annotated[int, Range(1)] = 3
    """Classes to name for each image, the most probable first."""

    def __post_init__(self):
        super().__post_init__()
        if not self.paths:
            raise UserError("No image is named. Give paths of images, folders, or patterns.")
