"""The images of a request, received into memory: counted, in parts, and against the clock."""

import asyncio
from collections.abc import AsyncIterator

import multipart
from fastapi import HTTPException, Request

MEGABYTE = 10**6
MOST_BYTES, MOST_IMAGES = 32 * MEGABYTE, 32  # of a request
MOST_HELD = 256 * MEGABYTE  # of all requests that arrive or wait
SECONDS = 30  # for all of a request


class Uploads:
    """What arrives, or waits for its answer.

    Attributes:
        held: bytes of it.
    """

    held = 0

    async def __call__(self, request: Request) -> AsyncIterator[list[tuple[str, bytearray]]]:
        """The name and content of each image of a request, until it is answered.

        Raises:
            HTTPException, multipart.MultipartError, TimeoutError: it is not what it should be.
            asyncio.QueueFull: too much is held already.
        """
        size, images, events = 0, [("<bytes>", bytearray())], lambda chunk: [chunk]
        kind, options = multipart.parse_options_header(request.headers.get("content-type", ""))
        if kind == "multipart/form-data":
            boundary, most = options.get("boundary", ""), {"max_segment_count": MOST_IMAGES}
            images, events = [], multipart.PushMultipartParser(boundary, **most).parse
        try:
            async with asyncio.timeout(SECONDS):
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
                raise HTTPException(400, "There is no image in it. Send one as the body.")
            yield images
        finally:
            self.held -= size
