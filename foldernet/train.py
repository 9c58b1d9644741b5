"""Training, from a folder of images to a run: what happens, in the order in which it happens."""

import contextlib
import itertools
import os
import sys
from pathlib import Path

from foldernet import files, rooms, terminal
from foldernet.option_types import converted
from foldernet.options import TrainOptions
from foldernet.training import runs
from foldernet.training.model_file import check_installation, save_model
from foldernet.training.session import Session, Stage


def train(data: str | os.PathLike | TrainOptions | None = None, **options) -> runs.Run:
    """Train a network on a folder of images, one folder per class.

    Args:
        data: the folder; by default the animals that ship with the project. Or all options at once.
        **options: as on the command line of train.py, with underscores; see `TrainOptions`.

    Returns:
        The run: its folders, and the scores of its best model.

    Raises:
        UserError: a mistake that the user can correct, as its text says.

    Example:
        run = foldernet.train("pets", epochs=3, name="pets-1")
        run.metrics["accuracy"]  # 0.93
    """
    options = make_options(data, options)
    check_installation()
    session = next((each.SESSION for each in rooms.packages("SESSION")), Session)(options)
    task = rooms.task(options)

    dataset = rooms.find_dataset(task)
    for package in rooms.packages("exclude"):
        dataset = package.exclude(options, dataset)
    for package in rooms.packages("choose"):
        options = package.choose(options, dataset)
    options = session.options = options.with_defaults(images=len(dataset.splits["training"]))
    task = rooms.task(options)  # anew, of the options that are complete now

    if "tensorflow" not in sys.modules:
        terminal.status("Starting TensorFlow ...")
    with terminal.quiet_tensorflow():  # three seconds, spent now that there is something to train
        import keras

        from foldernet.training import callbacks, summary

    keras.utils.set_random_seed(options.seed)
    batches, facts = task.batches(dataset), []
    for package in rooms.packages("examine"):  # here every image is decoded, and kept in a store
        dataset, found = package.examine(options, dataset, batches)
        facts += found
    batches["training"].class_weight = task.class_weight(dataset)
    task.measure(dataset, batches)  # nothing, for a classifier

    network = task.network(dataset)
    for package in rooms.packages("prepare"):
        facts += package.prepare(options, network, batches)
    stages = [Stage(network, batches, options.epochs, options)]
    for package in rooms.packages("add_stages"):  # as a first epoch on a backbone's features
        stages, found = package.add_stages(stages)
        facts += found
    for package in rooms.packages("adapt"):  # it may replace task.compile_arguments
        options = session.options = package.adapt(session, task, stages)
    for stage in stages:
        stage.compile(task)

    with session.opened_run(f"{options.mode}-{task.network_name}") as run:
        session.describe(options, dataset, task.files(dataset))
        summary.show_start(dataset, network, batches, run, facts + task.facts(dataset))
        for package in rooms.packages("draw_batches"):
            package.draw_batches(task, dataset, batches, run)

        ends = itertools.accumulate(stage.epochs for stage in stages)
        metadata, patience = task.metadata(dataset), options.early_stopping or options.epochs
        best = callbacks.BestModel(network, run.models / runs.BEST, task.monitors, metadata)
        with session.running():
            for stage, end in zip(stages, ends, strict=True):
                training = stage.batches["training"]
                watching = [
                    callbacks.Pace(training, session.history),
                    *task.callbacks(),
                    *stage.schedule,
                    best,
                    callbacks.Curves(run.logs),
                    keras.callbacks.EarlyStopping(patience=patience),  # of val_loss
                    callbacks.ProgressLog(best, training, options.epochs),
                ]
                session.watch(training, watching, last=stage is stages[-1])
                if session.stage_is_done:  # before the interruption that is resumed from
                    continue
                with contextlib.redirect_stdout(sys.stderr):  # Keras's progress is no result
                    stage.network.fit(
                        training,
                        validation_data=stage.batches["validation"],
                        initial_epoch=len(session.history),
                        epochs=end,
                        shuffle=False,  # of the order of batches; their images are shuffled
                        verbose=0,  # ProgressLog shows the progress
                        callbacks=session.callbacks,
                    )
                save_model(network, run.models / runs.LAST, metadata)
                session.end_stage()
            model = best.load()
            scores = task.report(dataset, batches, model, run)
            scores |= summary.pace(best.best_epoch, session.history, batches)
            for package in rooms.packages("draw_result"):
                package.draw_result(task, dataset, batches, model, run)
            try:
                for package in rooms.packages("finish"):
                    scores |= package.finish(task, dataset, batches, model, run, scores)
            except Exception:  # the scores are kept; after a kill or a signal, --resume is the way
                files.write_json(run.models / runs.METRICS, scores)
                raise
            files.write_json(run.models / runs.METRICS, scores)
        summary.show_result(scores, run)
    return run


def make_options(data: str | os.PathLike | TrainOptions | None, given: dict) -> TrainOptions:
    """The options of a training; the arguments are those of `train`."""
    if isinstance(data, TrainOptions):
        given = {name: value for name, value in vars(data).items() if value is not None} | given
    elif data is not None:
        given = {"data": Path(data), **given}
    Options, defaults = rooms.options_and_defaults(given)
    return Options(**defaults | converted(Options, given))
