"""Dark versions of figures: contrasts and hues stay, classes and bands stay apart, pages hold both."""

import colorsys
import io
import re

import dark
import numpy as np
import pytest
from PIL import Image

from astraclr.data.taxonomy import BAND_COLOURS, COLOURS

NAMED = {**COLOURS, **BAND_COLOURS, "grey": "#555555", "red": "#d1495b"}


def rgb(colour: str) -> list[int]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def test_white_becomes_the_page_and_black_becomes_white():
    assert dark.dark_colours(np.array([[255, 255, 255], [0, 0, 0]])).tolist() == [list(dark.PAGE), [255] * 3]


@pytest.mark.parametrize("name", NAMED)
def test_colour_keeps_hue_and_contrast(name):
    before = np.array(rgb(NAMED[name]))
    after = dark.dark_colours(before[None])[0]
    on_white, on_dark = dark.contrast(before, np.array([255] * 3)), dark.contrast(after, np.array(dark.PAGE))
    assert on_dark > 0.98 * on_white
    if np.ptp(before) > 20:
        turned = [colorsys.rgb_to_hsv(*(np.asarray(c) / 255))[0] for c in (before, after)]
        assert min(abs(turned[0] - turned[1]), 1 - abs(turned[0] - turned[1])) < 0.08


@pytest.mark.parametrize("colours", [COLOURS, {b: BAND_COLOURS[b] for b in "gri"}])
def test_colours_stay_apart_on_dark_pages(colours):
    lab = np.cbrt(dark.linear(dark.dark_colours(np.array([rgb(c) for c in colours.values()]))) @ dark._TO_CONES.T)
    lab = lab @ dark._TO_LAB.T
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 9 * np.eye(len(lab))
    assert apart.min() > 0.06  # in OKLab, where white and black are 1 apart


def picture(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "PNG")
    return out.getvalue()


def test_pages_hold_both_versions(tmp_path):
    (tmp_path / "_images").mkdir()
    (tmp_path / "part").mkdir()
    (tmp_path / "_images" / "a.png").write_bytes(picture("white"))
    (tmp_path / "one.html").write_text('<p id="x"><img alt="A &gt; b" id="i" class="big" src="_images/a.png" /></p>')
    (tmp_path / "part" / "two.html").write_text('<img src="../_images/a.png" alt="A"><img src="x.png" alt="">')
    assert dark.write_dark_pictures(tmp_path) == 2
    assert (tmp_path / "one.html").read_text() == (
        '<p id="x"><img class="big light-version" src="_images/a.png" alt="A &gt; b" id="i" />'
        '<img class="big dark-version" src="_images/a.dark.png" alt="A &gt; b" /></p>'
    )
    images = re.findall(r'src="([^"]+)"', (tmp_path / "part" / "two.html").read_text())
    assert images == ["../_images/a.png", "../_images/a.dark.png", "x.png"]
    with Image.open(tmp_path / "_images" / "a.dark.png") as made:
        assert made.size == (8, 6) and made.convert("RGB").getpixel((0, 0)) == dark.PAGE
