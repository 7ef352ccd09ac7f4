"""The search for oddities: rankings heed answers alone, answers add up over rounds, the page asks and exports."""

import json
from dataclasses import replace

import chromium
import numpy as np
import pandas as pd
import pytest

from astraclr.analysis import discovery
from astraclr.analysis.active_search import METHODS, ODD, ORDINARY, UNKNOWN, active_scores, next_asked, vectors
from astraclr.analysis.discovery import answered, load_discovery, new_discovery, ranked, save_answers, save_round
from astraclr.analysis.discovery_page import discovery_page
from astraclr.analysis.expert_answers import read_answers
from astraclr.data.escaping import read_csv
from astraclr.model.checkpoint import load_checkpoint

HOW = {"method": "aad", "seed": 0, "use": ["embeddings"], "encoder": "", "checkpoint": ""}
HOSTILE = '=cmd|</script><img src=x>"'


@pytest.fixture(scope="module")
def cloud():
    """200 ordinary stars, five on the right, five on the left."""
    x = np.random.default_rng(0).normal(size=(210, 3))
    x[200:205], x[205:] = [[9.0, 0.0, 0.0]], [[-9.0, 0.0, 0.0]]
    return x


@pytest.fixture
def search(cloud, stars):
    ids = np.array([HOSTILE, *(f"star {k}" for k in range(1, len(cloud)))])
    lc = stars[:12]
    curves = replace(lc, object_id=np.array([*ids[200:210], HOSTILE, "nobody"]))
    return new_discovery(ids, np.full(len(ids), ""), cloud, HOW, curves)


def kept(search, folder):
    """Write a search as the command does, and return its table."""
    table = ranked(search)
    save_answers(search, folder)
    save_round(table, discovery_page(search, table, 20), folder)
    return table


@pytest.mark.parametrize("method", METHODS)
def test_answers_lift_what_is_wanted_above_what_is_not(cloud, method):
    answers = np.full(len(cloud), UNKNOWN)
    answers[[200, 201]], answers[[205, 206]] = ODD, ORDINARY
    scores = active_scores(cloud, answers, method, seed=3)
    assert scores[202:205].min() > scores[207:].max()
    np.testing.assert_array_equal(scores, active_scores(cloud, answers, method, seed=3))
    assert not np.array_equal(scores, active_scores(cloud, answers, method, seed=4))
    assert not np.isin(next_asked(scores, answers, 10), [200, 201, 205, 206]).any()


def test_vectors_are_joined_in_the_order_asked_for(stars):
    tiny = load_checkpoint("tiny")
    few = stars[:4]
    both = vectors(few, tiny, ("windows", "embeddings"))
    np.testing.assert_array_equal(
        both, np.roll(vectors(few, tiny, ("embeddings", "windows")), both.shape[1] // 2, axis=1)
    )
    with pytest.raises(ValueError, match="ranked by some of embeddings, windows, features, not by colour"):
        vectors(few, tiny, ("colour",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: x[:1], "1 stars"),
        (lambda x: np.where(x > 8, np.nan, x), "5 of them"),
    ],
)
def test_vectors_that_cannot_be_ranked(cloud, change, reason):
    with pytest.raises(ValueError, match=reason):
        active_scores(change(cloud))


def test_settings_that_cannot_be(cloud):
    with pytest.raises(ValueError, match="no method 'svm'; choose pine or aad"):
        active_scores(cloud, method="svm")
    with pytest.raises(ValueError, match="3 answers for 210 stars"):
        active_scores(cloud, np.zeros(3, int))
    with pytest.raises(ValueError, match="1 object_ids repeat"):
        new_discovery(np.array(["a", "a"]), np.full(2, ""), cloud[:2], HOW)


def test_answers_add_up_over_rounds_and_their_order_does_not_matter(search, tmp_path):
    discovery.save_stars(search, tmp_path)
    first = answered(search, {"star 200": "yes", HOSTILE: "no", "star 205": "unsure"})
    kept(first, tmp_path)
    again = load_discovery(tmp_path)
    assert again.answers == first.answers and again.rounds == 1
    second = answered(again, {"star 200": "yes", "star 205": "no"})  # one said before, one no longer unsure
    assert second.rounds == 2 and second.answers["star 200"] == ("yes", 1) and second.answers["star 205"] == ("no", 2)
    table = kept(second, tmp_path)
    shuffled = answered(search, {"star 205": "no", "star 200": "yes", HOSTILE: "no"})
    pd.testing.assert_frame_equal(table, ranked(shuffled))
    shown = read_csv(tmp_path / discovery.RANKING, ("object_id", "label", "answer"))
    assert shown["object_id"].tolist() == table["object_id"].tolist() and "'=cmd" in (
        tmp_path / discovery.RANKING
    ).read_text(encoding="utf-8")
    assert sum(said != "" for said in table["answer"]) == 3 and load_discovery(tmp_path).answers == second.answers


def test_equal_input_gives_equal_bytes(search, tmp_path):
    made = []
    for name in ("a", "b"):
        discovery.save_stars(search, tmp_path / name)
        kept(answered(search, {"star 200": "yes"}), tmp_path / name)
        made.append({file.name: file.read_bytes() for file in sorted((tmp_path / name).iterdir())})
    assert made[0] == made[1] and len(made[0]) == 6


def test_contradictions_and_strangers_are_refused(search):
    search = answered(search, {"star 200": "yes"})
    with pytest.raises(ValueError, match="the answer to 'star 200' was yes in round 1 and is now no"):
        answered(search, {"star 200": "no"})
    assert answered(search, {"star 200": "no"}, change=True).answers["star 200"] == ("no", 2)
    with pytest.raises(ValueError, match=r"no star 'x', 'y', 'z' and 1 more among the 210 of this search"):
        answered(search, dict.fromkeys("xyzw", "yes"))


def test_what_cannot_be_ranked_is_refused(cloud):
    ids, label = np.arange(3).astype(str), np.full(3, "")
    with pytest.raises(ValueError, match="1 star is too few for a search, .*give at least 2"):
        new_discovery(ids[:1], label[:1], cloud[:1], HOW)
    with pytest.raises(ValueError, match="1 of 3 stars have vectors that are not finite .the first is 1."):
        new_discovery(ids, label, np.where(np.arange(9).reshape(3, 3) == 4, np.nan, cloud[:3]), HOW)


def test_a_reader_may_add_columns_to_her_answers(tmp_path):
    (tmp_path / "a.csv").write_text("object_id,answer,comment\n1,yes,a nova?\n")
    assert read_answers(tmp_path / "a.csv") == {"1": "yes"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "object_id,answer\n1,yes\n1,no\n", "says both yes and no of '1'"),
        ("a.csv", "object_id,answer\n1,perhaps\n", "is 'perhaps'; write yes, no, unsure"),
        ("a.csv", "star,answer\n1,yes\n", "lacks the column object_id"),
        ("a.csv", "object_id,mjd,band\n1,58000,g\n", "lacks the column answer; save the answers in the page again"),
        ("a.csv", "", "holds no answers"),
        ("a.csv", b"\xff\xfe\x00", "holds no answers"),
        ("a.json", "{", "holds no answers"),
        ("a.json", '{"answers": [1]}', "holds no answers"),
        ("a.json", '{"answers": {"1": 1}}', "is no text"),
    ],
)
def test_broken_answers_are_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=reason):
        read_answers(path)


def test_a_folder_that_was_changed_is_refused(search, tmp_path):
    discovery.save_stars(search, tmp_path)
    with pytest.raises(ValueError, match="holds a search already"):
        discovery.save_stars(search, tmp_path)
    (tmp_path / discovery.ANSWERS).write_text("object_id,answer,round\nnobody,yes,1\n")
    with pytest.raises(ValueError, match="was changed by hand"):
        load_discovery(tmp_path)
    (tmp_path / discovery.ANSWERS).unlink()
    manifest = tmp_path / discovery.MANIFEST
    for change, reason in (
        ({"version": 9}, "format version 9"),
        ({"key": "0"}, "is not the one"),
        ({"format": "x"}, "no search"),
    ):
        before = manifest.read_text()
        manifest.write_text(json.dumps(json.loads(before) | change))
        with pytest.raises(ValueError, match=reason):
            load_discovery(tmp_path)
        manifest.write_text(before)


@chromium.needs_browser
def test_the_page_asks_shows_and_exports(search, tmp_path):
    page = tmp_path / "page.html"
    table = ranked(answered(search, {"star 200": "yes"}))
    page.write_text(discovery_page(search, table.sort_values("object_id"), 4), encoding="utf-8")
    with chromium.Browser() as browser:
        browser.open(page)
        browser.until("document.documentElement.dataset.ready === '1'")
        assert browser.run("document.documentElement.dataset.star") == HOSTILE
        assert int(browser.run("document.documentElement.dataset.points")) > 10
        border = "getComputedStyle(document.getElementById('csv')).borderTopStyle"
        assert browser.run(border) == "dashed", "there is nothing to save"
        for key in "ynu":
            browser.key(key)
        assert browser.run(border) == "solid"
        browser.key("ArrowLeft")
        browser.run("document.querySelector('[data-answer=yes]').click()")
        said = json.loads(browser.run("jsonOf()"))["answers"]
        assert list(said.values()) == ["yes", "no", "yes"] and list(said)[0] == HOSTILE
        (tmp_path / "answers.csv").write_text(browser.run("csvOf()"), encoding="utf-8", newline="")
        (tmp_path / "answers.json").write_text(browser.run("jsonOf()"), encoding="utf-8")
        browser.open(page)  # and the browser remembers them
        browser.until("document.documentElement.dataset.ready === '1'")
        assert browser.run("document.documentElement.dataset.answered") == "3"
        assert browser.errors == [] and browser.run("document.documentElement.dataset.errors") == "0"
        assert [url for url in browser.requests if not url.startswith(("file:", "data:", "about:"))] == []
    assert read_answers(tmp_path / "answers.csv") == said == read_answers(tmp_path / "answers.json")
