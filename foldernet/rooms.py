"""The tables of modes and optional packages: take out a line and its folder, and the rest works."""

import dataclasses
import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from foldernet.augmentations import ROWS, AugmentationOptions
from foldernet.option_types import Options, converted
from foldernet.options import PredictOptions, TrainOptions
from foldernet.terminal import UserError, listed
from foldernet.training import session

if TYPE_CHECKING:
    from foldernet.datasets.image_list import Dataset
    from foldernet.tasks.task import Task

# Mode -> module whose TASK is its `foldernet.tasks.task.Task`.
TASKS = {
    "classify": "foldernet.tasks.classify",
    "blur": "foldernet.blur.task",
}
# They draw what a person looks at:
#   show_batches(task, dataset, batches, log), before the first epoch
#   show_result(task, dataset, batches, model, log, run), of the best model
FIGURES = [
    "foldernet.figures.classifier",
]
# What a mode learns from where no folder is named: folder(name) of a set that ships.
SHIPPED = [
    "foldernet.shipped",
]
# The modules below may each have `Options`, a dataclass of the options that they add to a training,
# and ONLY_WITH, the class of options that they are added to; they are imported before TensorFlow.
#
# They look at the images before training:
#   explain(options, error), which raises a better UserError than that there are none, if it can
#   exclude(options, dataset) -> Dataset, before TensorFlow is imported
#   examine(options, dataset, batches) -> Dataset, and (name, text) pairs for the terminal
BEFORE_TRAINING = [
    "foldernet.checks.before_training",
]
# They choose what the options leave open, before TensorFlow is imported:
#   choose(options, dataset) -> options
CHOOSE_OPTIONS = [
    "foldernet.checks.levels",
    "foldernet.pretrained.choice",
    "foldernet.recipe.adapt",
]
# They change the network before it is compiled:
#   prepare(options, network, batches) -> (name, text) pairs for the terminal
PREPARE_NETWORK = [
    "foldernet.checks.environment",
    "foldernet.transfer.prepare",
]
# They train a part of the network before the whole:
#   split(stages) -> `foldernet.training.stage.Stage`s, and (name, text) pairs for the terminal
STAGES = [
    "foldernet.pretrained.stages",
]
# They add augmentations, to modes that have any:
#   ROWS: of `foldernet.augmentations.Row`, drawn after those that there are
#   preset(given) -> options, by name, that stand in for defaults where these are given
AUGMENTATIONS = [
    "foldernet.photo_augmentation.rows",
]
# They change how the network is trained, by what the task compiles it with:
#   adapt(session, task, stages) -> options
ADAPT_TRAINING = [
    "foldernet.recipe.adapt",
]
# What surrounds `fit`, in place of `foldernet.training.session`; of several, the first one counts:
#   earlier_options(given) -> options of an earlier run, for those that aren't given
#   SESSION: a subclass of `foldernet.training.session.Session`
AROUND_TRAINING = [
    "foldernet.resume.session",
]
# They come after the report of a training:
#   finish(task, dataset, batches, model, run, scores) -> more scores, of the best model
AFTER_TRAINING = [
    "foldernet.analysis.trust",
    "foldernet.analysis.html_report",
    "foldernet.export.onnx_file",
]
# They open a trained model without TensorFlow:
#   opened(path) -> what acts like the network of `foldernet.inference.predictor`, or None
ENGINES = [
    "foldernet.export.onnx_file",
]
# They change what a trained model can be asked:
#   extend(predictor)
EXTEND_PREDICTOR = [
    "foldernet.analysis.unknown",
    "foldernet.interchange.memory",
]
# They take the predictions of predict.py on their way to the terminal:
#   pass_on(options, predictor, results) -> those that are left for it
AFTER_PREDICTION = [
    "foldernet.analysis.unknown",
    "foldernet.analysis.sets",
    "foldernet.analysis.explain",
    "foldernet.checks.options",
    "foldernet.interchange.writers",
]
# `foldernet NAME` -> the function that it runs, as module:function.
COMMANDS = {
    "train": "foldernet.commands:train",
    "predict": "foldernet.commands:predict",
    "check": "foldernet.checks.command:check",
    "evaluate": "foldernet.analysis.command:evaluate",
    "serve": "foldernet.serving.command:serve",
}
# What `import foldernet` offers besides -> its module.
EXPORTS = {
    "ImageDataGenerator": "foldernet.drop_in.generator",
    "load": "foldernet.predict",
    "BlurDataGenerator": "foldernet.blur.pairs",
    "estimate_kernel": "foldernet.blur.reference",
}


def task_class(mode: str) -> type["Task"]:
    """The class of a mode; TensorFlow isn't imported for it.

    Raises:
        UserError: an unknown mode.
    """
    if mode not in TASKS:
        raise UserError(f"There is no --mode '{mode}'. Choose from {listed(TASKS)}.")
    return importlib.import_module(TASKS[mode]).TASK


def task(options: TrainOptions) -> "Task":
    """The task of a training."""
    made = task_class(options.mode)(options)
    for package in modules(SHIPPED):
        made.shipped = package.folder
    return made


def find_dataset(task: "Task") -> "Dataset":
    """The images of a task.

    Raises:
        UserError: they are missing, or not as the mode needs them.
    """
    try:
        return task.find_dataset()
    except UserError as error:
        for package in modules(BEFORE_TRAINING):
            package.explain(task.options, error)
        raise


def modules(table: list[str]) -> list[ModuleType]:
    """The modules that a table names."""
    return [importlib.import_module(name) for name in table]


def options_class(mode: str) -> type[TrainOptions]:
    """The options of a training in a mode: the mode's own, and those of optional packages."""
    own = task_class(mode).Options
    packages = [*BEFORE_TRAINING, *PREPARE_NETWORK, *STAGES, *ADAPT_TRAINING, *AROUND_TRAINING]
    return with_options(own, packages + AUGMENTATIONS)


def options_and_defaults(given: dict) -> tuple[type[TrainOptions], dict]:
    """The options of a training of which these are given, by name, and what stands in for their
    defaults: the options of an earlier run, and those of presets."""
    earlier = session_module().earlier_options(given)
    Options = options_class(given.get("mode") or earlier.get("mode", "classify"))
    for package in modules(AUGMENTATIONS * issubclass(Options, AugmentationOptions)):
        earlier |= package.preset(given)
    return Options, converted(Options, earlier)


def predict_options() -> type[PredictOptions]:
    """The options of predict.py, and those of optional packages."""
    return with_options(PredictOptions, AFTER_PREDICTION)


def with_options(own: type[Options], packages: list[str]) -> type:
    """Options with those of packages, and with a --mode, if there is one, that lists the modes."""
    # Last in the help come the options of the first base.
    fit = [each for each in modules(packages) if issubclass(own, getattr(each, "ONLY_WITH", own))]
    added = (module.Options for module in fit if hasattr(module, "Options"))
    namespace = {"__doc__": own.__doc__, "__module__": own.__module__}
    if hasattr(own, "mode"):
        mode = Annotated[Literal[*TASKS], arg(help="What is learned.")]
        namespace |= {"__annotations__": {"mode": mode}, "mode": own.mode}
    return dataclasses.dataclass(frozen=True)(type(own.__name__, (*added, own), namespace))


def modes_with(option: str) -> list[str]:
    """The modes that have an option of this name."""
    return [mode for mode in TASKS if option in options_class(mode).__dataclass_fields__]


def session_module() -> ModuleType:
    """What surrounds `fit`."""
    return next(iter(modules(AROUND_TRAINING)), session)


ROWS.extend(row for package in modules(AUGMENTATIONS) for row in package.ROWS)
