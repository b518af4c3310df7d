"""Loading is light, once is enough, and unloading takes everything away."""

from __future__ import annotations

import json
import subprocess
import sys

import nbmlops
from nbmlops.testing.shell import Notebook
from nbmlops.workflows.verbs import MAGICS

HEAVY = [
    "mlflow",
    "numpy",
    "pandas",
    "sklearn",
    "scipy",
    "onnx",
    "onnxruntime",
    "skl2onnx",
    "matplotlib",
    "typer",
    "sqlalchemy",
    "torch",
    "shap",
    "pyarrow",
    "polars",
    "uvicorn",
    "prometheus_client",
    "requests",
    "tabulate",
]

PROBE = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "nbmlops")
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_loading_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "nbmlops.notebook.extension" in loaded
    assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []
    assert [name for name in loaded if name.startswith("nbmlops.workflows.")] == ["nbmlops.workflows.verbs"]


def test_loading_again_changes_nothing(cells: Notebook) -> None:
    cells.run("%reload_ext nbmlops")
    nbmlops.load_ipython_extension(cells.shell)
    config = [one for one in cells.shell.configurables if type(one).__name__ == "NbMLOps"]
    assert len(config) == 1
    assert len(cells.shell.Completer.custom_matchers) == 1


def test_unloading_takes_everything_away(cells: Notebook) -> None:
    cells.run("%unload_ext nbmlops")
    assert [name for name in MAGICS if cells.shell.find_line_magic(name) is not None] == []
    assert cells.shell.Completer.custom_matchers == []
    assert not [one for one in cells.shell.configurables if type(one).__name__ == "NbMLOps"]


def test_every_verb_with_a_magic_is_there(cells: Notebook) -> None:
    for name, verb in MAGICS.items():
        assert callable(cells.shell.find_magic(name, "cell" if verb.cell else "line"))
