"""Files in folders and archives: which are counted, in which order, and that their bytes come back."""

import zipfile

import pytest

from glann_lib.data.files import list_files

FILES = {
    "b/two.OFF": b"2",
    "a/one.off": b"1",
    "c.txt": b"3",
    ".hidden.off": b"4",
    "__MACOSX/one.off": b"5",
    "a/.x/d.off": b"6",
}


@pytest.fixture(params=["directory", "zip"])
def place(request, tmp_path):
    if request.param == "directory":
        for name, content in FILES.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return tmp_path
    path = tmp_path / "files.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return path


def test_files_of_a_kind_are_listed_in_order_and_read(place):
    files = list_files(place, (".off",))
    assert files.names == ("a/one.off", "b/two.OFF")
    with files.opened() as read:
        assert [read(name) for name in files.names] == [b"1", b"2"]
    assert list_files(place, (".off",), within="b/").names == ("b/two.OFF",)
    assert list_files(place, (".png",)).names == ()


def test_folders_are_classes_where_every_file_lies_in_one(place):
    labels, names = list_files(place, (".off",)).classes()
    assert labels.tolist() == [0, 1] and names == ("a", "b")
    assert list_files(place, (".off", ".txt")).classes() == (None, ())


def test_changed_files_have_another_stamp(place):
    before = list_files(place, (".off",)).stamp
    assert list_files(place, (".off",)).stamp == before
    if place.is_dir():
        (place / "a/one.off").write_bytes(b"longer")
    else:
        with zipfile.ZipFile(place, "a") as archive:
            archive.writestr("z.off", b"7")
    assert list_files(place, (".off",)).stamp != before


def test_what_is_no_archive_is_a_one_line_error(tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"broken.zip is no .zip, or a damaged one") as error:
        list_files(tmp_path / "broken.zip", (".off",))
    assert "\n" not in str(error.value)
