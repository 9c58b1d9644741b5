"""Processes for tests, which needn't wait five seconds for TensorFlow: forked from one that has
imported it and Keras, and nothing of ours. From there on they are what `python` starts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = """
import gc, json, os, runpy, sys, warnings
gc.disable()
import keras, tensorflow
gc.enable()
gc.freeze()  # no child has to look through what lasts anyway
for job in map(json.loads, sys.stdin):
    with warnings.catch_warnings(action="ignore"):  # of threads: those of an idle NumPy
        child = os.fork()
    if not child:
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
for number, path in enumerate([os.devnull, *job["streams"]]):
    os.dup2(os.open(path, os.O_WRONLY if number else os.O_RDONLY), number)
os.chdir(job["cwd"])
os.environ.clear()
os.environ.update(job["environment"])
script, *arguments = job["command"]
if script == "-c":
    code, *sys.argv[1:] = arguments
    sys.path[0] = ""
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
else:
    sys.argv[:] = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name="__main__")
"""


class Server:
    """Starts programs, one at a time."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, *command, cwd) -> "Program":
        """Start `python *command`: a script or -c, and its arguments."""
        return Program(self.process, list(map(str, command)), str(cwd))

    def run(self, *command, cwd) -> "Program":
        """The same, and wait until it has ended."""
        with self.start(*command, cwd=cwd) as program:
            program.communicate()
        return program

    def close(self):
        self.process.communicate()


class Program:
    """What a test needs of `subprocess.Popen`, with pipes for the output. Once it has ended,
    `said` and `told` are what it wrote to standard output and error after what was read."""

    def __init__(self, server: subprocess.Popen, command: list[str], cwd: str):
        self.server, self.returncode = server, None
        with tempfile.TemporaryDirectory() as folder:
            streams = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            for path in streams:
                os.mkfifo(path)
            environment = dict(os.environ)
            job = {"command": command, "cwd": cwd, "streams": streams, "environment": environment}
            print(json.dumps(job), file=server.stdin, flush=True)
            self.pid = int(server.stdout.readline())
            self.stdout, self.stderr = map(open, streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.communicate()
        self.stdout.close()
        self.stderr.close()

    def communicate(self) -> tuple[str, str]:
        """Wait until it has ended; the rest of its standard output, which must be short, and
        error."""
        if self.returncode is None:
            self.told = self.stderr.read()
            self.said = "" if self.stdout.closed else self.stdout.read()
            self.returncode = int(self.server.stdout.readline())
        return self.said, self.told

    def send_signal(self, number: int):
        """Of a program that has ended by itself, nothing, as with `subprocess.Popen`."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)
