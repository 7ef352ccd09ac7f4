"""The picture of the first page: the map of the default encoder, its classes by name, and two neighbours folded.

It is drawn at each build from the shipped encoder and simulated stars, wide and narrow, light and dark.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from dark import dark_picture
from PIL import Image

from astraclr.analysis.latent_space import neighbours
from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import BAND_COLOURS, BAND_MARKS, CLASSES, COLOURS
from astraclr.tutorial.figures import band_handles, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    "AGN": "active galaxies",
    "YSO": "young stars",
    "SOLAR_LIKE": "solar-like",
    "S": "short period",
    "CV": "cataclysmic",
    "LPV": "long period",
    "DSCT|GDOR|SXPHE": "delta Scuti",
    "RR": "RR Lyrae",
    "CEP": "Cepheids",
    "ECL": "eclipsing",
    "ELL": "ellipsoidal",
    "RS": "RS CVn",
}
"""Short names of classes for the map."""
FOLDED = ("RR", "CEP", "ECL")
"""Classes whose stars may be folded, the first one that has a pair of neighbours."""
FEWEST = 60
"""Observations in g and in r that a star needs to be folded."""
DPI = 200
SIZES = {"wide": (10.4, 5.6), "narrow": (3.9, 6.9)}  # inches


@dataclass(frozen=True)
class Landing:
    """What the picture shows: stars, their places on the map, the two neighbours, how many neighbours agree."""

    stars: LightCurves
    xy: np.ndarray
    pair: tuple[int, int]
    similarity: float
    n_same: int


def prepared(stars: LightCurves, x: np.ndarray, xy: np.ndarray) -> Landing:
    """Find the two stars to fold, each periodic, well observed, and of one class, of which one is nearest to the other.

    Parameters
    ----------
    x, xy : (n, d) embeddings and (n, 2) places of the stars

    Raises
    ------
    ValueError
        If no star of the classes `FOLDED` has a neighbour of its class.
    """
    near, distance = neighbours(x, k=1)
    near, distance = near[:, 0], distance[:, 0]
    same = stars.label == stars.label[near]
    fit = np.isfinite(stars.period) & (stars.counts[:, :2].min(1) >= FEWEST)
    for name in FOLDED:
        rows = np.flatnonzero(same & fit & fit[near] & (stars.label == name))
        if len(rows):
            star = int(rows[np.argmin(distance[rows])])
            unit = x / np.linalg.norm(x, axis=1, keepdims=True)
            pair = star, int(near[star])
            return Landing(stars, xy, pair, float(unit[pair[0]] @ unit[pair[1]]), int(same.sum()))
    raise ValueError(f"no star of the classes {', '.join(FOLDED)} has a neighbour of its class: take more stars")


def drawn_together(xy: np.ndarray) -> np.ndarray:
    """Places with islands that lie far out drawn nearer; how far apart islands lie on such a map has no meaning."""
    low, middle, high = np.quantile(xy, [0.25, 0.5, 0.75], axis=0)
    return np.arcsinh(1.5 * (xy - middle) / (high - low))


def places(
    xy: np.ndarray, labels: np.ndarray, apart: tuple[float, float], free: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Where to write the name of each class: in the middle of its densest part, moved until no two names overlap.

    Parameters
    ----------
    apart : width and height of a name, in units of the map
    free : (k, 2) points that no name may cover
    """
    reach = 0.06 * np.ptp(xy, axis=0).max()
    at: dict[str, np.ndarray] = {}
    for name in [c for c in CLASSES if (labels == c).any()]:
        own = xy[labels == name]
        close = np.linalg.norm(own[:, None] - own[None], axis=-1) <= reach
        at[name] = own[close[close.sum(1).argmax()]].mean(0)
    names = list(at)
    for _ in range(200):
        moved = False
        for name, point in [(n, p) for n in names for p in ([] if free is None else free)]:
            gap = at[name] - point
            over = np.array(apart) * [0.6, 1.1] - np.abs(gap)
            if (over > 0).all():
                at[name], moved = at[name] + np.array([0.0, 1.05 * over[1] * (1 if gap[1] > 0 else -1)]), True
        for k, one in enumerate(names):
            for other in names[k + 1 :]:
                gap = at[other] - at[one]
                over = np.array(apart) - np.abs(gap)
                if (over > 0).all():
                    step = np.array([0.0, 0.55 * over[1] * (1 if gap[1] >= 0 else -1)])
                    at[one], at[other], moved = at[one] - step, at[other] + step, True
        if not moved:
            break
    return at


def _draw_map(ax: Axes, shown: Landing, size: float) -> None:
    """The map, with the names of classes, and a ring around each of the two neighbours."""
    import matplotlib.patheffects as effects

    labels, xy = shown.stars.label, drawn_together(shown.xy)
    for name in CLASSES:
        ax.scatter(*xy[labels == name].T, s=size, lw=0, alpha=0.85, color=COLOURS[name])
    ax.margins(0.06)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)
    letters = 9.5
    box = ax.get_window_extent()
    a_point = np.ptp(np.array([ax.get_xlim(), ax.get_ylim()]), axis=1) / [box.width, box.height] * ax.figure.dpi / 72
    halo = [effects.withStroke(linewidth=3, foreground="white")]
    rings = xy[list(shown.pair)]
    apart = a_point[0] * 7.5 * letters, a_point[1] * 1.5 * letters
    for name, (x, y) in places(xy, labels, apart, rings).items():
        ax.text(x, y, NAMES[name], ha="center", va="center", fontsize=letters, weight="bold", path_effects=halo)
    ax.plot(*rings.T, "o", ms=11, mfc="none", mec="black", mew=1.6, path_effects=halo)


def _draw_folded(ax: Axes, shown: Landing, star: int, last: bool) -> None:
    """Magnitudes of one star against phase, over two cycles."""
    period = float(shown.stars.period[star])
    for band, (mjd, mag, _) in shown.stars.star(star).items():
        phase = mjd / period % 1.0
        at = np.concatenate([phase, phase + 1])
        ax.plot(at, np.tile(mag, 2), BAND_MARKS[band], ms=2.5, mew=0, color=BAND_COLOURS[band], label=band)
    ax.yaxis.set_inverted(True)
    ax.set(ylabel="magnitude", title=f"{NAMES[shown.stars.label[star]]}, {period:.3f} days")
    ax.set_xlabel("phase (cycles)") if last else ax.tick_params(labelbottom=False)


def figure(shown: Landing, shape: str) -> Figure:
    """The picture, "wide" with the stars beside the map, or "narrow" with the stars below it."""
    from matplotlib.figure import Figure

    use_style()
    drawn = Figure(figsize=SIZES[shape], dpi=DPI)
    if shape == "wide":
        grid = drawn.add_gridspec(2, 2, width_ratios=[2.1, 1])
        spots = [grid[:, 0], grid[0, 1], grid[1, 1]]
    else:
        grid = drawn.add_gridspec(3, 1, height_ratios=[2.3, 1, 1])
        spots = [grid[k, 0] for k in range(3)]
    axes = [drawn.add_subplot(spot) for spot in spots]
    for k, star in enumerate(shown.pair):
        _draw_folded(axes[1 + k], shown, star, last=k == 1)
    drawn.legend(handles=band_handles(shown.stars.bands), ncols=3, loc="outside lower right")
    drawn.draw_without_rendering()
    _draw_map(axes[0], shown, size=16 if shape == "wide" else 9)
    return drawn


def words(shown: Landing, encoder: str) -> tuple[str, str]:
    """Alternative text and caption, with what was measured."""
    one, other = shown.pair
    name, n = NAMES[shown.stars.label[one]], len(shown.stars)
    periods = " and ".join(f"{shown.stars.period[k]:.3f}" for k in (one, other))
    alt = (
        f"A map of {n} simulated stars as coloured points, with the name of each class where most of its stars lie. "
        f"Two points with rings are drawn beside it as folded light curves: {name}, periods {periods} days."
    )
    caption = (
        f"{n} simulated stars that no training saw, embedded by encoder <code>{encoder}</code>, which learnt without "
        f"labels, and laid out by UMAP; colours and names were added afterwards. {shown.n_same} of them have a star of "
        f"their own class as nearest neighbour. The two stars in rings are such neighbours (cosine similarity "
        f"{shown.similarity:.2f}), folded at their periods of {periods} days. Islands far out are drawn nearer."
    )
    return alt, caption


def write(shown: Landing, encoder: str, folder: Path) -> None:
    """Write landing-wide.png and landing-narrow.png, their dark versions, and landing.txt, the HTML that shows them."""
    folder.mkdir(parents=True, exist_ok=True)
    alt, caption = words(shown, encoder)
    pictures = []
    for shape in SIZES:
        out = io.BytesIO()
        figure(shown, shape).savefig(out, format="png")
        light = Image.open(out).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        light.save(folder / f"landing-{shape}.png", optimize=True)
        (folder / f"landing-{shape}.dark.png").write_bytes(dark_picture(out.getvalue()))
    for kind, end in (("light", ""), ("dark", ".dark")):
        pictures.append(
            f'<picture><source media="(max-width: 40rem)" srcset="_static/landing-narrow{end}.png">'
            f'<img class="{kind}-version" src="_static/landing-wide{end}.png" alt="{alt}"></picture>'
        )
    html = f'<figure class="landing">{"".join(pictures)}<figcaption>{caption}</figcaption></figure>'
    (folder / "landing.txt").write_text(f"```{{raw}} html\n{html}\n```\n", encoding="utf-8")
