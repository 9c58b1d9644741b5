"""A training that survives interruptions, in place of `foldernet.training.session`."""

import contextlib
import os
import signal
import tempfile
import warnings
from pathlib import Path
from threading import current_thread, main_thread
from typing import Annotated

from foldernet import files, terminal
from foldernet.option_types import MAY_CHANGE_ON_RESUME, BaseOptions, Range, shown_as
from foldernet.resume import record
from foldernet.resume import state as states
from foldernet.training import runs
from foldernet.training.session import Session


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
            raise terminal.UserError(
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
        self.run = runs.Run(self.options.name)
        return runs.locked(self.run)

    def describe(self, options, dataset, paths):
        folder = self.run.models
        now, hashes = record.describe(options, dataset), record.hashes_of(paths, options.cache)
        if options.resume:
            record.check_same_files(self.run, hashes)
            before = record.read(folder / record.CONFIG)
            if now["versions"] != before["versions"]:
                terminal.warn(
                    "this run began with other versions of Python or its packages, as config.json"
                    " says; the last digits may differ from those of an uninterrupted run"
                )
            resumed = [*before.get("resumed", []), now]
            now = before | {"config": now["config"], "resumed": resumed}
            if (folder / runs.METRICS).exists():  # of a run that continues, they aren't final
                earlier = f"metrics-{before['config']['epochs']}-epochs.json"
                os.replace(folder / runs.METRICS, folder / earlier)
        else:
            files.write_json(folder / record.FILES, hashes)
        files.write_json(folder / record.CONFIG, now)

    def watch(self, batches, callbacks, last):
        from foldernet.resume.checkpoint import Checkpoint

        super().watch(batches, callbacks, last)
        if last:
            self.checkpoint = Checkpoint(self, batches)
            self.callbacks.insert(0, self.checkpoint)
        else:  # it is soon done once more, unless the last one has begun
            self.stage_is_done = self.options.resume and bool(states.written(self.run.models))

    @contextlib.contextmanager
    def running(self):
        """Have SIGTERM and Ctrl-C end the run after the current step, and a second one at once; say
        how to resume when the disk fails. In a thread that isn't the main one, signals are left
        alone.

        Raises:
            UserError: a file can't be written.
        """
        numbers = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            with warnings.catch_warnings():
                # An epoch that is resumed in its middle is shorter than Keras expects.
                warnings.filterwarnings("ignore", "Your input ran out of data")
                yield
        except OSError as error:
            raise terminal.UserError(
                f"The run can't be written ({error}). Correct that, and resume: {self.command}"
            ) from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number, _frame):
        if self.checkpoint is None or self.stage_is_done:  # the rest can soon be done again
            raise self.stopped(number)
        if self.checkpoint.signal:
            os._exit(128 + number)
        self.checkpoint.signal = number
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nStopping after this step; once more stops at once, and loses it.\n")

    def stopped(self, number: int) -> KeyboardInterrupt:
        """How the program ends once what a signal interrupts is safe: with 128 plus the signal's
        number, as shells expect, 130 of Ctrl-C and 143 of SIGTERM."""
        name = signal.Signals(number).name
        stop = KeyboardInterrupt(f"Stopped by {name}. Resume: {self.command}")
        stop.exit_status = 128 + number
        return stop

    @property
    def command(self) -> str:
        """What continues the run."""
        return f"python train.py --resume --name {self.run.name}"

    def end_stage(self):
        super().end_stage()
        if self.checkpoint:
            self.checkpoint.end()


SESSION = ResumableSession
