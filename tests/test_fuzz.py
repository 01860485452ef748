"""Whatever bytes, names and settings people bring: one line or the right count, and no file where none belongs.

The same cases each time, about a minute of them. GLANN_FUZZ=50 takes 50 times as many, by `--hypothesis-seed`.
"""

import functools
import io
import json
import os
import string
import struct
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_files import write_files
from PIL import Image, ImageCms

from glann_lib import Glann
from glann_lib.companion import arguments, preflight
from glann_lib.config import DataConfig
from glann_lib.data import places
from glann_lib.data.images import load_images
from glann_lib.data.listing import is_hidden
from glann_lib.shapes.mesh_files import read_mesh
from glann_lib.shapes.meshes import voxelise
from glann_lib.translation.car_files import load_cars

TIMES = int(os.environ.get("GLANN_FUZZ", 0))
SAID = ("unreadable", "left out", "replace")  # stand where some file was not taken
SIDE = 16  # px
NUMBERS = (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"-1 0")


def cases(count):
    """The same `count` cases each time, or GLANN_FUZZ times as many by another seed."""
    return settings(
        max_examples=count * max(1, TIMES),
        derandomize=not TIMES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged(draw, content):
    """Bytes with some of them changed, cut out, doubled or put in, or cut short."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        if draw(st.booleans()):
            place = min(place, draw(st.integers(0, 200)))  # headers are short
        length = draw(st.sampled_from((1, 1, 2, 4, 8, 40)))
        match draw(st.sampled_from(("change", "change", "cut", "double", "insert", "end", "number"))):
            case "change":
                content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
            case "cut":
                del content[place : place + length]
            case "double":
                content[place:place] = content[place : place + 8 * length]
            case "insert":
                content[place:place] = draw(st.binary(max_size=length))
            case "end":
                del content[place:]
            case "number":
                content[place : place + 4] = draw(st.sampled_from(NUMBERS))
    return bytes(content)


def one_line(error):
    assert str(error) and "\n" not in str(error) and "Traceback" not in str(error), repr(error)


class Place:
    """A folder with a person's files in it; nothing else may be there afterwards, beside a cache elsewhere."""

    def __init__(self, contents):
        self.contents = contents

    def __enter__(self):
        self.folder, self.data = tempfile.TemporaryDirectory(), places.DATA
        places.DATA = Path(self.folder.name) / "data"
        return write_files(Path(self.folder.name) / "own" / "files", self.contents)

    def __exit__(self, *error):
        places.DATA, root = self.data, Path(self.folder.name)
        found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        self.folder.cleanup()
        if error[0] is None:
            wanted = {f"own/files/{name}" for name in self.contents}
            assert {name for name in found if not name.startswith("data/cache/")} == wanted


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, *shape), dtype=np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def images():
    """An image of every kind by its file's name."""
    colour, grey = Image.fromarray(pixels(0, 3)), Image.fromarray(pixels(1))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"mine")
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(pixels(2).astype(np.uint16) * 257)
    several = {"save_all": True, "append_images": [grey]}
    return {
        "rgb.png": encoded(colour, "png", icc_profile=profile),
        "la.png": encoded(grey.convert("LA"), "png"),
        "deep.png": encoded(deep, "png"),
        "p.png": encoded(colour.quantize(8), "png", transparency=1),
        "exif.jpg": encoded(colour, "jpeg", exif=exif, icc_profile=profile),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "jpeg"),
        "w.webp": encoded(colour, "webp", lossless=True),
        "b.bmp": encoded(colour, "bmp"),
        "g.gif": encoded(grey, "gif", **several),
        "t.tif": encoded(colour, "tiff", compression="tiff_lzw", **several),
        "f.tif": encoded(Image.fromarray(pixels(3).astype(np.float32)), "tiff"),
    }


def loaded(place, count):
    """Load both splits; ValueError in one line, or all images, or fewer where that is said."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train, test = (
                load_images(DataConfig(f"folder:{place}", 28, enlarge=True), split) for split in ("train", "test")
            )
    except ValueError as error:
        return one_line(error)
    if len(train) + len(test) != count:
        assert any(word in train.source for word in SAID), train.source
    return None


@cases(250)
@given(st.data())
def test_images(data):
    name = data.draw(st.sampled_from(sorted(images())))
    good = {f"{i}.png": images()["rgb.png"] for i in range(3)}
    with Place(good | {name: data.draw(damaged(images()[name]))}) as place:
        loaded(place, 4)


names = st.text(st.sampled_from("abc./\\:*é猫 \n"), max_size=12).map(lambda text: f"n{text}.png")


@cases(250)
@given(st.data())
def test_archives(data):
    buffer = io.BytesIO()
    inside = {"cats/0.png", "cats/1.png", "./dogs/2.png", "dogs\\3.png", *data.draw(st.sets(names))}
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name in sorted(inside):
            method = data.draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)))
            archive.writestr(name, images()["b.bmp"], method)
    content = buffer.getvalue()
    if data.draw(st.booleans()):
        at = content.index(b"PK\1\2")
        content = content[:at] + data.draw(damaged(content[at:]))  # its list alone
    elif data.draw(st.booleans()):
        content = data.draw(damaged(content))
    with Place({"a.zip": content}) as place:
        try:
            with zipfile.ZipFile(place / "a.zip") as archive:
                plain = (name.replace("\\", "/").split("/") for name in archive.namelist())
                hidden = any(is_hidden("/".join(part for part in parts if part != ".")) for parts in plain)
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            hidden = False
        if not hidden:
            loaded(place / "a.zip", len(inside))


@functools.cache
def meshes():
    """A mesh in every format, and how many faces it has; none where a format does not count them."""
    ball, files = trimesh.creation.icosphere(1), {}
    kinds = {"off": {}, "obj": {}, "stl": {}, "stl_ascii": {}, "ply": {}, "ply ": {"encoding": "ascii"}}
    for i, (kind, how) in enumerate(kinds.items()):
        text = ball.export(file_type=kind.strip(), **how)
        files[f"{i}.{kind[:3]}"] = text.encode() if isinstance(text, str) else text
    return {name: (content, None if name.endswith("obj") else len(ball.faces)) for name, content in files.items()}


@cases(250)
@given(st.data())
def test_meshes(data):
    name = data.draw(st.sampled_from(sorted(meshes())))
    content, faces = meshes()[name]
    head = max(content.find(b"end_header"), 84)  # beyond it, what is changed in place, or cut off, is no count
    if data.draw(st.booleans()):
        place = data.draw(st.integers(head, len(content) - 1))
        changed = content[:place] + data.draw(st.binary(max_size=4)) * data.draw(st.integers(0, 1))
        changed += content[len(changed) :] * data.draw(st.integers(0, 1))
    else:
        changed, faces = data.draw(damaged(content)), None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mesh = read_mesh(changed, name)
            voxels = voxelise(mesh, 32, 30.0)
    except ValueError as error:
        return one_line(error)
    assert faces in (None, len(mesh.faces)) and voxels.shape == (32, 32, 32) and voxels.any()


TABLE = "file,azimuth,model\n" + "".join(f"{kind}/{i}.png,{10 * i},{i % 3}\n" for kind in "ab" for i in range(4))


@cases(120)
@given(damaged(TABLE.encode()) | st.text().map(str.encode) | st.text("ab/0123.png,azimuthfle\n\"';").map(str.encode))
def test_tables_of_azimuths(table):
    photos = {f"{kind}/{i}.png": images()["rgb.png"] for kind in "ab" for i in range(4)}
    with Place(photos | {"azimuths.csv": table}) as place:
        try:
            both = [load_cars(place, "a", split, SIDE) for split in ("train", "test")]
        except ValueError as error:
            return one_line(error)
        assert sum(map(len, both)) == 4 and all(data.azimuths.isfinite().all() for data in both)


def parameters():
    books = arguments.catalogue.find_notebooks(arguments.NOTEBOOKS)
    return sorted({parameter.name for book in books for parameter in book.parameters})


DATA = ("digits", "made-chairs", "embedded")
ODD = ("None", "True", "no", "1e999", "10**9", "-0", "[]", "{}", "[1, 2]", "'", "((", "$x", "%s", "{x}")
values = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(ODD),
    st.text(string.printable, max_size=12),
    st.text(max_size=5),
)


@cases(120)
@given(st.lists(st.tuples(st.sampled_from(parameters()) | st.text(max_size=6), values), max_size=3), st.data())
def test_settings(chosen, data):
    argv = [word for name, value in chosen for word in ("--set", f"{name}={value}")]
    option = data.draw(st.sampled_from(("--dataset", "--seed", "--profile", "--only", "--device", None)))
    argv += [option, data.draw(values)] if option else ["--dataset", data.draw(st.sampled_from(DATA))]
    try:
        preflight.check(arguments.make_plan(argv))
    except (ValueError, OSError) as error:
        one_line(error)


@functools.cache
def model():
    """A small model's file, and its latents."""
    few = {"glo_voxel_channels": 8, "glo_latent_dim": 4, "imle_noise_dim": 4, "imle_hidden_dim": 4}
    shapes = np.random.default_rng(0).integers(0, 2, (8, 32, 32, 32)).astype(bool)
    learned = Glann.fit(shapes, device="cpu", glo_epochs=1, imle_epochs=1, **few)
    with tempfile.TemporaryDirectory() as folder:
        learned.save(Path(folder) / "model.safetensors")
        return (Path(folder) / "model.safetensors").read_bytes(), learned.latents


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def changed_record(draw, content):
    """A model's file with another value, or none, somewhere in its record."""
    (length,) = struct.unpack("<Q", content[:8])
    head = json.loads(content[8 : 8 + length])
    record = json.loads(head["__metadata__"]["record"])
    part = record
    while True:
        key = draw(st.sampled_from(sorted(part)))
        if not isinstance(part[key], dict) or not part[key] or draw(st.integers(0, 3)) == 0:
            break
        part = part[key]
    if draw(st.booleans()):
        part[key] = draw(anything)
    else:
        del part[key]
    head["__metadata__"]["record"] = json.dumps(record)
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@cases(150)
@given(st.data())
def test_model_files(data):
    content, latents = model()
    kind = data.draw(st.sampled_from((damaged, changed_record)))
    with Place({"model.safetensors": data.draw(kind(content))}) as place:
        try:
            found = Glann.load(place / "model.safetensors", "cpu")
        except ValueError as error:
            return one_line(error)
        assert torch.equal(found.latents, latents) and found.sample(2, seed=0).shape == (2, 32, 32, 32)
