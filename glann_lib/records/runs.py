"""Where a run's results lie and what is recorded beside them.

A run is one data set under one profile. Everything it writes lies under results/<dataset>-<profile>/: figures/ (PNG,
PDF, GIF, provenance), tables/ (CSV, Markdown, LaTeX, provenance), notebooks/ (executed copies), *.safetensors (trained
stages), report.html. Every path that is recorded is relative to the repository.
"""

from __future__ import annotations

import datetime
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
from glann_lib.records import tables as report_tables

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from matplotlib.figure import Figure
    from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "pandas")


def results_root(results_dir: str | Path = "results") -> Path:
    """The folder of all runs: a relative path counts from the repository, whatever the working folder is.

    The environment variable GLANN_RESULTS moves the default, "results", elsewhere (the tests use it).
    """
    if str(results_dir) == "results":
        results_dir = os.environ.get("GLANN_RESULTS", results_dir)
    return ROOT / Path(results_dir).expanduser()


def run_name(dataset: str, profile: str) -> str:
    """The run's folder name, "mnist-quick"; of a path ("folder:PATH") its last two parts, of a pair both names."""
    pair = config.split_pair(dataset)
    return f"{task_name(*pair) if pair else _folder_name(dataset)}-{profile}"


def task_name(source: str, target: str) -> str:
    """The folder name of a translation, "mnist-to-svhn", from its domains."""
    return f"{_folder_name(source)}-to-{_folder_name(target)}"


def run_directory(dataset: str, profile: str, results_dir: str | Path = "results") -> Path:
    """The run's folder, results/<dataset>-<profile>; it need not exist yet."""
    return results_root(results_dir) / run_name(dataset, profile)


def require(path: Path, notebook: str) -> Path:
    """`path` itself, if an earlier notebook has left it.

    Raises:
        FileNotFoundError: it has not; names the notebook to run.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{shown(path)} is missing: run notebook {notebook} with the same settings first")
    return Path(path)


def require_same(found: dict[str, Any], wanted: dict[str, Any], notebook: str) -> None:
    """Refuse what an earlier notebook left if it was made with other settings.

    Args:
        found, wanted: what decides the result, by name; equal keys.
        notebook: the one that makes it again.

    Raises:
        ValueError: names what differs, and the notebook to run.
    """
    different = [name for name in wanted if found[name] != wanted[name]]
    if different:
        raise ValueError(
            f"the results in this folder were made with other {' and '.join(different)}: "
            f"run notebook {notebook} with the same settings first"
        )


def shown(path: Path) -> str:
    """`path` as it is recorded and printed: relative to the repository where it lies in it, else its name alone."""
    path = Path(path).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def provenance(device: torch.device | str, **facts: Any) -> dict[str, Any]:
    """The record that goes beside every figure, table and model: code, machine, versions, and the caller's facts."""
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

    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {os.cpu_count()} cores)"


def save_figure(figure: Figure, path: Path, record: dict[str, Any]) -> Path:
    """Write `figure` as `path`.png and `path`.pdf, with `record` (see `provenance`) as `path`.json beside them.

    The record's caption becomes the figure's alternative text in a notebook.

    Returns:
        The PNG's path.
    """
    path = Path(path)
    for suffix, options in ((".png", {"dpi": 150}), (".pdf", {"metadata": {"CreationDate": None}})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], bbox_inches="tight", **options)
        storage.write_bytes(_beside(path, suffix), buffer.getvalue())
    storage.write_json(_beside(path, ".json"), record)
    if "caption" in record:
        # Where a notebook shows the figure, pages made of it have these words for those who do not see it.
        words = {"image/png": {"alt": record["caption"]}}
        figure._repr_mimebundle_ = lambda **_: ({}, words)
    return _beside(path, ".png")


def save_animation(frames: Any, path: Path, record: dict[str, Any], seconds_per_frame: float = 0.06) -> Path:
    """Write `frames` as `path`.gif, which plays without end, with `record` (see `provenance`) as `path`.json beside it.

    Args:
        frames: array or tensor, uint8 [N, C, H, W] with C = 1 (grey) or 3; equal ones in a row become one longer frame.
        path: without a suffix.
        record: what is known of the frames.
        seconds_per_frame: s; a GIF counts in hundredths.

    Returns:
        The GIF's path.

    Raises:
        ValueError: the frames have another shape or type.
    """
    import torch

    path, frames = Path(path), torch.as_tensor(frames).cpu()
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] not in (1, 3) or not len(frames):
        raise ValueError(f"frames are {frames.dtype} {list(frames.shape)}: give uint8 [N, 1, H, W] or [N, 3, H, W]")
    first, *others = _with_one_palette(frames.permute(0, 2, 3, 1).numpy())
    buffer = io.BytesIO()
    milliseconds = 10 * round(100 * seconds_per_frame)
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=True)
    storage.write_bytes(_beside(path, ".gif"), buffer.getvalue())
    storage.write_json(_beside(path, ".json"), record)
    return _beside(path, ".gif")


def save_table(table: pd.DataFrame, path: Path, record: dict[str, Any]) -> Path:
    """Write `table` as `path`.csv, .md and .tex, with `record` (see `provenance`) as `path`.json beside them.

    Markdown and LaTeX set columns apart whose head ends with "(quoted)": see `report_tables`.

    Returns:
        The CSV's path.
    """
    path = Path(path)
    storage.write_text(_beside(path, ".csv"), table.to_csv(index=False))
    storage.write_text(_beside(path, ".md"), report_tables.markdown(table))
    storage.write_text(_beside(path, ".tex"), report_tables.latex(table))
    storage.write_json(_beside(path, ".json"), record)
    return _beside(path, ".csv")


def _folder_name(dataset: str) -> str:
    if not dataset.startswith((config.FOLDER, config.MESHES, config.CARS)):
        return dataset
    kind, _, written = dataset.partition(":")
    # The path as written, not resolved: the name must not depend on the working folder.
    path = Path(written)
    words = "-".join([kind, *path.parts[-2:-1], path.name.removesuffix(".zip").removesuffix(".npz")])
    return re.sub(r"[\W_]+", "-", words.lower()).strip("-")  # letters of any script stay


def _amount(data: dict[str, Any]) -> str:
    """How many there are and how large each is: images by channels and pixels, shapes by voxels."""
    count, size = f"{data['count']:,}", "x".join(str(n) for n in data["size"])
    if "channels" in data:
        return f"{count} images {data['channels']}x{size}"
    turned = f" of {data['models']:,} models in {data['poses']} poses" if data["poses"] > 1 else ""
    return f"{count} shapes {size}{turned}"


def _with_one_palette(frames: np.ndarray) -> list[Image.Image]:
    """Frames [N, H, W, C] as a GIF takes them, all in the same colours and none dithered: nothing flickers."""
    from PIL import Image

    height = frames.shape[1]
    whole = frames.reshape(-1, *frames.shape[2:])  # below each other
    if whole.shape[2] == 1:
        strip = Image.fromarray(whole[..., 0])
    else:
        strip = Image.fromarray(whole).quantize(dither=Image.Dither.NONE)
    return [strip.crop((0, top, strip.width, top + height)) for top in range(0, strip.height, height)]


def _beside(path: Path, suffix: str) -> Path:
    """`path` with a suffix added; a point in its name is part of the name."""
    return path.with_name(path.name + suffix)


def _git(*arguments: str) -> str | None:
    """What git prints, or None where the code is not in a git checkout."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
