"""What the source writes to the outbox: every topic, told from the code itself.

A topic that this cannot tell makes it fail, rather than be left out: then teach it, or write the topic plainly.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType

from tests.fixtures.requirements import REPOSITORY

PACKAGE = REPOSITORY / "visitserver"


@dataclass(frozen=True)
class Emitted:
    """A topic and, for letters from a template (topic "mail"), the template."""

    topic: str
    template: str | None
    where: str


def emitted() -> Iterator[Emitted]:
    """Every message that `….outbox.add(topic, payload)` in visitserver can write."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text("utf-8")
        if "outbox.add(" in text:
            yield from _Source(path, ast.parse(text)).emitted()


class _Source:
    def __init__(self, path: Path, tree: ast.Module) -> None:
        self._name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        self._module: ModuleType = importlib.import_module(self._name)
        self._tree = tree
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        self._functions = [node for node in ast.walk(tree) if isinstance(node, kinds)]

    def emitted(self) -> Iterator[Emitted]:
        for function in self._functions:
            for call in _calls(function):
                if not ast.unparse(call.func).endswith("outbox.add"):
                    continue
                for topic in self._values(call.args[0], function):
                    named = ast.Name("template")
                    templates = sorted(self._values(named, function)) if topic == "mail" else [None]
                    yield from (Emitted(topic, template, self._name) for template in templates)

    def _values(self, node: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        """Every text that the expression can be."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.IfExp(body=body, orelse=other):
                return self._values(body, function) | self._values(other, function)
            case ast.JoinedStr(values=parts):
                texts = {""}
                for part in parts:
                    texts = {text + more for text in texts for more in self._values(part, function)}
                return texts
            case ast.FormattedValue(value=value):
                return self._values(value, function)
            case ast.Attribute(value=of, attr="value"):
                return self._values(of, function)
            case ast.Attribute(value=ast.Name(id=kind), attr=member):
                one = getattr(getattr(self._module, kind), member)
                assert isinstance(one, Enum), ast.unparse(node)
                return {str(one.value)}
            case ast.Name(id=name):
                return self._named(name, function)
        raise AssertionError(f"{self._name}: cannot tell what {ast.unparse(node)} is")

    def _named(self, name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        constant = getattr(self._module, name, None)
        if isinstance(constant, str):
            return {constant}
        parameters = [one.arg for one in function.args.args if one.arg != "self"]
        assert name in parameters, f"{self._name}: cannot tell what {name} is"
        place = parameters.index(name)
        values: set[str] = set()
        for source in (self, *self._users(function.name)):
            for caller in source._functions:
                for call in _calls(caller):
                    if isinstance(call.func, ast.Attribute) and call.func.attr == function.name:
                        values |= source._values(call.args[place], caller)
        assert values, f"{self._name}: nobody calls {function.name}"
        return values

    def _users(self, name: str) -> Iterator[_Source]:
        """The other modules that import this one's class or function and call `….name(`."""
        for path in sorted(PACKAGE.rglob("*.py")):
            text = path.read_text("utf-8")
            if f".{name}(" in text and f"from {self._name} import" in text:
                yield _Source(path, ast.parse(text))


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(function) if isinstance(node, ast.Call))
