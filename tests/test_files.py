"""A file appears whole under its name, or not at all."""

import pytest

from astraclr.files import existing, replacing


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
