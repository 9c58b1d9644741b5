"""The reader's promise: the same upright 8-bit pixels of whatever file, or one clear error."""

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from foldernet.images.reader import PILLOW_FILTERS, ImageError, read_header, read_image

LOSSLESS = {"PNG": {}, "BMP": {}, "PPM": {}, "TIFF": {}, "WEBP": {"lossless": True}}
# EXIF orientation -> what makes the stored (height, width, channels) pixels upright, as the
# standard words it: "the 0th row is the visual right side, the 0th column the visual top" and so on
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


def size_in_header(path):
    header = read_header(path)
    return header.height, header.width


def noise(height, width, channels=3, seed=0):
    """(height, width, channels) uint8, every pixel another."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def photograph(height, width, seed=0):
    """(height, width, 3) uint8 with about a photograph's spectrum: smooth noise at every scale, the
    finer the fainter."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256):
        coarse = random.normal(0, cells**-0.25, (cells, cells, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = 128 + 45 * (pixels - pixels.mean()) / pixels.std() + random.normal(0, 4, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def saved(image, path, **options):
    """Write pixels or a Pillow image to `path`, and return the path."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def png_header(path, width, height):
    """Write a PNG file of some bytes that announces width x height RGB pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return path


# Formats


@pytest.mark.parametrize("image_format", LOSSLESS)
def test_lossless_formats_give_the_stored_pixels(tmp_path, image_format):
    pixels = noise(7, 5)
    path = saved(pixels, tmp_path / "image", format=image_format, **LOSSLESS[image_format])
    np.testing.assert_array_equal(read_image(path), pixels)


def test_jpeg_is_decoded_as_pillow_decodes_it(tmp_path):
    path = saved(photograph(40, 56), tmp_path / "image.jpg", quality=90)
    np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path)))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_first_frame_of_an_animation(tmp_path, image_format):
    red, green = (Image.new("RGB", (6, 4), color) for color in ((255, 0, 0), (0, 255, 0)))
    options = {"lossless": True} if image_format == "WEBP" else {}
    path = saved(
        red,
        tmp_path / "image",
        format=image_format,
        save_all=True,
        append_images=[green],
        **options,
    )
    np.testing.assert_array_equal(read_image(path), np.broadcast_to([255, 0, 0], (4, 6, 3)))


def test_first_picture_of_an_mpo(tmp_path):
    left, right = (Image.fromarray(photograph(32, 48, seed)) for seed in (1, 2))
    path = saved(left, tmp_path / "stereo.mpo", format="MPO", save_all=True, append_images=[right])
    with Image.open(path) as image:
        assert image.format == "MPO"  # not a JPEG by its own account
    alone = saved(left, tmp_path / "left.jpg")
    np.testing.assert_array_equal(read_image(path), read_image(alone))


def test_content_decides_over_the_extension(tmp_path):
    pixels = noise(4, 6)
    path = saved(pixels, tmp_path / "really_a_png.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(path), pixels)


# Kinds of pixels


def test_gray_becomes_three_equal_channels(tmp_path):
    gray = noise(5, 6, 1)[..., 0]
    path = saved(gray, tmp_path / "gray.png")
    np.testing.assert_array_equal(read_image(path), np.stack([gray] * 3, axis=-1))
    np.testing.assert_array_equal(read_image(path, color_mode="grayscale")[..., 0], gray)


def test_one_bit_is_black_and_white(tmp_path):
    bits = noise(6, 9, 1)[..., 0] > 127
    path = saved(Image.fromarray(bits), tmp_path / "bits.png", bits=1)
    with Image.open(path) as image:
        assert image.mode == "1"
    np.testing.assert_array_equal(read_image(path, color_mode="grayscale")[..., 0], bits * 255)


def test_palette_colors_are_looked_up(tmp_path):
    pixels = noise(4, 4)
    quantized = Image.fromarray(pixels).quantize(16, dither=Image.Dither.NONE)
    path = saved(quantized, tmp_path / "palette.png")
    with Image.open(path) as image:
        assert image.mode == "P"
    np.testing.assert_array_equal(read_image(path), np.asarray(quantized.convert("RGB")))


def two_color_palette():
    """A palette image (2, 2): red above black."""
    image = Image.new("P", (2, 2))
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.putdata([0, 0, 1, 1])
    return image


@pytest.mark.parametrize("extension", ["png", "gif"])
def test_transparent_palette_entry_shows_white(tmp_path, extension):
    path = saved(two_color_palette(), tmp_path / f"palette.{extension}", transparency=0)
    pixels = read_image(path)
    assert (pixels[0] == 255).all()
    assert (pixels[1] == 0).all()


def test_half_transparent_palette_entry_is_composited(tmp_path):
    path = saved(two_color_palette(), tmp_path / "palette.png", transparency=bytes([255, 128]))
    pixels = read_image(path)
    assert pixels[0].tolist() == [[255, 0, 0]] * 2
    np.testing.assert_array_equal(pixels[1], 127)


@pytest.mark.parametrize("name", ["rgb.png", "rgb.tif", "rgb.ppm", "rgba.png", "rgba.tif"])
def test_colors_of_16_bits_keep_their_levels(name, tmp_path):
    """Those of 12 bits; Pillow alone would leave 16 of them. Alpha always has 16."""
    values = np.random.default_rng(0).integers(0, 4096, (12, 9, 4), np.uint16)
    values[..., 3] *= 16
    path = tmp_path / name
    cv2.imwrite(str(path), values[..., : len(path.stem)])
    levels = values.astype(int) * 256 // (4096, 4096, 4096, 65536)
    expected = levels[..., [2, 1, 0, 3][: len(path.stem)]]
    np.testing.assert_array_equal(read_image(path, None, path.stem, white_level=4095), expected)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError):
        read_image(path, white_level=4095)


SIXTEEN_BITS = np.array([[0, 255, 256], [32768, 40000, 65535]], np.uint16)


def big_endian_pgm(path):
    path.write_bytes(b"P5 3 2 65535\n" + SIXTEEN_BITS.astype(">u2").tobytes())
    return path


def big_endian_tiff(path):
    image = Image.frombytes("I;16B", (3, 2), SIXTEEN_BITS.astype(">u2").tobytes())
    return saved(image, path)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: saved(SIXTEEN_BITS, folder / "image.png"),
        lambda folder: saved(SIXTEEN_BITS, folder / "image.tif"),
        lambda folder: big_endian_tiff(folder / "image.tif"),
        lambda folder: big_endian_pgm(folder / "image.pgm"),
    ],
    ids=["png", "tiff", "big-endian-tiff", "pgm"],
)
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, write):
    path = write(tmp_path)
    expected = [[0, 0, 1], [128, 156, 255]]
    assert read_image(path, color_mode="grayscale")[..., 0].tolist() == expected
    assert read_image(path)[..., 2].tolist() == expected


@pytest.mark.parametrize("values", [[0, 200], [0, 70_000], [-5, 10]])
def test_thirty_two_bit_integers_are_refused(tmp_path, values):
    path = saved(np.array([values], np.int32), tmp_path / "image.tif")
    with pytest.raises(ImageError, match="32-bit pixels have no known range"):
        read_image(path)


def test_floating_point_is_refused(tmp_path):
    path = saved(np.ones((4, 4), np.float32), tmp_path / "image.tif")
    with pytest.raises(ImageError, match="floating-point pixels have no known range"):
        read_image(path)


def test_cmyk_ink_becomes_light(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink make red
    np.testing.assert_array_equal(
        read_image(saved(image, tmp_path / "image.tif")), np.broadcast_to([255, 0, 0], (16, 16, 3))
    )
    from_jpeg = read_image(saved(image, tmp_path / "image.jpg")).astype(int)
    assert np.abs(from_jpeg - [255, 0, 0]).max() <= 4


def test_transparent_pixels_show_white_instead_of_what_they_hide(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = [255, 0, 0, 0]
    pixels[1] = [0, 0, 0, 128]
    path = saved(pixels, tmp_path / "image.png")
    np.testing.assert_array_equal(read_image(path)[0], 255)
    np.testing.assert_array_equal(read_image(path)[1], 127)
    np.testing.assert_array_equal(read_image(path, color_mode="grayscale")[1], 127)


def test_rgba_mode_keeps_the_alpha_and_the_colors_below(tmp_path):
    pixels = noise(3, 4, 4)
    path = saved(pixels, tmp_path / "image.png")
    np.testing.assert_array_equal(read_image(path, color_mode="rgba"), pixels)


def test_rgba_mode_makes_opaque_what_has_no_alpha(tmp_path):
    path = saved(noise(3, 4), tmp_path / "image.png")
    np.testing.assert_array_equal(read_image(path, color_mode="rgba")[..., 3], 255)


def test_gray_with_alpha_is_composited_on_white(tmp_path):
    pixels = np.array([[[100, 255], [100, 0]]], np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / "image.png")
    with Image.open(path) as image:
        assert image.mode == "LA"
    assert read_image(path, color_mode="grayscale")[..., 0].tolist() == [[100, 255]]
    assert read_image(path).tolist() == [[[100] * 3, [255] * 3]]


@pytest.mark.parametrize(("color_mode", "channels"), [("rgb", 3), ("grayscale", 1), ("rgba", 4)])
@pytest.mark.parametrize("stored", [1, 3, 4])
@pytest.mark.parametrize("size", [None, (9, 4)])
def test_shape_is_height_width_channels(tmp_path, color_mode, channels, stored, size):
    pixels = noise(6, 8, stored)
    path = saved(pixels[..., 0] if stored == 1 else pixels, tmp_path / "image.png")
    read = read_image(path, size, color_mode)
    assert read.shape == (*(size or (6, 8)), channels)
    assert read.dtype == np.uint8


# EXIF


def oriented(folder, pixels, orientation, image_format, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(pixels, folder / "oriented", format=image_format, exif=exif, **options)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(tmp_path, orientation, image_format):
    stored = noise(5, 8)
    path = oriented(tmp_path, stored, orientation, image_format, **LOSSLESS[image_format])
    upright = UPRIGHT[orientation](stored)
    np.testing.assert_array_equal(read_image(path), upright)
    assert size_in_header(path) == upright.shape[:2]


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_of_a_jpeg_is_applied(tmp_path, orientation):
    stored = photograph(40, 64)
    path = oriented(tmp_path, stored, orientation, "JPEG")
    plain = read_image(saved(stored, tmp_path / "plain.jpg"))
    np.testing.assert_array_equal(read_image(path), UPRIGHT[orientation](plain))
    assert size_in_header(path) == UPRIGHT[orientation](stored).shape[:2]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_meaningless_orientation_leaves_the_image_as_stored(tmp_path, orientation):
    stored = noise(5, 8)
    path = oriented(tmp_path, stored, orientation, "PNG")
    np.testing.assert_array_equal(read_image(path), stored)
    assert size_in_header(path) == (5, 8)


def test_a_damaged_png_is_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    whole = (tmp_path / "image.png").read_bytes()
    begin, end = whole.index(b"IDAT") + 4, whole.index(b"IEND") - 8
    for place in range(begin, end, 97):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        (tmp_path / "image.png").write_bytes(damaged)
        with pytest.raises(ImageError):
            read_image(tmp_path / "image.png", (16, 16))


def test_damaged_exif_does_not_spoil_the_pixels(tmp_path):
    stored = photograph(16, 24)
    path = saved(stored, tmp_path / "image.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff\xff")
    plain = saved(stored, tmp_path / "plain.jpg")
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        np.testing.assert_array_equal(read_image(path), read_image(plain))
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert size_in_header(path) == (16, 24)


def test_image_is_turned_upright_whatever_its_other_exif_tags_say(tmp_path):
    stored = photograph(16, 24)
    entries = [(0x0100, 2, b"wide"), (0x0112, 3, b"\x06\0\0\0")]  # a width in letters; turned by 90
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        exif += struct.pack("<HHI4s", tag, kind, len(value) if kind == 2 else 1, value)
    path = saved(stored, tmp_path / "image.jpg", exif=exif + bytes(4))
    plain = read_image(saved(stored, tmp_path / "plain.jpg"))
    np.testing.assert_array_equal(read_image(path), np.rot90(plain, -1))


# Errors


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_truncated_file_is_refused_by_name_with_the_reason(tmp_path, image_format, share):
    path = saved(photograph(60, 80), tmp_path / "cut", format=image_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    reason = "could not create decoder" if image_format == "WEBP" else "truncated"
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path, (24, 24))
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"


@pytest.mark.parametrize("read", [read_image, read_header])
def test_whatever_is_not_an_image_is_refused_with_the_reason(tmp_path, read):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image\n" * 100)
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in {
        "empty.jpg": "empty file",
        "text.jpg": "not an image of a known format",
        "folder.jpg": "not a file",
        "missing.jpg": "No such file or directory",
    }.items():
        with pytest.raises(ImageError, match=reason) as caught:
            read(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a file"):
        read_image(tmp_path / "pipe.jpg")


def test_format_that_is_not_on_the_list_is_refused(tmp_path):
    path = saved(Image.new("RGB", (8, 8)), tmp_path / "image.png", format="ICO")
    with pytest.raises(ImageError, match="not an image of a known format"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_header])
def test_header_that_asks_for_too_many_pixels_is_refused_before_decoding(tmp_path, read):
    path = png_header(
        tmp_path / "bomb.png", 8000, 7000
    )  # without the data that decoding would miss
    with pytest.raises(ImageError, match=r"8,000x7,000 are 56\.0 megapixels, where at most 50 "):
        read(path)


def test_header_that_asks_for_gigapixels_is_refused(tmp_path):
    path = png_header(tmp_path / "bomb.png", 60_000, 60_000)
    with pytest.raises(ImageError, match=r"bomb\.png: .*pixels"):
        read_image(path)


def test_fifty_megapixels_are_not_too_many(tmp_path):
    path = png_header(
        tmp_path / "image.png", 8000, 6250
    )  # this one gets as far as its missing data
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)


def test_a_jpeg_of_200_megapixels_is_decoded_small(tmp_path):
    path = tmp_path / "phone.jpg"
    Image.new("L", (16_320, 12_240), 200).save(path)
    assert np.all(read_image(path, (48, 48)) == 200)


@pytest.mark.parametrize("extension", ["avif", "heic"])
def test_the_formats_of_phones_are_read_and_their_damage_is_told(tmp_path, extension):
    if extension == "heic":
        pytest.importorskip("pillow_heif", reason="an extra: requirements-heic.txt")
    path = saved(noise(64, 96), tmp_path / f"image.{extension}")
    with Image.open(path) as image:
        assert np.array_equal(read_image(path), np.asarray(image.convert("RGB")))
    assert size_in_header(path) == (64, 96)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match="image"):
        read_image(path)


def test_mistyped_option_is_not_blamed_on_the_image(tmp_path):
    path = saved(noise(4, 4), tmp_path / "image.png")
    with pytest.raises(ValueError, match="color_mode 'purple'"):
        read_image(path, color_mode="purple")
    with pytest.raises(ValueError, match="interpolation 'purple'"):
        read_image(path, (2, 2), interpolation="purple")


# Resizing


def block_means(pixels, rows, columns):
    """Means of blocks of rows x columns pixels."""
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // rows, rows, width // columns, columns, channels)
    return blocks.mean(axis=(1, 3))


def grown(values, length, axis):
    """Linear interpolation to `length` along `axis`, pixels being areas, the border repeated."""
    count = values.shape[axis]
    centres = (np.arange(length) + 0.5) * count / length - 0.5
    return np.apply_along_axis(
        lambda line: np.interp(centres, np.arange(count), line), axis, values
    )


def test_shrinking_averages_the_covered_pixels(tmp_path):
    pixels = noise(24, 40)
    read = read_image(saved(pixels, tmp_path / "image.png"), (6, 8))
    assert np.abs(read - block_means(pixels, 4, 5)).max() <= 0.51


def test_growing_interpolates_linearly(tmp_path):
    pixels = noise(6, 5)
    read = read_image(saved(pixels, tmp_path / "image.png"), (15, 20))
    assert np.abs(read - grown(grown(pixels, 15, 0), 20, 1)).max() <= 1


def test_each_axis_is_shrunk_or_grown_as_it_needs(tmp_path):
    pixels = noise(24, 5)
    path = saved(pixels, tmp_path / "image.png")
    assert np.abs(read_image(path, (6, 20)) - grown(block_means(pixels, 4, 1), 20, 1)).max() <= 1.5


def test_image_of_the_asked_size_is_left_alone(tmp_path):
    pixels = noise(6, 5)
    path = saved(pixels, tmp_path / "image.png")
    np.testing.assert_array_equal(read_image(path, (6, 5)), pixels)


@pytest.mark.parametrize("interpolation", PILLOW_FILTERS)
@pytest.mark.parametrize("size", [(10, 20), (60, 30)])
def test_pillow_filter_names_mean_what_pillow_does(tmp_path, interpolation, size):
    pixels = noise(30, 40)
    path = saved(pixels, tmp_path / "image.png")
    expected = Image.fromarray(pixels).resize(size[::-1], PILLOW_FILTERS[interpolation])
    np.testing.assert_array_equal(
        read_image(path, size, interpolation=interpolation), np.asarray(expected)
    )


@pytest.mark.parametrize("interpolation", ["area", "bilinear"])
@pytest.mark.parametrize("axis", [0, 1])
def test_keeping_the_aspect_ratio_crops_the_centre(tmp_path, interpolation, axis):
    thirds = np.repeat(np.array([50, 150, 250], np.uint8), 20)
    pixels = np.broadcast_to(thirds[:, None, None], (60, 20, 3))
    pixels = pixels if axis == 0 else pixels.swapaxes(0, 1)
    path = saved(np.ascontiguousarray(pixels), tmp_path / "image.png")
    cropped = read_image(path, (10, 10), interpolation=interpolation, keep_aspect_ratio=True)
    np.testing.assert_array_equal(cropped, 150)
    stretched = read_image(path, (12, 12), interpolation=interpolation)
    assert stretched.min() < 60
    assert stretched.max() > 240


@pytest.mark.parametrize("shape", [(1200, 1800), (400, 260)])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
def test_small_decoding_of_a_large_jpeg_is_close_to_averaging_all_of_it(
    tmp_path, shape, orientation, keep_aspect_ratio
):
    path = oriented(tmp_path, photograph(*shape), orientation, "JPEG", quality=90)
    with Image.open(path) as image:
        full = UPRIGHT[orientation](np.asarray(image))
    if keep_aspect_ratio:
        side = min(shape)
        top, left = (full.shape[0] - side) // 2, (full.shape[1] - side) // 2
        full = full[top : top + side, left : left + side]
    expected = cv2.resize(np.ascontiguousarray(full), (48, 48), interpolation=cv2.INTER_AREA)
    read = read_image(path, (48, 48), keep_aspect_ratio=keep_aspect_ratio)
    difference = np.abs(read.astype(int) - expected).mean()
    # The crop starts at a whole pixel of the small decoding: up to four of the file beside it.
    assert difference < (3.5 if keep_aspect_ratio else 1)
    nearest = read_image(path, (48, 48), "rgb", "nearest", keep_aspect_ratio).astype(int)
    assert np.abs(nearest - expected).mean() > 6


def test_threads_read_the_same_pixels(tmp_path):
    paths = [
        saved(photograph(90, 120, seed), tmp_path / f"{seed}.{extension}")
        for seed, extension in enumerate(["jpg", "png", "webp", "tif", "gif", "bmp"])
    ] * 8
    alone = [read_image(path, (32, 32)) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: read_image(path, (32, 32)), paths))
    np.testing.assert_array_equal(together, alone)
