"""What comes from files is only text where it is shown, and comes back from CSV as it was."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from javascript import needs_node, node
from markdown_it import MarkdownIt

from astraclr.data.escaping import (
    code_span,
    for_figure,
    for_markdown,
    for_spreadsheet,
    for_terminal,
    from_spreadsheet,
    read_csv,
    write_csv,
)

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [
    "=1+1",
    '=HYPERLINK("x")',
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1+1",
    "'=1",
    "''@x",
    "'",
    "'RR",
    "-5",
    "+3.5e-2",
    "-",
    "",
    "a,b",
    'a"b',
    "NA",
    "nan",
    "007",
    "718103",
    "-5\r",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_begins_as_a_formula_but_numbers_stay(text):
    cell = for_spreadsheet(text)
    if re.fullmatch(r"[+-]?[0-9.]+(e-?[0-9]+)?", text):
        assert cell == text
    else:
        assert not re.match(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell)
    assert from_spreadsheet(cell) == text


@given(st.text(alphabet="'=+-@ \t1.eR", max_size=6))
def test_every_text_comes_back(text):
    assert from_spreadsheet(for_spreadsheet(text)) == text


def test_different_texts_stay_different():
    texts = [*HOSTILE, *map(for_spreadsheet, HOSTILE)]
    assert len({for_spreadsheet(t) for t in texts}) == len(set(texts))


def test_a_table_comes_back_from_csv(tmp_path):
    numbers = np.array([-0.1, 1 / 3, np.nan] * 9, np.float32)[: len(HOSTILE)]
    made = pd.DataFrame({"object_id": HOSTILE, "=name": HOSTILE, "p_-x": numbers, "n": range(-1, len(HOSTILE) - 1)})
    write_csv(made, tmp_path / "t.csv")
    again = read_csv(tmp_path / "t.csv", ["object_id", "=name"])
    assert list(again) == list(made)
    assert again["object_id"].tolist() == again["=name"].tolist() == HOSTILE
    np.testing.assert_array_equal(again["p_-x"].to_numpy(np.float32), numbers)
    np.testing.assert_array_equal(again["n"], made["n"])
    raw = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert list(raw)[1] == "'=name" and raw["n"].tolist()[0] == "-1", "numbers are written as numbers"
    assert made["object_id"].tolist() == HOSTILE, "the table given stays as it was"


@needs_node
def test_the_explorer_writes_cells_as_python_does(tmp_path):
    page = (ROOT / "astraclr" / "analysis" / "explorer.html").read_text()
    (rule,) = re.findall(r"const plain = .*;", page)
    assert node(ROOT, tmp_path, f"{rule} print(given.texts.map(plain));", texts=HOSTILE) == [
        for_spreadsheet(text) for text in HOSTILE
    ]


# Terminal and Markdown

FORGED = "x\x1b[2J\x1b]0;t\x07\r\n\x9b31m\u202egnp.exe\u2066\ud800\x00"


def test_a_terminal_gets_no_control_characters():
    shown = for_terminal(FORGED)
    assert shown.isprintable() and "\\x1b[2J" in shown and "\\u202e" in shown
    shown.encode()
    assert for_terminal("Größe μ 星 7") == "Größe μ 星 7"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a|b",
        "[x](javascript:alert(1))",
        "![x](y)",
        "*a* _b_ `c` ~~d~~ $e$",
        "&lt;b&gt;",
        "a\n# b",
        "# b",
        "{{ x }}",
        "`` `",
        "\\|",
        "`a|b",
    ],
)
def test_markdown_shows_the_text_and_nothing_more(text):
    html = MarkdownIt("gfm-like", {"linkify": False}).render(
        f"| a | b |\n|---|---|\n| {for_markdown(text)} | {code_span(text)} |\n"
    )
    cells = re.findall(r"<td>(.*?)</td>", html, flags=re.DOTALL)
    assert len(cells) == 2 and not re.search(r"<(?!/?code>)", "".join(cells))
    whole = MarkdownIt("commonmark").render(f"x {for_markdown(text)}").strip()
    shown = re.sub("</?p>", "", whole).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    assert shown.replace("&amp;", "&") == f"x {for_terminal(text)}"


@pytest.mark.parametrize("text", ["$", "$\\frac$", "_hidden", "a_b^c", "\x1b[2J\n"])
def test_a_figure_shows_the_text_and_nothing_more(text):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.subplots()
    ax.plot([0], [0], label=for_figure(text))
    (shown,) = ax.legend().get_texts()
    FigureCanvasAgg(figure).draw()
    assert shown.get_text().replace("\\$", "$").lstrip() == for_terminal(text)
