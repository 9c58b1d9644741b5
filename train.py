"""Train a network on a folder of images: `python train.py [DATA]`; `--help` tells the rest."""

import contextlib
import sys
import time

from foldernet import terminal
from foldernet.config import Config, parse
from foldernet.data import sources


@terminal.door
def main(arguments: list[str] | None = None) -> None:
    config = parse(Config, "python train.py [DATA] [options]", arguments)
    dataset = sources.find(config)
    config = config.settled(images=len(dataset.splits["training"]))
    with terminal.quiet_tensorflow():  # three seconds, spent now that there is something to train
        import keras

        from foldernet.data import check
        from foldernet.report import summary
        from foldernet.report.figures import FigureLog
        from foldernet.tasks import TASKS
        from foldernet.training import callbacks, optimizers, runs, weights

    keras.utils.set_random_seed(config.seed)
    task = TASKS[config.mode]
    batches = task.batches(config, dataset)
    dataset, sizes = check.readable(dataset, batches)
    dataset = task.measure(config, dataset, batches)

    model = task.model(config, dataset)
    if config.weights:
        summary.tell_loaded(weights.load_by_name(model, config.weights), config.weights)
    frozen = weights.freeze(model, config.freeze)
    arguments, schedule = task.compile(config, dataset, len(batches["training"]))
    model.compile(**arguments)
    optimizers.build(model)

    run = runs.create(config, dataset)
    found = task.found(config, dataset)
    summary.tell_found(config, dataset, sizes, model, frozen, batches, run, found)
    log = FigureLog(run.logs)
    task.before(config, dataset, batches, log)

    metadata = task.metadata(config, dataset)
    best = callbacks.BestModel(run.models / "best.keras", task.monitors, metadata)
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # Keras's progress is status, not a result
        history = model.fit(
            batches["training"],
            validation_data=batches["validation"],
            epochs=config.epochs,
            class_weight=task.class_weights(config, dataset),
            shuffle=False,  # the batches are shuffled within; this would shuffle their order again
            verbose=0,  # EpochLines shows the progress
            callbacks=[
                callbacks.Pace(batches["training"]),
                *task.callbacks(config, dataset, log),
                *schedule,
                best,
                callbacks.LastModel(run.models / "last.keras", metadata),
                keras.callbacks.TensorBoard(run.logs),
                keras.callbacks.CSVLogger(run.models / "history.csv"),
                keras.callbacks.TerminateOnNaN(),
                *callbacks.early_stopping(config),
                callbacks.EpochLines(best),
            ],
        )
    seconds = time.perf_counter() - started

    model = best.load()
    scores = task.report(config, dataset, batches, model, log, run)
    scores |= summary.pace(best.best_epoch, len(history.epoch), seconds, batches)
    runs.write_json(run.models / "metrics.json", scores)
    summary.tell_result(scores, run)


if __name__ == "__main__":
    sys.exit(main())
