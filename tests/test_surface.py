"""What one place promises, all do: the table of verbs, docstrings, --help, README, ``__all__`` and types."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nbmlops
from nbmlops.workflows.commands import Files, documentation, fields, help_text
from nbmlops.workflows.verbs import COMMANDS, MAGICS, PYTHON, VERBS, Verb

ROOT = Path(__file__).resolve().parent.parent
NAMED = pytest.mark.parametrize("verb", VERBS, ids=[verb.python for verb in VERBS])


def parameters_of_docstring(text: str) -> list[str]:
    """Return the names in a numpydoc ``Parameters`` section."""
    found = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}|\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^(\w+)(?: :.*)?$", found[1], re.MULTILINE) if found else []


@NAMED
def test_the_docstring_begins_with_the_summary(verb: Verb) -> None:
    assert documentation(verb.function()).splitlines()[0] == verb.summary


@NAMED
def test_the_docstring_tells_every_parameter_in_order(verb: Verb) -> None:
    function = verb.function()
    told = parameters_of_docstring(inspect.getdoc(function) or "")
    assert told == list(inspect.signature(function).parameters)


@pytest.mark.parametrize("verb", [*MAGICS.values()], ids=list(MAGICS))
def test_every_parameter_has_a_line_of_help(verb: Verb) -> None:
    shown = help_text(verb, Files(), called=f"%{verb.magic}")
    assert verb.summary in " ".join(shown.split())
    for field in fields(verb.function()):
        assert field.kind.help, f"{verb.python}: {field.name} has no help"
        if field.kind.cell:  # no word of the line
            continue
        assert (field.spelled if field.option else field.kind.metavar) in shown


def test_names_are_used_once() -> None:
    assert len(VERBS) == len(PYTHON) == len({verb.target for verb in VERBS})
    assert len(MAGICS) == sum(bool(verb.magic) for verb in VERBS)
    assert len(COMMANDS) == sum(bool(verb.cli) for verb in VERBS)


def test_python_exports_every_verb_and_type() -> None:
    assert nbmlops.__all__ == sorted([*PYTHON, *nbmlops.TYPES])
    assert set(nbmlops.__all__) <= set(dir(nbmlops))
    for name, verb in PYTHON.items():
        assert getattr(nbmlops, name) is verb.function()
    for name in nbmlops.TYPES:
        assert inspect.isclass(getattr(nbmlops, name))
    with pytest.raises(AttributeError, match="'nothing'"):
        nbmlops.nothing  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "nbmlops/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{statement.module}:{alias.name}"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.asname
    }
    wanted = {name: verb.target for name, verb in PYTHON.items()}
    assert seen == wanted | {name: f"{module}:{name}" for name, module in nbmlops.TYPES.items()}


def row(verb: Verb) -> str:
    """Return the line that README's table has for a verb."""
    magic = f"`{verb.called}`" if verb.magic else "–"
    cli = f"`nbmlops {verb.cli}`" if verb.cli else "–"
    return f"| {magic} | `{verb.python}` | {cli} | {verb.summary} |"


def test_the_readme_lists_every_verb() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    missing = [row(verb) for verb in VERBS if row(verb) not in lines]
    assert not missing, "README.md lacks these lines:\n" + "\n".join(missing)
    magics = {found for line in lines if line.startswith("| `%") for found in re.findall(r"`%+(\w+)`", line)}
    assert magics == set(MAGICS), "README.md lists magics that do not exist"


HEAVY = "mlflow numpy pandas sklearn onnx onnxruntime matplotlib sqlalchemy typer IPython requests"


def test_importing_the_package_imports_nothing_else() -> None:
    script = f"import sys, nbmlops; print(*[name for name in {HEAVY.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.integration
def test_the_surface_type_checks_where_it_is_used(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "tests/typing/surface.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
