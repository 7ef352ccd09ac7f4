"""Every number that a page glues into its words: its value, and the committed files that it comes from."""

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from notebooks import Notebook, code_of, formatted, glued_by, read_notebook
from statement_names import loop_names, names_read, names_set

GLUED = re.compile(r"\{glue:(?:text|)\}`([^`:]+)(?::([^`]*))?`")
FILE_READERS = ("committed_result", "repository_file", "shipped_file")
"""Functions that open a file of the repository by its name."""
PACKAGE_READS = {"scores.committed": "benchmarks/results"}
"""Functions of the package that read committed results under names of their own."""


def used(notebook: Notebook) -> dict[str, list[str]]:
    """Glued names in the prose of a notebook, with the formats in which each is shown."""
    out: dict[str, list[str]] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for name, spec in GLUED.findall(cell["source"]):
                out.setdefault(name, [])
                if spec not in out[name]:
                    out[name].append(spec)
    return out


def pattern(name: ast.expr) -> str | None:
    """What a name given to glue can be, as a regular expression: its constant parts, and anything between them."""
    if isinstance(name, ast.Constant):
        return re.escape(str(name.value))
    if isinstance(name, ast.JoinedStr):
        return "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in name.values)
    if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
        return (pattern(name.left) or ".+") + (pattern(name.right) or ".+")
    if isinstance(name, ast.Call) and isinstance(name.func, ast.Attribute) and name.func.attr == "replace":
        # Of f"ch4_{key}".replace(" ", "_") the beginning is known.
        return re.split(r"\.\+|\\ ", pattern(name.func.value) or "")[0] + ".+"
    return None


def can_be_glued(code: str) -> list[str]:
    """Patterns of all names that this code gives to `glue`."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and _called(node) == "glue"]
    return [found for call in calls if (found := pattern(call.args[0]))]


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _files_read(node: ast.AST) -> set[str]:
    """Files of the repository that a statement names to the functions that open them."""
    out = set()
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        if (whole := ast.unparse(call.func)) in PACKAGE_READS:
            out.add(PACKAGE_READS[whole])
        if _called(call) in FILE_READERS:
            # A name in a loop stands for the words of the statement that it can be.
            inside = ast.walk(call) if any(isinstance(a, ast.Constant) for a in call.args) else ast.walk(node)
            parts = {id(part) for n in ast.walk(node) if isinstance(n, ast.JoinedStr) for part in n.values}
            words = [
                n.value
                for n in inside
                if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in parts
            ]
            for word in (w for w in words if re.fullmatch(r"[\w/.-]+", w)):
                out.add(
                    {"committed_result": f"benchmarks/results/{word}.json", "shipped_file": f"data/{word}"}.get(
                        _called(call), word
                    )
                )
    return out


def origins(cells: Iterable[str]) -> list[list[tuple[str, set[str]]]]:
    """For each cell of code: patterns of the names that it glues, each with the committed files that it can depend on.

    Statement by statement: a name depends on what the statement that binds it reads. So a file may be named too often,
    but not too seldom, as long as it is opened in the notebook.
    """
    known: dict[str, set[str]] = {}
    gluing = {"glue"}
    out = []
    for code in cells:
        found = []
        for statement in ast.parse(code).body:
            read = names_read(statement)
            files = _files_read(statement).union(*(known.get(name, set()) for name in read))
            for name in names_set(statement) | loop_names(statement):  # a loop leaves its last
                known[name] = files | (known.get(name, set()) if name in read else set())
            called = {_called(n) for n in ast.walk(statement) if isinstance(n, ast.Call)}
            if isinstance(statement, ast.FunctionDef):
                gluing |= {statement.name} if gluing & called else set()
            elif gluing & called:
                patterns = can_be_glued(ast.unparse(statement)) or [".+"]  # or its own function names it
                found += [(each, files) for each in patterns]
        out.append(found)
    return out


def claims(notebook: Notebook) -> list[dict[str, Any]]:
    """One entry for each glued name in the prose of an executed notebook: value, as shown, cell, committed files.

    Raises
    ------
    ValueError
        If the prose uses a name that no cell has glued.
    """
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = dict(zip([cell["id"] for cell in code], origins(code_of(notebook)), strict=True))
    values = {name: (cell["id"], value) for cell in code for name, value in glued_by(cell).items()}
    out = []
    for name, specs in used(notebook).items():
        if name not in values:
            raise ValueError(f"the prose uses {name}, and no cell of the notebook has glued it")
        cell, value = values[name]
        files = set().union(*(found for each, found in sources[cell] if re.fullmatch(each, name)))
        shown = [formatted(value, spec) for spec in specs]
        out.append({"name": name, "value": value, "shown": shown, "cell": cell, "files": sorted(files)})
    return out


def collect(executed: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """The claims of every page that has any, by page; `executed` holds their executed notebooks."""
    return {page: found for page, file in executed.items() if (found := claims(read_notebook(file)))}


def table(pages: Mapping[str, list[dict[str, Any]]]) -> str:
    """How many results each page glues, and from where, as a Markdown table."""
    lines = ["| page | results | computed there | from committed files | files |", "|---|---:|---:|---:|---|"]
    for page, rows in pages.items():
        named = sorted({file for row in rows for file in row["files"]})
        kept = sum(bool(row["files"]) for row in rows)
        lines.append(
            f"| {{doc}}`{page}` | {len(rows)} | {len(rows) - kept} | {kept} | "
            f"{', '.join(f'`{file}`' for file in named)} |"
        )
    return "\n".join(lines) + "\n"
