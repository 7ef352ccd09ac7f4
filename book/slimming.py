"""Which statements of hidden cells does something visible need? Names, followed backwards from where they are read.

The book hides cells that glue numbers and check words. A copy for students has no use for them, except where a hidden
statement sets a name that a visible cell, or an answer, reads later.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from prose import source_of, tags_of
from solutions import solutions

HIDDEN = "remove-cell"


def slimmed(notebook: Mapping[str, Any]) -> list[str]:
    """Sources of the cells; of hidden ones only the statements without which a later cell or an answer lacks a name."""
    code = [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    imported = set().union(*(_binds(node) for text in code for node in ast.walk(ast.parse(text)) if _imports(node)))
    wanted = set().union(*(_free(text) for text in solutions(dict(notebook)).values()))  # what answers will need
    sources: list[str] = []
    for cell in reversed(notebook["cells"]):
        text = source_of(cell)
        if cell["cell_type"] == "code":
            statements = ast.parse(text).body
            kept = []
            for statement in reversed(statements):
                if HIDDEN not in tags_of(cell) or _gives(statement, wanted, imported):
                    kept.append(ast.get_source_segment(text, statement) or "")
                    wanted = (wanted - _binds(statement)) | _loads(statement)
            if HIDDEN in tags_of(cell):
                text = "\n".join(reversed(kept))
        sources.append(text)
    return sources[::-1]


def _free(code: str) -> set[str]:
    wanted: set[str] = set()
    for statement in reversed(ast.parse(code).body):
        wanted = (wanted - _binds(statement)) | _loads(statement)
    return wanted


def _loads(statement: ast.stmt) -> set[str]:
    """Names that a statement reads before it sets them itself."""
    first = ("generators", "iter", "value", "target", "targets")  # the order in which Python comes to them
    free, known = set(), set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id not in known:
                free.add(node.id)
            known.add(node.id)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            free.update({node.target.id} - known)
        fields = sorted(node._fields, key=lambda f: first.index(f) if f in first else len(first))
        for name in fields:
            inside = getattr(node, name, None)
            for child in inside if isinstance(inside, list) else [inside]:
                if isinstance(child, ast.AST):
                    visit(child)

    visit(statement)
    return free


def _imports(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _binds(statement: ast.AST) -> set[str]:
    """Names that a statement certainly sets, without reading them."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    targets = {ast.Assign: "targets", ast.AnnAssign: "target", ast.For: "target"}.get(type(statement))
    found = getattr(statement, targets) if targets else []
    found = found if isinstance(found, list) else [found]
    return {n.id for t in found for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _gives(statement: ast.stmt, wanted: set[str], imported: set[str]) -> bool:
    """Whether a statement sets a wanted name or changes what it names; loops' own names and checks do not count."""
    if _imports(statement):
        return bool(_binds(statement) & wanted)
    if isinstance(statement, ast.If) and "words_are_checked" in ast.unparse(statement.test):
        return False
    targets = [node.target for node in ast.walk(statement) if isinstance(node, ast.For | ast.comprehension)]
    loops = {n for target in targets for n in ast.walk(target)}
    changed = set() if isinstance(statement, ast.For) else _binds(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in loops:
            changed.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            changed |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):  # a method may change its object
        function = statement.value.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            changed.add(function.value.id)
    return bool(changed & wanted - imported)
