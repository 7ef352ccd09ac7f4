"""Which names does a statement of Python read, and which does it set or change?

Two scripts follow names from cell to cell: book/hidden_cells.py backwards, book/glued_results.py forwards.
"""

from __future__ import annotations

import ast
import copy
import symtable
from collections.abc import Iterator

MAY_NOT_RUN = (ast.If, ast.For, ast.While, ast.Try)
"""Statements of which nothing may be set afterwards that stands in them."""


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def loop_names(statement: ast.stmt) -> set[str]:
    """Names that only run through a loop of the statement."""
    loops = [node.target for node in ast.walk(statement) if isinstance(node, ast.For)]
    return {node.id for target in loops for node in ast.walk(target) if isinstance(node, ast.Name)}


def names_read(statement: ast.stmt) -> set[str]:
    """Names that a statement reads before it sets them itself, in functions and comprehensions too."""
    if not isinstance(statement, ast.For | ast.While | ast.With):
        return _referenced(statement)
    header = copy.copy(statement)
    header.body = [ast.Pass()]
    read, known = _referenced(header), names_set(header) | loop_names(header)
    for inner in statement.body:
        read |= names_read(inner) - known
        if not isinstance(inner, MAY_NOT_RUN):
            known |= names_set(inner)
    return read


def _referenced(statement: ast.stmt) -> set[str]:
    outer = symtable.symtable(ast.unparse(statement), "cell", "exec")
    read = {
        symbol.get_name()
        for table in _scopes(outer)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is outer or symbol.is_global())
    }
    added_to = {node.target for node in ast.walk(statement) if isinstance(node, ast.AugAssign)}  # x += 1 reads x
    return (read - loop_names(statement)) | {target.id for target in added_to if isinstance(target, ast.Name)}


def names_set(statement: ast.stmt) -> set[str]:
    """Names that a statement binds, imports or defines, and those of objects whose items or attributes it sets."""
    outer = symtable.symtable(ast.unparse(statement), "cell", "exec")
    bound = {s.get_name() for s in outer.get_symbols() if s.is_assigned() or s.is_imported()}
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            bound |= {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
    return bound - loop_names(statement)
