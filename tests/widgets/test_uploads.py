"""Files of every mode and of none, and drawings that land where the model's own images lie."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from glann_lib.widgets import uploads
from glann_lib.widgets.uploads import from_drawing, from_file, looks_inverted

GREY, COLOUR = (1, 28, 28), (3, 32, 32)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(mode, left, right, size=(64, 64)):
    """A picture whose left half has one colour and whose right half another."""
    picture = Image.new(mode, size, left)
    picture.paste(Image.new(mode, (size[0] // 2, size[1]), right), (size[0] // 2, 0))
    return picture


def sides(image):
    """The colours in the middle of the left and of the right half."""
    size = image.shape[-1]
    return image[0, :, size // 2, size // 4].tolist(), image[0, :, size // 2, -size // 4].tolist()


def with_transparent_right():
    picture = halves("P", 0, 1)
    picture.putpalette([10, 200, 30, 90, 90, 90])
    return encoded(picture, transparency=1)


def sixteen_bits():
    return encoded(Image.fromarray(np.repeat(np.uint16([[0, 0xFFFF]]), 32, 1).repeat(64, 0)))


def turned():
    """Stored lying: the left of the upright picture is the top of the stored one."""
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned by 90 degrees against the clock
    stored = halves("L", 250, 20).transpose(Image.Transpose.ROTATE_270)
    return encoded(stored, "JPEG", exif=exif, quality=95)


def animated(kind):
    frames = [halves("L", 40, 200), halves("L", 255, 255)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


FILES = {
    "L": (encoded(halves("L", 40, 200)), 40, 200),
    "1": (encoded(halves("1", 0, 1)), 0, 255),
    "LA": (encoded(halves("LA", (40, 255), (200, 0))), 40, 255),
    "P": (with_transparent_right(), 124, 255),
    "RGB": (encoded(halves("RGB", (255, 0, 0), (0, 0, 255))), 76, 29),
    "RGBA": (encoded(halves("RGBA", (0, 255, 0, 255), (9, 9, 9, 0))), 150, 255),
    "CMYK": (encoded(halves("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), "TIFF"), 255, 0),
    "I;16": (sixteen_bits(), 0, 255),
    "BMP": (encoded(halves("L", 40, 200), "BMP"), 40, 200),
    "JPEG": (encoded(halves("L", 40, 200), "JPEG", quality=95), 40, 200),
    "MPO": (animated("MPO"), 40, 200),
    "WebP": (encoded(halves("RGB", (40,) * 3, (200,) * 3), "WEBP", lossless=True), 40, 200),
    "turned": (turned(), 250, 20),
    "GIF": (animated("GIF"), 40, 200),
    "animated PNG": (animated("PNG"), 40, 200),
    "wide": (encoded(halves("L", 40, 200, (300, 64))), 40, 200),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_mode_become_what_a_grey_model_takes(name):
    content, left, right = FILES[name]
    image = from_file(content, GREY)
    assert image.shape == (1, *GREY) and image.dtype == torch.uint8 and image.is_contiguous()
    (found_left,), (found_right,) = sides(image)
    assert abs(found_left - left) <= 2 and abs(found_right - right) <= 2


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_mode_become_what_a_colour_model_takes(name):
    content, left, right = FILES[name]
    image = from_file(content, COLOUR)
    assert image.shape == (1, *COLOUR) and image.dtype == torch.uint8 and image.is_contiguous()
    luma = [sum(w * v for w, v in zip((0.299, 0.587, 0.114), colour, strict=True)) for colour in sides(image)]
    assert luma == pytest.approx([left, right], abs=2)
    coloured = {"P": [10, 200, 30], "RGB": [255, 0, 0], "RGBA": [0, 255, 0]}
    assert sides(image)[0] == coloured.get(name, [sides(image)[0][0]] * 3)


def test_the_centre_square_is_kept():
    picture = Image.new("L", (120, 40), 0)
    picture.paste(255, (40, 0, 80, 40))
    assert from_file(encoded(picture), GREY).min() == 255


def claiming(width, height):
    """A PNG of a few bytes whose header claims so many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b"\0" * 9), b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def noisy_png():
    return encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"not an image at all", uploads.UNREADABLE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\n%%EOF\n", uploads.UNREADABLE),
        (noisy_png()[:600], uploads.UNREADABLE),
        (noisy_png()[:20], uploads.UNREADABLE),
        (b"\0" * (30 * 2**20 + 1), "30 MiB or less"),
        (claiming(100_000, 100_000), "50 million pixels or less"),
        (claiming(10_000, 10_000), "10000 x 10000 px: choose one of 50 million pixels or less"),  # Pillow would warn
        (claiming(8_000, 8_000), "8000 x 8000 px: choose one of 50 million pixels or less"),  # Pillow would not
        (encoded(Image.new("L", (7, 90))), "7 x 90 px: choose one of 8 px or more a side"),
    ],
)
def test_files_of_no_use_are_one_line_errors(content, words):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=words) as error:
        warnings.simplefilter("error")
        from_file(content, GREY)
    assert "\n" not in str(error.value) and error.value.__cause__ is None


def test_damaged_files_are_read_or_refused_in_one_line():
    random, whole = np.random.default_rng(0), encoded(halves("RGB", (255, 0, 0), (0, 0, 255)), "JPEG")
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in random.integers(0, len(damaged), 3):
            damaged[place] = random.integers(256)
        try:
            assert from_file(bytes(damaged), COLOUR).shape == (1, *COLOUR)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and "choose" in str(error)
    assert 0 < refused < 200


def digits(count=20, size=28):
    """White bars of one height, 20 px, around a middle right of and below the centre."""
    images = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    for image, width in zip(images, np.random.default_rng(0).integers(3, 8, count), strict=True):
        image[0, 6:26, 16 - width : 16 + width] = 250
    return images


def test_a_dark_digit_on_paper_looks_inverted_for_white_digits_and_the_other_way_round():
    white = digits()
    dark = 255 - white
    paper = (dark[:1].int() * 0.6 + 30).byte()  # a photograph: grey paper, grey ink
    assert looks_inverted(dark[:1], white) and looks_inverted(paper, white) and looks_inverted(white[:1], dark)
    assert not looks_inverted(white[:1], white) and not looks_inverted(dark[:1], dark)
    touching = white[:1].clone()
    touching[..., 0, :] = 255  # a stroke along one side of the border
    assert not looks_inverted(touching, white)


def test_nothing_looks_inverted_where_borders_are_of_every_kind():
    photographs = torch.randint(256, (40, 3, 1, 1), generator=torch.Generator().manual_seed(0)).byte()
    photographs = photographs.expand(-1, -1, 32, 32)
    assert not looks_inverted(torch.full((1, *COLOUR), 255).byte(), photographs)
    assert not looks_inverted(torch.zeros(1, *COLOUR, dtype=torch.uint8), photographs)


def box(image):
    """Left, top, right, bottom of what is above a quarter of the brightest."""
    grey = image[0].float().mean(0)
    rows, columns = torch.nonzero(grey > 0.25 * grey.max()).T
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def drawn(place=(20, 30), height=100, width=60, line=14, canvas=(280, 280)):
    picture = Image.new("L", canvas)
    left, top = place
    ImageDraw.Draw(picture).rectangle((left, top, left + width - 1, top + height - 1), outline=255, width=line)
    return encoded(picture)


@pytest.mark.parametrize("place", [(0, 0), (20, 30), (210, 170)])
@pytest.mark.parametrize(("height", "width"), [(100, 60), (40, 24), (50, 68)])
def test_a_drawing_is_scaled_and_placed_as_the_examples_are(place, height, width):
    image = from_drawing(drawn(place, height, width, line=10), digits())
    left, top, right, bottom = box(image)
    assert image.shape == (1, *GREY) and image.dtype == torch.uint8
    assert abs(max(right - left, bottom - top) - 20) <= 1
    assert abs(min(right - left, bottom - top) - 20 * min(width, height) / max(width, height)) <= 1.5
    assert abs((left + right) / 2 - 16) <= 0.5 and abs((top + bottom) / 2 - 16) <= 0.5
    assert abs(image.max().item() - 250) <= 1
    assert image[0, 0, (top + bottom) // 2, (left + right) // 2] == 0 or min(height, width) == 24  # still hollow


def test_where_a_drawing_was_made_makes_no_difference():
    images = [from_drawing(drawn(place), digits()) for place in [(0, 0), (33, 71), (219, 179)]]
    assert all(torch.equal(image, images[0]) for image in images)


@pytest.mark.parametrize("canvas", [(28, 28), (280, 280), (1500, 1200)])
def test_the_canvas_may_have_any_size(canvas):
    side = min(canvas) // 2
    image = from_drawing(drawn((3, 4), side, side, max(1, side // 9), canvas), digits())
    left, top, right, bottom = box(image)
    assert abs(right - left - 20) <= 1 and abs(bottom - top - 20) <= 1


def test_thin_strokes_survive():
    image = from_drawing(drawn(height=270, width=200, line=1, place=(4, 5)), digits())
    _, top, _, bottom = box(image)
    assert abs(bottom - top - 20) <= 2 and image.max() >= 249  # a line between two pixels lights both
    assert (image[0, 0, top + 2 : bottom - 2].float().amax(1) > 60).all()  # no gap in the sides


def test_drawings_of_every_mode_give_the_same():
    grey = Image.open(io.BytesIO(drawn()))
    clear = Image.merge("RGBA", [Image.new("L", grey.size, 255)] * 3 + [grey])  # white strokes on nothing
    wanted = from_drawing(drawn(), digits())
    for picture in (grey, grey.convert("RGB"), grey.convert("RGBA"), clear):
        assert torch.equal(from_drawing(encoded(picture), digits()), wanted)


def test_drawings_for_dark_on_bright_and_for_coloured_models():
    wanted = from_drawing(drawn(), digits())
    dark = from_drawing(drawn(), (255 - digits()))
    assert (dark.int() - (255 - wanted).int()).abs().max() <= 1
    coloured = from_drawing(drawn(), digits().repeat(1, 3, 1, 1))
    assert coloured.shape == (1, 3, 28, 28) and (coloured.int() - wanted.int()).abs().max() <= 1


def test_examples_without_anything_on_them_leave_the_whole_image():
    left, top, right, bottom = box(from_drawing(drawn(height=90, width=90), torch.zeros(3, 1, 28, 28).byte()))
    assert (left, top, right, bottom) == (0, 0, 28, 28)
    image = from_drawing(drawn(height=90, width=90), torch.cat([digits(), torch.zeros(30, 1, 28, 28).byte()]))
    assert abs(box(image)[3] - box(image)[1] - 20) <= 1  # those that are blank do not count
    assert image.max() >= 249


def test_a_dot_on_a_large_canvas_costs_no_more_than_a_drawing():
    picture = np.zeros((4000, 4000), np.uint8)
    picture[2000:2003, 1000:1003] = 255
    tiny = torch.zeros(3, 1, 64, 64).byte()
    tiny[:, :, 10, 12] = 255
    left, top, right, bottom = box(from_drawing(encoded(Image.fromarray(picture)), tiny))
    assert (left, top) == (12, 10) and (right, bottom) == (13, 11)
    left, top, right, bottom = box(from_drawing(encoded(Image.new("L", (4000, 4000), 255)), tiny))
    assert (left, top) == (12, 10) and (right, bottom) == (13, 11)


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (encoded(Image.new("L", (280, 280))), uploads.BLANK),
        (encoded(Image.new("RGBA", (280, 280), (255, 255, 255, 0))), uploads.BLANK),
        (encoded(Image.new("RGB", (280, 280))), uploads.BLANK),
        (b"", "the file is empty"),
        (b"text", uploads.UNREADABLE),
        (noisy_png()[:600], uploads.UNREADABLE),
    ],
)
def test_drawings_of_no_use_are_one_line_errors(strokes, words):
    with pytest.raises(ValueError, match=words) as error:
        from_drawing(strokes, digits())
    assert "\n" not in str(error.value)
