"""Fill the template of a page; what the styles of all pages share, such as light and dark colours, is in page.css."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_FOLDER = Path(__file__).parent


def filled_template(name: str, values: Mapping[str, str]) -> str:
    """The template of a page with ``{{NAME}}`` replaced by values, which are taken as they are.

    Parameters
    ----------
    name : file beside this one
    values : name -> HTML, already escaped; STYLE is added

    Examples
    --------
    >>> page = filled_template("star_report.html", {"TITLE": "a &lt; b", "LEAD": "", "NAV": "", "BODY": ""})
    >>> "<title>a &lt; b</title>" in page, "{{" in page
    (True, False)
    """
    template = (_FOLDER / name).read_text(encoding="utf-8")
    given = {**values, "STYLE": (_FOLDER / "page.css").read_text(encoding="utf-8").rstrip()}
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: given[found[1]], template)
