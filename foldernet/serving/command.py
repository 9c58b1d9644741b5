"""The function behind serve.py and `foldernet serve`, and its options."""

import signal
import socket
import threading
from typing import Annotated

from tyro.conf import Positional

from foldernet import command_line, terminal
from foldernet.checks.options import Options as Limits
from foldernet.option_types import Range, shown_as
from foldernet.predict import load

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServeOptions(Limits):
    """Serve a trained classifier: a page to drop images on, and an HTTP interface."""

    run: Annotated[Positional[str | None], shown_as("[RUN]")] = None
    """A run's name or folder, or a .keras file of one; it is loaded again when it changes. By
    default the newest classifier in models/, and whichever follows it."""

    host: str = LOOPBACK[0]
    """Address to listen on: by default one that only this computer reaches; 0.0.0.0 is open to the
    network."""

    port: Annotated[int, Range(0, 65535)] = 8000
    """Port to listen on; 0 takes a free one."""

    token: Annotated[str | None, shown_as("TOKEN")] = None
    """Token that clients have to send, and that the page asks for."""


@terminal.entry_point
def serve(arguments: list[str] | None = None) -> None:
    """Serve a trained classifier until SIGTERM or Ctrl-C, and answer what was asked by then."""
    options = command_line.parse(ServeOptions, arguments, "serve")
    try:
        from foldernet.serving import app, models
    except ModuleNotFoundError as error:
        missing = f"Serving needs {error.name}: pip install -r requirements-serve.txt"
        raise terminal.UserError(missing) from None
    options.allow()
    served, local = models.Served(options.run, load), options.host in LOOPBACK
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        why = error.strerror.partition(" (")[0]
        taken = f"Can't listen on port {options.port} of '{options.host}' ({why})."
        raise terminal.UserError(f"{taken} Choose another --port or --host.") from None
    who = "who has the token" if options.token else "who reaches it, as there is no --token"
    audience = "this computer alone" if local else f"everybody {who}; nothing is encrypted"
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    terminal.status(f"Serving {served.folder.name} at {address}, for {audience}")
    threading.Thread(target=served.follow, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn passes it on once all is answered
    app.serve(app.make(served, options.token, LOOPBACK if local else ()), listener)
