"""Files in folders and archives: which are counted and read, how they are divided, and what the cache keeps of them."""

import inspect
import os
import struct
import warnings
import zipfile

import pytest
import torch
from made_files import cached_files, empty_place, write_files, write_zip

from glann_lib.data import cache, listing, places
from glann_lib.data.files import Division, read_cached
from glann_lib.data.listing import list_files, printable, reason

FILES = {
    "b/two.OFF": b"2",
    "a/one.off": b"1",
    "c.txt": b"3",
    ".hidden.off": b"4",
    "__MACOSX/one.off": b"5",
    "a/.x/d.off": b"6",
}


@pytest.fixture(autouse=True)
def data_place(tmp_path, monkeypatch):
    return empty_place(tmp_path, monkeypatch)


@pytest.fixture(params=["directory", "zip"])
def place(request, tmp_path):
    return write_files(tmp_path / "d", FILES) if request.param == "directory" else write_zip(tmp_path / "f.zip", FILES)


def test_files_of_a_kind_are_listed_in_order_and_read(place):
    files = list_files(place, (".off",))
    assert files.names == ("a/one.off", "b/two.OFF")
    with files.opened() as read:
        assert [read(name) for name in files.names] == [b"1", b"2"]
    assert list_files(place, (".off",), within="b/").names == ("b/two.OFF",)
    assert files.remark == "; left out: 1 .txt" and not files.is_partial


def test_folders_are_classes_where_every_file_lies_in_one(place):
    labels, names, remark = list_files(place, (".off",)).classes()
    assert labels.tolist() == [0, 1] and names == ("a", "b") and remark == "; 2 classes, named by the folders a, b"
    assert list_files(place, (".off", ".txt")).classes() == (
        None,
        (),
        "; no classes: c.txt lies beside the sub-folders",
    )


@pytest.mark.parametrize(
    ("folders", "labels", "remark"),
    [
        (("cat", "cat/kitten", "dog"), [0, 2, 1], "; 3 classes, named by the folders cat, cat/kitten, dog"),
        (("2020/01", "2021/01"), None, "; no classes: all sub-folders are called 01"),
        (
            ("a/x", "a/y", "b/x"),
            [0, 1, 0],
            "; 2 classes, named by the folders a/x, a/y, b/x (of one name, and so one class: x)",
        ),
        (("p", "q", "r", "s"), [0, 1, 2, 3], "; 4 classes, named by the folders p, q, r and 1 more"),
        (("only",), None, ""),
        (("", "a", "b"), None, "; no classes: 0.off lies beside the sub-folders"),
    ],
)
def test_it_is_said_which_folders_are_which_classes(tmp_path, folders, labels, remark):
    write_files(tmp_path, {f"{folder}/{i}.off".lstrip("/"): b"1" for i, folder in enumerate(folders)})
    files = list_files(tmp_path, (".off",))
    found, names, said = files.classes()
    assert said == remark
    if labels is None:
        assert found is None and names == ()
    else:
        by_name = dict(zip(files.names, found.tolist(), strict=True))
        assert [by_name[f"{folder}/{i}.off"] for i, folder in enumerate(folders)] == labels


# Names and links


@pytest.mark.parametrize("prefix", ["./", "/", "C:\\", "/home/me/", "a\\b\\", "./x/./"])
def test_names_in_an_archive_are_read_however_they_are_written(tmp_path, prefix):
    separator = "\\" if "\\" in prefix else "/"
    names = [separator.join(parts) for parts in (("cats", "0.off"), ("dogs", "1.off"), ("dogs", ".hidden.off"))]
    path = write_zip(tmp_path / "f.zip", {prefix + name: name[-5:].encode() for name in names})
    files = list_files(path, (".off",))
    assert [name[-10:] for name in files.names] == ["cats/0.off", "dogs/1.off"] and files.classes()[1] == (
        "cats",
        "dogs",
    )
    with files.opened() as read:
        assert [read(name) for name in files.names] == [b"0.off", b"1.off"]


def test_nothing_above_an_archive_is_meant(tmp_path):
    path = write_zip(tmp_path / "f.zip", {"../up.off": b"1", "a/../../up.off": b"2", "in.off": b"3", "too.off": b"4"})
    files = list_files(path, (".off",))
    assert files.names == ("in.off", "too.off") and files.is_partial
    assert files.remark == "; left out: 2 with .. in their paths"


def damaged_zip(tmp_path, offset, value, count=2):
    """A .zip of 3 files; in the entries of `count` of them the two bytes at an offset have another value."""
    path = write_zip(tmp_path / "f.zip", {f"{i}.off": b"1" for i in range(3)})
    content = bytearray(path.read_bytes())
    places = [place for place in range(len(content)) if content[place : place + 4] == b"PK\1\2"]
    for place in places[:count]:
        content[place + offset : place + offset + 2] = value.to_bytes(2, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (8, 1, "that need a password"),
        (10, 9, "compressed by deflate64, which is not read"),
        (10, 95, "compressed by method 95"),
    ],
)
def test_entries_that_cannot_be_unpacked_are_left_out_or_refused_by_their_cause(tmp_path, offset, value, words):
    files = list_files(damaged_zip(tmp_path, offset, value, count=1), (".off",))
    assert files.names == ("1.off", "2.off") and f"; left out: 1 {words}"[:20] in files.remark and words in files.remark
    with pytest.raises(ValueError, match=rf"left out were 2 .*{words}.*; convert or unpack those") as error:
        list_files(damaged_zip(tmp_path, offset, value, count=2), (".off",))
    assert "\n" not in str(error.value)


def test_names_of_another_encoding_are_read_and_said(tmp_path):
    path = write_zip(tmp_path / "f.zip", {"kitten.off": b"1", "猫.off": b"2", "b.off": b"3"})
    content = path.read_bytes()
    unmarked = content.replace(b"\x00\x08\x00\x00", b"\x00\x00\x00\x00")  # the mark of UTF-8
    path.write_bytes(unmarked)
    files = list_files(path, (".off",))
    assert files.names == ("b.off", "kitten.off", "猫.off") and files.remark == ""
    path.write_bytes(unmarked.replace("猫".encode(), b"\x94\x4c!"))  # Shift JIS
    files = list_files(path, (".off",))
    assert len(files.names) == 3 and "; 1 names are in an encoding that the .zip does not state" in files.remark
    with files.opened() as read:
        assert sorted(map(read, files.names)) == [b"1", b"2", b"3"]


def test_of_two_entries_of_one_name_the_last_counts_and_it_is_said(tmp_path):
    path = write_zip(tmp_path / "f.zip", {"a.off": b"1", "./a.off": b"2", "b.off": b"3"})
    files = list_files(path, (".off",))
    assert files.names == ("a.off", "b.off") and "1 that others of the same name replace" in files.remark
    with files.opened() as read:
        assert read("a.off") == b"2"


def test_an_archive_whose_end_counts_other_than_its_list_is_damaged(tmp_path):
    path = write_zip(tmp_path / "f.zip", {f"{i}.off": b"1" for i in range(4)})
    content = path.read_bytes()
    last, end = content.rindex(b"PK\1\2"), content.rindex(b"PK\5\6")
    size = struct.pack("<I", end - content.index(b"PK\1\2") - (end - last))
    path.write_bytes(content[:last] + content[end : end + 12] + size + content[end + 16 :])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 3  # zipfile says nothing
    with pytest.raises(ValueError, match=r"f\.zip is no \.zip, or a damaged one \(it states 4 files, but lists 3\)"):
        list_files(path, (".off",))


def test_an_entry_without_a_name_is_counted(tmp_path):
    path = write_zip(tmp_path / "f.zip", {"xxxx/0.off": b"1", "1.off": b"2", "2.off": b"3"})
    path.write_bytes(path.read_bytes().replace(b"xxxx/", b"\x00/00/"))  # a name ends at its first zero byte
    assert list_files(path, (".off",)).remark == "; left out: 1 without a name"


def test_links_to_folders_are_followed_once_each(tmp_path):
    write_files(tmp_path / "elsewhere", {"0.off": b"1", "deep/1.off": b"2"})
    place = write_files(tmp_path / "d", {"own/2.off": b"3"})
    (place / "link").symlink_to(tmp_path / "elsewhere")
    (place / "again").symlink_to(place / "own")
    (place / "own" / "up").symlink_to(place)
    (place / "gone.off").symlink_to(tmp_path / "nowhere")
    files = list_files(place, (".off",))
    assert files.names == ("link/0.off", "link/deep/1.off", "own/2.off")
    assert files.remark == "; left out: 1 that are links to nothing" and files.is_partial
    with files.opened() as read:
        assert [read(name) for name in files.names] == [b"1", b"2", b"3"]


def test_a_named_pipe_is_no_file(tmp_path):
    write_files(tmp_path, {"0.off": b"1", "1.off": b"2"})
    os.mkfifo(tmp_path / "2.off")
    assert list_files(tmp_path, (".off",)).remark == "; left out: 1 that are devices"


def test_names_that_are_no_utf8_are_read_and_shown_by_their_bytes(tmp_path):
    place = write_files(tmp_path / "d", {"caf\udce9/0.off": b"1", "t\nea/1.off": b"2"})
    files = list_files(place, (".off",))
    with files.opened() as read:
        assert sorted(map(read, files.names)) == [b"1", b"2"]
    _, names, remark = files.classes()
    assert names == (r"caf\xe9", r"t\nea") and r"folders caf\xe9, t\nea" in remark
    assert printable("Zürich 猫") == "Zürich 猫"


# What is left out


def test_what_is_left_out_is_counted_by_kind(tmp_path):
    write_files(tmp_path, FILES | dict.fromkeys(("x.glb", "y.GLB", "README", "3.off", "4.off"), b""))
    assert list_files(tmp_path, (".off",)).remark == "; left out: 2 .glb, 1 .txt, 1 without a suffix"
    write_files(tmp_path, {f"{i}.{kind}": b"" for i, kind in enumerate("abc")} | {f"{i}.off": b"" for i in range(9)})
    assert list_files(tmp_path, (".off",)).remark == "; left out: 2 .glb, 1 .a, 1 .b, 1 .c, 1 .txt and 1 other kinds"


def test_more_left_out_than_read_is_refused(tmp_path):
    write_files(tmp_path, {f"{i}.glb": b"" for i in range(9)} | {"a.stl": b"", "b.stl": b""})
    with pytest.raises(ValueError, match=r"more that is not read than what is \(2 of stl\): left out were 9 \.glb; "):
        list_files(tmp_path, (".stl",))
    assert len(list_files(tmp_path, (".stl",), beside=(".glb",)).names) == 2
    write_files(tmp_path / "captioned", {f"{i}{s}": b"" for i in range(9) for s in (".stl", ".txt", ".json")})
    assert not list_files(tmp_path / "captioned", (".stl",)).is_partial


def test_changed_files_have_another_stamp(place):
    before = list_files(place, (".off",)).stamp
    assert list_files(place, (".off",)).stamp == before
    if place.is_dir():
        write_files(place, {"a/one.off": b"longer"})
    else:
        write_zip(place, FILES | {"z.off": b"7"})
    assert list_files(place, (".off",)).stamp != before


def test_what_is_no_archive_is_a_one_line_error(tmp_path):
    whole = write_zip(tmp_path / "whole.zip", FILES).read_bytes()
    write_files(tmp_path, {"broken.zip": b"PK nothing", "cut.zip": whole[: len(whole) // 2], "words.txt": b"words"})
    for name in ("broken.zip", "cut.zip", "words.txt"):
        with pytest.raises(ValueError, match=rf"{name} is no \.zip, or a damaged one .*: name a directory or") as error:
            list_files(tmp_path / name, (".off",))
        assert "\n" not in str(error.value)


# The division of files without a split


def test_a_part_is_for_testing_and_limits_take_the_first_few():
    whole = Division.draw(30, 3, {"train": None, "test": None})
    assert sorted(whole.numbers.tolist()) == list(range(30)) and whole.tests == 3
    few = Division.draw(30, 3, {"train": 5, "test": 2})
    assert few.numbers.tolist() == [*whole.numbers[:2].tolist(), *whole.numbers[3:8].tolist()] and few.tests == 2


@pytest.mark.parametrize("good", [(0, 1), (4, 9), (8, 3), tuple(range(10))])
@pytest.mark.parametrize("tests", [1, 5])
def test_unreadable_files_leave_no_part_empty(good, tests):
    division = Division.draw(10, tests, {"train": None, "test": None})
    readable = torch.isin(division.numbers, torch.tensor(good))
    found = division.numbers[readable]
    test, train = (found[division.part(split, readable)].tolist() for split in ("test", "train"))
    assert test and train and sorted(test + train) == sorted(good)
    if len(good) == 10:
        assert len(test) == tests


# The cache, and what is said of unreadable files


def read(files, names, factor):
    """A number a file, and none for what does not hold one."""
    with files.opened() as content:
        texts = [content(name).decode() for name in names]
    readable = torch.tensor([text.isdigit() for text in texts])
    return {"values": torch.tensor([factor * int(text) for text in texts if text.isdigit()]), "readable": readable}


def numbers_in(path, count=6, chosen=None, factor=1):
    files = list_files(path, (".txt",))
    return read_cached(files, torch.arange(count) if chosen is None else chosen, "number", read, factor)


@pytest.fixture
def texts(tmp_path):
    return write_files(tmp_path / "texts", {f"{i}.txt": f"{i}".encode() for i in range(6)})


def test_a_second_time_nothing_is_read(texts, monkeypatch):
    first, remark = numbers_in(texts)
    assert first["values"].tolist() == list(range(6)) and remark == ""
    monkeypatch.setitem(globals(), "read", lambda *arguments: pytest.fail("read again"))
    again, _ = numbers_in(texts)
    assert torch.equal(again["values"], first["values"]) and len(cached_files()) == 1


def test_other_settings_choices_or_contents_are_read_anew(texts):
    numbers_in(texts)
    assert numbers_in(texts, factor=2)[0]["values"].tolist() == [0, 2, 4, 6, 8, 10]
    assert numbers_in(texts, chosen=torch.tensor([4, 1]))[0]["values"].tolist() == [4, 1]
    assert len(cached_files()) == 3
    write_files(texts, {"3.txt": b"33"})
    assert numbers_in(texts)[0]["values"].tolist() == [0, 1, 2, 33, 4, 5] and len(cached_files()) == 4


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_cache_is_built_again(texts, damage):
    first = {"values": numbers_in(texts)[0]["values"].clone()}  # what is mapped changes with its file
    (path,) = cached_files()
    content = bytearray(path.read_bytes())
    cache._checked.clear()  # as in another process
    content[-10] ^= 1
    path.write_bytes({"cut": content[:-5], "bit": content, "empty": b""}[damage])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in ("made again", "from the cache"):
            assert torch.equal(numbers_in(texts)[0]["values"], first["values"])
    assert path.read_bytes() != content


def test_a_cache_that_cannot_be_written_is_no_error(texts, tmp_path, monkeypatch):
    write_files(tmp_path, {"a_file": b""})
    monkeypatch.setattr(places, "DATA", tmp_path / "a_file")
    assert len(numbers_in(texts)[0]["values"]) == 6


def test_unreadable_files_are_named_and_counted_every_time(texts):
    write_files(texts, {"2.txt": b"two", "4.txt": b""})
    for _ in ("read", "from the cache"):
        with pytest.warns(UserWarning, match=r"texts; 2 unreadable of 6 number files skipped \(2\.txt, 4\.txt\)$"):
            _, remark = numbers_in(texts)
        assert remark == "; 2 unreadable of 6 number files skipped (2.txt, 4.txt)"


def test_three_names_are_enough(texts):
    write_files(texts, {f"{i}.txt": b"" for i in range(1, 5)})
    with pytest.warns(UserWarning):
        _, remark = numbers_in(texts)
    assert remark == "; 4 unreadable of 6 number files skipped (1.txt, 2.txt, 3.txt and 1 more)"


def test_a_reason_is_one_line():
    assert reason(ValueError("one\ntwo")) == "one two" and reason(KeyError()) == "KeyError"
    assert len(reason(ValueError("word " * 100))) <= 200


# The page


def test_the_page_names_every_format_and_every_reason_for_which_files_are_left_out_or_refused():
    page = (places.ROOT / "data" / "README.md").read_text()
    for suffix in (*listing.IMAGES, *listing.MESHES):
        assert suffix[1:] in page
    assert page.count(f"at least {listing.LEAST}") == 2
    words = inspect.getsource(listing)
    refusals = ("holds more that is not read than what is", "is no .zip, or a damaged one", "too few", "left out: ")
    reasons = ("need a password", "links to nothing", "in folders that may not be opened", "with .. in their paths")
    for said in (*refusals, *reasons, "that others of the same name replace"):
        assert said in page and said in words
