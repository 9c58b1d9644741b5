"""What the terminal tells of a run: what was found before it, and what came of it."""

from collections import Counter
from pathlib import Path

import keras

from foldernet import terminal
from foldernet.config import Config
from foldernet.data.check import sizes_in_words
from foldernet.data.folders import Dataset
from foldernet.training.callbacks import NOT_SCORES
from foldernet.training.runs import LOGS, Run

SHOWN_CLASSES = 40


def tell_found(
    config: Config,
    dataset: Dataset,
    sizes: Counter,
    model: keras.Model,
    frozen: list[str],
    batches: dict,
    run: Run,
    found: list[tuple[str, str]],
) -> None:
    """Say, before the first epoch, what was found and what will be done; `found` is the mode's."""
    splits = dataset.splits
    rows = [("class", *splits)]
    rows += [
        (label, *(len(listing.files[label]) for listing in splits.values()))
        for label in dataset.classes[:SHOWN_CLASSES]
    ]
    if len(dataset.classes) > SHOWN_CLASSES:
        rows.append((f"... {len(dataset.classes):,} classes", *("" for _ in splits)))
    if len(dataset.classes) > 1:
        rows.append(("all", *map(len, splits.values())))
    terminal.status(terminal.table(rows))
    steps, last = len(batches["training"]), model.name
    trained = sum(weight.shape.num_elements() for weight in model.trainable_weights)
    lines = [
        ("images", f"{sizes_in_words(sizes)}, read as {'x'.join(map(str, model.input_shape[1:]))}"),
        ("network", f"{last}, {terminal.count(model.count_params(), 'parameter')}"),
        ("batches", f"{config.batch_size} images, {terminal.count(steps, 'step')} an epoch"),
        ("cache", batches["training"].cache.in_words()),
        *found,
        ("run", f"{run.models} and {run.logs}"),
    ]
    if frozen:
        lines.insert(
            2, ("frozen", f"{terminal.listed(frozen)}; {trained:,} parameters are trained")
        )
    terminal.status("\n" + terminal.table(lines) + "\n")


def tell_loaded(report: list[tuple[str, str]], path: Path) -> None:
    """Say which layers `--weights` filled."""
    terminal.status(f"Weights from {path}:")
    terminal.status(terminal.table(report) + "\n")


def pace(best_epoch: int, history: list[dict], batches: dict) -> dict:
    """Which epoch was best (from 1 on), and how fast they were."""
    images, seconds = len(history) * batches["training"].n, history[-1]["seconds"]
    return {
        "best_epoch": best_epoch + 1,
        "epochs": len(history),
        "seconds": round(seconds, 2),
        "images_per_second": round(images / seconds, 1),
    }


def tell_result(scores: dict, run: Run) -> None:
    """Give the best epoch's scores, and the commands that come next."""
    shown = [
        (name, value)
        for name, value in scores.items()
        if isinstance(value, float) and name not in NOT_SCORES
    ]
    numbers = ", ".join(
        f"{name.replace('_', ' ')} {terminal.number(value)}" for name, value in shown[:3]
    )
    terminal.status()
    terminal.result(f"best of {scores['epochs']} epochs: {scores['best_epoch']}, with {numbers}")
    if "test" in scores:
        terminal.result(f"on test: accuracy {scores['test']['accuracy']:.4f}")
    terminal.result(f"{scores['seconds']:.1f} s, {scores['images_per_second']:,.0f} images/s")
    terminal.result(f"predict: python predict.py --run {run.name} IMAGE")
    terminal.result(f"look:    tensorboard --logdir {LOGS}")
