"""The HTTP interface and the page, and the limits that clients are held to."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any

import multipart
import prometheus_client
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError, StarletteHTTPException
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from foldernet import __version__
from foldernet.interchange.writers import as_json
from foldernet.serving.models import BatchQueue, Served, Upload, heat_map
from foldernet.terminal import listed

HERE = files(__package__)
MOST_BYTES, MOST_IMAGES = 32_000_000, 32  # of a request
MOST_HELD = 256_000_000  # bytes of all requests that arrive or wait
UPLOAD_SECONDS = 30  # for all of a request to arrive
# For a request, its answer and the wait for the next one; twice as many at most.
CONNECTION_SECONDS = 60
PAGE = {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}
OPEN = (*PAGE, "/health")  # even without a token
PROBLEMS = {  # what is raised -> arguments of `problem`
    asyncio.QueueFull: (503, "The server is busy. Try again in a moment.", {"Retry-After": "1"}),
    TimeoutError: (408, f"The request must arrive within {UPLOAD_SECONDS} seconds."),
    ClientDisconnect: (400, "The request ended early."),
    multipart.MultipartError: (400, "The form can't be read."),
    multipart.ParserLimitReached: (413, f"At most {MOST_IMAGES} images can be sent."),
    RequestValidationError: (422, "A parameter has an invalid value; see /openapi.json."),
    Exception: (500, "Something went wrong; the server's log has the details."),
}


def make(served: Served, token: str | None = None, hosts: tuple[str, ...] = ()) -> FastAPI:
    """The application that serves a model.

    Args:
        token: what clients have to send.
        hosts: the host names that requests may be sent to, if only some: else a page elsewhere
            could have its own name point here, and read the answers (DNS rebinding).
    """
    bearer = f"Bearer {token}".encode()
    # No pages of documentation: they would fetch their scripts from elsewhere.
    app = FastAPI(title="Foldernet", version=__version__, docs_url=None, redoc_url=None)
    interface = json.loads((HERE / "interface.json").read_text(encoding="utf-8"))
    app.add_exception_handler(StarletteHTTPException, lambda _, error: problem(**vars(error)))
    for error, response in PROBLEMS.items():
        app.add_exception_handler(error, lambda *_, given=response: problem(*given))
    registry = prometheus_client.CollectorRegistry()
    both = {"registry": registry, "namespace": "foldernet"}
    seconds = prometheus_client.Histogram("seconds", "Of requests.", ["path", "status"], **both)
    batches = prometheus_client.Summary("batch_images", "In a call of the network.", **both)
    queue, explaining = BatchQueue(served, batches.observe), asyncio.Lock()
    Images = Annotated[list, Depends(Uploads())]

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable) -> Response:
        began, scope = time.perf_counter(), request.scope
        given = request.headers.get("authorization", "").encode("latin-1")
        if hosts and request.url.hostname not in hosts:
            response = problem(421, f"This server only answers as {listed(hosts)}.")
        elif scope["path"] in OPEN or not token or hmac.compare_digest(given, bearer):
            response = await call_next(request)
        else:
            how = {"WWW-Authenticate": "Bearer"}
            response = problem(401, "Send the server's --token: Authorization: Bearer TOKEN.", how)
        path = scope["route"].path if "route" in scope else "other"  # clients make up many
        seconds.labels(path, response.status_code).observe(time.perf_counter() - began)
        return response

    @app.post("/predict", openapi_extra=interface["/predict"])
    async def predict(images: Images, top: Annotated[int, Query(ge=1)] = 3) -> Response:
        """The predictions: a list, as predict.py --json writes it."""
        return json_response([as_json(result, top) for result in await queue.predict(images)])

    @app.post("/explain", response_class=Response, openapi_extra=interface["/explain"])
    async def explain(images: Images) -> Response:
        """The first image in gray, under heat where its class depends on it."""
        if explaining.locked():
            raise asyncio.QueueFull
        async with explaining:  # one at a time: it takes as long as many images
            png = await asyncio.to_thread(heat_map, served.predictor, images[0])
        return Response(png, media_type="image/png")

    @app.get("/metrics")
    async def metrics() -> Response:
        """Measurements, for Prometheus."""
        text = prometheus_client.generate_latest(registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    app.add_api_route("/model", lambda: json_response(served.card()), name="model")
    app.add_api_route("/health", lambda: json_response({"status": "ok"}), name="health")
    for path, kind in PAGE.items():
        content = (HERE / "page" / (path[1:] or "index.html")).read_bytes()
        app.add_route(path, lambda _, made=(content, 200, None, kind): Response(*made))
    return app


def problem(status_code: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error, as RFC 9457 describes it."""
    told = {"title": HTTPStatus(status_code).phrase, "status": status_code, "detail": detail}
    return json_response(told, status_code, headers, "application/problem+json")


def json_response(content: Any, status=200, headers=None, kind="application/json") -> Response:
    """JSON in ASCII: the name of a class may have bytes that aren't UTF-8."""
    return Response(json.dumps(content), status, headers, kind)


class Uploads:
    """A dependency of FastAPI: the images of a request.

    Attributes:
        held: bytes of all requests that arrive, or wait for their answers.
    """

    held = 0

    async def __call__(self, request: Request) -> AsyncIterator[list[Upload]]:
        """The images of a request, held until it is answered.

        Raises:
            HTTPException: too many bytes, or no image.
            multipart.MultipartError: a broken form, or too many images.
            TimeoutError: it doesn't arrive in time.
            asyncio.QueueFull: too much is held already.
        """
        size, images, events = 0, [("<bytes>", bytearray())], lambda chunk: [chunk]
        kind, options = multipart.parse_options_header(request.headers.get("content-type", ""))
        if kind == "multipart/form-data":
            boundary, most = options.get("boundary", ""), {"max_segment_count": MOST_IMAGES}
            images, events = [], multipart.PushMultipartParser(boundary, **most).parse
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                async for chunk in request.stream():
                    size, self.held = size + len(chunk), self.held + len(chunk)
                    if size > MOST_BYTES:
                        raise HTTPException(413, f"At most {MOST_BYTES:,} bytes can be sent.")
                    if self.held > MOST_HELD:
                        raise asyncio.QueueFull
                    for event in events(chunk):
                        if isinstance(event, multipart.MultipartSegment):
                            images.append((event.filename or "<bytes>", bytearray()))
                        elif event:
                            images[-1][1].extend(event)
            if not any(content for _, content in images):
                raise HTTPException(400, "The request has no image in it. Send one as its body.")
            yield images
        finally:
            self.held -= size


class Connection(H11Protocol):
    """Uvicorn's, closed if its client sends a request, or reads the answer, too slowly."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self._check(before=transport)

    def _check(self, before: object) -> None:
        # Still the same request, or far too many connections.
        if self.cycle is before or len(self.connections) > 2 * self.limit_concurrency:
            self.transport.abort()
        else:
            self.loop.call_later(CONNECTION_SECONDS, self._check, self.cycle)


def serve(app: FastAPI, listener: Any) -> None:
    """Serve at a listening socket until a signal asks to stop, and all requests that began before
    it are answered. Connections beyond those of `uvicorn.json` are answered 503, those beyond twice
    as many not at all."""
    settings = json.loads((HERE / "uvicorn.json").read_text(encoding="utf-8"))
    uvicorn.Server(uvicorn.Config(app, http=Connection, **settings)).run(sockets=[listener])
