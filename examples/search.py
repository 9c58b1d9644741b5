"""Search for options of train.py with Optuna; trials that fall behind are cut short.

    pip install -r requirements-search.txt
    python -m examples.search pets/train --minutes 60

Give it training images alone: a fifth is held out to choose by, and what was chosen is judged on
images that no trial has seen. Trials are runs in models/, all of them are in search.db, and
search.png shows how it went. Started again, it goes on; started in several terminals, they share
the work.
"""

import argparse

import optuna

import foldernet
from foldernet import rooms, terminal

with terminal.quiet_tensorflow():
    import keras

# Option -> its lowest and highest value; they are drawn on a logarithmic scale.
RANGES = {
    "learning_rate": (0.001, 0.01),
    "weight_decay": (0.01, 0.3),
    "label_smoothing": (0.02, 0.2),
    "rotation_range": (1, 30),
    "zoom_range": (0.02, 0.3),
    "width_shift_range": (0.01, 0.15),
}


class Pruning(keras.callbacks.Callback):
    """Reports each epoch to Optuna, and ends the training where it says so."""

    trial: optuna.Trial  # which is trained

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(logs["val_accuracy"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned

    @classmethod
    def adapt(cls, session, task, stages):
        """Join the callbacks of a training; `foldernet.rooms` tells when this is called."""
        own = task.callbacks
        task.callbacks = lambda: [*own(), cls()]
        return session.options


@terminal.entry_point
def main(arguments=None):
    """Search until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="a folder of training images, one folder per class")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args(arguments)

    def accuracy(trial):
        Pruning.trial = trial
        chosen = {name: trial.suggest_float(name, *RANGES[name], log=True) for name in RANGES}
        name = f"search-{trial.number}"
        run = foldernet.train(options.data, epochs=options.epochs, name=name, **chosen)
        return run.metrics["accuracy"]

    rooms.PACKAGES[f"{__name__}:Pruning"] = ["adapt"]
    again = optuna.storages.RetryHeartbeatStaleTrialCallback()  # what died with its process
    storage = optuna.storages.RDBStorage(
        "sqlite:///search.db", heartbeat_interval=60, heartbeat_stale_trial_callback=again
    )
    # Early on, what learns slowly but ends well is behind.
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=options.epochs // 3)
    how = {"direction": "maximize", "pruner": pruner, "load_if_exists": True}
    study = optuna.create_study(storage=storage, study_name="search", **how)
    study.optimize(accuracy, timeout=60 * options.minutes)

    flags = [f"--{name.replace('_', '-')} {value:.3g}" for name, value in study.best_params.items()]
    print(f"{study.best_value:.4f} with", *flags)
    axes = optuna.visualization.matplotlib.plot_optimization_history(study)
    axes.figure.savefig("search.png")


if __name__ == "__main__":
    main()
