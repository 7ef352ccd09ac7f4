r"""Text from files made harmless where it is shown: on a terminal, in Markdown, figures, and CSV for a spreadsheet.

Ids, labels, bands, columns and names of checkpoints come from files that others made. On a terminal a control character
can hide or forge lines; in Markdown a name can become markup; a spreadsheet runs a cell that begins with ``=``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a line of the command line needs no table
    import pandas as pd

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, separators of lines, marks that turn the direction of writing, halves of characters."""
_MARKUP = re.compile(r"([\\`*_\[\]<>|~$&{}!#])")
_FORMULA = re.compile("'*(?:[\t\r\n]|\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def for_terminal(text: object) -> str:
    r"""One line of text in which every control character is written as its code.

    Examples
    --------
    >>> print(for_terminal("star\x1b[2J\n7"))
    star\x1b[2J\n7
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def for_markdown(text: object) -> str:
    r"""Text as Markdown shows it, on one line: no markup, no HTML, no end of a table's cell.

    Examples
    --------
    >>> print(for_markdown("a|b <script>"))
    a\|b \<script\>
    """
    return _MARKUP.sub(r"\\\1", for_terminal(text))


def code_span(text: object) -> str:
    r"""Text as code in Markdown, also within a table: its fence is longer than any run of backticks in the text.

    Examples
    --------
    >>> print(code_span("a|b"), code_span("`x"))
    `a\|b` `` `x ``
    """
    line = for_terminal(text).replace("|", "\\|") or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def for_figure(text: object) -> str:
    r"""One line of text as Matplotlib draws it: dollars are no mathematics, and a legend leaves no name out.

    Examples
    --------
    >>> for_figure("$x"), for_figure("_x"), for_figure("RR")
    ('\\$x', ' _x', 'RR')
    """
    line = for_terminal(text).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def for_spreadsheet(text: str) -> str:
    """A cell of text that a spreadsheet takes as text: an apostrophe before what it would run as a formula.

    Numbers stay as they are. `from_spreadsheet` gives the text back, whatever it was.

    Source: OWASP, "CSV Injection".

    Examples
    --------
    >>> [for_spreadsheet(text) for text in ("=1+1", "-5.2", "RR", "'=1")]
    ["'=1+1", '-5.2', 'RR', "''=1"]
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_spreadsheet(text: str) -> str:
    """The text that `for_spreadsheet` was given.

    Examples
    --------
    >>> [from_spreadsheet(for_spreadsheet(text)) for text in ("=1+1", "'=1", "RR")]
    ['=1+1', "'=1", 'RR']
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV whose names and cells of text no spreadsheet runs; numbers are written as they are.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(pd.DataFrame({"object_id": ["=1+1"], "x": [-0.5]}), Path(folder) / "t.csv")
    ...     print((Path(folder) / "t.csv").read_text())
    object_id,x
    '=1+1,-0.5
    <BLANKLINE>
    """
    import pandas as pd

    safe = table.copy()
    safe.columns = [for_spreadsheet(str(name)) for name in table.columns]
    ends_lines = False
    for k in range(safe.shape[1]):
        column = table.iloc[:, k]
        if not pd.api.types.is_numeric_dtype(column):
            texts = [for_spreadsheet(v) if isinstance(v, str) else v for v in column.tolist()]
            ends_lines = ends_lines or any(isinstance(v, str) and "\r" in v for v in texts)
            safe.isetitem(k, pd.Series(texts, index=table.index, dtype=object))
    # Python quotes a cell for the line ends that it writes, and not for others.
    safe.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC if ends_lines else csv.QUOTE_MINIMAL)


def read_csv(path: str | Path, text: Collection[str] | None) -> pd.DataFrame:
    """Read a table that `write_csv` wrote: the same names, text and numbers.

    Parameters
    ----------
    text : names of the columns that hold text; all others hold numbers, or nothing; None if all hold text

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(pd.DataFrame({"object_id": ["=1+1", "007"], "x": [-0.5, 2]}), Path(folder) / "t.csv")
    ...     read_csv(Path(folder) / "t.csv", ["object_id"]).to_numpy().tolist()
    [['=1+1', -0.5], ['007', 2.0]]
    """
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns=from_spreadsheet)
    for name in table.columns:
        if text is None or name in text:
            table[name] = table[name].map(from_spreadsheet)
        else:
            table[name] = table[name].replace("", "nan").astype(float)
    return table
