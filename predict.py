"""Name what is on pictures, or blur them: `python predict.py PATH...`; `--help` tells the rest."""

import sys

from foldernet import environment, terminal
from foldernet.config import PredictConfig, parse
from foldernet.data import folders
from foldernet.training import runs


@terminal.door
def main(arguments: list[str] | None = None) -> int:
    config = parse(PredictConfig, "python predict.py PATH [PATH ...] [options]", arguments)
    environment.check_keras()
    paths, missing = folders.image_paths(config.paths)
    run = runs.find(config.run, mode="classify")
    terminal.status(f"Using {run}")
    with terminal.quiet_tensorflow():
        from foldernet.prediction import load

        predictor = load(run)
    return predictor.report(predictor.stream(paths), missing, config)


if __name__ == "__main__":
    sys.exit(main())
