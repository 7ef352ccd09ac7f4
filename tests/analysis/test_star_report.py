"""The report on a reader's stars: whole in itself, escaped, counted, the same bytes again."""

import re
from dataclasses import replace

import chromium
import numpy as np
import pytest

from astraclr.analysis import star_report as module
from astraclr.analysis.classifier import load_head
from astraclr.analysis.report_figures import canvas, svg
from astraclr.analysis.star_report import star_report
from astraclr.files import shipped_file
from astraclr.model.checkpoint import load_checkpoint

HOSTILE = '</svg></title><script>document.title="no"</script>'


@pytest.fixture(scope="module")
def made(stars):
    """Twenty stars: one with a hostile id and label, notes of what was dropped."""
    few = stars[:20]
    ids, labels = few.object_id.astype("U90"), few.label.astype("U90")
    ids[3], labels[3] = HOSTILE, HOSTILE
    return replace(few, object_id=ids, label=labels, notes={"magerr <= 0 <b>": 3, "star without observations": 1})


@pytest.fixture(scope="module", autouse=True)
def quick():
    """No UMAP, which takes long to compile, and few light curves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "umap_map", lambda x, seed: np.ascontiguousarray(x[:, :2]))
        patch.setattr(module, "ODDITIES", 3)
        patch.setattr(module, "NEAREST", 1)
        yield


@pytest.fixture(scope="module")
def page(made):
    tiny = load_checkpoint("tiny")
    head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), tiny)
    return star_report(made, tiny, head, source="my <stars>.parquet")


def test_page_is_whole_in_itself_and_escaped(page):
    assert "default-src 'none'" in page and "<script" not in page and "{{" not in page
    assert not re.search(r"\bsrc=|@import|url\((?!#)", page)
    assert set(re.findall(r'https?://[^"]*', page)) <= {"http://www.w3.org/1999/xlink"}
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


def test_it_counts_every_reason_and_names_the_encoder(page, made):
    for reason, n in made.notes.items():
        assert f"{reason.replace('<', '&lt;').replace('>', '&gt;')}</th><td>{n}</td>" in page
    tiny = load_checkpoint("tiny")
    assert tiny.sha256 in page and "simulated stars with the cadence and errors of ZTF" in page
    assert page.count("<svg") == page.count('role="img"') == page.count("<title>") - 1 >= 3 + 1 + 3 + 4
    assert len(re.findall(r"<h3>\d+\. ", page)) == 3


def test_the_same_stars_give_the_same_bytes(page, made):
    tiny = load_checkpoint("tiny")
    head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), tiny)
    assert star_report(made, tiny, head, source="my <stars>.parquet") == page


def test_few_stars_many_stars_and_other_bands(stars):
    tiny = load_checkpoint("tiny")
    foreign = replace(stars[:5], bands={"B": 4_400.0, "R": 6_500.0, "I": 8_000.0})
    page = star_report(foreign, tiny, max_stars=3)
    assert "3 of them, drawn at random (seed 42)" in page and "5 stars with" in page
    assert "too few for a map" in page and "has no head" in page
    assert "come from another survey (bands B, R, I)" in page
    with pytest.raises(ValueError, match="1 star is too few"):
        star_report(stars[:1], tiny)


def test_figures_take_the_ink_of_the_page():
    figure, ax = canvas()
    ax.plot([1, 2], [1, 2], color="#5f1a6e")
    text = svg(figure, "a <b>", 7)
    assert "currentColor" in text and "var(--band-i)" in text and 'id="f7-' in text and "a &lt;b&gt;" in text


@chromium.needs_browser
def test_a_browser_shows_it_on_a_phone_and_in_the_dark(page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with chromium.Browser() as browser:
        for width, dark in ((1280, False), (390, True)):
            browser.dark(dark)
            browser.resize(width, 900)
            browser.open(file)
            assert browser.run("document.documentElement.scrollWidth <= innerWidth")
            assert browser.run("document.title.startsWith('Report on 20 light curves')")
        assert browser.errors == []
