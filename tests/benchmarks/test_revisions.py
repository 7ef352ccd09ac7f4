"""Two revisions side by side: what is called slower, and that the works find what they time."""

import sys
from importlib import import_module

import pytest
import revisions
from _revision_works import PLACES, named


def test_slower_is_by_more_than_five_per_cent_and_beyond_the_spread():
    there = [1.0] * 9
    assert revisions.compared([1.1] * 9, there)["slower"]
    assert not revisions.compared([1.04] * 9, there)["slower"]
    found = revisions.compared([0.5, 0.6, 0.7, 1.0, 1.06, 1.1, 1.5, 1.6, 1.7], there)
    assert found["ratio"] == 1.06 and found["quartiles"] == [0.7, 1.5] and not found["slower"]
    assert found["ratio_of_least"] == 0.5


@pytest.mark.parametrize("name", PLACES)
def test_what_the_works_time_is_found_where_it_is_now(name):
    assert named(name) is getattr(import_module(f"astraclr.{PLACES[name][0]}"), name)


def test_a_folder_without_the_package_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["revisions.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="git worktree add FOLDER REVISION"):
        revisions.main()
