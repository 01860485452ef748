"""Files in folders and archives: which are counted and read, how they are divided, and what the cache keeps of them."""

import warnings

import pytest
import torch
from made_files import cached_files, empty_place, write_files, write_zip

from glann_lib.data import places
from glann_lib.data.files import Division, list_files, read_cached, reason

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
    assert list_files(place, (".png",)).names == ()


def test_folders_are_classes_where_every_file_lies_in_one(place):
    labels, names = list_files(place, (".off",)).classes()
    assert labels.tolist() == [0, 1] and names == ("a", "b")
    assert list_files(place, (".off", ".txt")).classes() == (None, ())


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
    first, _ = numbers_in(texts)
    (path,) = cached_files()
    content = bytearray(path.read_bytes())
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
    assert remark == "; 4 unreadable of 6 number files skipped (1.txt, 2.txt, 3.txt, ...)"


def test_a_reason_is_one_line():
    assert reason(ValueError("one\ntwo")) == "one two" and reason(KeyError()) == "KeyError"
    assert len(reason(ValueError("word " * 100))) <= 200
