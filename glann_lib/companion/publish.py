"""What a finished run shows, copied to where the repository keeps it, with a page that GitHub shows.

    python -m glann_lib.companion.publish results/fashion-quick fashion

Figures, tables, scores, a mesh and executed notebooks go to results/published/fashion, beside the model that `release`
writes there; pictures in fewer bytes (see `pictures`). All of it is checked before anything is written. What was
published of a notebook is replaced as a whole where the run holds that notebook executed; everything else stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.companion import pictures, report
from glann_lib.companion.commands import Executed, read_executed
from glann_lib.companion.pages import obey, run_parser
from glann_lib.companion.published_page import BESIDE, owner, page, recorded
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.records import runs

LARGEST = 5 * 2**20  # bytes of any file but a model, since every clone of the repository fetches it
KINDS = (
    *(f"figures/*{suffix}" for suffix in (*report.PICTURES, ".json")),
    *(f"tables/*{suffix}" for suffix in (".csv", ".md", ".tex", ".json")),
    *("scores/*.json", "*-to-*/scores/*.json", "meshes/*_0.stl", "notebooks/*.ipynb"),  # one mesh shows how they look
)
PLAYGROUND = "10"  # this notebook plays with several models, not with the run's alone
README = "README.md"
UP = "../../../../"  # from results/published/X/notebooks to the repository, which is ../ from notebooks/
# In a notebook: to what lies in the repository, or to a notebook.
LINK = re.compile(r"(?<=\]\()(?:\.\./|(?P<book>\d\d_\w+\.ipynb))")
# Where no place is looked for: a picture in a notebook may hold any letters, and JSON writes a new line as \\n.
ENCODED = re.compile(r"[A-Za-z0-9+/=]{200,}|\\[nrt]|\\u[0-9a-f]{4}")


@dataclass(frozen=True)
class Published:
    """What was written and removed, by place in the published folder."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    left_out: tuple[str, ...]  # what no executed notebook of the run accounts for


def publish(run: Path, name: str, folder: Path | None = None, dirty: bool = False) -> Published:
    """Copy what a finished run shows to folder/name, and write its page.

    The name is of letters, digits and dashes; no folder: results/published; `dirty`: also what code with uncommitted
    changes made. Raises FileNotFoundError where the run has no executed notebook, ValueError where something in it is
    not fit to be published, OSError where the folder cannot be written: what was not replaced yet stays.
    """
    copies = require_finished(run, name)
    target = (folder or released.FOLDER) / name
    found, before = files_of(run), files_of(target)
    found = {place: path for place, path in found.items() if owner(place, path) != PLAYGROUND}
    numbers = {copy.book.number for copy in copies}
    new = {place: path for place, path in found.items() if owner(place, path) in numbers}
    kept = {place: path for place, path in before.items() if owner(place, path) not in numbers}
    require_records(found, new, kept, dirty)
    books = {path.name for path in (*new.values(), *kept.values()) if path.suffix == ".ipynb"}
    made = {place: _content(path, books) for place, path in new.items()}
    new = {str(Path(place).with_suffix(made[place][0])): path for place, path in new.items()}
    contents = dict(zip(new, (content for _, content in made.values()), strict=True))
    require_no_places(contents, [str(copy.values["dataset"]) for copy in copies])
    contents[README] = page(name, new | kept, (target / released.PAGE).is_file()).encode()
    for place, content in contents.items():
        storage.write_bytes(target / place, content)
    removed = sorted(before.keys() - new.keys() - kept.keys())
    for place in removed:
        (target / place).unlink()
        with contextlib.suppress(OSError):  # the folder still holds something
            (target / place).parent.rmdir()
    return Published(tuple(contents), tuple(removed), tuple(sorted(found.keys() - made.keys())))


def files_of(folder: Path) -> dict[str, Path]:
    """What a folder of results holds to be published, by its place there ("figures/01_loss.png")."""
    places = [folder, folder / runs.WORK]  # where a run keeps its scores; what is published stands without that
    return {
        path.relative_to(place).as_posix(): path
        for place in places
        for kind in KINDS
        for path in sorted(place.glob(kind))
        if path.is_file() and not path.name.startswith(".")
    }


def require_finished(run: Path, name: str) -> list[Executed]:
    """The executed notebooks of a run; refuses a name that is none, and one that is missing, failed or not finished."""
    if not released.NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a folder: use letters, digits and dashes")
    paths = sorted((run / "notebooks").glob("*.ipynb"))
    if not paths:
        raise FileNotFoundError(f"{runs.shown(run)} has no executed notebook: name the folder of a finished run")
    if paths[0].name.startswith("."):
        raise ValueError(f"notebooks/{paths[0].name} is of a notebook that still runs, or was killed: run it again")
    copies = [read_executed(path) for path in paths]
    for copy in copies:
        if copy.fault:
            raise ValueError(f"notebooks/{copy.book.path.name} {copy.fault}: run it again with the same settings")
    return copies


def require_records(found: dict[str, Path], new: dict[str, Path], kept: dict[str, Path], dirty: bool) -> None:
    """Refuse what has no readable record, what changed code made, and another data set than is shown already."""
    for place in found:
        if place.endswith(".json") and not report.read_json(found[place]):
            raise ValueError(f"{place} is damaged: run its notebook again")
        for suffix in BESIDE.get(Path(place).suffix, ()):
            if str(Path(place).with_suffix(suffix)) not in found:
                raise ValueError(f"{place} has no {suffix} beside it: run its notebook again")
    changed = [place for place, path in new.items() if place.endswith(".json") if recorded(path, "uncommitted_changes")]
    if changed and not dirty:
        raise ValueError(f"{_some(changed)} made by code with uncommitted changes: run again, or add --dirty")
    shown, other = ({recorded(p, "dataset") for p in files.values()} - {None, config.ARRAY} for files in (kept, new))
    if shown and other and shown != other:
        raise ValueError(f"{'/'.join(shown)} is shown there, and the run is of {'/'.join(other)}: choose another name")


def require_no_places(contents: dict[str, bytes], datasets: Sequence[str]) -> None:
    """Refuse text that names a place of this machine: home, repository, temporary files, data outside of it."""
    known = {os.path.expanduser("~"), str(runs.ROOT), tempfile.gettempdir()}
    known |= {os.path.realpath(place) for place in known}
    outside = {place for name in datasets for place in re.findall(r"\.\./[^:]*?(?=-to-|$)", name)}
    wanted = {place for place in known if os.path.isabs(place) and place != os.sep} | outside
    pattern = re.compile(rf"(?<![\w.~/-])({'|'.join(map(re.escape, sorted(wanted)))})(?![\w-])")
    for place, content in contents.items():
        with contextlib.suppress(UnicodeDecodeError):  # a picture or a mesh
            if named := pattern.search(ENCODED.sub(" ", content.decode())):
                raise ValueError(
                    f"{place} names {named[1]}, a place of this machine: run again with what it reads in the repository"
                )


def relinked(notebook: bytes, books: Collection[str]) -> bytes:
    """An executed notebook whose links lead from where it is published; of other notebooks `books` lie beside it."""

    def moved(link: re.Match[str]) -> str:
        book = link["book"]
        return UP if not book else book if book in books else f"{UP}notebooks/{book}"

    return LINK.sub(moved, notebook.decode()).encode()


def _content(path: Path, books: Collection[str]) -> tuple[str, bytes]:
    """The suffix and bytes of a file as published; ValueError where a picture in it is damaged, or it is too large."""
    suffix, content, name = path.suffix, path.read_bytes(), f"{path.parent.name}/{path.name}"
    try:
        if path.suffix in report.PICTURES:
            suffix, content = ".webp", pictures.light(content)
        elif path.suffix == ".ipynb":
            content = relinked(pictures.light_notebook(content), books)
        elif path.parent.name == "scores":  # curves of many numbers, which nobody reads line by line
            content = json.dumps(json.loads(content), separators=(",", ":")).encode()
    except ValueError as error:
        raise ValueError(f"{name}: a picture in it {error}: run its notebook again") from None
    if len(content) > LARGEST:
        size = f"{len(content) / 2**20:.1f} MiB, more than {LARGEST / 2**20:.0f}"
        raise ValueError(f"{name} has {size}: run again with fewer or smaller pictures in it")
    return suffix, content


def _some(names: Sequence[str]) -> str:
    return f"{names[0]} was" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more were"


def main(argv: Sequence[str] | None = None) -> int:
    """Publish one run; returns the exit code."""
    described = "Publish what a run shows.", "of the folder in results/published"
    parser = run_parser("publish", *described, dirty="also what code with uncommitted changes made")
    return obey(parser, _publish_and_say, argv)


def _publish_and_say(name: str, **options: Any) -> str:
    done = publish(name=name, **options)
    said = f"{name}: {len(done.written)} files written, {len(done.removed)} stale ones removed"
    left_out = f"left out, for their notebooks are not there: {', '.join(done.left_out)}"
    return f"{said}\n{left_out}" if done.left_out else said


if __name__ == "__main__":
    sys.exit(main())
