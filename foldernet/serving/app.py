"""The HTTP interface, and the page."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated

import multipart
import prometheus_client
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError, StarletteHTTPException
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from foldernet import __version__
from foldernet.interchange.writers import as_json
from foldernet.serving import line, uploads
from foldernet.serving.models import Served
from foldernet.terminal import listed

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
OPEN = (*PAGE, "/health")  # to those without a token, too
PROBLEMS = {
    asyncio.QueueFull: (503, "Too much is asked at a time. Try again in a moment."),
    TimeoutError: (408, f"The request must arrive within {uploads.SECONDS} seconds."),
    ClientDisconnect: (400, "The request ends early."),
    multipart.MultipartError: (400, "The form can't be read."),
    multipart.ParserLimitReached: (413, f"At most {uploads.MOST_IMAGES} images can be sent."),
    RequestValidationError: (422, "A parameter can't be that; /openapi.json says what it can be."),
    Exception: (500, "Something went wrong here, and the server's log says what."),
}
MORE = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


def make(served: Served, token: str | None = None, hosts: tuple[str, ...] = ()) -> FastAPI:
    """The application that serves a model.

    Args:
        token: what clients have to send.
        hosts: the names by which it may be asked for, if there are any: else a page of elsewhere
            could have its name point here, and read the answers (DNS rebinding).
    """
    bearer = f"Bearer {token}".encode()
    # No pages of documentation: they would fetch their scripts from elsewhere.
    app = FastAPI(title="Foldernet", version=__version__, docs_url=None, redoc_url=None)
    here = files(__package__)
    interface = json.loads((here / "interface.json").read_text(encoding="utf-8"))
    app.add_exception_handler(StarletteHTTPException, lambda _, error: problem(**vars(error)))
    for error, (status, detail) in PROBLEMS.items():
        app.add_exception_handler(error, lambda *_, said=(status, detail): problem(*said))
    registry = prometheus_client.CollectorRegistry()
    of_all = {"registry": registry, "namespace": "foldernet"}
    seconds = prometheus_client.Histogram("seconds", "Of requests.", ["path", "status"], **of_all)
    batches = prometheus_client.Summary("batch_images", "In a call of the network.", **of_all)
    questions, explaining = line.Line(lambda: served.predictor, batches.observe), asyncio.Lock()
    Images = Annotated[list, Depends(uploads.Uploads())]

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable) -> Response:
        began, scope = time.perf_counter(), request.scope
        given = request.headers.get("authorization", "").encode("latin-1")
        if hosts and request.url.hostname not in hosts:
            response = problem(421, f"This server answers as {listed(hosts)} alone.")
        elif scope["path"] in OPEN or not token or hmac.compare_digest(given, bearer):
            response = await call_next(request)
        else:
            response = problem(401, "Send the server's --token: Authorization: Bearer TOKEN.")
        path = scope["route"].path if "route" in scope else "other"  # clients make up many
        seconds.labels(path, response.status_code).observe(time.perf_counter() - began)
        return response

    @app.post("/predict", openapi_extra=interface["/predict"])
    async def predict(images: Images, top: Annotated[int, Query(ge=1)] = 3) -> Response:
        """What is on each image: a list, as predict.py --json writes it."""
        _, answers = await questions.ask(images)
        told = json.dumps([as_json(result, top) for _, result in answers])
        return Response(told, media_type="application/json")

    @app.post("/explain", response_class=Response, openapi_extra=interface["/explain"])
    async def explain(images: Images) -> Response:
        """The first image in gray, under heat where its class depends on it."""
        predictor, ((pixels, result),) = await questions.ask(images[:1])
        if result.error:
            raise HTTPException(422, result.error)
        if explaining.locked():
            raise asyncio.QueueFull
        async with explaining:  # one at a time: it takes as long as many images
            png = await asyncio.to_thread(line.heat_map, predictor, pixels, result)
        return Response(png, media_type="image/png")

    @app.get("/model")
    def model() -> dict:
        """The model that answers."""
        return served.card()

    @app.get("/health")
    async def health() -> dict:
        """That the server answers."""
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Measurements, for Prometheus."""
        told = prometheus_client.generate_latest(registry)
        return Response(told, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    for path, (name, kind) in PAGE.items():
        page = (here / "page" / name).read_bytes()
        app.add_route(path, lambda _, made=(page, 200, None, kind): Response(*made))
    return app


def problem(status_code: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error, as RFC 9457 has it."""
    told = {"title": HTTPStatus(status_code).phrase, "status": status_code, "detail": detail}
    headers = headers or MORE.get(status_code)
    return JSONResponse(told, status_code, headers, media_type="application/problem+json")
