"""A file appears whole under its name, or not at all."""

import errno
import os

import pytest

from astraclr.files import existing, own_name, read_json, replacing


def test_a_new_file_appears_with_its_folder(tmp_path):
    target = tmp_path / "new" / "deeper" / "file.txt"
    with replacing(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("fault", [ValueError, OSError, KeyboardInterrupt])
def test_a_fault_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(fault), replacing(target) as part:
        part.write_text("half")
        raise fault("in the middle")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_is_hidden_beside_its_target(tmp_path):
    with replacing(tmp_path / "stars.parquet") as part:
        assert part.parent == tmp_path
        assert part.name.startswith(".") and part.suffix == ".part"  # readers of the folder pass over it


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"cannot write .*file/out\.txt.*choose a folder"),
        replacing(tmp_path / "file" / "out.txt"),
    ):
        pass


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="it is a folder; name a file in it"), replacing(tmp_path / "folder") as part:
        part.write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_existing(tmp_path):
    assert existing(str(tmp_path)) == tmp_path
    with pytest.raises(FileNotFoundError, match=f"nowhere.*looked in {tmp_path}"):
        existing(tmp_path / "nowhere")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_file_and_a_remedy_and_leaves_the_old_one(tmp_path, number):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(OSError, match=rf"^cannot write {target}: .*; make room there") as caught, replacing(target):
        raise OSError(number, "No space left on device")
    assert caught.value.errno == number and target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_json_is_read_within_limits(tmp_path):
    path = tmp_path / "a.json"
    for text, said in (
        ("[1]", "holds list, not a JSON object"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ('{"a": "' + "x" * 100 + '"}', "has 109 bytes, and at most 50"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            read_json(path, 50 if "50" in said else 2**20)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="a.json is a pipe or a device"):
        read_json(path)


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "..", "", ".", "a\\b", "a\n", 7, None, ["a"]])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="is no name of a file in this folder"):
        own_name(name, "weights")
