"""The fast way to read a JPEG: what most of them are, decoded at once from memory by libjpeg-turbo.

It gives the pixels of Pillow's way, which takes over wherever anything is unusual, damaged or
large, and which alone refuses files and says why.
"""

import struct

import numpy as np
import simplejpeg
from PIL import Image

from foldernet.images import limits

EXTENSIONS = (".jpg", ".jpeg")  # of others, it isn't worth a look
BYTES, PIXELS, SEGMENTS = 15_000_000, 8_000_000, 50  # at most; PIXELS of what is decoded
MANY = 1_000_000  # pixels, up to which several scans are no matter
SCALES = (8, 4, 2, 1)  # by which Pillow's draft divides
# Markers: those that may stand before the pixels, and those that say more.
HARMLESS = {0xC4, 0xDB, 0xDD, 0xFE}  # tables, restart interval, comment
NAMED = {0xE0: [b"JFIF\0"], 0xE2: [b"ICC_PROFILE"]}  # harmless ones of applications
EXIF, BASELINE, SCAN = 0xE1, 0xC0, 0xDA


def read(path: str, least: int | None) -> tuple[np.ndarray, tuple[int, int], int] | None:
    """Read and decode a plain JPEG.

    Args:
        least: pixels per side that are wanted; what is larger by a factor of two, four or eight is
            decoded that much smaller, as by Pillow's draft. None decodes all.

    Returns:
        (height, width, 3) uint8, as stored; (height, width) of the file; and the EXIF orientation.
        None where it isn't plain.
    """
    if "." in path and not path.lower().endswith(EXTENSIONS):  # files in memory have none
        return None
    try:
        with limits.opened(path) as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES or not (found := _header(content)):
            return None
        (height, width), orientation = found
        scale = min(width // least, height // least) if least else 1
        scale = next(each for each in SCALES if max(scale, 1) >= each)
        small = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
        if small["min_height"] * small["min_width"] > PIXELS:
            return None
        return simplejpeg.decode_jpeg(content, "RGB", **small), (height, width), orientation
    except Exception:  # Pillow raises nearly everything for a damaged header
        return None


def _header(content: bytes) -> tuple[list[int], int] | None:
    """[height, width], and the orientation; None where the segments before the pixels aren't those
    of a plain JPEG."""
    size, orientation, at = None, 1, 2
    for _ in range(SEGMENTS):
        mark, kind, length = struct.unpack_from(">BBH", content, at)
        segment = content[at + 4 : at + 2 + length]
        at += 2 + length
        if mark != 0xFF or content[:2] != b"\xff\xd8":
            return None
        if kind == SCAN:
            if size and size[0] * size[1] > MANY and b"\xff\xda" in content[at:]:
                return None  # of several scans all is kept in memory
            return size and (size, orientation)
        if kind == BASELINE and not size:
            precision, *size, channels = struct.unpack_from(">BHHB", segment)
            allowed = 0 < size[0] * size[1] < limits.allowed(limits.JPEG_PIXEL_LIMIT)
            if precision != 8 or channels not in (1, 3) or not allowed:
                return None
        elif kind == EXIF and segment[:6] == b"Exif\0\0":
            exif = Image.Exif()
            exif.load(segment)
            orientation = exif.get(0x0112)
        elif kind not in HARMLESS and not any(map(segment.startswith, NAMED.get(kind, ()))):
            return None
    return None
