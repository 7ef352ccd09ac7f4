"""Which statements of hidden cells does something visible need? Names, followed backwards from where they are read.

The book hides cells that glue numbers and check words. A copy for students has no use for them, except where a hidden
statement sets a name that a visible cell, or an answer, reads later.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from myst import solutions
from notebooks import HIDDEN, Notebook, code_of, tags_of
from statement_names import MAY_NOT_RUN, names_read, names_set


def without_unneeded(notebook: Notebook) -> list[str]:
    """Sources of the cells; of hidden ones only the statements without which a later cell or an answer lacks a name."""
    modules = {name for code in code_of(notebook) for s in ast.parse(code).body if _imports(s) for name in names_set(s)}
    wanted: set[str] = set()
    for answer in solutions(notebook).values():
        wanted |= _before(ast.parse(answer).body, set())
    sources: list[str] = []
    for cell in reversed(notebook["cells"]):
        text = cell["source"]
        if cell["cell_type"] == "code":
            statements = ast.parse(text).body
            if HIDDEN in tags_of(cell):
                kept = []
                for statement in reversed(statements):
                    if _gives(statement, wanted, modules):
                        kept.insert(0, statement)
                        wanted = _before([statement], wanted)
                text = "\n".join(ast.get_source_segment(text, statement) or "" for statement in kept)
            else:
                wanted = _before(statements, wanted)
        sources.insert(0, text)
    return sources


def _before(statements: Iterable[ast.stmt], wanted: set[str]) -> set[str]:
    """Names that must be there before these statements, so that those in `wanted` are there after them."""
    for statement in reversed(list(statements)):
        certain = set() if isinstance(statement, MAY_NOT_RUN) else names_set(statement)
        wanted = (wanted - certain) | names_read(statement)
    return wanted


def _imports(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _gives(statement: ast.stmt, wanted: set[str], modules: set[str]) -> bool:
    """Whether a statement sets a wanted name, or changes what it names; a check of the words of the page does not."""
    if _imports(statement):
        return bool(names_set(statement) & wanted)
    if isinstance(statement, ast.If) and "words_are_checked" in ast.unparse(statement.test):
        return False
    changed = names_set(statement)
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):  # a method may change its object
        function = statement.value.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            changed.add(function.value.id)
    return bool(changed & wanted - modules)
