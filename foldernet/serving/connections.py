"""Connections, and how long they may take."""

import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 500  # connections: those above are answered 503, and those above twice as many not at all
SECONDS = 60  # at least, and twice as many at most, for a request, its answer and the next one
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Connection(H11Protocol):
    """One whose client is hung up on if it sends a request, or reads its answer, too slowly."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self._look(before=transport)

    def _look(self, before: Any) -> None:
        if self.cycle is before or len(self.connections) > 2 * MOST:  # the same request
            self.transport.abort()
        else:
            self.loop.call_later(SECONDS, self._look, self.cycle)


def serve(app: Any, listener: socket.socket) -> None:
    """Serve until a signal asks to stop, and what was asked by then is answered."""
    settings = {"log_level": "error", "server_header": False, "headers": list(HEADERS.items())}
    settings |= {"limit_concurrency": MOST, "timeout_graceful_shutdown": SECONDS}
    uvicorn.Server(uvicorn.Config(app, http=Connection, **settings)).run(sockets=[listener])
