"""The model that is served, and its successors."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from foldernet import terminal
from foldernet.export.onnx_file import FILE
from foldernet.terminal import UserError
from foldernet.training import runs

POLL_SECONDS = 2


class Served:
    """A trained classifier: a run's, or the newest.

    Args:
        run: a run's name or folder, or a file; None is the newest.
        load: `foldernet.load`, which comes after all packages.

    Attributes:
        predictor: what answers; another one once `renew` has found it.
        loaded: how many there have been.

    Raises:
        UserError: there is no such run, or it is no classifier.
    """

    def __init__(self, run: str | None, load: Callable[[Path], Any]):
        self._run, self._open, self.loaded = run, load, 0
        self._looked = self._here = self._state()
        self._load()

    @property
    def name(self) -> str:
        """Of the run."""
        return self.predictor.path.resolve().parent.name

    def renew(self) -> None:
        """Load what is there now, if it is something else, and was already when this was last
        called: it may be being written. What can't be loaded is told once, and the old one stays.
        Without a run, only one whose training has ended takes over."""
        with contextlib.suppress(UserError, OSError):  # it has gone, or goes just now
            before, self._looked = self._looked, self._state()
            ended = self._run or (self._looked[0][0].parent / runs.METRICS).exists()
            if self._looked == before != self._here and ended:
                self._here = before
                try:
                    self._load()
                    terminal.status(f"Serving {self.name} now")
                except Exception as error:  # whatever a file does, the earlier model answers
                    terminal.warn(f"'{before[0][0]}' is not served, the earlier model is: {error}")

    def follow(self) -> None:
        """Renew it for ever."""
        while True:
            time.sleep(POLL_SECONDS)
            self.renew()

    def card(self) -> dict[str, Any]:
        """What people want to know of the model; its scores, where the run has them."""
        told, path = {}, self.predictor.path.with_name(runs.METRICS)
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(path.read_text(encoding="utf-8"))
        return {
            "run": self.name,
            "classes": self.predictor.classes,
            "image_size": self.predictor.size,
            "accuracy": told.get("accuracy"),
            "calibration_error": told.get("calibration", {}).get("error_after"),
        }

    def _state(self) -> list[tuple[Path, int, int]]:
        """The model's files, as they are."""
        found = runs.find(self._run, mode="classify")
        best = found / runs.BEST if found.is_dir() else found
        files = [best, *filter(Path.exists, [best.with_name(FILE)])]
        return [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]

    def _load(self) -> None:
        predictor = self._open(self._here[0][0])
        if not hasattr(predictor, "classes"):
            raise UserError(f"'{predictor.path}' is no classifier. Name a run of one.")
        # Once before it is asked, since the first time takes longer.
        predictor.network.predict_on_batch(np.zeros((1, *predictor.network.input_shape[1:])))
        self.predictor, self.loaded = predictor, self.loaded + 1
