"""A training that survives interruptions, in place of `foldernet.training.session`."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated

from foldernet import files, terminal
from foldernet.option_types import MAY_CHANGE_ON_RESUME, Range
from foldernet.option_types import Options as BaseOptions
from foldernet.options import shown_as
from foldernet.resume import record
from foldernet.resume import state as states
from foldernet.terminal import UserError
from foldernet.training import runs
from foldernet.training.runs import METRICS, Run
from foldernet.training.session import Session


@dataclasses.dataclass(frozen=True)
class Options(BaseOptions):
    """Checkpoints and resuming."""

    resume: Annotated[bool, MAY_CHANGE_ON_RESUME] = False
    """Continue the newest unfinished run, or the one that --name names, as if it had never been
    interrupted. It knows its own options; --epochs may ask for more."""

    config: Annotated[Path | None, shown_as("FILE"), MAY_CHANGE_ON_RESUME] = None
    """Repeat the run that this config.json describes; other options on top."""

    state_minutes: Annotated[float, Range(0), MAY_CHANGE_ON_RESUME] = 1.0
    """Minutes between checkpoints, which a power cut costs at most. A signal or Ctrl-C costs
    none."""


def earlier_options(given: dict) -> dict:
    """The options, by name, of the run that `--config` repeats or `--resume` continues."""
    if given.get("config"):
        return record.options_in(Path(given["config"])) | {"name": None}
    return record.options_of_earlier(given.get("name")) if given.get("resume") else {}


def check_writable() -> None:
    """Raise UserError unless models/ and logs/ of the working folder can be written to."""
    for folder in (runs.MODELS, runs.LOGS):
        try:
            tempfile.TemporaryFile(dir=folder if folder.exists() else folder.parent).close()
        except OSError as error:
            raise UserError(
                f"'{folder}/' in '{Path.cwd()}' can't be written to ({error.strerror}). Make it"
                " writable, or run this in another folder."
            ) from error


class ResumableSession(Session):
    """Checkpoints every few minutes and when a signal asks to stop; `--resume` continues from them.

    Raises:
        UserError: the options don't fit the run to resume.
    """

    def __init__(self, options):
        super().__init__(options)
        check_writable()
        self.checkpoint = None
        if options.resume:
            record.check_resumable(options)

    def opened_run(self, default_name):
        if not self.options.resume:
            return super().opened_run(default_name)
        self.run = Run(self.options.name)
        return runs.locked(self.run)

    def describe(self, options, dataset, paths):
        folder = self.run.models
        now, hashes = record.describe(options, dataset), record.hashes_of(paths, options.cache)
        if not options.resume:
            files.write_json(folder / record.FILES, hashes)
            files.write_json(folder / record.CONFIG, now)
            return
        record.check_same_files(self.run, hashes)
        before = record.read(folder / record.CONFIG)
        if now["versions"] != before["versions"]:
            terminal.warn(
                "this run began with other versions of Python or its packages, as config.json"
                " says; the last digits may differ from those of an uninterrupted run"
            )
        (folder / METRICS).unlink(missing_ok=True)  # of a run that continues, they aren't final
        changed = {"config": now["config"], "resumed": [*before.get("resumed", []), now]}
        files.write_json(folder / record.CONFIG, before | changed)

    def watch(self, batches, callbacks, last):
        from foldernet.resume.checkpoint import Checkpoint

        super().watch(batches, callbacks, last)
        if not last:  # it is soon done once more, unless the last one has begun
            self.ended = self.options.resume and bool(states.written(self.run.models))
            return
        self.checkpoint = Checkpoint(self, batches, callbacks)
        self.callbacks.insert(0, self.checkpoint)
        self.ended = self.checkpoint.ended

    def running(self):
        from foldernet.resume.checkpoint import graceful_shutdown

        return graceful_shutdown(self)

    def end(self):
        super().end()
        if self.checkpoint:
            self.checkpoint.end()


SESSION = ResumableSession
