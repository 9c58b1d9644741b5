"""The functions behind train.py and predict.py, and behind `foldernet train` and `predict`."""

from foldernet import command_line, rooms, terminal
from foldernet import train as run_training
from foldernet.datasets import folders
from foldernet.predict import load
from foldernet.training import runs


@terminal.entry_point
def train(arguments: list[str] | None = None) -> None:
    """Train a network on a folder of images."""
    Options, defaults = rooms.options_and_defaults(command_line.peek(arguments))
    run_training(command_line.parse(Options, arguments, "train", defaults, rooms.modes_with))


@terminal.entry_point
def predict(arguments: list[str] | None = None) -> int:
    """Say what is on images."""
    options = command_line.parse(rooms.predict_options(), arguments, "predict")
    paths, missing = folders.expand(options.paths)
    run = runs.find(options.run, mode="classify")
    terminal.status(f"Using {run}")
    predictor = load(run)
    results = predictor.stream(paths)
    for package in rooms.packages("pass_on"):
        results = package.pass_on(options, predictor, results)  # none is asked for before `write`
    return predictor.write(results, missing, options.top)
