"""What one cell's source reads, binds and changes, told from its syntax."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# Methods that change the object they are called on, beside those named fit… and every call with inplace=True.
_CHANGING = frozenset(
    {"train", "partial_fit", "set_params", "set_output", "compile", "load_state_dict", "load_weights", "load_model"}
    | {"append", "extend", "insert", "add", "update", "pop", "remove", "clear", "sort", "setdefault"}
)

_NOT_PYTHON = frozenset(
    {"bash", "sh", "script", "system", "cmd", "html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"}
    | {"perl", "ruby", "pypy", "R", "sql", "cython", "writefile", "file"}
)


@dataclass(frozen=True)
class Flow:
    """Names at the top level of a cell.

    Attributes
    ----------
    reads : frozenset of str
        Used while the cell runs, before the cell itself binds them.
    deferred : frozenset of str
        Used in the bodies of functions that the cell defines, when these are called.
    binds : frozenset of str
        Assigned, imported or defined.
    changes : frozenset of str
        Bound to an object that is changed in place: ``model.fit(…)``, ``df["x"] = …``.
    """

    reads: frozenset[str] = frozenset()
    deferred: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()

    @property
    def writes(self) -> frozenset[str]:
        return self.binds | self.changes


@lru_cache(maxsize=4096)
def flow(source: str) -> Flow:
    """Return the flow of a cell as it was typed; what is not Python reads and writes nothing.

    The body of a cell magic is read too, since ``%%time`` and its like run it, unless it is in another language.
    """
    tree = _parse(source)
    if tree is None:
        return Flow()
    inner = _magic_body(tree)
    if inner is not None:
        return flow(inner)
    names = _Names()
    names.visit(*tree.body)
    return Flow(*map(frozenset, (names.reads, names.deferred - names.reads, names.binds, names.changes)))


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)  # most cells are plain Python, and IPython's transformer is slow
    except (SyntaxError, ValueError):
        pass
    from IPython.core import inputtransformer2

    transformer: Any = inputtransformer2
    try:
        return ast.parse(str(transformer.TransformerManager().transform_cell(source)))
    except (SyntaxError, ValueError):
        return None


def _magic_body(tree: ast.Module) -> str | None:
    """Return the Python in a cell magic, the last argument of ``run_cell_magic(name, line, body)``; None for others."""
    call = tree.body[0].value if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or len(call.args) != 3:
        return None
    name, _, body = call.args
    if call.func.attr != "run_cell_magic" or not isinstance(name, ast.Constant) or not isinstance(body, ast.Constant):
        return None
    return "" if name.value in _NOT_PYTHON else str(body.value)


class _Names:
    """Collects names in the order in which Python evaluates them."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.deferred: set[str] = set()
        self.binds: set[str] = set()
        self.changes: set[str] = set()

    def visit(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                _RULES.get(type(node), _Names.children)(self, node)

    def children(self, node: Any) -> None:
        self.visit(*ast.iter_child_nodes(node))

    def name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.binds.add(node.id)
        elif node.id not in self.binds:
            self.reads.add(node.id)

    def alias(self, node: ast.alias) -> None:
        self.binds.add((node.asname or node.name).partition(".")[0])

    def assignment(self, node: Any) -> None:
        """Visit what is read before what it is bound to."""
        self.visit(node.value)
        self.children(node)

    def augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.name(ast.Name(node.target.id, ast.Load()))
        self.visit(node.value, node.target)

    def loop(self, node: Any) -> None:
        self.visit(node.iter)
        self.children(node)

    def place(self, node: Any) -> None:
        """``name.attribute`` or ``name[key]``: written to, it changes what the name is bound to."""
        if not isinstance(node.ctx, ast.Load):
            self.changes.update(_base(node))
        self.children(node)

    def call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            inplace = any(word.arg == "inplace" for word in node.keywords)
            if inplace or node.func.attr.startswith("fit") or node.func.attr in _CHANGING:
                self.changes.update(_base(node.func))
        self.children(node)

    def comprehension(self, node: Any) -> None:
        """A comprehension's own variables are no names of the cell."""
        inner = _Names()
        for generator in node.generators:
            inner.visit(generator.target)
        inner.children(node)
        self.reads |= inner.reads - self.binds
        self.changes |= inner.changes - inner.binds

    def function(self, node: Any) -> None:
        self.binds.add(node.name)
        self.visit(*node.decorator_list, node.args)
        self._body(node.args, node.body)

    def unnamed(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._body(node.args, [node.body])

    def _body(self, arguments: ast.arguments, body: list[Any]) -> None:
        inner = _Names()
        inner.visit(*body)
        own = inner.binds | {node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)}
        self.deferred |= (inner.reads | inner.deferred) - own

    def definition(self, node: ast.ClassDef) -> None:
        """A class runs its body at once, but what it binds there are attributes."""
        inner = _Names()
        inner.children(node)
        self.reads |= inner.reads - self.binds
        self.deferred |= inner.deferred - inner.binds
        self.binds.add(node.name)


_RULES: dict[type, Callable[[_Names, Any], None]] = {
    ast.Name: _Names.name,
    ast.alias: _Names.alias,
    ast.AugAssign: _Names.augmented,
    **dict.fromkeys((ast.Assign, ast.AnnAssign, ast.NamedExpr), _Names.assignment),
    **dict.fromkeys((ast.For, ast.AsyncFor), _Names.loop),
    **dict.fromkeys((ast.Attribute, ast.Subscript), _Names.place),
    ast.Call: _Names.call,
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), _Names.comprehension),
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef), _Names.function),
    ast.Lambda: _Names.unnamed,
    ast.ClassDef: _Names.definition,
}


def _base(node: ast.expr) -> set[str]:
    """Return the name at the root of ``name.attribute[key].attribute``, if that is what it is."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
