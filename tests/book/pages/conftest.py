"""Tests of the built book: `make check-site` after `make book`. Without pages in _build/html they are skipped."""

from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from built import HTML


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the built pages."""
    if not (HTML / "index.html").is_file():
        pytest.skip(f"no pages in {HTML}: run `make book` first")
    return HTML


@pytest.fixture(scope="session")
def browser(html: Path) -> Iterator[chromium.Browser]:
    """One browser for all pages, without a network."""
    with chromium.Browser() as opened:
        yield opened
