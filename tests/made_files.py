"""Files for tests: a folder or .zip of given contents, and an empty place for data sets."""

import zipfile

from glann_lib.data import places


def write_files(folder, contents):
    """A file for each name and its bytes; returns the folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path, contents):
    """The same as a .zip; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def empty_place(tmp_path, monkeypatch):
    """An empty folder as GLANN_DATA, and another that stands for the repository's data/ and may be filled."""
    monkeypatch.setattr(places, "DATA", tmp_path / "repository_data")
    monkeypatch.setenv("GLANN_DATA", str(tmp_path / "place"))
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def cached_files():
    """What the cache holds."""
    return list((places.DATA / "cache").glob("*.safetensors"))
