"""Where the results of a run, one data set under one profile, lie, and what is recorded beside them.

On top of its folder, results/<dataset>-<profile>/, stands what a person looks for: report.html, model.safetensors,
figures/, tables/, notebooks/ (executed copies), meshes/ and saved/. All else lies in work/: checkpoints, rivals,
features, stored samples and scores, locks. Recorded paths are relative to the repository.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glann_lib import config
from glann_lib.engine import storage
from glann_lib.records import tables

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
LONGEST_NAME = 90  # bytes of a path's words: two of them and the rest fit into a file's name, 255 bytes
WORK = "work"  # in a run's folder, for what nobody need look at
# In work/ now; earlier versions left them beside the report.
ONCE_ON_TOP = ("glo.*safetensors", "imle.*safetensors", "classifier*.safetensors", "random-vgg16-*.safetensors")
ONCE_ON_TOP += ("inception-*.safetensors", "scores", "rivals", "seeds", "losses", "*-to-*")
RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "pandas")


def run_name(dataset: str, profile: str) -> str:
    """The run's folder name, "mnist-quick"; of a pair both names.

    Of a path ("folder:PATH") its last two parts, cut where they are long, and six digits that tell it from others.
    """
    pair = config.split_pair(dataset)
    return f"{task_name(*pair) if pair else _folder_name(dataset)}-{profile}"


def task_name(source: str, target: str) -> str:
    """The folder name of a translation, "mnist-to-svhn", from its domains."""
    return f"{_folder_name(source)}-to-{_folder_name(target)}"


def run_directory(dataset: str, profile: str, results_dir: str | Path = "results") -> Path:
    """The run's folder, which need not exist; paths count from the repository, GLANN_RESULTS names another default."""
    if str(results_dir) == "results":
        results_dir = os.environ.get("GLANN_RESULTS", results_dir)
    return ROOT / Path(os.path.expanduser(results_dir)) / run_name(dataset, profile)


def work_directory(run: Path) -> Path:
    """The run's work/; what earlier versions left outside moves there, for runs to go on from; nothing is replaced."""
    work = Path(run) / WORK
    for old in [path for pattern in ONCE_ON_TOP for path in Path(run).glob(pattern)]:
        if not (work / old.name).exists():
            work.mkdir(exist_ok=True)
            old.rename(work / old.name)
    return work


def require(path: Path, notebook: str) -> Path:
    """`path` itself; FileNotFoundError, with the notebook to run, where it is missing."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{shown(path)} is missing: run notebook {notebook} with the same settings first")
    return Path(path)


def require_same(found: dict[str, Any], wanted: dict[str, Any], notebook: str) -> None:
    """ValueError, with the notebook to run, where results were made with other settings than `wanted`, by name."""
    if different := [name for name in wanted if found[name] != wanted[name]]:
        made = f"the results in this folder were made with other {' and '.join(different)}"
        raise ValueError(f"{made}: run notebook {notebook} with the same settings first")


def shown(path: Path) -> str:
    """`path` as it is recorded and printed: relative to the repository where it lies in it, else its name alone."""
    path = Path(path).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def provenance(device: torch.device | str, **facts: Any) -> dict[str, Any]:
    """The record beside every figure, table and model: code, machine, versions, and the caller's facts."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in RECORDED_PACKAGES},
        **facts,
    }


def describe(record: dict[str, Any]) -> str:
    """The heart of a provenance record as one line to print."""
    data, commit = record["data"], (record["commit"] or "none")[:7] + "+changes" * record["uncommitted_changes"]
    return (
        f"{data['name']}: {_amount(data)} · profile {record['config']['profile']} · seed {record['seed']} · "
        f"{record['device']} · torch {record['versions']['torch']} · commit {commit}"
    )


def device_name(device: torch.device | str) -> str:
    """The device in words: the GPU's name, or the processor's architecture and the number of cores."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{kind} ({platform.machine()}, {os.cpu_count()} cores)"


def save_figure(figure: Figure, path: Path, record: dict[str, Any]) -> Path:
    """Write `path`.png and .pdf, with `record` (see `provenance`) as .json beside them; the PNG's path."""
    from glann_lib.records.plots import house_style

    png, pdf = io.BytesIO(), io.BytesIO()
    with house_style():  # settings are read here, too
        figure.savefig(png, format="png", bbox_inches="tight", dpi=150)
        figure.savefig(pdf, format="pdf", bbox_inches="tight", metadata={"CreationDate": None})
    if "caption" in record:
        # The alternative text where a notebook shows the figure.
        words = {"image/png": {"alt": tables.encodable(record["caption"])}}
        figure._repr_mimebundle_ = lambda **_: ({}, words)
    return _write(path, {".png": png.getvalue(), ".pdf": pdf.getvalue()}, record)


def save_animation(frames: Any, path: Path, record: dict[str, Any]) -> Path:
    """Write `path`.gif, 0.06 s a frame, which plays without end, with `record` as .json; the GIF's path.

    Frames are uint8 [N, C, H, W], an array or tensor, C 1 or 3, else ValueError; equal neighbours become a longer one.
    """
    import torch
    from PIL import Image

    frames = torch.as_tensor(frames).cpu()
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] not in (1, 3) or not len(frames):
        raise ValueError(f"frames are {frames.dtype} {list(frames.shape)}: give uint8 [N, 1, H, W] or [N, 3, H, W]")
    _, channels, height, width = frames.shape
    pixels = frames.permute(0, 2, 3, 1).flatten(0, 1).numpy()  # one below the other: all in the same colours
    strip = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    if channels == 3:
        strip = strip.quantize(dither=Image.Dither.NONE)  # else what stands still would flicker
    first, *others = (strip.crop((0, top, width, top + height)) for top in range(0, strip.height, height))
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=60, loop=0, optimize=True)
    return _write(path, {".gif": buffer.getvalue()}, record)


def save_table(table: pd.DataFrame, path: Path, record: dict[str, Any]) -> Path:
    """Write `path`.csv, .md and .tex (see `tables`), with `record` as .json beside them; the CSV's path."""
    texts = {".csv": tables.flat(table).to_csv(index=False), ".md": tables.markdown(table), ".tex": tables.latex(table)}
    return _write(path, {suffix: text.encode() for suffix, text in texts.items()}, record)


def _folder_name(dataset: str) -> str:
    if not dataset.startswith((config.FOLDER, config.MESHES, config.CARS)):
        return dataset
    kind, _, written = dataset.partition(":")
    path = Path(os.path.expanduser(written))
    words = "-".join([kind, *path.parts[-2:-1], path.name.removesuffix(".zip").removesuffix(".npz")])
    words = re.sub(r"[\W_]+", "-", words.lower()).strip("-")  # letters of any script stay
    words = words.encode(errors="ignore")[:LONGEST_NAME].decode(errors="ignore").rstrip("-")
    place = os.path.relpath(os.path.realpath(path if os.path.exists(path) else ROOT / path), ROOT)
    return f"{words}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:6]}"


def _amount(data: dict[str, Any]) -> str:
    count, size = f"{data['count']:,}", "x".join(str(n) for n in data["size"])
    if "channels" in data:
        return f"{count} images {data['channels']}x{size}"
    turned = f" of {data['models']:,} models in {data['poses']} poses" if data["poses"] > 1 else ""
    return f"{count} shapes {size}{turned}"


def _write(path: Path, contents: dict[str, bytes], record: dict[str, Any]) -> Path:
    """Contents by suffix, and the record as .json; a point in `path` is part of its name."""
    written = [storage.write_bytes(Path(f"{path}{suffix}"), content) for suffix, content in contents.items()]
    storage.write_json(Path(f"{path}.json"), record)
    return written[0]


def _git(*arguments: str) -> str | None:
    """None where the code is not in a git checkout."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
