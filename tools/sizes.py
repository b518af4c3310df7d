"""Check the sizes that keep the code readable: modules, functions, parameters. Prints the medians."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("nbmlops", "tools", "benchmarks")
MODULE_LINES = 400
FUNCTION_LINES = 50
PARAMETERS = 6
POSITIONAL = 3  # two, and a third where the call reads as a sentence: append(type, subject, data)
# A verb's parameters are its options on the command line, declared once for all three faces.
VERBS = "nbmlops/workflows/"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measured:
    """One function: where it is, how long it is and what is wrong with it."""

    place: str
    lines: int
    faults: tuple[str, ...]


def functions(tree: ast.Module) -> Iterator[tuple[Function, bool]]:
    """Yield each function of a module with whether it is a method (its first parameter is not the caller's)."""
    methods = {
        id(item)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, Function) and not any("staticmethod" in ast.dump(mark) for mark in item.decorator_list)
    }
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node, id(node) in methods


def code_lines(function: Function) -> int:
    """Return the lines of a function without its docstring, whose length is nobody's burden."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def measure(function: Function, *, method: bool, path: str) -> Measured:
    """Return the size of one function and what exceeds the limits."""
    lines = code_lines(function)
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args) - method
    parameters = positional + len(arguments.kwonlyargs)
    faults = []
    if lines > FUNCTION_LINES:
        faults.append(f"{lines} lines, more than {FUNCTION_LINES}")
    protocol = function.name.startswith("__") and function.name.endswith("__") and function.name != "__init__"
    verb = path.startswith(VERBS) and not function.name.startswith("_")
    if not protocol and not verb:
        if positional > POSITIONAL:
            faults.append(f"{positional} positional parameters, more than {POSITIONAL}: make the rest keyword-only")
        if parameters > PARAMETERS:
            faults.append(f"{parameters} parameters, more than {PARAMETERS}")
    return Measured(f"{path}:{function.lineno} {function.name}", lines, tuple(faults))


def main() -> int:
    """Print faults and medians; return 1 when something is too large."""
    modules: dict[str, int] = {}
    measured: list[Measured] = []
    for folder in FOLDERS:
        for source in sorted((ROOT / folder).rglob("*.py")):
            path, text = source.relative_to(ROOT).as_posix(), source.read_text()
            modules[path] = text.count("\n")
            measured += [measure(node, method=method, path=path) for node, method in functions(ast.parse(text))]
    faults = [
        f"{path}: {lines} lines, more than {MODULE_LINES}" for path, lines in modules.items() if lines > MODULE_LINES
    ]
    faults += [f"{one.place}: {fault}" for one in measured for fault in one.faults]
    for fault in faults:
        print(fault, file=sys.stderr)
    own = sorted(one.lines for one in measured)
    print(
        f"sizes: {len(modules)} modules, median {statistics.median(modules.values()):.0f} lines, "
        f"longest {max(modules.values())}; {len(own)} functions, median {statistics.median(own):.0f} lines, "
        f"99th percentile {own[int(len(own) * 0.99)]}, longest {own[-1]}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
