"""The options of --mode blur."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from foldernet.option_types import MAY_CHANGE_ON_RESUME, Range, shown_as
from foldernet.options import TrainOptions


class BlurOptions(TrainOptions):
    """Learn the one filter that turns images into their blurred versions."""

    data: Annotated[Positional[Path | None], shown_as("[DATA]"), MAY_CHANGE_ON_RESUME] = None
    """Folder of photographs at any depth, perhaps in train/ and val/. By default, the eight that
    come with the project."""

    image_size: Annotated[int, Range(8, 4096), arg(aliases=["--imgsz", "--img-size"])] = 256
    """Pixels per side of the crops."""

    epochs: Annotated[int, Range(1), MAY_CHANGE_ON_RESUME] = 6
    """Passes over the crops."""

    batch_size: Annotated[int, Range(1), arg(aliases=["--batch", "-b"])] = 8
    """Crops per step."""

    optimizer: Annotated[
        Literal["adamw", "adam", "sgd", "rmsprop"] | None, shown_as("OPTIMIZER")
    ] = None
    """Optimizer: adamw, adam, sgd or rmsprop. By default momentum with a step that is measured from
    the images."""

    learning_rate: Annotated[float, Range(0), arg(aliases=["--lr", "--lr0"])] = 1e-3
    """Highest learning rate of an --optimizer that is named."""

    weight_decay: Annotated[float, Range(0)] = 0.0
    """Weight decay; 0 is off."""

    schedule: Literal["cosine", "step", "constant"] = "constant"
    """Learning-rate schedule of an --optimizer that is named."""

    kernel: Annotated[str, arg(metavar="KERNEL")] = "gaussian"
    """What blurs the photographs: gaussian, motion, disk, or a file, an image or .npy."""

    sigma: Annotated[float, Range(0.1, 100)] = 7.0
    """Standard deviation of gaussian in pixels."""

    length: Annotated[float, Range(0.1, 500)] = 21.0
    """Length of motion in pixels."""

    angle: Annotated[float, Range(-360, 360)] = 30.0
    """Angle of motion in degrees, counterclockwise from the rows."""

    radius: Annotated[float, Range(0.1, 250)] = 8.5
    """Radius of disk in pixels."""

    noise: Annotated[float, Range(0, 1)] = 0.0
    """Standard deviation of the noise in the blurred images, as a share of their range; 0.01 is a
    camera in dim light."""

    bits: Annotated[int, Range(0, 16)] = 0
    """Bits of the blurred images' values, 8 in a camera's file; 0 doesn't round."""

    pairs: Annotated[tuple[Path, Path] | None, shown_as("SHARP BLURRED")] = None
    """Two folders with the same file names, sharp and blurred, instead of DATA and a kernel."""

    crops: Annotated[int, Range(1)] = 512
    """Crops drawn in each epoch; more of them average out noise."""

    kernel_size: Annotated[int | None, Range(1, 1023), shown_as("INT")] = None
    """Pixels per side of the filter, odd. By default half as large again as the kernel or, with
    --pairs, as what a first estimate covers."""

    init: Literal["zeros", "glorot_uniform"] = "zeros"
    """Where the filter starts. Noise stays forever where the images have no power."""

    loss: Literal["whitened", "mse"] = "whitened"
    """Squared error, divided by the images' power at each frequency; or as it is."""
