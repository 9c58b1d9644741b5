"""`foldernet train`, `foldernet predict` and so on: the commands of `rooms.COMMANDS`."""

import pkgutil
import sys

from foldernet import __version__, rooms
from foldernet.option_types import nearest
from foldernet.terminal import status


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the first argument names; returns the exit status."""
    command, *others = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command == "--version":
        print(f"foldernet {__version__}")
        return 0
    if command in ("-h", "--help"):
        print(f"usage: foldernet {{{','.join(rooms.COMMANDS)}}} ...; each has a --help of its own")
        return 0
    if command not in rooms.COMMANDS:
        status(f"error: There is no command '{command}'{nearest(command, rooms.COMMANDS)}")
        return 1
    return pkgutil.resolve_name(rooms.COMMANDS[command])(others)


if __name__ == "__main__":
    sys.exit(main())
