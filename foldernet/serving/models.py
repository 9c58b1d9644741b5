"""The model that is served, its successors, and the requests that wait for it."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from fastapi import HTTPException

from foldernet.analysis.occlusion import occlusion, overlaid
from foldernet.export.onnx_file import FILE
from foldernet.images.reader import ImageError
from foldernet.images.threads import THREADS
from foldernet.interchange import memory
from foldernet.terminal import UserError, status, warn
from foldernet.training import runs

POLL_SECONDS = 2
MOST_WAITING = 128  # requests, those that are being answered included
BATCH_SIZE = 32  # images; a batch that has this many takes no further request
ANSWER_SECONDS = 30
# Each thread may take the memory that `foldernet.images.limits` allows an image.
DECODERS = ThreadPoolExecutor(min(THREADS, 4), thread_name_prefix="decoder")
Upload = tuple[str, bytearray]  # an image: name, content


class Served:
    """A trained classifier: a run's, or the newest.

    Args:
        run: a run's name or folder, or a file; None is the newest.
        load: `foldernet.load`, passed in as imports only go down.

    Attributes:
        predictor: what answers; another one once `renew` has found it.

    Raises:
        UserError: there is no such run, or it is no classifier.
    """

    def __init__(self, run: str | None, load: Callable):
        self._run, self._load = run, load
        self._seen = self._current = self._state()
        self.predictor = self._loaded()

    @property
    def folder(self) -> Path:
        """The run's; its name is the run's."""
        return self.predictor.path.resolve().parent

    def renew(self) -> None:
        """Load the model again if its files have changed, but not since the last call, when they
        may have been half written. If it can't be loaded, that is reported once, and the old one
        stays. Without a run, only one whose training has ended takes over."""
        with contextlib.suppress(UserError, OSError):  # it is gone, or just going
            before, self._seen = self._seen, self._state()
            best = before[0][0]
            ended = self._run or best.with_name(runs.METRICS).exists()
            if self._seen == before != self._current and ended:
                self._current = before
                try:
                    self.predictor = self._loaded()
                    status(f"Serving {self.folder.name} now")
                except Exception as error:  # whatever a file does, the earlier model answers
                    warn(f"'{best}' is not served, the earlier model is: {error}")

    def follow(self) -> None:
        """Renew it forever."""
        while True:
            time.sleep(POLL_SECONDS)
            self.renew()

    def card(self) -> dict:
        """The model for people: its run, classes, size, and the scores that the run has."""
        scores, size = runs.Run(str(self.folder)).metrics, self.predictor.size
        about = {"run": self.folder.name, "classes": self.predictor.classes, "image_size": size}
        error = scores.get("calibration", {}).get("error_after")
        return about | {"accuracy": scores.get("accuracy"), "calibration_error": error}

    def _state(self) -> list[tuple[Path, int, int]]:
        """The model's files, best.keras first, with the times of their changes and their sizes."""
        best = runs.model_of(runs.find(self._run, mode="classify"))
        files = [best, *best.parent.glob(FILE)]
        return [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]

    def _loaded(self):
        predictor = self._load(self._current[0][0])
        if not hasattr(predictor, "classes"):
            raise UserError(f"'{predictor.path}' is no classifier. Name a run of one.")
        # The first call is slow: no request should wait for it.
        predictor.network.predict_on_batch(np.zeros((1, *predictor.network.input_shape[1:])))
        return predictor


class BatchQueue:
    """Requests that wait for the network; those that arrive while it computes are the next batch.

    Args:
        served: its `predictor` at the time answers a batch.
        observe: called with the number of images of each batch.
    """

    def __init__(self, served: Served, observe: Callable):
        self._served, self._observe = served, observe
        self._waiting: dict[asyncio.Future, list[Upload]] = {}
        self._computing = asyncio.Lock()  # first come, first served

    async def predict(self, images: list[Upload]) -> list:
        """A prediction for each image of a request, all by one model.

        Raises:
            asyncio.QueueFull: too many requests are waiting, or it takes too long.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise asyncio.QueueFull
        answer = asyncio.get_running_loop().create_future()
        self._waiting[answer] = images
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._computing:
                if not answer.done():  # it was not part of the batch before
                    await self._predict_batch()
            return answer.result()
        except TimeoutError:
            raise asyncio.QueueFull from None
        finally:
            del self._waiting[answer]

    async def _predict_batch(self) -> None:
        batch, images = [], []
        for answer, own in self._waiting.items():
            if not answer.done() and len(images) < BATCH_SIZE:
                batch.append((answer, len(own)))
                images += own
        self._observe(len(images))
        predictor = self._served.predictor
        results = predictor.answers(await asyncio.to_thread(_decoded, predictor, images))
        results = iter(await asyncio.to_thread(list, results))  # which runs the network
        for answer, count in batch:
            answer.set_result([next(results) for _ in range(count)])


def _decoded(predictor, images: list[Upload]) -> list[tuple[str, np.ndarray | ImageError]]:
    def decode(image: Upload) -> tuple[str, np.ndarray | ImageError]:
        name, content = image
        ((_, pixels),) = memory.named_images(predictor, bytes(content))
        return name, pixels

    return list(DECODERS.map(decode, images))


def heat_map(predictor, image: Upload) -> bytes:
    """An image in gray, under heat where its class depends on it, as a PNG.

    Raises:
        HTTPException: it can't be read.
    """
    ((_, pixels),) = _decoded(predictor, [image])
    if isinstance(pixels, ImageError):
        raise HTTPException(422, pixels.reason)
    heat = occlusion(lambda covered: predictor.network.predict_on_batch(covered)[1], pixels)
    return cv2.imencode(".png", overlaid(pixels, heat)[..., ::-1])[1].tobytes()
