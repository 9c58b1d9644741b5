"""What the terminal says of a run: what it starts from, and what came of it."""

from foldernet import terminal
from foldernet.datasets.image_list import Dataset
from foldernet.training.callbacks import NOT_SCORES
from foldernet.training.runs import LOGS, Run

SHOWN_CLASSES = 40


def show_start(dataset: Dataset, network, batches: dict, run: Run, facts: list[tuple]) -> None:
    """Show, before the first epoch, what was found and what will be done.

    Args:
        network: a `keras.Model`.
        facts: (name, text) pairs of the checks, the packages that prepare networks, and the mode.
    """
    splits = dataset.splits
    rows = [("class", *splits)]
    counts = [images.counts.tolist() for images in splits.values()]
    rows += list(zip(dataset.classes, *counts, strict=True))[:SHOWN_CLASSES]
    if len(dataset.classes) > SHOWN_CLASSES:
        rows.append((f"... {len(dataset.classes):,} classes", *("" for _ in splits)))
    if len(dataset.classes) > 1:
        rows.append(("all", *map(len, splits.values())))
    terminal.status(terminal.table(rows))
    steps = terminal.count(len(batches["training"]), "step")
    parameters = terminal.count(network.count_params(), "parameter")
    shape = "x".join(map(str, network.input_shape[1:]))
    if smoothing := getattr(network.loss, "label_smoothing", 0):
        facts = [*facts, ("loss", f"never reaches 0, as labels are smoothed by {smoothing:g}")]
    lines = [
        *facts,
        ("network", f"{network.name}, {parameters}, on {shape}"),
        ("batches", f"{batches['training'].batch_size} images, {steps} an epoch"),
        ("cache", batches["training"].store.in_words()),
        ("run", f"{run.models} and {run.logs}"),
    ]
    terminal.status("\n" + terminal.table(lines) + "\n")


def pace(best_epoch: int, history: list[dict], batches: dict) -> dict:
    """Which epoch was best (from 1 on), how fast they were, and how many images went bad and were
    replaced by others after they had been checked; those are named."""
    images, seconds = len(history) * batches["training"].n, history[-1]["seconds"]
    bad = {path: why for iterator in batches.values() for path, why in iterator.unreadable.items()}
    if bad:
        named = terminal.listed(f"{path} ({why})" for path, why in bad.items())
        count = terminal.count(len(bad), "image")
        terminal.warn(f"{count} went bad during training, and others took their place: {named}")
    return {
        "best_epoch": best_epoch + 1,
        "epochs": len(history),
        "seconds": round(seconds, 2),
        "images_per_second": round(images / seconds, 1),
        "images_replaced": len(bad),
    }


def show_result(scores: dict, run: Run) -> None:
    """Show the best epoch's scores, and the commands that come next."""
    shown = [
        f"{name.replace('_', ' ')} {terminal.number(value)}"
        for name, value in scores.items()
        if isinstance(value, float) and name not in NOT_SCORES
    ]
    terminal.status()
    terminal.result(f"best epoch: {scores['best_epoch']} of {scores['epochs']}")
    of = "on validation" if "loss" in scores else "scores"  # a mode may score the network itself
    terminal.result(f"{of}: {', '.join(shown[:3])}")
    if "test" in scores:
        terminal.result(f"on test: accuracy {scores['test']['accuracy']:.4f}")
    terminal.result(f"training {scores['seconds']} s, {scores['images_per_second']:,.0f} images/s")
    terminal.result(f"predict: python predict.py --run {run.name} IMAGE")
    terminal.result(f"look:    tensorboard --logdir {LOGS}")
