"""Every knob once: a dataclass whose fields carry their reason, and the command line made of it.

Nothing here imports more than the standard library, so that `--help` and a mistyped flag answer at
once.
"""

import argparse
import dataclasses
import difflib
import types
import typing
from collections.abc import Callable
from pathlib import Path

from foldernet.terminal import UserError


def knob(
    default,
    reason,
    *,
    choices=None,
    at_least=None,
    at_most=None,
    metavar=None,
    aliases=(),
    positional=None,
    by_mode=None,
    only=None,
    on_resume=False,
):
    """A dataclass field that carries its reason, its range, and what users of other tools type.

    Args:
        positional: argparse's `nargs` of a positional argument; None makes it an option.
        choices: what may be typed; a default needn't be among them.
        by_mode: mode -> the default there, where it differs.
        only: the mode that the knob belongs to; in another it is refused.
        on_resume: whether a run that is resumed may be given another value.
    """
    metadata = {
        "reason": reason,
        "positional": positional,
        "choices": choices,
        "at_least": at_least,
        "at_most": at_most,
        "metavar": metavar,
        "aliases": aliases,
        "by_mode": by_mode or {},
        "only": only,
        "on_resume": on_resume,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Augmentation of the training images, drawn anew for each image in each epoch, under the names
    of Keras's ImageDataGenerator. Validation images are never changed. All zero turns it off."""

    rotation_range: float = knob(8.0, "turn by up to so many degrees", at_least=0, at_most=180)
    width_shift_range: float = knob(
        0.05, "move sideways by up to this share of the width", at_least=0
    )
    height_shift_range: float = knob(
        0.05, "move up or down by up to this share of the height", at_least=0
    )
    shear_range: float = knob(8.0, "slant by up to so many degrees", at_least=0, at_most=60)
    zoom_range: float = knob(
        0.1, "scale each side by 1 minus to 1 plus this", at_least=0, at_most=0.9
    )
    horizontal_flip: bool = knob(
        True, "mirror every other image; switch it off where left and right differ, as in writing"
    )
    vertical_flip: bool = knob(False, "turn every other image upside down, as in aerial pictures")
    brightness_range: tuple[float, float] | None = knob(
        None, "multiply the pixels by a factor between these two", metavar=("LOW", "HIGH")
    )
    channel_shift_range: float = knob(
        0.0, "add up to so many grey levels to or from an image", at_least=0, at_most=255
    )
    fill_mode: str = knob(
        "nearest",
        "what comes in from beyond the border",
        choices=("nearest", "reflect", "wrap", "constant"),
    )


@dataclasses.dataclass(frozen=True)
class Blur:
    """What --mode blur learns: the one filter that turns images into their blurred versions. DATA
    is then any folder of photographs; without it, the eight that come with the project."""

    kernel: str = knob(
        "gaussian",
        "what blurs the photographs: gaussian, motion, disk, or a file, an image or .npy",
        metavar="KERNEL",
    )
    sigma: float = knob(7.0, "pixels, of gaussian", at_least=0.1, at_most=100)
    length: float = knob(21.0, "pixels, of motion", at_least=0.1, at_most=500)
    angle: float = knob(
        30.0, "degrees, of motion, counter-clockwise from the rows", at_least=-360, at_most=360
    )
    radius: float = knob(8.5, "pixels, of disk", at_least=0.1, at_most=250)
    noise: float = knob(
        0.0,
        "standard deviation of the noise in the blurred images, as a share of their range; 0.01 is"
        " a camera in dim light",
        at_least=0,
        at_most=1,
    )
    bits: int = knob(
        0,
        "of the blurred images' values, as 8 in a camera's file; 0 doesn't round",
        at_least=0,
        at_most=16,
    )
    pairs: tuple[Path, Path] | None = knob(
        None,
        "two folders with the same file names, sharp and blurred, instead of DATA and a kernel",
        metavar=("SHARP", "BLURRED"),
    )
    crops: int = knob(
        512, "drawn anew in each epoch; more of them average out noise", at_least=1, metavar="N"
    )
    kernel_size: int | None = knob(
        None,
        "pixels a side of the filter, odd; by default half as large again as the kernel, or, with"
        " --pairs, as what a first estimate covers",
        at_least=1,
        at_most=1023,
    )
    init: str = knob(
        "zeros",
        "where the filter starts; noise stays for ever where the images have no power",
        choices=("zeros", "glorot_uniform"),
    )
    loss: str = knob(
        "whitened",
        "squared error, divided by the images' power at each frequency; or left as it is",
        choices=("whitened", "mse"),
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a Keras network on a folder of images, one folder for each class."""

    data: Path | None = knob(
        None,
        "folder that holds train/ and val/ (test/ too, if you like), or the class folders"
        " themselves, of which a part is then kept for validation; without it, the animals that"
        " come with the project",
        metavar="DATA",
        positional="?",
        on_resume=True,
    )
    mode: str = knob("classify", "what is learnt", choices=("classify", "blur"))
    model: str = knob(
        "simpleconv3",
        "the network",
        choices=("simpleconv3",),
        by_mode={"blur": "single_filter"},
        only="classify",
    )
    name: str | None = knob(
        None,
        "of the run's folders in models/ and logs/; by default mode, model and time",
        on_resume=True,
    )
    resume: bool = knob(
        False,
        "go on with the newest unfinished run, or the one that --name names, as if it had never"
        " been interrupted; all it needs to know it knows, and --epochs may ask for more",
        on_resume=True,
    )
    state_minutes: float = knob(
        1.0,
        "of training that a power cut costs at most; a signal or Ctrl-C costs none",
        at_least=0,
        on_resume=True,
    )
    seed: int = knob(0, "of everything random; the same seed gives the same run", at_least=0)

    image_size: int = knob(
        48,
        "pixels a side that images are resized to, or in blur mode cropped to; twice the size costs"
        " four times the work",
        at_least=8,
        at_most=4096,
        aliases=("--imgsz", "--img-size"),
        by_mode={"blur": 256},
    )
    color_mode: str = knob("rgb", "colour or grey", choices=("rgb", "grayscale"), only="classify")
    validation_split: float = knob(
        0.2,
        "share of every class kept for validation where there is no val/, chosen by a hash of each"
        " image's content, so that adding images moves none",
        at_least=0.01,
        at_most=0.9,
    )
    cache: str = knob(
        "auto",
        "where images are kept once they are decoded: on disk for the next run, and in memory if"
        " they fit in a quarter of what is free (auto); in memory or on disk alone; or nowhere",
        choices=("auto", "memory", "disk", "off"),
        on_resume=True,
    )
    strict: bool = knob(
        False,
        "stop, before training, if an image can't be read or should be left out; check.py names"
        " them",
        on_resume=True,
    )
    workers: int = knob(
        1,
        "batches prepared at a time; each uses all cores already, so that more are seldom faster;"
        " never changes results",
        at_least=0,
        on_resume=True,
    )

    epochs: int = knob(
        25, "passes over the training images", at_least=1, by_mode={"blur": 6}, on_resume=True
    )
    batch_size: int | None = knob(
        None,
        "images in a step; by default 16 to 128, such that an epoch has twenty steps or so",
        at_least=1,
        aliases=("--batch", "-b"),
        by_mode={"blur": 8},
    )
    optimizer: str | None = knob(
        "adamw",
        "how weights follow gradients; in blur mode by default momentum, its step measured from"
        " the images",
        choices=("adamw", "adam", "sgd", "rmsprop"),
        by_mode={"blur": None},
    )
    learning_rate: float | None = knob(
        None,
        "size of a step, at its highest; by default 0.003 at 128 images a step, and in proportion"
        " to the root of those; in blur mode of an --optimizer that is named",
        at_least=0,
        aliases=("--lr", "--lr0"),
        by_mode={"blur": 1e-3},
    )
    weight_decay: float = knob(
        0.05, "pulls weights to zero; 0 is off", at_least=0, by_mode={"blur": 0.0}
    )
    schedule: str = knob(
        "cosine",
        "of the learning rate: cosine rises in the first twelfth of the steps and falls to zero;"
        " step divides by ten after half and three quarters of the epochs",
        choices=("cosine", "step", "constant"),
        by_mode={"blur": "constant"},
    )
    label_smoothing: float = knob(
        0.1,
        "probability taken from the true class, against overconfidence",
        at_least=0,
        at_most=0.9,
        only="classify",
    )
    class_weights: str = knob(
        "none",
        "balanced lets an image of a rare class count for more, so that all classes weigh the same",
        choices=("none", "balanced"),
        only="classify",
    )
    early_stopping: int = knob(
        0,
        "stop after so many epochs without a better validation loss; 0 never stops",
        at_least=0,
        on_resume=True,
    )
    weights: Path | None = knob(
        None,
        "start from the weights in this .keras, .weights.h5 or .h5 file: each layer whose name and"
        " shapes match",
        metavar="FILE",
    )
    freeze: tuple[str, ...] = knob(
        (),
        "leave layers of this name pattern as they are ('conv*'); may be given again",
        metavar="PATTERN",
    )

    augmentation: Augmentation = dataclasses.field(
        default_factory=Augmentation, metadata={"only": "classify"}
    )
    blur: Blur = dataclasses.field(default_factory=Blur, metadata={"only": "blur"})

    def __post_init__(self):
        for part in (self, self.augmentation, self.blur):
            _check(part)

    def settled(self, images: int) -> "Config":
        """This config with the batch size and learning rate that suit so many training images.

        Large batches use the cores better, and a small set needs its steps. The step may grow with
        the root of the batch, as the noise of a gradient falls with it.
        """
        batch_size = self.batch_size
        if batch_size is None:
            batch_size = next((size for size in (128, 64, 32) if images >= 20 * size), 16)
        rate = 0.003 * (batch_size / 128) ** 0.5
        rate = rate if self.learning_rate is None else self.learning_rate
        return dataclasses.replace(self, batch_size=batch_size, learning_rate=rate)


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """Name what is on pictures, with the newest classifier that was trained, or another; or blur
    them, with a --run of the blur mode."""

    paths: tuple[str, ...] = knob(
        (),
        "pictures, folders of pictures, or patterns ('*.jpg')",
        metavar="PATH",
        positional="+",
    )
    run: str | None = knob(
        None,
        "a run's name or folder, or a .keras file of one; by default the newest classifier in"
        " models/",
    )
    top: int = knob(3, "classes to name for each picture, the most probable first", at_least=1)
    json: Path | None = knob(
        None, "write the predictions to this file, as JSON; - is standard output", metavar="FILE"
    )
    csv: Path | None = knob(
        None, "write the predictions to this file, as CSV; - is standard output", metavar="FILE"
    )

    def __post_init__(self):
        _check(self)


def _of_training(name: str) -> dataclasses.Field:
    """The same knob as train.py's."""
    field = Config.__dataclass_fields__[name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Read every image of a folder as train.py does, and report what is wrong with them. What is
    found goes to quarantine.csv in that folder, which train.py obeys; no image is touched. The exit
    status is 1 if any should be left out."""

    data: Path | None = _of_training("data")
    mode: str = _of_training("mode")
    validation_split: float = _of_training("validation_split")
    strict: bool = knob(False, "make it an error if an image should be left out")

    blur: typing.ClassVar[Blur] = Blur()  # of pairs, each folder is checked by itself
    cache: typing.ClassVar[str] = "disk"  # for train.py, and for the next time; nothing stays here

    def __post_init__(self):
        _check(self)


def _check(config) -> None:
    """Raise UserError for the first field whose value is outside the range that it states."""
    for field in _knobs(type(config)):
        value, knob = getattr(config, field.name), field.metadata
        low, high, choices = knob["at_least"], knob["at_most"], knob["choices"]
        if value is None:
            continue
        if choices and value not in (*choices, *knob["by_mode"].values()):
            raise UserError(f"{_flag(field)} {value} is not one of {', '.join(choices)}.")
        if low is not None and not value >= low:
            raise UserError(f"{_flag(field)} {value} is too small; it must be at least {low}.")
        if high is not None and not value <= high:
            raise UserError(f"{_flag(field)} {value} is too large; it must be at most {high}.")


def parse(
    owner: type,
    usage: str,
    arguments: list[str] | None = None,
    earlier: Callable[[dict], dict] = lambda typed: {},
):
    """Make a config of command-line arguments.

    Args:
        owner: the dataclass, `Config` or `PredictConfig`; a field that is a dataclass itself
            becomes a group of options with its docstring above.
        usage: how the command is typed.
        arguments: this program's own, if None.
        earlier: takes what was typed, by field name, and returns what an earlier run was given,
            which stands in for what wasn't typed.

    Raises:
        UserError: an unknown flag, with the nearest known one, or a value outside its range.
        SystemExit: after `--help`.
    """
    parser = _Parser(
        description=owner.__doc__,
        usage=usage,
        epilog="README.md tells what comes of it.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34),
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="show this and leave")
    _add_arguments(parser, owner)
    groups = [field for field in dataclasses.fields(owner) if dataclasses.is_dataclass(field.type)]
    for group in groups:
        _add_arguments(parser.add_argument_group(group.name, group.type.__doc__), group.type)
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise UserError(_unknown_argument(unknown[0], parser))
    given = {name: value for name, value in vars(given).items() if value is not None}
    given = earlier(given) | given
    mode = given.get("mode", getattr(owner, "mode", None))
    parts = {group.name: _made(group.type, given, mode, group.metadata["only"]) for group in groups}
    return _made(owner, given, mode, None, **parts)


def from_json(owner: type, stored: dict) -> dict:
    """The values of a config that was written as JSON, by field name, as if they had been typed.

    Args:
        owner: the dataclass that was written.
        stored: what `dataclasses.asdict` made of it, read back.

    Raises:
        UserError: another version of this program wrote it.
    """
    values, mode = {}, stored["mode"]
    for field in dataclasses.fields(owner):
        if field.name not in stored or field.metadata["only"] not in (None, mode):
            continue
        value = stored[field.name]
        if dataclasses.is_dataclass(field.type):
            values |= from_json(field.type, value | {"mode": mode})
        elif value is not None:
            values[field.name] = _of_type(_without_none(field.type), value)
    unknown = set(stored) - {field.name for field in dataclasses.fields(owner)} - {"mode"}
    if unknown:
        raise UserError(
            f"The run was made by another version, with settings unknown here:"
            f" {', '.join(sorted(unknown))}. Resume it with that version, or start a new run."
        )
    return values


def _of_type(kind, value):
    """What `kind` was before JSON made text of a path and a list of a tuple."""
    if typing.get_origin(kind) is tuple:
        return tuple(_of_type(typing.get_args(kind)[0], item) for item in value)
    return Path(value) if kind is Path else value


def changed_on_resume(given: dict, stored: dict) -> list[str]:
    """Flags that were typed for a run that is resumed, and that would change it: `--seed 1 (it was
    0)`. Both are by field name; of those in `stored`, None were left to their default."""
    fields = {field.name: field for field in _all_knobs(Config)}
    return [
        f"{_flag(fields[name])} {value} (it was {stored.get(name, 'not given')})"
        for name, value in given.items()
        if not fields[name].metadata["on_resume"] and stored.get(name) != value
    ]


def _all_knobs(owner: type) -> list[dataclasses.Field]:
    """Those of the groups, too."""
    groups = [field for field in dataclasses.fields(owner) if dataclasses.is_dataclass(field.type)]
    return [*_knobs(owner), *(knob for group in groups for knob in _knobs(group.type))]


def _made(owner: type, given: dict, mode: str | None, only: str | None, **parts):
    """An `owner` of what was typed and, for the rest, the mode's defaults.

    Args:
        only: the mode that all of its knobs belong to, or None.
        parts: fields that are made already.
    """
    values = {}
    for field in _knobs(owner):
        home = only or field.metadata["only"]
        if field.name in given and home not in (None, mode):
            raise UserError(f"{_flag(field)} is for --mode {home}, and this is --mode {mode}.")
        default = field.metadata["by_mode"].get(mode, field.default)
        values[field.name] = given.get(field.name, default)
    return owner(**values, **parts)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message}. --help lists every option.")


class _Append(argparse.Action):
    """Collects repeated values in a tuple (argparse's own append wants a list for a default)."""

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, (*getattr(namespace, self.dest, ()), value))


def _knobs(owner: type) -> list[dataclasses.Field]:
    return [
        field for field in dataclasses.fields(owner) if not dataclasses.is_dataclass(field.type)
    ]


def _flag(field: dataclasses.Field) -> str:
    if field.metadata["positional"]:
        return field.metadata["metavar"]
    return "--" + field.name.replace("_", "-")


def _add_arguments(parser, owner: type) -> None:
    """Add an argument for each knob of the dataclass `owner`."""
    for field in _knobs(owner):
        knob = field.metadata
        kind = _without_none(field.type)
        quiet = field.default in (None, ()) or kind is bool  # argparse shows --x and --no-x
        elsewhere = [
            f", in {mode} mode {value}" for mode, value in knob["by_mode"].items() if value
        ]
        default = "" if quiet else f" (default: {field.default}{''.join(elsewhere)})"
        options = {"help": (knob["reason"] + default).replace("%", "%%")}
        if knob["positional"]:
            of = str if typing.get_origin(kind) is tuple else kind
            options |= {"nargs": knob["positional"], "type": of, "metavar": knob["metavar"]}
            parser.add_argument(field.name, default=field.default, **options)
            continue
        options["default"] = argparse.SUPPRESS  # what wasn't typed depends on the mode
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif kind == tuple[str, ...]:
            options |= {"action": _Append, "metavar": knob["metavar"]}
        elif typing.get_origin(kind) is tuple:
            of, *others = typing.get_args(kind)
            options |= {"nargs": 1 + len(others), "type": of, "metavar": knob["metavar"]}
        elif knob["choices"]:
            options |= {"type": kind, "choices": knob["choices"]}
        else:
            options |= {
                "type": kind,
                "metavar": knob["metavar"] or {int: "N", float: "X"}.get(kind, "TEXT"),
            }
        parser.add_argument(_flag(field), **options)
        if knob["aliases"]:
            hidden = options | {"help": argparse.SUPPRESS, "dest": field.name}
            parser.add_argument(*knob["aliases"], **hidden)


def _without_none(kind):
    """`X` for `X | None`."""
    if isinstance(kind, types.UnionType):
        return next(inner for inner in typing.get_args(kind) if inner is not types.NoneType)
    return kind


def _unknown_argument(argument: str, parser: argparse.ArgumentParser) -> str:
    if not argument.startswith("-"):
        return f"'{argument}' is one folder too many; quote a name that has spaces."
    flag = argument.split("=")[0]
    known = [text for action in parser._actions for text in action.option_strings]
    near = difflib.get_close_matches(flag, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ". --help lists every option."
    return f"There is no option {flag}{hint}"
