"""The command line: what may be typed, the help, and a sentence for each mistake."""

import io
import itertools
import os
import subprocess
import sys

import pytest
from conftest import ROOT

import foldernet
from foldernet import command_line, rooms
from foldernet.checks.options import CheckOptions
from foldernet.terminal import UserError

TRAINING = {mode: rooms.options_class(mode) for mode in rooms.TASKS}
CHECK = rooms.with_options(CheckOptions, [])
ALL = {**TRAINING, "predict": rooms.predict_options(), "check": CHECK}


def parse(*arguments, mode="classify"):
    return command_line.parse(TRAINING[mode], list(arguments), "train", modes_with=rooms.modes_with)


def shown(owner, monkeypatch, columns):
    """The help as a terminal of this width has it."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(SystemExit) as ended:
        command_line.parse(owner, ["--help"], "train")
    assert not ended.value.code
    output.flush()
    return output.buffer.getvalue().decode()


@pytest.mark.parametrize("mode", TRAINING)
def test_common_spellings_of_other_tools_work(mode):
    options = parse("--batch", "8", "--imgsz", "64", "--lr", "0.1", mode=mode)
    assert (options.batch_size, options.image_size, options.learning_rate) == (8, 64, 0.1)
    options = parse("-b", "9", "--img-size", "32", "--lr0", "0.2", mode=mode)
    assert (options.batch_size, options.image_size, options.learning_rate) == (9, 32, 0.2)


@pytest.mark.parametrize("typed", ["--batch-size 9", "--batch-size=9", "--batch_size 9", "-b9"])
def test_a_value_may_follow_in_several_ways(typed):
    assert parse(*typed.split()).batch_size == 9


def test_everything_after_two_dashes_is_data():
    assert str(parse("--", "--epoch").data) == "--epoch"


def test_none_is_a_name_as_any_other():
    options = parse("None", "--name", "None")
    assert (str(options.data), options.name) == ("None", "None")


def test_repeated_options_add_up():
    assert parse("--freeze", "conv*", "--freeze", "bn*").freeze == ("conv*", "bn*")


def test_earlier_values_stand_in_for_defaults():
    earlier = {"epochs": 7, "horizontal_flip": False, "seed": 3}
    arguments = ["--seed", "4", "--horizontal-flip"]
    options = command_line.parse(TRAINING["classify"], arguments, "train", earlier)
    assert (options.epochs, options.seed, options.horizontal_flip) == (7, 4, True)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--epohcs 3", "There is no option --epohcs; did you mean '--epochs'?"),
        ("--batc 3", "There is no option --batc; did you mean '--batch'?"),
        ("--no-seed", "There is no option --no-seed; did you mean '--seed'?"),
        ("-x 3", "There is no option -x. --help lists them."),
        ("--sigma 3", "--sigma is an option of --mode blur."),
        ("--epochs many", "--epochs can't be 'many'."),
        ("--batch 1.5", "--batch-size can't be '1.5'."),
        ("--lr fast", "--learning-rate can't be 'fast'."),
        ("--brightness-range 1", "--brightness-range can't be '1'."),
        ("--brightness-range a b", "--brightness-range can't be 'a', 'b'."),
        ("--batch", "--batch-size lacks a value."),
        ("--optimizer adamm", "'adamm'"),
        ("--optimizer adamm", "'adamw', 'adam', 'sgd', 'rmsprop'"),
        ("--epochs 0", "--epochs 0 is too small; it must be at least 1."),
        ("--lr -1", "--learning-rate -1.0 is too small; it must be at least 0."),
        ("--ensemble x", "There is no option --ensemble. --help lists them."),
        (
            "--brightness-range 1.2 0.8",
            "--brightness-range: the lower number comes first",
        ),
        ("--name=", "An argument is empty. Give it a value, or leave it out."),
        ("one two", "'two' is one argument too many; quote a name that has spaces."),
    ],
)
@pytest.mark.parametrize("columns", [30, 200])
def test_a_mistake_is_a_sentence(typed, told, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(UserError) as error:
        parse(*typed.split())
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_argument_is_refused():
    for arguments in (["--name", ""], [""]):
        with pytest.raises(UserError, match="An argument is empty"):
            parse(*arguments)


@pytest.mark.parametrize("mode", TRAINING)
@pytest.mark.parametrize("typed", ["--ensemble", "--dropout", "--patience"])
def test_what_is_nothing_like_an_option_suggests_none(typed, mode):
    with pytest.raises(UserError, match=r"There is no option --\w+\. --help lists them"):
        parse(typed, "3", mode=mode)


@pytest.mark.parametrize("typed", ["--epochs many", "--epochs", "--optimizer adamm", "--epohcs 3"])
def test_a_mistake_is_a_sentence_on_a_terminal_too(typed):
    """There, tyro's errors are in color."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, ROOT / "train.py", *typed.split()]
    environment = os.environ | {"TERM": "xterm", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=theirs, stderr=theirs, env=environment, check=False)
    os.close(theirs)
    told = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 1, told
    assert told.startswith("error: ")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("owner", ALL.values(), ids=ALL)
def test_help_explains_every_option(owner, monkeypatch):
    told = shown(owner, monkeypatch, 80)
    assert "\x1b" not in told
    assert "None" not in told
    assert "(default: )" not in told
    rows = [line[2:-2] for line in told.splitlines() if line.startswith("│")]
    for row, below in itertools.pairwise([*rows, ""]):
        if not row.startswith(" "):
            assert "  " in row.strip() or below.startswith("   "), f"{row} is not explained"


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("owner", ALL.values(), ids=ALL)
def test_help_fills_the_terminal_wherever_the_source_breaks_its_lines(owner, columns, monkeypatch):
    told = shown(owner, monkeypatch, columns)
    boxes = [line for line in told.splitlines() if line[:1] in set("╭│╰")]
    assert {len(line) for line in boxes} == {columns}
    rows = [line[2:-2] for line in boxes if line.startswith("│")]
    for row, below in itertools.pairwise(rows):
        if below.startswith("   ") and (row.startswith("   ") or "  " in row.strip()):
            first = below.split()[0]
            assert len(row.rstrip()) + 1 + len(first) > columns - 4, f"'{first}' fits above"


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        parse("--version")
    assert not ended.value.code
    assert capsys.readouterr().out == f"foldernet {foldernet.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("pets --mode blur --epochs 3", {"mode": "blur"}),
        ("--mode=blur --name a --resume", {"mode": "blur", "name": "a", "resume": True}),
        ("--config c.json --modes x", {"config": "c.json"}),
        ("pets", {}),
        ("--mode", {}),
    ],
)
def test_the_mode_is_seen_before_its_options_are_known(typed, seen):
    assert command_line.peek(typed.split()) == seen


@pytest.mark.parametrize("owner", [*TRAINING.values(), CHECK])
def test_help_lists_the_modes(owner, monkeypatch):
    assert f"--mode {{{','.join(rooms.TASKS)}}}" in shown(owner, monkeypatch, 100)


def test_an_option_that_does_nothing_in_a_mode_is_not_offered_there(monkeypatch):
    assert "--fine-tune" in shown(TRAINING["classify"], monkeypatch, 80)
    assert "--fine-tune" not in shown(TRAINING["blur"], monkeypatch, 80)
    with pytest.raises(UserError, match="--fine-tune is an option of --mode classify"):
        command_line.parse(
            TRAINING["blur"], ["--fine-tune", "all"], "train", modes_with=rooms.modes_with
        )
