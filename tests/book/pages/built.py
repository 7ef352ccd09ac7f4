"""The built book, and the names of its pages."""

import os
from pathlib import Path

from notebooks import BOOK, ROOT, toc_pages

HTML = Path(os.environ.get("ASTRACLR_HTML", ROOT / "_build" / "html"))
PAGES = [*toc_pages(BOOK), "search", "genindex"]
