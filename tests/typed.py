"""Typed numbers that look like results: what is left of a page when code, maths, links and roles are gone."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CODE = ("code-block", "code-cell", "math", "eval-rst", "include", "image", "bibliography")
"""Directives whose content is not prose."""
QUIZ = r"^::::+\{admonition\} Quiz:.*?^::::+\s*$"
"""Numbers in a quiz are made up for the question."""
ASIDE = [
    r"<!--.*?-->",
    r"\$\$.*?\$\$",
    r"\\begin\{(?P<env>\w+\*?)\}.*?\\end\{(?P=env)\}",
    r"(?<!\\)\$[^$\n]+(?:\n[^$\n]+)?\$",
    r"\{[\w:.-]+\}`[^`]*`",  # roles: glue, cite, ref, numref, math
    r"(?P<tick>`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)(?P=tick)(?!`)",
    r"\]\([^)\s]*\)",
    r"<https?://[^>]*>|https?://\S+",
    r"</?\w+[^>]*>",
    r"\b(?:Python|version|light-curve|CC BY) \d+(?:\.\d+)+",
    r"\barXiv[: ]?\d{4}\.\d{4,5}|\b\d{4}\.\d{5}\b",
]
NUMBER = re.compile(
    r"""(?<![\w.,/\-#])
    (?: [+\-−±]?\d+\.\d+(?:\ ?%)?          # a decimal: 0.83, 12.5 %
      | [+\-−±]?\d+(?:\.\d+)?\ ?(?:%|per\ ?cent\b|percent\b)   # a share
      | \d{1,3}(?:,\d{3})+                 # a count: 12,345
      | \d+(?=[\ -](?:points?|times|s|seconds?|min|minutes?|hours?|[kMG]i?B|[GT]FLOPS?|dollars?)\b)
    )(?![\w])""",
    re.VERBOSE,
)


def paragraphs(page: Path) -> list[str]:
    """Prose of a page: markdown cells of a notebook, or the page itself."""
    if page.suffix == ".ipynb":
        cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return [page.read_text(encoding="utf-8")]


def without_code(text: str) -> str:
    """Text without fenced code, whatever it is nested in; of other directives only the fences and options go."""
    kept, open_fences = [], []
    for line in text.splitlines():
        mark = re.match(r"\s*(`{3,}|:{3,}|~{3,})(?:\{([\w:-]+)\}(.*)|\s*(\w*))\s*$", line)
        kept.append("")
        if open_fences and mark and not mark[2] and not mark[4] and mark[1].startswith(open_fences[-1][0]):
            open_fences.pop()
        elif open_fences and open_fences[-1][1]:
            continue  # inside code nothing opens
        elif mark:
            open_fences.append((mark[1], mark[2] is None or mark[2] in CODE))
            kept[-1] = mark[3] or ""  # a title
        elif not (open_fences and re.match(r":[a-z-]+:", line)):
            kept[-1] = line
    return "\n".join(kept)


def bare(text: str) -> str:
    """Prose without what is not prose; lines keep their places."""
    text = without_code(re.sub(QUIZ, "", text, flags=re.DOTALL | re.MULTILINE))
    for pattern in ASIDE:
        text = re.sub(pattern, lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    return text


class Quoted(NamedTuple):
    """A number that may be typed: the words of the page around it, and why it is no result of this book."""

    page: str
    text: str
    why: str


def typed_numbers(page: Path, allowed: Sequence[Quoted] = ()) -> tuple[list[str], set[Quoted]]:
    """Numbers that look like results, each with the words around it; and which of `allowed` stand on the page."""
    out, seen = [], set()
    for text in paragraphs(page):
        plain = " ".join(bare(text).split())
        quoted = []
        for entry in allowed:
            found = [m.span() for m in re.finditer(re.escape(entry.text), plain)]
            quoted += found
            seen |= {entry} if found else set()
        for match in NUMBER.finditer(plain):
            begin, end = match.span()
            if not any(low <= begin and end <= high for low, high in quoted):
                out.append(f"{match.group()}   in: {plain[max(0, begin - 60) : end + 40]}")
    return out, seen
