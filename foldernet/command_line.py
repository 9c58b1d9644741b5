"""From command-line arguments to options, by tyro; a mistake is a sentence."""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from foldernet import option_types
from foldernet.option_types import Options
from foldernet.terminal import UserError


def peek(arguments: list[str] | None) -> dict[str, Any]:
    """What is typed of the options that say which options there are: mode, name, resume, config."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in ("--mode", "--name", "--config"):
        parser.add_argument(option, default=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", default=argparse.SUPPRESS)
    with contextlib.suppress(argparse.ArgumentError):  # `parse` will say so
        return vars(parser.parse_known_args(arguments)[0])
    return {}


def parse(
    owner: type[Options],
    arguments: list[str] | None,
    command: str,
    earlier: dict[str, Any] | None = None,
    modes_with: Callable[[str], list[str]] = lambda name: [],
) -> Any:
    """Make options of command-line arguments.

    Args:
        owner: an options class; its docstring is the description, those of its fields the help.
        arguments: this program's own, if None.
        command: "train", which runs as train.py, too.
        earlier: values by name that stand in for defaults.
        modes_with: name of an option -> the modes that have it, asked where `owner` doesn't.

    Raises:
        UserError: an unknown option, with the nearest known one, or a value that can't be.
        SystemExit: after `--help` or `--version`.
    """
    from foldernet import __version__

    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(f"foldernet {__version__}")
        raise SystemExit
    for argument in arguments:
        if argument.startswith("--") and argument.partition("=")[0] not in _flags(owner):
            raise UserError(_why_unknown(argument, owner, modes_with))
    installed = Path(sys.argv[0]).stem in ("foldernet", "__main__")
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            options, unknown = tyro.cli(
                owner,
                prog=f"foldernet {command}" if installed else f"python {command}.py",
                args=arguments,
                default=owner(**earlier) if earlier else None,
                return_unknown_args=True,
                config=(tyro.conf.HelptextFromCommentsOff,),
            )
    except SystemExit as error:
        if error.code:
            raise UserError(f"{_sentence(box.getvalue())} --help lists every option.") from None
        raise
    if unknown:
        raise UserError(f"'{unknown[0]}' is one argument too many; quote a name that has spaces.")
    return options


def _flags(owner: type[Options]) -> set[str]:
    """Everything that may be typed as an option."""
    flags = {"--help", "--"}
    for name, annotation in option_types.annotations(owner).items():
        flags |= {option_types.flag(name), option_types.flag(f"no_{name}")}
        for mark in option_types.marks(annotation):
            flags |= set(getattr(mark, "aliases", None) or ())
    return flags


def _sentence(box: str) -> str:
    """What tyro says in a box of line-drawing or other characters, below its title and above what
    it adds."""
    _title, *lines = [line.strip("│╭╮╰╯─- ") for line in box.splitlines()]
    blank = lines.index("", bool(not lines[0]))  # a rule below the message, or one above it, too
    return " ".join(" ".join(lines[:blank]).split()).rstrip(".") + "."


def _why_unknown(argument: str, owner: type[Options], modes_with: Callable) -> str:
    option = argument.partition("=")[0]
    name = option.lstrip("-").replace("-", "_")
    if modes := modes_with(name):
        return f"{option} is an option of --mode {' and '.join(modes)}."
    known = map(option_types.flag, owner.__dataclass_fields__)
    return f"There is no option {option}{option_types.nearest(option, known)}"
