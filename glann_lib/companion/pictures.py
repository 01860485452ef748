"""Pictures in few bytes, as they are published: as few colours as look the same, and none of notebooks' live views.

Figures become WebP, in a palette and without loss where one suits, else as photographs. An executed notebook, in
which GitHub shows no WebP, holds PNG and JPEG, at the screen's resolution, since the figures lie beside it in full.
"""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

from PIL import Image, ImageChops, ImageSequence, ImageStat

LARGE = 400 * 2**10  # bytes of a notebook: one that has more gets smaller pictures
LARGEST = 200 * 2**10  # bytes of a picture: one that has more is drawn smaller
PALETTES = (16, 32, 64, 128, 256)
UNSEEN = 2.5  # grey levels of 255, root mean square, by which a palette may be off
SMALLER = 0.9  # of its width, until a picture is no longer large
TURNING = 48  # colours of a moving picture
SCREEN = (640, 520, 400, 300)  # px, widest picture in a notebook: the first with which it is not large
QUALITY = {"notebook": 60, "figure": 75}  # of a photograph, 0 to 100
MOVING = 4  # times narrower than others: what moves
PICTURES = {"image/png", "image/gif", "image/jpeg"}
INLINE = re.compile(r"data:image/(?:png|gif|jpeg);base64,([A-Za-z0-9+/=]+)")
LEFT_OUT = "A live view, left out for its size: run the notebook to see it."


def light(content: bytes) -> bytes:
    """A picture made light, as WebP; raises ValueError where it is none."""
    picture = _opened(content)
    moves = getattr(picture, "is_animated", False)
    if picture.format == "WEBP" and (moves or len(content) <= LARGEST):
        return content
    if moves:
        first, *others = _frames(picture, picture.width)
        options = {"quality": QUALITY["figure"]} | _played(picture)
        return _saved(first, "WEBP", save_all=True, append_images=others, **options)
    picture = _on_white(picture)
    if drawn := _few_colours(picture):
        small = _saved(drawn.convert("RGB"), "WEBP", lossless=True, quality=100, method=6)
        if len(small) <= LARGEST:
            return small
    while len(small := _saved(picture, "WEBP", quality=QUALITY["figure"], method=6)) > LARGEST:
        picture = _narrowed(picture, int(picture.width * SMALLER))
    return small


def light_notebook(text: bytes) -> bytes:
    """An executed notebook with light pictures and without live views, which GitHub does not show.

    Raises ValueError where one of its pictures is none.
    """
    for widest in SCREEN:
        copy = json.loads(text)
        copy["metadata"].pop("widgets", None)
        for output in (output for cell in copy["cells"] for output in cell.get("outputs", ())):
            _lighten(output, widest)
        small = (json.dumps(copy, indent=1, ensure_ascii=False) + "\n").encode()
        if len(small) <= LARGE:
            break
    return small


def _lighten(output: dict[str, Any], widest: int) -> None:
    """Make the pictures of one output of a cell light, in place."""
    data = output.get("data", {})
    page = "".join(data.get("text/html", ""))
    if "<iframe" in page:
        output["data"] = {"text/plain": [LEFT_OUT]}
        return
    for kind in data.keys() & PICTURES:
        data.update([_for_screen("".join(data.pop(kind)), widest)])
    if INLINE.search(page):
        data["text/html"] = INLINE.sub(lambda found: "data:{};base64,{}".format(*_for_screen(found[1], widest)), page)


def _for_screen(letters: str, widest: int) -> tuple[str, str]:
    """The kind and the letters, base64, of a picture in base64 at most so many px wide."""
    picture = _opened(base64.b64decode(letters))
    if getattr(picture, "is_animated", False):
        forms = {"image/gif": _moving(picture, widest // MOVING)}
    else:
        picture = _narrowed(_on_white(picture), widest)
        drawn = _few_colours(picture)
        forms = {"image/jpeg": _saved(picture, "JPEG", quality=QUALITY["notebook"])}
        forms |= {"image/png": _saved(drawn)} if drawn else {}
    kind, small = min(forms.items(), key=lambda pair: len(pair[1]))
    return kind, base64.b64encode(small).decode()


def _opened(content: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except (OSError, SyntaxError) as error:  # a damaged PNG is a SyntaxError to Pillow
        raise ValueError(f"is none ({error})") from None
    return picture


def _on_white(picture: Image.Image) -> Image.Image:
    """A picture in RGB, without transparency."""
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _narrowed(picture: Image.Image, widest: int) -> Image.Image:
    height = max(1, round(picture.height * widest / picture.width))
    return picture.resize((widest, height), Image.Resampling.LANCZOS) if picture.width > widest else picture


def _few_colours(picture: Image.Image) -> Image.Image | None:
    """The picture in the smallest palette that looks the same; None: no palette does."""
    for count in PALETTES:
        drawn = picture.quantize(count, dither=0)
        if max(ImageStat.Stat(ImageChops.difference(picture, drawn.convert("RGB"))).rms) <= UNSEEN:
            return drawn
    return None


def _moving(picture: Image.Image, widest: int) -> bytes:
    """The GIF of a moving picture, with one palette for all frames."""
    frames = _frames(picture, widest)
    strip = Image.new("RGB", (frames[0].width, frames[0].height * len(frames)))
    for place, frame in enumerate(frames):
        strip.paste(frame, (0, place * frame.height))
    palette = strip.quantize(TURNING, dither=0)
    first, *others = (frame.quantize(palette=palette, dither=0) for frame in frames)
    return _saved(first, "GIF", save_all=True, append_images=others, **_played(picture))


def _frames(picture: Image.Image, widest: int) -> list[Image.Image]:
    return [_narrowed(frame.convert("RGB"), widest) for frame in ImageSequence.Iterator(picture)]


def _played(picture: Image.Image) -> dict[str, int]:
    """How long each frame of a moving picture is seen, in ms, and how often all of them are."""
    return {name: picture.info[name] for name in ("duration", "loop") if name in picture.info}


def _saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, optimize=True, **options)
    return file.getvalue()
