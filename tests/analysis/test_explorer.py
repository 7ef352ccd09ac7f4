"""The map of stars as a page: what is packed into it comes out again, and a real browser draws it without a network."""

import base64
import json
import re
from dataclasses import replace

import chromium
import numpy as np
import pytest
from test_explorer_packing import unpacked

from astraclr.analysis import explorer as module
from astraclr.analysis.classifier import load_head
from astraclr.analysis.explorer import FEWEST, explorer
from astraclr.analysis.latent_space import neighbours
from astraclr.analysis.packed_curves import DAY, MAGNITUDE, thinned
from astraclr.data.taxonomy import BAND_COLOURS, COLOURS
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.embedding import embed

HOSTILE = '</script><script>document.title="no"</script>'
TYPES = {"f4": "<f4", "f8": "<f8", "u4": "<u4", "i4": "<i4"}


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint("tiny")


@pytest.fixture(scope="module")
def made(stars):
    """The stars of the page: a third without a known period, one without a label, one with its own, a hostile id."""
    ids, labels, period = stars.object_id.astype("U80"), stars.label.astype("U20"), stars.period.copy()
    ids[5], labels[6], labels[7] = HOSTILE, "", "dipper"
    period[:] = np.where(np.arange(len(stars)) % 3, 0.51234, np.nan)
    return replace(stars, object_id=ids, label=labels, period=period)


@pytest.fixture(scope="module")
def page(made, checkpoint, tmp_path_factory):
    """A page with everything on it."""
    from astraclr.files import shipped_file

    head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), checkpoint)
    file = tmp_path_factory.mktemp("page") / "explorer.html"
    file.write_text(explorer(made, checkpoint, head), encoding="utf-8")
    return file


def inside(text: str, name: str) -> str:
    """The text of a script element."""
    found = re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return found[1]


def facts_of(text: str) -> dict:
    return json.loads(inside(text, "data"))


def columns_of(text: str) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(base64.b64decode(packed), TYPES[kind])
        for name, (kind, packed) in facts_of(text)["columns"].items()
    }


# --- the page ---------------------------------------------------------------------------------------------------------


def test_page_is_whole_in_itself(page, made):
    text = page.read_text()
    assert "default-src 'none'" in text and not re.search(r"https?:|\bsrc=|@import|url\(|import\(|fetch\(", text)
    assert text.count("<script") == text.count("</script>") == 3 and "{{" not in text
    facts = facts_of(text)
    assert facts["ids"] == made.object_id.tolist() and facts["encoder"].startswith("tiny-")
    assert {"dipper", "unlabelled"} <= {entry["name"] for entry in facts["classes"]}
    assert facts["notes"] == [f"Points were left out of {len(made)} light curves: the page holds at most 150 a star."]


def test_page_holds_the_neighbours_and_the_light_curves(page, made, checkpoint):
    text = page.read_text()
    columns = columns_of(text)
    index, similarity = neighbours(embed(made, checkpoint), 10)
    np.testing.assert_array_equal(columns["neighbours"].reshape(-1, 10), index)
    np.testing.assert_allclose(columns["similarity"].reshape(-1, 10), similarity, atol=1e-6)
    np.testing.assert_array_equal(columns["period"], made.period)
    assert {"predicted", "probability"} < set(columns)
    np.testing.assert_array_equal(columns["observed"].reshape(-1, 3), made.counts)
    assert len(unpacked(inside(text, "curves"), columns["shown"].reshape(-1, 3))) == len(made)


def test_more_stars_than_asked_are_drawn_at_random(made, checkpoint, monkeypatch):
    monkeypatch.setattr(module, "umap_map", lambda x, seed: x[:, :2])

    def missing(*_):
        raise ImportError("outlier scores need the coniferest package")

    monkeypatch.setattr("astraclr.analysis.outliers.outlier_scores", missing)
    with pytest.warns(UserWarning, match="no outlier scores: outlier scores need the coniferest"):
        text = explorer(made, checkpoint, max_stars=20, seed=3)
    facts = facts_of(text)
    assert len(set(facts["ids"])) == 20 and set(facts["ids"]) < set(made.object_id)
    assert facts["notes"][0] == "20 of 96 stars, drawn at random (seed 3)." and "coniferest" in facts["notes"][-1]
    assert not {"score", "predicted"} & set(facts["columns"])


def test_stars_that_make_no_map_are_refused(made, checkpoint):
    with pytest.raises(ValueError, match=f"15 stars are too few for a map; give at least {FEWEST}"):
        explorer(made[:15], checkpoint)
    with pytest.raises(ValueError, match="1 object_ids repeat"):
        explorer(replace(made, object_id=np.array(["a", "a", *made.object_id[2:]])), checkpoint)


@pytest.fixture(scope="module")
def beside(made, checkpoint, tmp_path_factory):
    """A page of 40 stars, and three that are compared with them, one of these among the 40."""
    file = tmp_path_factory.mktemp("page") / "beside.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "umap_map", lambda x, seed: x[:, :2])
        file.write_text(explorer(made[:40], checkpoint, foreign=made[39:42]), encoding="utf-8")
    return file


def test_foreign_stars_stand_at_the_mean_place_of_their_neighbours(beside, made, checkpoint):
    facts, columns = facts_of(beside.read_text()), columns_of(beside.read_text())
    assert facts["foreign"] == 3 and facts["ids"][40] == f"{made.object_id[39]} (other file)"
    assert any("approximately, at the mean place of its 10" in note for note in facts["notes"])
    xy, near = columns["xy"].reshape(-1, 2), columns["neighbours"].reshape(-1, 10)
    np.testing.assert_allclose(xy[40:], xy[near[40:]].mean(axis=1), atol=1e-6)
    assert near.max() < 40 and near[40, 0] == 39 and columns["similarity"].reshape(-1, 10)[40, 0] == pytest.approx(1)
    x = embed(made[:42], checkpoint)
    np.testing.assert_array_equal(near[:40], neighbours(x[:40], 10)[0])
    alike = (x[41] @ x[:40].T) / np.linalg.norm(x[:40], axis=1)
    np.testing.assert_array_equal(near[42], np.argsort(-alike)[:10])


def test_too_many_foreign_stars_and_other_bands_are_refused(made, checkpoint, monkeypatch):
    monkeypatch.setattr(module, "MOST_FOREIGN", 2)
    with pytest.raises(ValueError, match="3 stars to compare with the map; at most 2: .*`astraclr similar`"):
        explorer(made[:40], checkpoint, foreign=made[40:43])
    with pytest.raises(ValueError, match="bands differ"):
        explorer(made[:40], checkpoint, foreign=replace(made[40:41], bands={"g": 1.0, "r": 2.0, "i": 3.0}))


# --- in a browser -----------------------------------------------------------------------------------------------------

needs_browser = chromium.needs_browser


@pytest.fixture(scope="module")
def browser():
    with chromium.Browser() as opened:
        yield opened


@pytest.fixture
def loaded(browser, page):
    """The page, loaded anew; whatever a test does, the page has complained of nothing and asked for nothing."""
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page)
    browser.until("document.documentElement.dataset.ready")
    yield browser
    assert browser.errors == [] and state(browser)["errors"] == "0"
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "about", "data", "blob"}


def state(browser) -> dict[str, str]:
    return browser.run("({...document.documentElement.dataset})")


def place(browser, s: int) -> tuple[float, float]:
    x, y, *_ = frame(browser)
    return x + browser.run(f"sx({s})"), y + browser.run(f"sy({s})")


def frame(browser) -> list[float]:
    """Left, top, width and height of the map in the window."""
    return browser.run("(({x, y, width, height}) => [x, y, width, height])(map.getBoundingClientRect())")


def painted(browser, canvas: str, colour: str) -> int:
    """Pixels of that colour, more or less, on a canvas."""
    return browser.run(f"""(() => {{
      const shown = document.getElementById("{canvas}"), copy = document.createElement("canvas");
      [copy.width, copy.height] = [shown.width, shown.height];
      const c = copy.getContext("2d", {{ willReadFrequently: true }});
      c.drawImage(shown, 0, 0);
      const p = c.getImageData(0, 0, copy.width, copy.height).data;
      const [r, g, b] = rgb("{colour}");
      let n = 0;
      for (let k = 0; k < p.length; k += 4)
        n += Math.abs(p[k] - r) + Math.abs(p[k + 1] - g) + Math.abs(p[k + 2] - b) < 90;
      return n;
    }})()""")


def alone(browser) -> int:
    """A star with a known period that no other one hides."""
    return browser.run("shuffled.find((s) => nearestTo(sx(s), sy(s), 12) === s && col.period[s] > 0)")


@needs_browser
def test_map_is_drawn_and_a_hostile_id_is_only_text(loaded, made):
    assert int(state(loaded)["drawn"]) == len(made) and int(state(loaded)["firstDraw"]) > 0
    assert all(painted(loaded, "map", COLOURS[c]) > 20 for c in ("RR", "ECL", "LPV"))
    loaded.run("keep(5)")
    assert loaded.run("document.getElementById('name').textContent") == f"{HOSTILE} (kept)"
    assert loaded.run("document.title").startswith("Map of 96 light curves")


@needs_browser
def test_pointing_at_a_star_draws_its_light_curve(loaded, made):
    s = alone(loaded)
    assert not state(loaded)["star"] and "points" not in state(loaded)
    loaded.mouse("mouseMoved", *place(loaded, s))
    loaded.until("document.documentElement.dataset.points")
    now = state(loaded)
    shown = int(thinned(made).counts[s].sum())
    assert (now["star"], int(now["points"]), int(now["folded"])) == (made.object_id[s], shown, 2 * shown)
    for canvas in ("raw", "fold"):
        assert all(painted(loaded, canvas, BAND_COLOURS[band]) > 50 for band in "gr")
    first = loaded.run(f"curve({s})[0]")
    mjd, mag, _ = made.star(s)["g"]
    assert first["mjd"] == pytest.approx(mjd[0], abs=DAY) and first["mag"] == pytest.approx(mag[0], abs=MAGNITUDE)
    assert loaded.run("document.getElementById('raw').getAttribute('aria-label')").startswith("Light curve of")


@needs_browser
def test_a_typed_period_folds_a_star_without_one(loaded):
    s = loaded.run("Array.from(col.period.keys()).find((s) => !(col.period[s] > 0))")
    loaded.run(f"location.hash = 'star=' + encodeURIComponent(data.ids[{s}])")
    loaded.until("document.documentElement.dataset.kept")
    assert state(loaded)["folded"] == "0" and loaded.run("document.getElementById('fold').hidden")
    loaded.run("document.getElementById('period').focus()")
    loaded.send("Input.insertText", text="0.25")
    assert int(state(loaded)["folded"]) == 2 * int(state(loaded)["points"]) > 0


@needs_browser
def test_keys_search_step_through_neighbours_and_clear(loaded, page, made):
    near = columns_of(page.read_text())["neighbours"].reshape(-1, 10)
    loaded.key("Tab")
    assert loaded.run("document.activeElement.id") == "search"
    loaded.send("Input.insertText", text=made.object_id[8])
    loaded.key("Enter", "\r")
    assert state(loaded)["kept"] == made.object_id[8]
    assert state(loaded)["neighbours"] == " ".join(made.object_id[near[8]])
    loaded.run("map.focus()")
    for _ in range(2):
        loaded.key("ArrowRight")
    assert state(loaded)["star"] == made.object_id[near[8][1]] and state(loaded)["kept"] == made.object_id[8]
    loaded.key("ArrowLeft")
    loaded.key("Enter", "\r")
    assert state(loaded)["kept"] == made.object_id[near[8][0]]
    loaded.key("Escape")
    assert state(loaded)["star"] == state(loaded)["kept"] == "" and loaded.run("location.hash") == ""


@needs_browser
def test_lasso_legend_zoom_and_colours(loaded, made):
    x, y, w, h = frame(loaded)
    corners = [(x + 2, y + 2), (x + w / 2, y + 2), (x + w / 2, y + h - 2), (x + 2, y + h - 2)]
    inside = loaded.run("Array.from(shuffled).filter((s) => sx(s) < map.clientWidth / 2).length")
    loaded.mouse("mousePressed", *corners[0], "left", modifiers=8)
    for corner in corners[1:]:
        loaded.mouse("mouseMoved", *corner, "left", modifiers=8)
    loaded.mouse("mouseReleased", *corners[-1], "left", modifiers=8)
    assert 0 < inside < len(made) and int(state(loaded)["selected"]) == inside
    assert loaded.run("document.querySelectorAll('#chosen button').length") == inside
    loaded.run("document.querySelector('#legend button').click(); drawMap()")
    assert int(state(loaded)["drawn"]) == len(made) - int((made.label == "AGN").sum())
    loaded.send("Input.dispatchMouseEvent", type="mouseWheel", x=x + 9, y=y + 9, deltaX=0, deltaY=-3000)
    loaded.until("view.scale > 10 * view.fitted && document.documentElement.dataset.drawn < 80")
    for way in ("predicted", "score") if loaded.run("Boolean(col.score)") else ("predicted",):
        loaded.run(f"colourBy('{way}'); fit(); drawMap()")
        assert state(loaded)["colour"] == way and int(state(loaded)["drawn"]) > 80


@needs_browser
def test_dark_pages_are_dark_and_show_every_class(loaded):
    loaded.dark(True)
    loaded.until("light(theme.bg) < 0.05")
    loaded.run("drawMap()")
    assert painted(loaded, "map", "#14171c") > 10_000 and painted(loaded, "map", COLOURS["LPV"]) > 20
    assert loaded.run("faint('#222222') && !faint('#d62728')")  # so that AGN get a rim
    loaded.dark(False)


@needs_browser
def test_in_a_frame_the_page_around_it_says_which_theme_is_on(loaded):
    loaded.dark(False)
    loaded.run("postMessage({ astraclr: 'theme', theme: 'dark' }, '*')")
    loaded.until("light(theme.bg) < 0.05")
    loaded.run("postMessage({ astraclr: 'theme', theme: 'light' }, '*')")
    loaded.until("light(theme.bg) > 0.9")


@needs_browser
def test_foreign_stars_are_listed_with_their_neighbours(browser, beside, made):
    browser.errors.clear()
    browser.open(beside)
    browser.until("document.documentElement.dataset.ready")
    assert (state(browser)["drawn"], state(browser)["foreign"]) == ("40", "3")
    assert browser.run("document.title").startswith("Map of 40 light curves")
    browser.run("document.querySelectorAll('#others button')[1].click()")
    browser.until("document.documentElement.dataset.points")
    near = columns_of(beside.read_text())["neighbours"].reshape(-1, 10)
    assert state(browser)["kept"] == made.object_id[40]
    assert state(browser)["neighbours"] == " ".join(made.object_id[near[41]])
    assert "approximate: not a star of the map" in browser.run("document.getElementById('facts').textContent")
    assert browser.errors == [] and state(browser)["errors"] == "0"
