"""The line before the network: what is asked while it computes is asked of it together."""

import asyncio
import dataclasses
import io
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from foldernet.analysis.occlusion import occlusion, overlaid
from foldernet.images.reader import ImageError
from foldernet.images.threads import THREADS
from foldernet.interchange import memory

MOST_WAITING = 128  # questions, those that are being answered among them
BATCH_SIZE = 32  # images; a batch that has so many takes no further question
SECONDS = 30  # for an answer
# Each thread may take the memory that `foldernet.images.limits` allows an image.
DECODERS = ThreadPoolExecutor(min(THREADS, 4), thread_name_prefix="decoder")


@dataclasses.dataclass(eq=False)
class Question:
    """What is on these images?

    Attributes:
        images: names and contents.
        answer: the predictor that answered for all of them; and of each its pixels, or an
            ImageError, and what it predicts.
    """

    images: list[tuple[str, bytearray]]
    answer: tuple[Any, list[tuple[Any, Any]]] | None = None


class Line:
    """Questions that wait for their answers, in order.

    Args:
        current: gives the predictor that answers now.
        watch: told how many images each batch has.
    """

    def __init__(self, current: Callable[[], Any], watch: Callable[[int], Any]):
        self.waiting: list[Question] = []
        self._current, self._watch, self._asking = current, watch, asyncio.Lock()

    async def ask(self, images: list[tuple[str, bytearray]]) -> tuple[Any, list[tuple[Any, Any]]]:
        """The answer to a question.

        Raises:
            asyncio.QueueFull: too many wait already, or it takes too long.
        """
        if len(self.waiting) >= MOST_WAITING:
            raise asyncio.QueueFull
        self.waiting.append(mine := Question(images))
        try:
            async with asyncio.timeout(SECONDS), self._asking:
                if not mine.answer:  # it was not among those of the one before
                    await self._ask_together()
            return mine.answer
        except TimeoutError:
            raise asyncio.QueueFull from None
        finally:
            self.waiting.remove(mine)

    async def _ask_together(self) -> None:
        batch, images, predictor = [], [], self._current()
        for question in self.waiting:
            if not question.answer and len(images) < BATCH_SIZE:
                batch.append(question)
                images += question.images
        self._watch(len(images))
        answers = iter(await asyncio.to_thread(_answers, predictor, images))
        for question in batch:
            question.answer = predictor, list(itertools.islice(answers, len(question.images)))


def _answers(predictor: Any, images: list[tuple[str, bytearray]]) -> list[tuple[Any, Any]]:
    def read(image: tuple[str, bytearray]) -> tuple[str, np.ndarray | ImageError]:
        name, content = image
        try:
            return name, memory.read(bytes(content), predictor.size, predictor.rule)
        except ImageError as error:
            return name, ImageError(name, error.reason)  # without what its traceback would hold

    drawn = list(DECODERS.map(read, images))
    return list(zip((pixels for _, pixels in drawn), predictor.answers(drawn), strict=True))


def heat_map(predictor: Any, pixels: np.ndarray, result: Any) -> bytes:
    """An image in gray, under heat where its class depends on it, as a PNG."""
    label = predictor.classes.index(result.ranking[0][0])
    heat = occlusion(lambda some: predictor.network.predict_on_batch(some)[1], pixels, label)
    Image.fromarray(overlaid(pixels, heat)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()
