"""From command-line arguments to options, by tyro; a mistake is a sentence."""

import argparse
import contextlib
import io
import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path

import tyro

from foldernet.option_types import BaseOptions, fields, flag, nearest
from foldernet.terminal import UserError

# tyro keeps the line breaks of indented docstrings: in `get_field_docstring` it joins lines before
# it dedents them.
tyro._strings.remove_single_line_breaks = lambda text: " ".join(text.split())


def peek(arguments: list[str] | None) -> dict:
    """What is typed of the options that say which options there are, and with which
    defaults: mode, name, resume, config, augment."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in ("--mode", "--name", "--config", "--augment"):
        parser.add_argument(option, default=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", default=argparse.SUPPRESS)
    with contextlib.suppress(argparse.ArgumentError):  # `parse` will say so
        return vars(parser.parse_known_args(arguments)[0])
    return {}


def parse(
    owner: type[BaseOptions],
    arguments: list[str] | None,
    command: str,
    earlier: dict | None = None,
    modes_with: Callable[[str], list[str]] = lambda name: [],
):
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
    if any(re.fullmatch("(--[^=]*=)?", argument) for argument in arguments):
        raise UserError("An argument is empty. Give it a value, or leave it out.")
    _check_names(owner, arguments, modes_with)
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
                config=(tyro.conf.HelptextFromCommentsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as error:
        if error.code:
            raise UserError(f"{_sentence(box.getvalue())} --help says what it takes.") from None
        raise
    if unknown:
        raise UserError(f"'{unknown[0]}' is one argument too many; quote a name that has spaces.")
    return options


def _check_names(owner: type[BaseOptions], arguments: list[str], modes_with: Callable) -> None:
    """Raise UserError if there is no option of a name that was typed."""
    known = ["--help", "-h"]
    for name, (_, marks) in fields(owner).items():
        if tyro.conf.Positional not in marks:
            names = (name, f"no_{name}") if isinstance(getattr(owner, name), bool) else (name,)
            aliases = (getattr(mark, "aliases", None) or () for mark in marks)
            known += [*map(flag, names), *itertools.chain(*aliases)]
    for argument in itertools.takewhile(lambda argument: argument != "--", arguments):
        typed = re.match("--[^=]+|-[a-zA-Z]", argument)
        if typed and (option := typed[0].replace("_", "-")) not in known:
            name = option[2:].replace("-", "_")
            if name not in owner.__dataclass_fields__ and (modes := modes_with(name)):
                raise UserError(f"{option} is an option of --mode {' and '.join(modes)}.")
            raise UserError(f"There is no option {option}{nearest(option, known)}")


def _sentence(box: str) -> str:
    """What tyro says in a box, in color on a terminal, below its title and above what it adds; of a
    wrong value, without the function of Python that refused it."""
    _title, _, text = re.sub("\x1b.*?m|[│╭╮╰╯─]", "", box).partition("\n")
    # Below the message is an empty line or a rule, and in plain ASCII a rule is above it, too.
    said = " ".join(re.split("\n[- ]*\n", text.lstrip("- \n"))[0].split()).rstrip(".")
    # --batch/-b/--batch-size is an option with aliases.
    said = re.sub(r"^Error parsing (\S+/)?(\S+): .*(: |\[)('.*')\]?$", r"\2 can't be \4", said)
    return re.sub(r"^Missing value for argument '(\S+/)?(\S+)'.*", r"\2 lacks a value", said) + "."
