"""Dark versions of drawn pictures: white becomes the dark page, and every colour keeps its hue and its contrast.

A picture is recoloured after it was drawn, so a chapter draws each figure once. On a dark page a colour has about the
contrast that it has on a white one, as WCAG 2 defines it, and a little more where that is low.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

PAGE = (0x12, 0x12, 0x12)
"""Background of dark pages in the theme of the book."""
RAISED = 0.8
"""Power of the logarithm of a contrast as a share of the largest one: below 1 it raises contrasts that are low."""
# Björn Ottosson, "A perceptual color space for image processing" (2020): OKLab from linear sRGB, in two steps.
_TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
_IMAGE = re.compile(
    r'<img\b(?P<before>[^>]*?)\bsrc="(?P<src>(?:\.\./)*_images/(?P<name>[^"/]+\.png))"(?P<after>[^>]*)>'
)


def linear(rgb: np.ndarray) -> np.ndarray:
    """Linear light, 0 to 1, of (..., 3) sRGB values from 0 to 255."""
    c = np.asarray(rgb, float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Relative luminance of (..., 3) sRGB values from 0 to 255, as WCAG 2 defines it."""
    return linear(rgb) @ [0.2126, 0.7152, 0.0722]


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Contrast ratio of colours, 1 to 21, as WCAG 2 defines it."""
    a, b = luminance(np.asarray(one)) + 0.05, luminance(np.asarray(other)) + 0.05
    return np.maximum(a, b) / np.minimum(a, b)


def dark_colours(rgb: np.ndarray) -> np.ndarray:
    """(n, 3) colours on white as they are on `PAGE`, uint8: white is the page, black is white, hues stay."""
    page = luminance(np.array(PAGE)) + 0.05
    share_of_log = np.log(1.05 / (luminance(rgb) + 0.05)) / np.log(21)
    wanted = (page * (1.05 / page) ** (share_of_log.clip(0, 1) ** RAISED) - 0.05).clip(0, 1)
    lab = np.cbrt(linear(rgb) @ _TO_CONES.T) @ _TO_LAB.T
    # Half the distance each time: the most of the colour that a screen can show at this luminance.
    low, high = np.zeros(len(rgb)), np.ones(len(rgb))
    for _ in range(10):
        share = (low + high) / 2
        fits = _shown(lab, share, wanted)[1]
        low, high = np.where(fits, share, low), np.where(fits, high, share)
    light = _shown(lab, low, wanted)[0].clip(0, 1)
    gamma = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * gamma).astype(np.uint8)


def _shown(lab: np.ndarray, share: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear light of colours with a share of their chroma at a wanted luminance, and whether a screen can show it."""
    moved = np.column_stack([np.cbrt(wanted), lab[:, 1:] * share[:, None]])
    light = (moved @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    # OKLab's lightness is not quite luminance: scale to what is wanted.
    light *= (wanted / np.maximum(light @ [0.2126, 0.7152, 0.0722], 1e-9))[:, None]
    return light, np.all((light >= -1e-4) & (light <= 1 + 1e-4), axis=1)


def indexed(picture: bytes) -> Image.Image:
    """A PNG drawn on white, with a palette of at most 256 colours."""
    with Image.open(io.BytesIO(picture)) as image:
        opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
    return opaque.quantize(256, dither=Image.Dither.NONE)


def small_picture(picture: bytes) -> bytes:
    """The same PNG with at most 256 colours, less than half as large for most figures."""
    out = io.BytesIO()
    indexed(picture).save(out, "PNG", optimize=True)
    return min(out.getvalue(), picture, key=len)


def dark_picture(picture: bytes) -> bytes:
    """A PNG drawn on white as it is on dark pages, with at most 256 colours."""
    image = indexed(picture)
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    image.putpalette(dark_colours(palette).ravel().tolist())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def write_dark_pictures(html: Path) -> int:
    """Give every drawn picture of the built pages a dark version beside it; return how many pictures have one."""
    for file in (html / "_images").glob("*.png"):
        drawn = file.read_bytes()
        file.with_suffix(".dark.png").write_bytes(dark_picture(drawn))
        file.write_bytes(small_picture(drawn))
    n = 0
    for page in html.rglob("*.html"):
        if "_static" in page.relative_to(html).parts:
            continue
        text, found = _IMAGE.subn(_both, page.read_text(encoding="utf-8"))
        if found:
            page.write_text(text, encoding="utf-8")
        n += found
    return n


def _both(image: re.Match[str]) -> str:
    """The tag of a picture, and that of its dark version, of which the style sheet of the book hides one.

    The theme's own classes for this, `only-light` and `only-dark`, would also hide the caption below them.
    """
    rest = f"{image['before']} {image['after']}".strip().rstrip("/").strip()
    known = re.search(r'\bclass="([^"]*)"', rest)
    rest = re.sub(r'\s*\bclass="[^"]*"', "", rest)
    words = f"{known[1]} " if known else ""
    dark = f"{image['src'].removesuffix('.png')}.dark.png"
    again = re.sub(r'\s*\bid="[^"]*"', "", rest)
    return (
        f'<img class="{words}light-version" src="{image["src"]}" {rest} />'
        f'<img class="{words}dark-version" src="{dark}" {again} />'
    )
