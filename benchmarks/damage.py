"""Damaged and hostile files, the same ones for the same seed: of every format the reader knows."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

WIDTH, HEIGHT = 64, 48
ABSURD = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEADER_BYTES = 160  # where most formats say how large they are


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, *others: bytes, depth=8, kind=2, laced=0) -> bytes:
    """A PNG of `data`, filtered rows that aren't compressed yet; `others` are chunks before it."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, laced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + b"".join(others)
        + png_chunk(b"IDAT", zlib.compress(data, 1))
        + png_chunk(b"IEND", b"")
    )


def jpeg_segment(kind: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(data) + 2) + data


def tiff(width: int, height: int, data: bytes, tags: dict[int, tuple[int, int, int]]) -> bytes:
    """A grey TIFF of `data` in one strip; `tags` -> (type, count, value) replace or join its own."""
    tags = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        278: (4, 1, height),
        279: (4, 1, len(data)),
    } | tags
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    start = struct.pack("<4sI", b"II*\0", 8 + len(data))
    return start + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def seeds() -> dict[str, bytes]:
    """Good files: name -> content."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = 128 + 100 * np.sin(x / 7)[..., None] * np.cos(y[..., None] / (3, 5, 7, 9))
    pixels = np.clip(waves + random.normal(0, 8, waves.shape), 0, 255).astype(np.uint8)
    rgba, rgb = Image.fromarray(pixels), Image.fromarray(pixels[..., :3].copy())
    grey, bits, palette = rgb.convert("L"), rgb.convert("1"), rgb.quantize(32)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    cmyk, other = rgb.convert("CMYK"), Image.fromarray(255 - pixels[..., :3])
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a comment " * 20, zip=True)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "described"
    frames = {"save_all": True, "append_images": (other, rgb)}
    several = [
        ("jpeg", "JPEG", rgb, {}),
        ("jpeg-exif", "JPEG", rgb, {"exif": exif, "icc_profile": bytes(500)}),
        ("jpeg-progressive", "JPEG", rgb, {"progressive": True}),
        ("jpeg-grey", "JPEG", grey, {"restart_marker_rows": 1}),
        ("jpeg-cmyk", "JPEG", cmyk, {}),
        ("mpo", "MPO", rgb, frames),
        ("png", "PNG", rgb, {"pnginfo": text, "icc_profile": bytes(500), "exif": exif}),
        ("png-alpha", "PNG", rgba, {}),
        ("png-palette", "PNG", palette, {"transparency": bytes(range(0, 256, 8))}),
        ("png-deep", "PNG", deep, {}),
        ("png-bits", "PNG", bits, {}),
        ("png-frames", "PNG", rgb, frames),
        ("webp", "WEBP", rgb, {"exif": exif}),
        ("webp-lossless", "WEBP", rgba, {"lossless": True}),
        ("webp-alpha", "WEBP", rgba, {}),
        ("webp-frames", "WEBP", rgb, frames),
        ("gif", "GIF", palette, {"transparency": 3, "comment": b"a comment"}),
        ("gif-frames", "GIF", rgb, frames),
        ("bmp", "BMP", rgb, {}),
        ("bmp-palette", "BMP", palette, {}),
        ("bmp-bits", "BMP", bits, {}),
        ("tiff", "TIFF", rgb, {"exif": exif}),
        ("tiff-deep", "TIFF", deep, {}),
        ("tiff-cmyk", "TIFF", cmyk, {}),
        ("tiff-big", "TIFF", rgba, {"big_tiff": True}),
        ("tiff-lzw", "TIFF", rgb, {"compression": "tiff_lzw"}),
        ("tiff-deflate", "TIFF", rgba, {"compression": "tiff_adobe_deflate"}),
        ("tiff-packbits", "TIFF", palette, {"compression": "packbits"}),
        ("tiff-jpeg", "TIFF", rgb, {"compression": "jpeg"}),
        ("tiff-group4", "TIFF", bits, {"compression": "group4"}),
        ("tiff-group3", "TIFF", bits, {"compression": "group3"}),
        ("tiff-frames", "TIFF", rgb, frames),
        ("ppm", "PPM", rgb, {}),
        ("pgm", "PPM", grey, {}),
        ("pgm-deep", "PPM", deep, {}),
        ("pbm", "PPM", bits, {}),
        ("avif", "AVIF", rgb, {}),
    ]
    several += [("heic", "HEIF", rgb, {})] if "HEIF" in Image.SAVE else []  # with pillow-heif
    contents = {}
    for name, image_format, image, options in several:
        file = io.BytesIO()
        # Copies: saving leaves settings in an image, which another format stumbles over.
        more = [frame.copy() for frame in options.get("append_images", ())]
        image.copy().save(file, image_format, **options | {"append_images": more})
        contents[name] = file.getvalue()
    numbers = " ".join(map(str, pixels[..., :3].ravel()))
    contents["ppm-letters"] = f"P3 # a comment\n{WIDTH} {HEIGHT} 255\n{numbers}\n".encode()
    contents["ppm-range"] = b"P6 64 48 100\n" + (pixels[..., :3] % 101).tobytes()
    contents["png-laced"] = _laced(pixels)
    contents["bmp-runs"] = _bmp_of_runs(pixels[..., 0] // 16)
    contents["tiff-strips"] = tiff(WIDTH, HEIGHT, pixels[..., 0].tobytes(), {})
    return contents


def _laced(pixels) -> bytes:
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, across in [*passes, (1, 0, 2, 1)]
        for row in pixels[top::down, left::across]
    )
    return png(WIDTH, HEIGHT, rows, kind=6, laced=1)


def _bmp_of_runs(indices) -> bytes:
    rows = b"".join(b"".join(bytes([1, index]) for index in row) + b"\0\0" for row in indices[::-1])
    data, palette = rows + b"\0\1", bytes(range(256)) * 4
    start = 14 + 40 + len(palette)
    header = struct.pack("<2sIII", b"BM", start + len(data), 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(data), 0, 0, 256, 0)
    return header + info + palette + data


# What is done to a file: (content, random, another file) -> content


def cut(content, random, other):
    return content[: random.integers(1, len(content))]


def flip_bits(content, random, other):
    damaged = bytearray(content)
    for at in random.integers(0, len(content), random.integers(1, 20)):
        damaged[at] ^= 1 << random.integers(8)
    return bytes(damaged)


def splice(content, random, other):
    """Part of another file in place of a part of this one."""
    start, end = sorted(random.integers(0, len(content), 2))
    first, last = sorted(random.integers(0, len(other), 2))
    return content[:start] + other[first:last] + content[end:]


def repeat(content, random, other):
    """A part many times over, as a chunk or a scan might come."""
    start = random.integers(0, len(content))
    part = content[start : start + random.integers(1, 200)]
    return content[:start] + part * int(random.integers(2, 2000)) + content[start:]


def absurd_number(content, random, other):
    """A size, a count or an offset that can't be meant."""
    damaged = bytearray(content)
    for at in random.integers(0, min(len(content), HEADER_BYTES), random.integers(1, 4)):
        form = random.choice(["<H", ">H", "<I", ">I"])
        value = ABSURD[random.integers(len(ABSURD))]
        size = struct.calcsize(form)
        number = struct.pack(form, value & (256**size - 1))
        damaged[at : at + size] = number
    return bytes(damaged)


DAMAGES = (cut, flip_bits, splice, repeat, absurd_number)


def damaged(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, content) of `count` damaged files: every seed with every kind of damage in turn."""
    whole = seeds()
    names = list(whole)
    for number in range(count):
        random = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        damage = DAMAGES[number // len(names) % len(DAMAGES)]
        content = damage(whole[name], random, whole[names[random.integers(len(names))]])
        if name.startswith("png") and random.random() < 0.5:
            content = _with_checksums(content)
        yield f"{number:05}-{damage.__name__}-{name}", content


def _with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the right checksums: else damage never comes as far as its pixels."""
    out, at = content[:8], 8
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if at + 12 + length > len(content):
            break
        out += png_chunk(kind, content[at + 8 : at + 8 + length])
        at += 12 + length
    return out + content[at:]


def bombs() -> Iterator[tuple[str, bytes]]:
    """(name, content) of files that cost a decoder far more than they weigh."""
    side = 7071  # its square is 50 megapixels
    rows = zlib.compressobj(1)
    black = b"".join(rows.compress(bytes(1 + 4 * side)) for _ in range(side)) + rows.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    end = png_chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n" + header
    yield "png-50-megapixels", start + png_chunk(b"IDAT", black) + end
    yield "png-60000-a-side", png(60_000, 60_000, bytes(1000))
    yield "png-one-pixel-wide", png(1, 49_000_000, bytes(1000))
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 * 2**20), 1))
    yield "png-text", png(1, 1, bytes(4), text)
    yield "png-profile", png(1, 1, bytes(4), png_chunk(b"iCCP", b"p\0\0" + text[17:-4]))
    yield "png-unknown-chunk", png(1, 1, bytes(4), png_chunk(b"abCd", bytes(30 * 2**20)))
    yield "png-million-chunks", png(1, 1, bytes(4), png_chunk(b"abCd", b"") * 10**6)
    tail = png_chunk(b"IDAT", b"") * 10**6
    yield "png-million-data-chunks", start + tail + end
    yield from _jpeg_bombs()
    yield from _tiff_bombs()
    yield "webp-frames", _webp_of_frames()
    yield "webp-16383-a-side", _webp_canvas(16383, 16383)
    gif = b"GIF89a" + struct.pack("<HHBBB", 7000, 7000, 0x80, 0, 0) + bytes(6)
    comment = b"!\xfe" + (b"\xff" + bytes(255)) * 10**5 + b"\0"
    yield "gif-comments", gif + comment * 2
    yield "gif-little-data", gif + b"," + struct.pack("<HHHHB", 0, 0, 7000, 7000, 0) + b"\2\1\4\0;"
    yield "gif-beyond-its-screen", gif + b"," + struct.pack("<HHHHB", 9, 9, 65535, 65535, 0) + b"\2"
    yield "ppm-blanks", b"P6" + b" " * 30 * 2**20
    yield "ppm-comment", b"P6 #" + b"x" * 30 * 2**20
    yield "ppm-letters", b"P3 7000 7000 255\n" + b"1 " * 10**7
    yield "ppm-range", b"P6 7000 7000 100\n" + bytes(3 * 7000 * 7000)
    runs = struct.pack("<2sIII", b"BM", 0, 0, 1078)
    runs += struct.pack("<IiiHHIIiiII", 40, 7000, 7000, 1, 8, 1, 0, 0, 0, 256, 0)
    yield "bmp-runs", runs + bytes(1024) + b"\1\1" * 10**7


def _jpeg_bombs() -> Iterator[tuple[str, bytes]]:
    side = 7000
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last_scan = content[content.rindex(b"\xff\xc4") : -2]
    yield "jpeg-scans", content[:-2] + last_scan * 500 + b"\xff\xd9"
    small = seeds()["jpeg"]
    thumbnail = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000)
    for tag in range(5000):
        thumbnail += struct.pack("<HHII", 1000 + tag, 7, 60_000, 0)
    exif = jpeg_segment(0xE1, thumbnail + bytes(65_000 - len(thumbnail)))
    yield "jpeg-overlapping-tags", small[:2] + exif + small[2:]
    more = jpeg_segment(0xE1, b"Exif\0\0" + bytes(65_000))
    yield "jpeg-a-thousand-exif-blocks", small[:2] + more * 1000 + small[2:]
    yield "jpeg-comments", small[:2] + jpeg_segment(0xFE, b"") * 10**6 + small[2:]
    yield "jpeg-junk", small[:2] + bytes(30 * 2**20) + small[2:]
    frame = small.index(b"\xff\xc0")
    huge = struct.pack(">HH", 65_500, 65_500)
    yield "jpeg-65500-a-side", small[: frame + 5] + huge + small[frame + 9 :]


def _tiff_bombs() -> Iterator[tuple[str, bytes]]:
    count = 4 * 10**6
    yield "tiff-strips", tiff(64, 48, bytes(4 * count), {273: (4, count, 8), 278: (4, 1, 1)})
    yield "tiff-samples", tiff(64, 48, bytes(64 * 48), {277: (4, 1, 2**31)})
    yield "tiff-rows", tiff(64, 48, bytes(64 * 48), {259: (3, 1, 5), 278: (4, 1, 2**32 - 1)})
    yield (
        "tiff-tiles",
        tiff(
            *(7000, 7000, bytes(4000)),
            {259: (3, 1, 5), 322: (4, 1, 2**20), 323: (4, 1, 2**20), 324: (4, 1, 8)},
        ),
    )
    tags = {1000 + tag: (7, 10**6, 8) for tag in range(30_000)}
    yield "tiff-overlapping-tags", tiff(64, 48, bytes(10**6), tags)
    yield "tiff-little-data", tiff(7000, 7000, bytes(4000), {259: (3, 1, 8)})


def _webp_canvas(width: int, height: int, *chunks: bytes) -> bytes:
    canvas = bytes([2, 0, 0, 0]) + (width - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + (height - 1).to_bytes(3, "little")
    body += b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_of_frames() -> bytes:
    """A picture of one frame, its frame repeated."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, "WEBP")
    picture = file.getvalue()[12:]
    frame = bytes(6) + bytes([15, 0, 0, 15, 0, 0, 1, 0, 0, 0]) + picture
    frames = (b"ANMF" + struct.pack("<I", len(frame)) + frame) * 20_000
    return _webp_canvas(16, 16, b"ANIM" + struct.pack("<I", 6) + bytes(6), frames)
