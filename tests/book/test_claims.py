"""No result is typed into the words of the book: what looks like one is glued, or quoted from a place that is named."""

import ast
import re
from pathlib import Path

import glued_results as results
import nbformat
import pytest
import yaml
from notebooks import code_of, read_notebook
from statement_names import names_read, names_set
from typed import Quoted, typed_numbers

BOOK = Path(__file__).resolve().parents[2] / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
PAGES = [*NOTEBOOKS, *sorted(BOOK.rglob("*.md"))]
LIST = Path(__file__).with_name("quoted_numbers.yml")
QUOTED = [Quoted(**entry) for entry in yaml.safe_load(LIST.read_text())]


def name_of(page: Path) -> str:
    return page.relative_to(BOOK).with_suffix("").as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_result_is_typed(page):
    allowed = [entry for entry in QUOTED if entry.page == name_of(page)]
    found, seen = typed_numbers(page, allowed)
    assert not found, f"glue these; if they are no results of this book, say why in {LIST.name}:\n" + "\n".join(found)
    stale = [entry.text for entry in allowed if entry not in seen]
    assert not stale, f"{LIST.name} allows what {name_of(page)} no longer says: {stale}"


def test_quoted_numbers_have_pages_and_reasons():
    assert {entry.page for entry in QUOTED} <= {name_of(page) for page in PAGES}
    assert all(len(entry.why) > 3 and re.search(r"\d", entry.text) for entry in QUOTED)
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("page", NOTEBOOKS, ids=name_of)
def test_glued_names_are_glued_by_the_same_notebook(page):
    notebook = read_notebook(page)
    patterns = results.can_be_glued("\n".join(code_of(notebook)))
    unknown = [n for n in results.used(notebook) if not any(re.fullmatch(p, n) for p in patterns)]
    assert not unknown


def test_pages_without_code_glue_nothing():
    assert not [name_of(page) for page in PAGES if page.suffix == ".md" and results.GLUED.search(page.read_text())]


@pytest.mark.parametrize(
    "text, found",
    [
        ("The accuracy is 0.83 here.", ["0.83"]),
        ("It finds 85 % of them.", ["85 %"]),
        ("It took 12 minutes.", ["12"]),
        ("Of 12,345 stars", ["12,345"]),
        ("1.5 points more", ["1.5"]),
        ("gained 3 points", ["3"]),
        ("| encoder | 0.71 |", ["0.71"]),
        (":::{admonition} Note\n:class: tip\nIt is 0.71.\n:::", ["0.71"]),
        ("````{solution} ex\n:class: dropdown\n```python\nx = 0.5\n```\nIt is 0.4.\n````", ["0.4"]),
        ("```python\nx = 0.83\n```", []),
        ("```\n0.83\n```\nthen 0.2", ["0.2"]),
        ("`C=0.1` and $T = 0.5$", []),
        ("$$\nx = 0.5\n$$", []),
        ("{glue:text}`a:.2f` of {cite}`b2.5`", []),
        ("[paper](https://a.b/2606.31627)", []),
        ("Python 3.11, version 0.13.3, CC BY 4.0", []),
        ("chapter 4, 12 classes, {numref}`fig-1.5`", []),
        ("```{math}\n0.5\n```", []),
        ("```{image} a.png\n:width: 50 %\n```", []),
    ],
)
def test_what_looks_like_a_result(tmp_path, text, found):
    (tmp_path / "page.md").write_text(text)
    assert [line.split("   in: ")[0] for line in typed_numbers(tmp_path / "page.md")[0]] == found


def test_numbers_of_a_quiz_are_its_own(tmp_path):
    page = tmp_path / "page.md"
    quiz = "::::{admonition} Quiz: a loss\n:class: quiz\nIt is 5.00.\n:::{dropdown} 0.1\nNo.\n:::\n::::\n"
    page.write_text(f"{quiz}It is 0.7.\n")
    (found,), _ = typed_numbers(page)
    assert found.startswith("0.7 ")


def test_a_quoted_number_needs_its_words(tmp_path):
    page, entry = tmp_path / "page.md", Quoted("page", "the paper's 0.70", "the paper")
    page.write_text("Beside the\npaper's 0.70 ours is 0.70.")
    found, seen = typed_numbers(page, [entry])
    assert len(found) == 1 and seen == {entry}
    page.write_text("nothing")
    assert typed_numbers(page, [entry]) == ([], set())


# Where glued results come from


def test_origins_follow_names_from_cell_to_cell():
    cells = [
        'file = committed_result("bench")\nmine = 1 + 1',
        'table = frame(file["rows"])\nfor row in table:\n    best = row\nglue("own", mine)',
        'glue(f"best_{best}", best); glue("both", mine + len(table))',
        'for name in ("a", "b"):\n    glue(f"{name}_x", committed_result(name))',
        'best = 3\nglue("again", best)',
    ]
    bench = {"benchmarks/results/bench.json"}
    assert results.origins(cells) == [
        [],
        [("own", set())],
        [("best_.+", bench), ("both", bench)],
        [(".+_x", {"benchmarks/results/a.json", "benchmarks/results/b.json"})],
        [("again", set())],
    ]


def test_a_function_that_glues_is_followed():
    cells = ['def keep(name, x):\n    glue("app_" + name, x)', 'file = repository_file("data/x.npz")\nkeep("a", file)']
    assert results.origins(cells) == [[], [(".+", {"data/x.npz"})]]


@pytest.mark.parametrize(
    "code, name",
    [
        ('glue("a.b", 1)', r"a\.b"),
        ('glue(f"x_{y}_z", 1)', "x_.+_z"),
        ('glue("p_" + f(y), 1)', "p_.+"),
        ('glue(f"c_{y}".replace(" ", "_"), 1)', "c_.+"),
        ("glue(name, 1)", None),
    ],
)
def test_names_given_to_glue(code, name):
    assert results.pattern(ast.parse(code).body[0].value.args[0]) == name


def executed(prose: str) -> nbformat.NotebookNode:
    data, metadata = {"application/papermill.record/text/plain": "0.8312"}, {"scrapbook": {"name": "acc"}}
    record = nbformat.v4.new_output("display_data", data, metadata=metadata)
    code = nbformat.v4.new_code_cell('glue("acc", committed_result("bench"))', id="c1", outputs=[record])
    return nbformat.v4.new_notebook(cells=[code, nbformat.v4.new_markdown_cell(prose)])


def test_claims_of_a_page(tmp_path):
    notebook = executed("It is {glue:text}`acc:.2f`, or {glue:text}`acc:.0%`, {glue:text}`acc:.2f`.")
    assert results.claims(notebook) == [
        {
            "name": "acc",
            "value": 0.8312,
            "shown": ["0.83", "83%"],
            "cell": "c1",
            "files": ["benchmarks/results/bench.json"],
        }
    ]
    nbformat.write(notebook, tmp_path / "one.ipynb")
    pages = results.collect({"one": tmp_path / "one.ipynb"})
    assert "| {doc}`one` | 1 | 0 | 1 | `benchmarks/results/bench.json` |" in results.table(pages)
    with pytest.raises(ValueError, match="the prose uses other"):
        results.claims(executed("{glue:text}`other`"))


@pytest.mark.parametrize(
    "code, read, bound",
    [
        ("x = y + 1", "y", "x"),
        ("x += 1", "x", "x"),
        ("x['a'] = b", "x b", "x"),
        ("def f(a):\n    c = a + d\n    return c", "d", "f"),
        ("[k + d for k in rows]", "d rows", ""),
        ("for k in rows:\n    t = k\n    print(t)", "rows print", "t"),
        ("with file as f:\n    x = f.read()", "file", "f x"),
        ("if a:\n    x = 1\nelse:\n    print(x)", "a x print", "x"),
        ("import a.b as c", "", "c"),
    ],
)
def test_names_that_a_statement_reads_and_sets(code, read, bound):
    (statement,) = ast.parse(code).body
    assert (names_read(statement), names_set(statement)) == (set(read.split()), set(bound.split()))
