"""What a person reads: tables, progress, and how programs end."""

import io
import os
import signal
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
from conftest import ROOT

from foldernet import terminal
from foldernet.resume.session import ResumableSession
from foldernet.terminal import UserError


class Terminal(io.StringIO):
    """A standard error that says that it is a terminal."""

    def isatty(self):
        return True


def test_a_table_is_aligned_and_names_come_out_as_they_are():
    rows = [
        ("class", "images"),
        ("[red]cat[/red]", 1200),
        (":smile:", 3),
        ("\u732b", 45),  # two columns wide
    ]
    assert terminal.table(rows).splitlines() == [
        "class           images",
        "[red]cat[/red]   1,200",
        ":smile:              3",
        "\u732b                  45",
    ]


def test_a_table_is_not_cut_to_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert terminal.table([("name", "x" * 500)]) == f"name  {'x' * 500}"


def test_short_progress_is_silent(monkeypatch):
    for output in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", output)
        assert list(terminal.progress("abc", "Reading", 3)) == ["a", "b", "c"]
        assert output.getvalue() == ""


def test_long_progress_is_a_line_now_and_then_outside_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "LINE_EVERY", -1)
    assert list(terminal.progress(iter("abc"), "Reading", 3)) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Reading: 1 of 3", "Reading: 2 of 3", "Reading: 3 of 3"]


def test_long_progress_is_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(terminal, "BAR_AFTER", -1)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(terminal.progress(iter("abc"), "Reading", 3)) == ["a", "b", "c"]
    assert "Reading" in sys.stderr.getvalue()
    assert " 33%" in sys.stderr.getvalue()  # it begins where progress is when it appears


STOPPED = SimpleNamespace(command="python train.py --resume --name a")


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "status", "told"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (raising(UserError("Mend it.")), 1, "error: Mend it.\n"),
        (
            raising(ResumableSession.stopped(STOPPED, signal.SIGTERM)),
            143,
            "\nStopped by SIGTERM. Resume: python train.py --resume --name a\n",
        ),
        (raising(KeyboardInterrupt()), 130, "\nstopped\n"),
    ],
)
def test_how_a_program_ends(main, status, told, capsys):
    assert terminal.entry_point(main)() == status
    assert capsys.readouterr().err == told


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        terminal.entry_point(lambda: 1 / 0)()


def test_a_warning_of_ours_is_one_line_and_those_of_libraries_are_left_out(monkeypatch, capsys):
    monkeypatch.setattr(sys, "warnoptions", [])

    @terminal.entry_point
    def main():
        warnings.warn_explicit("ours\x1b", UserWarning, "file", 1, module="foldernet.batches")
        warnings.warn_explicit("theirs", UserWarning, "file", 2, module="library")

    assert main() == 0
    assert capsys.readouterr().err == "warning: ours\\x1b\n"


def test_a_reader_that_leaves_is_no_error():
    code = (
        "import sys\nfrom foldernet import terminal\n"
        "@terminal.entry_point\ndef main():\n"
        "    for _ in range(100_000):\n        terminal.result('line')\n"
        "sys.exit(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_costs_no_run(closed, tmp_path):
    code = """
from pathlib import Path
from foldernet import terminal

@terminal.entry_point
def main():
    terminal.status("beginning")
    with terminal.quiet_tensorflow():
        terminal.result("answer")
    Path("end").touch()

raise SystemExit(main())
"""
    shell = f'exec "$0" -c "$1" {closed}'
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(["sh", "-c", shell, sys.executable, code], env=environment)
    assert ended.returncode == 0
    assert (tmp_path / "end").exists()
