"""The tables of modes and optional packages: take out a line and its folder, and the rest works."""

import pkgutil
from types import ModuleType
from typing import Annotated, Literal

from tyro.conf import arg

from foldernet.augmentations import ROWS, AugmentationOptions
from foldernet.datasets.image_list import Dataset
from foldernet.option_types import BaseOptions, converted
from foldernet.options import PredictOptions, TrainOptions
from foldernet.tasks.task import Task
from foldernet.terminal import UserError, listed

# Mode -> its `foldernet.tasks.task.Task`, as module:class.
TASKS = {
    "classify": "foldernet.tasks.classify:Classify",
    "blur": "foldernet.blur.task:Blur",
}
# Optional package's module -> what it has of the following. Of several modules that have the same,
# the order is that of their lines.
#
#   Options: a class of the options that it adds to train.py, with ONLY_WITH in modes alone whose
#       options are of that class; a module with pass_on adds its own to predict.py
#   folder(name) -> path of an image set that ships, for modes where the user names no folder
#
# Before TensorFlow is imported:
#   earlier_options(given) -> options of an earlier run, for those that aren't given
#   ROWS: augmentations, of `foldernet.augmentations.Row`, drawn after those that there are
#   preset(given) -> options, by name, that stand in for defaults where these are given, of modes
#       that augment
#   SESSION: what surrounds `fit`, in place of `foldernet.training.session.Session`
#   explain(options, error): raises a more helpful UserError than that there are no images
#   exclude(options, dataset) -> Dataset
#   choose(options, dataset) -> options, with what they leave open
#
# Then, in the order of a training:
#   examine(options, dataset, batches) -> Dataset, and (name, text) pairs for the terminal
#   prepare(options, network, batches), before it is compiled -> (name, text) pairs
#   add_stages(stages) -> `foldernet.training.session.Stage`s, and (name, text) pairs
#   adapt(session, task, stages) -> options; it may replace `task.compile_arguments`
#   draw_batches(task, dataset, batches, run), before the first epoch
#   draw_result(task, dataset, batches, model, run), of the best model
#   finish(task, dataset, batches, model, run, scores) -> more scores, after the report
#
# In prediction:
#   opened(path) -> what acts like the network of `foldernet.inference.predictor`, or None
#   extend(predictor), with what else it can be asked
#   pass_on(options, predictor, results) -> those that are left for the terminal
PACKAGES = {
    "foldernet.shipped": ["folder"],
    "foldernet.checks.before_training": ["Options", "explain", "exclude", "examine", "prepare"],
    "foldernet.checks.levels": ["choose"],
    "foldernet.transfer.prepare": ["Options", "prepare"],
    "foldernet.pretrained.choice": ["Options", "choose", "add_stages"],
    "foldernet.recipe.adapt": ["Options", "choose", "adapt"],
    "foldernet.resume.session": ["Options", "earlier_options", "SESSION"],
    "foldernet.photo_augmentation.rows": ["Options", "ROWS", "preset"],
    "foldernet.figures.classifier": ["draw_batches", "draw_result"],
    "foldernet.analysis.trust": ["finish"],
    "foldernet.analysis.html_report": ["finish"],
    "foldernet.export.onnx_file": ["finish", "opened"],
    "foldernet.analysis.unknown": ["extend"],
    "foldernet.interchange.memory": ["extend"],
    "foldernet.analysis.answers": ["pass_on"],
    "foldernet.checks.options": ["pass_on"],
    "foldernet.interchange.writers": ["pass_on"],
}
# `foldernet NAME` -> the function that it runs, as module:function.
COMMANDS = {
    "train": "foldernet.commands:train",
    "predict": "foldernet.commands:predict",
    "check": "foldernet.checks.command:check",
    "evaluate": "foldernet.analysis.command:evaluate",
    "export": "foldernet.export.command:export",
    "serve": "foldernet.serving.command:serve",
}
# What `import foldernet` offers besides -> its module.
EXPORTS = {
    "ImageDataGenerator": "foldernet.drop_in.generator",
    "load": "foldernet.predict",
    "BlurDataGenerator": "foldernet.blur.pairs",
    "estimate_kernel": "foldernet.blur.reference",
}


def task_class(mode: str) -> type[Task]:
    """The class of a mode; TensorFlow isn't imported for it.

    Raises:
        UserError: an unknown mode.
    """
    if mode not in TASKS:
        raise UserError(f"There is no --mode '{mode}'. Choose from {listed(TASKS)}.")
    return pkgutil.resolve_name(TASKS[mode])


def task(options: TrainOptions) -> Task:
    """The task of a training."""
    made = task_class(options.mode)(options)
    for package in packages("folder"):
        made.shipped = package.folder
    return made


def find_dataset(task: Task) -> Dataset:
    """The images of a task.

    Raises:
        UserError: they are missing, or not as the mode needs them.
    """
    try:
        return task.find_dataset()
    except UserError as error:
        for package in packages("explain"):
            package.explain(task.options, error)
        raise


def packages(having: str) -> list[ModuleType]:
    """The modules of optional packages that have something of this name; others aren't imported."""
    return [pkgutil.resolve_name(name) for name, names in PACKAGES.items() if having in names]


def options_class(mode: str) -> type[TrainOptions]:
    """The options of a training in a mode: the mode's own, and those of optional packages."""
    return with_options(task_class(mode).Options, packages("Options"))


def options_and_defaults(given: dict) -> tuple[type[TrainOptions], dict]:
    """The options of a training of which these are given, by name, and what stands in for their
    defaults: the options of an earlier run, and those of presets."""
    earlier = {}
    for package in packages("earlier_options"):
        earlier |= package.earlier_options(given)
    Options = options_class(given.get("mode") or earlier.get("mode", "classify"))
    for package in packages("preset") if issubclass(Options, AugmentationOptions) else ():
        earlier |= package.preset(given)
    return Options, converted(Options, earlier)


def predict_options() -> type[PredictOptions]:
    """The options of predict.py, and those of optional packages."""
    return with_options(PredictOptions, packages("pass_on"))


def with_options(own: type[BaseOptions], adding: list[ModuleType]) -> type:
    """Options with those of packages, and with a --mode, if there is one, that lists the modes."""
    # Last in the help come the options of the first base.
    added = [each.Options for each in adding if issubclass(own, getattr(each, "ONLY_WITH", own))]
    namespace = {"__doc__": own.__doc__, "__module__": own.__module__}
    if hasattr(own, "mode"):
        mode = Annotated[Literal[*TASKS], arg(help="What is learned.")]
        namespace |= {"__annotations__": {"mode": mode}, "mode": own.mode}
    return type(own.__name__, (*added, own), namespace)


def modes_with(option: str) -> list[str]:
    """The modes that have an option of this name."""
    return [mode for mode in TASKS if option in options_class(mode).__dataclass_fields__]


ROWS.extend(row for package in packages("ROWS") for row in package.ROWS)
