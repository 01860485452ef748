"""What is decoded lies in a file and is mapped from there: whole or made again, never half, and without its memory."""

import errno
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from made_files import cached_files, empty_place, write_files, write_zip
from PIL import Image

from glann_lib.config import DataConfig
from glann_lib.data import cache, places
from glann_lib.data.cache import Rows, kept
from glann_lib.data.images import load_images
from glann_lib.engine import progress, storage

ROOT = Path(__file__).resolve().parents[2]
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
OTHERS = {"deep": torch.arange(20, dtype=torch.int16), "readable": torch.arange(20) % 3 > 0}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    return empty_place(tmp_path, monkeypatch)


def made(pixels=PIXELS, trim=None):
    with Rows(*pixels.shape) as rows:
        rows.fill(lambda index: rows.put(index, pixels[index]), "filling")
        if trim:
            rows.trim(*trim)
    return {"images": rows} | OTHERS


def again():
    return pytest.fail("made again")


def left_over():
    return list((places.DATA / "cache").glob(".*"))


def forget():
    """As if another process came."""
    cache._checked.clear()


@pytest.fixture
def photos(tmp_path):
    def png(index):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS[index].transpose(1, 2, 0)).resize((40, 40)).save(buffer, "png")
        return buffer.getvalue()

    write_files(tmp_path / "photos", {f"{index}.png": png(index) for index in range(20)})
    return DataConfig(f"folder:{tmp_path / 'photos'}", 28)


def test_what_is_kept_comes_back():
    for _ in ("made", "from the file"):
        tensors = kept("a", made)
        assert torch.equal(tensors["images"], torch.from_numpy(PIXELS))
        assert all(torch.equal(tensors[name], OTHERS[name]) for name in OTHERS)
        forget()
    assert kept("a", again).keys() == tensors.keys() and left_over() == []
    assert torch.equal(storage.load_tensors(cached_files()[0])[0]["images"], tensors["images"])  # others can read it


@pytest.mark.parametrize("writable", [True, False])
def test_rows_that_are_left_out_and_grey_ones_take_no_room(tmp_path, monkeypatch, writable):
    if not writable:
        monkeypatch.setattr(places, "writable", lambda folder: False)
    rows = np.arange(20) % 4 != 1
    images = kept("a", lambda: made(trim=(rows, 1)))["images"]
    assert images.shape == (15, 1, 8, 8) and images.is_contiguous() and bool(cached_files()) == writable
    assert torch.equal(images, torch.from_numpy(PIXELS[rows][:, :1]))


def test_both_splits_are_views_of_the_file_and_changing_them_changes_no_file(photos, monkeypatch):
    sums = [load_images(photos, split).sha256 for split in ("train", "test")]
    found, read = [], cache.kept
    monkeypatch.setattr(cache, "kept", lambda *arguments: found.append(read(*arguments)) or found[-1])
    train, test = (load_images(photos, split).images for split in ("train", "test"))
    assert test.data_ptr() == found[1]["images"].data_ptr() and len(train) + len(test) == 20
    assert train.data_ptr() == found[0]["images"].data_ptr() + test.nbytes
    train.zero_()
    assert [load_images(photos, split).sha256 for split in ("train", "test")] == sums


def test_a_file_larger_than_the_memory_is_mapped(tmp_path):
    side, path = 2**16, tmp_path / "large.safetensors"
    count = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 2 // side**2 + 1
    field = {"dtype": "U8", "shape": [count, 1, side, side], "data_offsets": [0, count * side**2]}
    head = json.dumps({"images": field, "__metadata__": {"record": "{}"}}).encode().ljust(cache.HEAD - 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(cache.HEAD + count * side**2)  # a hole: it takes no room
        file.flush()
        cache._checked.add(cache._mark(path, file))
    images = cache._mapped(path)["images"]
    assert images.shape[0] == count and images[-1, 0, -1, -1] == 0


# Damage


@pytest.mark.parametrize("damage", ["empty", "head", "cut", "pixel", "end", "field", "record", "longer"])
def test_a_damaged_file_is_made_again(damage):
    kept("a", made)
    (path,) = cached_files()
    whole = path.read_bytes()
    field = bytearray(whole).replace(b"[20, 3, 8, 8]", b"[20, 3, 4,16]")
    changed = {"pixel": bytearray(whole), "end": bytearray(whole)}
    changed["pixel"][cache.HEAD + 700] ^= 1
    changed["end"][-1] ^= 1
    changed |= {"empty": b"", "head": whole[:100], "cut": whole[:-1], "field": field, "longer": whole + b"0"}
    changed["record"] = whole.replace(b'"__metadata__"', b'"__metadat___"')
    assert changed[damage] != whole
    path.write_bytes(changed[damage])
    forget()
    assert torch.equal(kept("a", made)["images"], torch.from_numpy(PIXELS)) and path.read_bytes() == whole


def test_other_files_are_decoded_anew(photos, tmp_path):
    first = load_images(photos, "train").sha256
    shutil.copy(tmp_path / "photos" / "1.png", tmp_path / "photos" / "2.png")
    assert load_images(photos, "train").sha256 != first and len(cached_files()) == 2


def test_an_error_in_the_middle_leaves_nothing():
    def half():
        with Rows(*PIXELS.shape) as rows:
            rows.fill(lambda index: rows.put(index, PIXELS[index]) or 1 // (10 - index), "filling")

    with pytest.raises(ZeroDivisionError):
        kept("a", half)
    assert cached_files() == left_over() == []
    assert kept("a", made) and left_over() == []


KILLED = """
import os, signal, sys
from pathlib import Path
from glann_lib.data import cache, places
import numpy as np
places.DATA = Path(sys.argv[1])
def make():
    with cache.Rows(20, 3, 8, 8) as rows:
        rows.put(0, np.zeros((3, 8, 8), np.uint8))
        os.kill(os.getpid(), signal.SIGKILL)
cache.kept("a", make)
"""


def run(script, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_run_that_was_killed_leaves_no_half_file_and_the_next_one_clears_up():
    assert run(KILLED, places.DATA).returncode == -9
    assert cached_files() == [] and len(left_over()) == 1
    with Rows(4, 3, 8, 8) as at_work:  # of a process that goes on
        assert kept("a", made)["images"].shape == PIXELS.shape
        assert [str(path) for path in left_over()] == [at_work.file.name]
        at_work.file.close()


# Disks


def refused(count=1):
    """The line for a full disk, after which nothing of the file is left."""
    with pytest.raises(OSError, match=r"takes [1-9][\d,]* MiB in .*/cache, where there is less room: free") as caught:
        kept("b", made)
    assert caught.value.errno == errno.ENOSPC and "\n" not in caught.value.strerror
    assert left_over() == [] and len(cached_files()) == count and kept("a", again)


def test_a_disk_without_room_is_told_before_anything_is_decoded(monkeypatch):
    kept("a", made)
    usage = shutil.disk_usage(places.DATA)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=PIXELS.nbytes - 1))
    monkeypatch.setattr(Rows, "put", again)
    refused()


@pytest.mark.parametrize("writes", [0, 7, 20, 21, 22])
def test_a_disk_that_fills_is_one_line(monkeypatch, writes):
    kept("a", made)
    write, done = os.pwrite, []

    def pwrite(*arguments):
        done.append(arguments)
        if len(done) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*arguments)

    monkeypatch.setattr(os, "pwrite", pwrite)
    refused()


def test_a_write_of_a_part_is_finished(monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, place: write(file, content[:50], place))
    assert torch.equal(kept("a", made)["images"], torch.from_numpy(PIXELS))


def test_where_nothing_can_be_written_images_are_held_in_memory(photos):
    place = places.DATA / "cache"
    place.mkdir(parents=True)
    place.chmod(0o555)
    read_only = load_images(photos, "train")
    place.chmod(0o755)
    assert list(place.iterdir()) == [] and read_only.sha256 == load_images(photos, "train").sha256


# Progress and memory


def test_progress_is_a_line_where_nobody_watches_and_nothing_where_it_is_soon_done(photos, monkeypatch, capsys):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    load_images(photos, "train")
    assert capsys.readouterr() == ("", "")
    shutil.rmtree(places.DATA)
    monkeypatch.setattr(progress, "SECONDS", 0)
    load_images(photos, "train")
    said, lines = capsys.readouterr()
    assert said == "" and lines.startswith("decoding photos: 1 of 20\n")
    forget()
    load_images(photos, "train")
    assert "checking data/cache, 16 MiB each: 1 of 1\n" in capsys.readouterr().err


MEMORY = """
import resource, sys
from pathlib import Path
from glann_lib.config import DataConfig
from glann_lib.data import cache, places
from glann_lib.data.images import load_images
places.DATA = Path(sys.argv[1])
load_images(DataConfig("folder:" + sys.argv[2], 28), "train")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
train = load_images(DataConfig("folder:" + sys.argv[2], 512), "train")
cache._checked.clear()
test = load_images(DataConfig("folder:" + sys.argv[2], 512), "test")
print(train.images.nbytes + test.images.nbytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_set_is_decoded_and_checked_in_less_memory_than_it_takes(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[0].transpose(1, 2, 0)).resize((512, 512)).save(buffer, "jpeg")
    path = write_zip(tmp_path / "large.zip", {f"{index}.jpg": buffer.getvalue() for index in range(200)})
    done = run(MEMORY, places.DATA, path)
    assert done.returncode == 0, done.stderr
    size, grown = map(int, done.stdout.split())
    grown *= 1 if sys.platform == "darwin" else 1024
    assert size == 200 * 3 * 512**2 and grown < 100e6, f"{grown / 1e6:.0f} MB"
