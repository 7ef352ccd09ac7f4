"""Answers of an expert to the question whether a star is an oddity: read from a page's export, and kept over rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from astraclr.analysis.active_search import ODD, ORDINARY, UNKNOWN
from astraclr.data.escaping import read_csv
from astraclr.files import read_json, regular

SAID = {"yes": ODD, "no": ORDINARY, "unsure": UNKNOWN}
"""What an expert can answer; a star of which she is unsure is not asked about again, and teaches nothing."""
Answers = dict[str, tuple[str, int]]
"""Object id -> answer, and the round in which it was given."""


def last_round(answers: Answers) -> int:
    """Number of rounds of answers so far."""
    return max((number for _, number in answers.values()), default=0)


def read_answers(path: str | Path) -> dict[str, str]:
    r"""Read the answers that a page exported, as CSV or JSON.

    Returns
    -------
    dict
        Object id -> "yes", "no" or "unsure".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is neither, lacks a column, holds another answer, or contradicts itself; it names the first such star.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("object_id,answer\n17,yes\n18,No\n")
    ...     read_answers(Path(folder, "a.csv"))
    {'17': 'yes', '18': 'no'}
    """
    path = regular(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the file of answers that the page saved")
    found: dict[str, str] = {}
    for star, said in _pairs(path):
        answer = said.strip().lower()
        if answer not in SAID:
            raise ValueError(f"{path}: the answer to {star!r} is {said[:50]!r}; write {', '.join(SAID)}")
        if found.setdefault(star, answer) != answer:
            raise ValueError(f"{path} says both {found[star]} and {answer} of {star!r}; keep one of them")
    return found


def _pairs(path: Path) -> Iterable[tuple[str, str]]:
    """Object ids and answers of a file, as they stand there."""
    how = "save the answers in the page again, as CSV or JSON"
    if path.suffix.lower() == ".json":
        try:
            answers = read_json(path, 2**28)["answers"]
            pairs = list(answers.items())
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} holds no answers ({error}); {how}") from error
        if strange := [star for star, said in pairs if not isinstance(said, str)]:
            raise ValueError(f"{path}: the answer to {strange[0]!r} is no text; write {', '.join(SAID)}")
        return pairs
    try:
        table = read_csv(path, None)  # a reader may have added columns of her own
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} holds no answers ({' '.join(str(error).split())[:200]}); {how}") from error
    if missing := [name for name in ("object_id", "answer") if name not in table]:
        raise ValueError(f"{path} lacks the column {' and '.join(missing)}; {how}")
    return zip(table["object_id"].tolist(), table["answer"].tolist(), strict=True)


def saved_answers(path: Path, ids: np.ndarray) -> Answers:
    """Read the answers of all rounds that a search has kept, none if there is no such file.

    Raises
    ------
    ValueError
        If the file was changed so that it cannot be used.
    """
    if not path.exists():
        return {}
    table = read_csv(path, ("object_id", "answer"))
    try:
        rows = zip(table["object_id"].tolist(), table["answer"].tolist(), table["round"].astype(int), strict=True)
        found: Answers = {star: (said, int(number)) for star, said, number in rows}
        if len(found) < len(table) or not set(found) <= set(ids.tolist()):
            raise ValueError("stars that repeat, or are not in the search")
        if strange := {said for said, _ in found.values()} - set(SAID):
            raise ValueError(f"the answer {sorted(strange)[0]!r}")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} was changed by hand and holds {error}; mend it, nothing else was changed") from error
    return found


def counted(answers: Answers) -> str:
    """How many answers of each kind there are, in words.

    Examples
    --------
    >>> counted({"a": ("yes", 1)})
    '1 answer in 1 round (1 yes)'
    """
    n, number = len(answers), Counter(said for said, _ in answers.values())
    if not n:
        return "no answers yet"
    listed = ", ".join(f"{number[said]:,} {said}" for said in SAID if number[said])
    last = last_round(answers)
    rounds = f"{last} round{'' if last == 1 else 's'}"
    return f"{n:,} answer{'' if n == 1 else 's'} in {rounds} ({listed})"
