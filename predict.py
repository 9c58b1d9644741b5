"""Name what is on pictures: `python predict.py PATH...`; `--help` tells the rest."""

import sys

from foldernet import terminal
from foldernet.config import PredictConfig, parse
from foldernet.data import folders
from foldernet.report import predictions
from foldernet.training import runs


@terminal.door
def main(arguments: list[str] | None = None) -> int:
    config = parse(PredictConfig, "python predict.py PATH [PATH ...] [options]", arguments)
    paths, missing = folders.image_paths(config.paths)
    run = runs.find(config.run, mode="classify")
    terminal.status(f"Using {run}")
    with terminal.quiet_tensorflow():
        from foldernet.prediction import load

        classifier = load(run)
    return predictions.write(classifier.stream(paths), missing, config)


if __name__ == "__main__":
    sys.exit(main())
