"""Train a network on a folder of images: `python train.py [DATA]`; `--help` tells the rest."""

import contextlib
import sys

from foldernet import environment, files, terminal
from foldernet.config import Config, parse
from foldernet.data import quarantine, sources
from foldernet.training import resume, runs


@terminal.door
def main(arguments: list[str] | None = None) -> None:
    config = parse(Config, "python train.py [DATA] [options]", arguments, resume.earlier)
    environment.check()
    dataset = quarantine.obeyed(sources.find(config), config.strict)
    config = config.settled(images=len(dataset.splits["training"]))
    with terminal.quiet_tensorflow():  # three seconds, spent now that there is something to train
        import keras

        from foldernet.data import check
        from foldernet.report import summary
        from foldernet.report.figures import FigureLog
        from foldernet.tasks import TASKS
        from foldernet.training import callbacks, optimizers, states, weights
        from foldernet.training.keeper import HistoryFile, StateKeeper, in_good_order

    environment.check_graphics()
    keras.utils.set_random_seed(config.seed)
    task = TASKS[config.mode]
    batches = task.batches(config, dataset)
    dataset, sizes = check.before_training(config, dataset, batches)
    dataset = task.measure(config, dataset, batches)

    model = task.model(config, dataset)
    if config.weights:
        summary.tell_loaded(weights.load_by_name(model, config.weights), config.weights)
    frozen = weights.freeze(model, config.freeze)
    arguments, schedule = task.compile(config, dataset, len(batches["training"]))
    model.compile(**arguments)
    optimizers.build(model)

    environment.check_room(model)
    with runs.opened(config) as run:
        resume.remember(run, config, dataset)
        state = states.read(run, config) if config.resume else None
        found = task.found(config, dataset)
        summary.tell_found(config, dataset, sizes, model, frozen, batches, run, found)
        log = FigureLog(run.logs)
        task.before(config, dataset, batches, log)

        metadata = task.metadata(config, dataset)
        best = callbacks.BestModel(run.models / "best.keras", task.monitors, metadata)
        watching = [
            callbacks.Pace(batches["training"]),
            *task.callbacks(config, dataset, log),
            *schedule,
            best,
            callbacks.LastModel(run.models / "last.keras", metadata),
            callbacks.Curves(run.logs),
            *callbacks.early_stopping(config),
            callbacks.EpochLines(best),
        ]
        keeper = StateKeeper(run, config, batches["training"], watching, state)
        with in_good_order(keeper):
            if not keeper.ended:
                with contextlib.redirect_stdout(sys.stderr):  # Keras's progress is no result
                    model.fit(
                        batches["training"],
                        validation_data=batches["validation"],
                        initial_epoch=len(keeper.history),
                        epochs=config.epochs,
                        class_weight=task.class_weights(config, dataset),
                        shuffle=False,  # they are shuffled within; this would shuffle their order
                        verbose=0,  # EpochLines shows the progress
                        callbacks=[keeper, *watching, HistoryFile(keeper)],
                    )
                keeper.end()
            model = best.load()
            scores = task.report(config, dataset, batches, model, log, run)
            scores |= summary.pace(best.best_epoch, keeper.history, batches)
            scores |= check.replaced(batches)
            files.write_json(run.models / "metrics.json", scores)
        summary.tell_result(scores, run)


if __name__ == "__main__":
    sys.exit(main())
