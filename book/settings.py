"""Which glued values are settings? Those that code states before anything runs: literals, presets, recipes, and
encoders that come with the book.

Copies for students keep settings and hide results.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from notebooks import Notebook, code_of

import astraclr
from astraclr import config

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_CALLS = {
    "config.preset": config.preset,
    "config.recipe": config.recipe,
    "load_checkpoint": lambda name: astraclr.load_checkpoint(name),
    "replace": replace,
    "float": float,
    "int": int,
}


class _NotStated(Exception):
    """An expression whose value is known only when the notebook has run."""


def settings_of(notebook: Notebook) -> dict[str, Any]:
    """Values of a notebook that are glued and stated: by name, at the notebook's own parameters."""
    known: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for code in code_of(notebook):
        for statement in ast.parse(code).body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                _assign(statement.targets[0], statement.value, known)
            elif isinstance(statement, ast.Expr) and (pair := _glued(statement.value)):
                try:
                    found[pair[0]] = _value(pair[1], known)
                except _NotStated:
                    found.pop(pair[0], None)
            else:
                for node in ast.walk(statement):  # set in a loop, a condition or a function: no longer stated
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        known.pop(node.id, None)
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}


def _assign(target: ast.expr, value: ast.expr, known: dict[str, Any]) -> None:
    """Remember what `target = value` states; forget the names that it sets otherwise."""
    targets, values = [target], [value]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        targets, values = target.elts, value.elts
    for name, expression in zip(targets, values, strict=True):
        try:
            stated = _value(expression, known)
        except _NotStated:
            for node in ast.walk(name):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    known.pop(node.id, None)
            continue
        if isinstance(name, ast.Name):
            known[name.id] = stated


def _glued(call: ast.expr) -> tuple[str, ast.expr] | None:
    """Name and expression of a call such as `glue("name", value)`."""
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "glue" and len(call.args) > 1:
        name = call.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return name.value, call.args[1]
    return None


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """Value of an expression. Raises _NotStated where it depends on more than literals, presets and recipes."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left, known), _value(node.right, known)
        if all(isinstance(x, int | float) for x in (left, right)):
            return _BINARY[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, known)
    if isinstance(node, ast.Attribute):
        of = _value(node.value, known)
        if is_dataclass(of) and hasattr(of, node.attr):
            return getattr(of, node.attr)
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _CALLS:
        arguments = [_value(a, known) for a in node.args]
        named = {k.arg: _value(k.value, known) for k in node.keywords if k.arg}
        return _CALLS[ast.unparse(node.func)](*arguments, **named)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        choices = _value(node.func.value, known)
        if isinstance(choices, dict):
            return choices.get(*(_value(a, known) for a in node.args))
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(k, known): _value(v, known) for k, v in zip(node.keys, node.values, strict=True) if k}
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, known) for part in node.values)
    raise _NotStated(ast.unparse(node))


def _text(part: ast.expr, known: Mapping[str, Any]) -> str:
    """A piece of an f-string."""
    if isinstance(part, ast.FormattedValue):
        spec = "".join(_text(p, known) for p in part.format_spec.values) if part.format_spec else ""  # type: ignore[attr-defined]
        return format(_value(part.value, known), spec)
    return str(_value(part, known))
