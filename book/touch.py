"""The pages that one can touch: writes the data they need, and puts them beside the built book.

Their sources are in book/interactive: plain JavaScript that needs no server and no network. What they draw comes from
the shipped encoders and from simulated stars, so a new encoder needs no edit here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import landing
import numpy as np
from chapters import digest

from astraclr.analysis.classifier import Head, load_head
from astraclr.analysis.explorer import explorer
from astraclr.analysis.latent_space import umap_map
from astraclr.analysis.page_model import page_model, page_stars, script
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import BAND_COLOURS, CLASSES, COLOURS
from astraclr.files import shipped_file
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.model.embedding import embed
from astraclr.simulation.simulate import simulate
from astraclr.simulation.transients import planted
from astraclr.tutorial.experiments import committed_result
from astraclr.tutorial.results import SHIPPED

SEED = 31_000
"""Of the simulated stars on the pages: none of them is among the stars that an encoder or a head was fitted on."""
N_EXPLORER, N_STARS, N_MAPS = 1_500, 600, 400
MAP_NEIGHBOURS, MAP_DISTANCES = (5, 15, 50, 150), (0.0, 0.1, 0.5, 0.99)
EXAMPLES = ("RR", "ECL", "LPV", "CEP", "AGN")
MEANINGS = {
    "AGN": "active galactic nucleus",
    "YSO": "young stellar object",
    "SOLAR_LIKE": "solar-like, spots and flares",
    "S": "short-period, unclear type",
    "CV": "cataclysmic variable",
    "LPV": "long-period variable",
    "DSCT|GDOR|SXPHE": "delta Scuti, gamma Doradus, SX Phoenicis",
    "RR": "RR Lyrae",
    "CEP": "Cepheid",
    "ECL": "eclipsing binary",
    "ELL": "ellipsoidal binary",
    "RS": "RS Canum Venaticorum",
}


def shipped_encoders() -> dict[str, tuple[Checkpoint, Head]]:
    """Every encoder that ships with a head, by name; the default one first."""
    names = sorted(file.parent.name for file in shipped_file("checkpoints").glob("*/head.safetensors"))
    found = {}
    for name in sorted(names, key=lambda n: n != SHIPPED):
        checkpoint = load_checkpoint(name)
        found[name] = checkpoint, load_head(shipped_file(f"checkpoints/{name}/head.safetensors"), checkpoint)
    return found


def example_stars(stars: LightCurves) -> dict[str, Any]:
    """One whole light curve of some classes, and a supernova, which no encoder was trained on.

    `stars` are others than those that the pages compare with. Of the first ten of a class the one is taken that varies
    most, in units of its errors.
    """

    def contrast(s: int) -> float:
        mag, error = stars.star(s)["r"][1:]
        return float(np.ptp(np.quantile(mag, [0.05, 0.95])) / np.median(error))

    observed = stars.counts[:, :2].min(1) > 150
    few = [np.flatnonzero((stars.label == c) & observed)[:10].tolist() for c in EXAMPLES]
    known = page_stars(stars[[max(rows, key=contrast) for rows in few]], points=5_000)
    event = planted(1, "supernova", seed=SEED)
    return {"known": known, "event": page_stars(event, points=5_000)}


def umap_maps(x: np.ndarray) -> list[dict[str, Any]]:
    """UMAPs of (n, d) embeddings over a grid of settings, each turned and mirrored towards the first one."""
    from sklearn.manifold import trustworthiness

    maps: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for n_neighbors in MAP_NEIGHBOURS:
        for min_dist in MAP_DISTANCES:
            xy = umap_map(x, n_neighbors=n_neighbors, min_dist=min_dist)
            xy = (xy - xy.mean(0)) / np.abs(xy - xy.mean(0)).max()
            first = xy if first is None else first
            u, _, vt = np.linalg.svd(xy.T @ first)
            kept = float(trustworthiness(x, xy, n_neighbors=10, metric="cosine"))
            facts = {"neighbours": n_neighbors, "distance": min_dist, "trustworthiness": kept}
            maps.append(facts | {"xy": np.round(xy @ u @ vt, 3).ravel().tolist()})
    return maps


def data_files(pictures: Path) -> dict[str, str]:
    """Text of every file of data by its name; the picture of the first page is drawn into a folder of its own."""
    stars, encoders = simulate(N_EXPLORER, seed=SEED), shipped_encoders()
    few = stars[:N_STARS]
    bands = {b: {"wavelength": w, "colour": BAND_COLOURS[b]} for b, w in ZTF_BANDS.items()}
    classes = [{"name": c, "colour": COLOURS[c], "meaning": MEANINGS[c]} for c in CLASSES]
    common = {"bands": bands, "classes": classes, "encoders": list(encoders)}
    files = {"common": script("common", common), "examples": script("examples", example_stars(stars[N_STARS:]))}
    for k, (name, (checkpoint, head)) in enumerate(encoders.items()):
        x = embed(stars if k == 0 else few, checkpoint)
        files[f"model_{name}"] = script(f"model_{name}", page_model(checkpoint, head))
        xy = umap_map(x[:N_STARS])
        files[f"stars_{name}"] = script(f"stars_{name}", page_stars(few, x[:N_STARS], xy))
        if k == 0:
            landing.write(landing.prepared(few, x[:N_STARS], xy), name, pictures)
            files |= default_only(stars, x, checkpoint, head)
    files["learning"] = script("learning", committed_result("learning"))
    return {f"{name}.js": text for name, text in files.items()}


def default_only(stars: LightCurves, x: np.ndarray, checkpoint: Checkpoint, head: Head) -> dict[str, str]:
    """Data that only the default encoder has: maps of many settings, and the scores of the head on labelled stars."""
    scores = head.scores(x.astype(float))
    truth = [head.classes.index(c) if c in head.classes else -1 for c in stars.label.tolist()]
    calibration = {
        "classes": list(head.classes),
        "truth": truth,
        "scores": np.round(scores, 3).tolist(),
        "encoder": checkpoint.name,
    }
    maps = {"labels": stars.label[:N_MAPS].tolist(), "encoder": checkpoint.name, "maps": umap_maps(x[:N_MAPS])}
    return {"calibration": script("calibration", calibration), "maps": script("maps", maps)}


def explorer_page() -> str:
    """The explorer of the default encoder, as one page."""
    checkpoint, head = next(iter(shipped_encoders().values()))
    return explorer(simulate(N_EXPLORER, seed=SEED), checkpoint, head)


def prepare(book: Path, kept: Path) -> Path:
    """Make the pages with their data in the folder `kept`; data made from the same package and encoders is kept."""
    made_from = [
        book.parent / "astraclr",
        book.parent / "data",
        *(book / f"{m}.py" for m in ("touch", "landing", "dark")),
    ]
    key = digest([*made_from, book.parent / "benchmarks" / "results" / "learning.json"])
    stamp = kept / "key.txt"
    if not (stamp.is_file() and stamp.read_text() == key):
        shutil.rmtree(kept, ignore_errors=True)
        (kept / "data").mkdir(parents=True)
        for name, text in data_files(kept / "landing").items():
            (kept / "data" / name).write_text(text, encoding="utf-8")
        (kept / "explorer.html").write_text(explorer_page(), encoding="utf-8")
        stamp.write_text(key)
    for old in kept.iterdir():  # sources that are no longer there
        if old.is_file() and old.name not in ("key.txt", "explorer.html"):
            old.unlink()
    for source in (book / "interactive").iterdir():
        shutil.copy(source, kept)
    return kept


def publish(kept: Path, html: Path) -> None:
    """Copy what `prepare` made beside the built pages: pages to touch, explorer, first picture."""
    target = html / "_static" / "interactive"
    shutil.copytree(
        kept, target, ignore=shutil.ignore_patterns("key.txt", "explorer.html", "landing"), dirs_exist_ok=True
    )
    shutil.copy(kept / "explorer.html", html / "_static")
    for picture in (kept / "landing").glob("*.png"):
        shutil.copy(picture, html / "_static")
