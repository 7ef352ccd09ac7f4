"""A search for oddities kept in a folder: stars and their vectors, the answers of all rounds, the ranking, the page.

``discovery.json`` says what the folder holds; ``stars.parquet`` has the vectors and ``curves.parquet`` the light
curves, thinned out; ``answers.csv``, ``ranking.csv`` and ``discover.html`` are written anew after each round. Files
appear whole or not at all, answers first: after any stop the same command ranks again from the answers that are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astraclr.analysis.active_search import active_scores, ranking
from astraclr.analysis.expert_answers import SAID, Answers, last_round, saved_answers
from astraclr.analysis.explorer import thinned
from astraclr.analysis.page_size import points_a_star
from astraclr.data.escaping import for_terminal, write_csv
from astraclr.data.lightcurves import LightCurves
from astraclr.data.parquet import open_parquet
from astraclr.files import need_known_version, read_json, replacing
from astraclr.folders import need_no_others

MANIFEST, FORMAT, VERSION = "discovery.json", "astraclr discovery", 1
STARS, CURVES, ANSWERS, RANKING, PAGE = "stars.parquet", "curves.parquet", "answers.csv", "ranking.csv", "discover.html"
POINTS = 150
"""Largest number of observations of a star that the folder keeps, to show them."""


@dataclass(frozen=True, eq=False)
class Discovery:
    """Stars that are searched for oddities, and what an expert said about some of them.

    Attributes
    ----------
    object_id, label : (n,) str
    x : (n, d) float32, what the stars are ranked by
    settings : method, seed, use (what `x` is made of), encoder, checkpoint, and of (`begun_of`; None in older ones)
    curves : light curves of some or all of the stars, None without any
    answers : of all rounds
    """

    object_id: np.ndarray
    label: np.ndarray
    x: np.ndarray
    settings: Mapping[str, Any]
    curves: LightCurves | None
    answers: Answers

    @property
    def rounds(self) -> int:
        """Number of rounds of answers so far."""
        return last_round(self.answers)

    @property
    def key(self) -> str:
        """Digest of the stars and their vectors, which tells this search from others."""
        names = json.dumps(self.object_id.tolist()).encode()
        return hashlib.sha256(names + np.ascontiguousarray(self.x, "<f4").tobytes()).hexdigest()[:16]


def new_discovery(
    object_id: np.ndarray,
    label: np.ndarray,
    x: np.ndarray,
    settings: Mapping[str, Any],
    curves: LightCurves | None = None,
) -> Discovery:
    """Begin a search.

    Parameters
    ----------
    object_id, label, x : (n,), (n,), (n, d) finite
    settings : with "method", "seed", "use", "encoder" and "checkpoint"
    curves : light curves to show; those of other stars are left out, and all are thinned out

    Raises
    ------
    ValueError
        If ids repeat, there are fewer than two stars, vectors are not finite, or no light curve belongs to a star.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> how = {"method": "aad", "seed": 0, "use": ["embeddings"], "encoder": "", "checkpoint": ""}
    >>> search = new_discovery(np.arange(20).astype(str), np.full(20, ""), x, how)
    >>> search = answered(search, {"7": "yes", "3": "no"})
    >>> search.rounds, ranked(search)["answer"].value_counts()["yes"]
    (1, np.int64(1))
    """
    if n := len(object_id) - len(set(object_id.tolist())):
        raise ValueError(f"{n:,} object_ids repeat; answers are given by them: make them unique")
    if len(x) < 2:
        raise ValueError(f"{len(x)} star is too few for a search, which ranks stars among others; give at least 2")
    if strange := object_id[~np.isfinite(x).all(axis=1)].tolist():
        raise ValueError(
            f"{len(strange):,} of {len(x):,} stars have vectors that are not finite (the first is "
            f"{for_terminal(strange[0])}); leave them out"
        )
    if curves is not None:
        shown = curves[np.isin(curves.object_id, object_id)]
        if len(shown) == 0:
            raise ValueError(
                f"none of the {len(curves):,} light curves belongs to a star of the table; its ids look like "
                f"{for_terminal(object_id[0])}, theirs like {for_terminal(curves.object_id[0])}"
            )
        curves = thinned(shown, points_a_star(len(shown), POINTS, len(shown.bands)))
    return Discovery(object_id, label, np.ascontiguousarray(x, np.float32), dict(settings), curves, {})


def answered(search: Discovery, given: Mapping[str, str], change: bool = False) -> Discovery:
    """Add a round of answers to a search; those that it holds already are not counted again.

    Parameters
    ----------
    search : as `load_discovery` gives it
    given : object id -> "yes", "no" or "unsure"
    change : let new answers replace others; a star of which she was unsure may be answered at any time

    Raises
    ------
    ValueError
        For stars that are not in the search, or answers that contradict earlier ones.
    """
    known = set(search.object_id.tolist())
    if strange := [star for star in given if star not in known]:
        more = f" and {len(strange) - 3:,} more" if len(strange) > 3 else ""
        raise ValueError(
            f"no star {', '.join(map(repr, strange[:3]))}{more} among the {len(known):,} of this search; its ids look "
            f"like {search.object_id[0]!r}: are these the answers of another one?"
        )
    before = {star: said for star, (said, _) in search.answers.items()}
    others = [s for s, said in given.items() if before.get(s, said) != said and before[s] != "unsure"]
    if others and not change:
        more = f", and {len(others) - 1:,} more changed" if len(others) > 1 else ""
        raise ValueError(
            f"the answer to {others[0]!r} was {before[others[0]]} in round {search.answers[others[0]][1]} and is now "
            f"{given[others[0]]}{more}; give --change to let the new answers count, or leave them out"
        )
    new = {star: (said, search.rounds + 1) for star, said in given.items() if before.get(star) != said}
    return replace(search, answers={**search.answers, **new})


def ranked(search: Discovery) -> pd.DataFrame:
    """Rank all stars of a search with the answers given so far.

    Returns
    -------
    DataFrame
        One row per star, the largest score first: rank, object_id, label, score, answer ("" where there is none).
    """
    said = np.array([SAID[search.answers.get(star, ("unsure", 0))[0]] for star in search.object_id.tolist()])
    scores = active_scores(search.x, said, search.settings["method"], search.settings["seed"])
    order = ranking(scores)
    ids = search.object_id[order]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(ids) + 1),
            "object_id": ids,
            "label": search.label[order],
            "score": scores[order],
            "answer": [search.answers.get(star, ("", 0))[0] for star in ids.tolist()],
        }
    )


def need_new(folder: str | Path) -> None:
    """Refuse a folder that a new search could not be written into.

    Raises
    ------
    ValueError
        If it holds a search already, answers, or files of others.
    """
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        raise ValueError(
            f"{folder} holds a search already: go on with `astraclr discover {folder} --answers FILE`; for other stars "
            "or settings choose a new folder"
        )
    need_no_others(folder, lambda file: file.name in (STARS, CURVES, ANSWERS, RANKING, PAGE))
    if (folder / ANSWERS).exists():
        raise ValueError(
            f"{folder} holds answers ({ANSWERS}) of a search whose {MANIFEST} is gone; choose a new folder"
        )


def begun_of(lines: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Digest of what a search begins with: lines that tell its inputs from others, and its settings.

    Examples
    --------
    >>> begun_of(["3 stars"], {"seed": 0}) == begun_of(["3 stars"], {"seed": 1})
    False
    """
    return hashlib.sha256(json.dumps([list(lines), dict(settings)], sort_keys=True).encode()).hexdigest()[:16]


def begun(folder: str | Path, of: str) -> Discovery | None:
    """The search that the same command began in a folder and may not have finished; None if there is none.

    Parameters
    ----------
    folder : may not exist yet
    of : what the command begins with, as `begun_of` tells it

    Raises
    ------
    ValueError
        As `need_new`, for a search that began with something else too.
    """
    if is_discovery(folder) and (found := load_discovery(folder)).settings["of"] == of:
        return found
    need_new(folder)
    return None


def save_stars(search: Discovery, folder: str | Path) -> None:
    """Write what does not change from round to round; the manifest comes last and makes the folder a search.

    Raises
    ------
    ValueError
        As `need_new`.
    """
    need_new(folder)
    folder = Path(folder)
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(search.x.ravel()), search.x.shape[1])
    table = {"object_id": search.object_id.tolist(), "label": search.label.tolist(), "vector": vectors}
    with replacing(folder / STARS) as part:
        pq.write_table(pa.table(table), part)
    if search.curves is not None:
        search.curves.save(folder / CURVES)
    facts = {"format": FORMAT, "version": VERSION, "stars": len(search.x), "key": search.key, **search.settings}
    facts["curves"] = 0 if search.curves is None else len(search.curves)
    with replacing(folder / MANIFEST) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def is_discovery(folder: str | Path) -> bool:
    """Whether a folder holds a search."""
    return (Path(folder) / MANIFEST).is_file()


def load_discovery(folder: str | Path) -> Discovery:
    """Read a search from its folder, with all answers.

    Raises
    ------
    FileNotFoundError
        If a file of it is missing.
    ValueError
        If it holds no search, was changed, or comes from a later version.
    """
    folder = Path(folder)
    try:
        facts = read_json(folder / MANIFEST)
    except ValueError as error:
        raise ValueError(f"{folder / MANIFEST} cannot be used: {error}; begin anew in another folder") from error
    if facts.get("format") != FORMAT:
        raise ValueError(f"{folder} holds no search that `astraclr discover` began; begin one with --out")
    need_known_version(folder / MANIFEST, facts.get("version"), VERSION)
    file = open_parquet(folder / STARS)
    table = file.read()
    ids, labels = (np.array(table[name].to_pylist(), dtype=str) for name in ("object_id", "label"))
    x = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(ids), -1)
    curves = LightCurves.load(folder / CURVES) if facts.get("curves") else None
    names = ("method", "seed", "use", "encoder", "checkpoint", "of")
    search = Discovery(ids, labels, x, {name: facts.get(name) for name in names}, curves, {})
    if search.key != facts.get("key"):
        raise ValueError(f"{folder / STARS} is not the one that this search began with; begin anew in another folder")
    return replace(search, answers=saved_answers(folder / ANSWERS, ids))


def save_answers(search: Discovery, folder: str | Path) -> None:
    """Write the answers of a search into its folder; they come first, so that no stop can lose them."""
    rows = [(star, said, number) for star, (said, number) in search.answers.items()]
    with replacing(Path(folder) / ANSWERS) as part:
        write_csv(pd.DataFrame(rows, columns=["object_id", "answer", "round"]), part)


def save_round(table: pd.DataFrame, page: str, folder: str | Path) -> None:
    """Write the ranking and the page of a search into its folder."""
    with replacing(Path(folder) / RANKING) as part:
        write_csv(table, part)
    with replacing(Path(folder) / PAGE) as part:
        part.write_text(page, encoding="utf-8")
