"""The command line: the same verbs, one line of error, exit codes, JSON, and a fast help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from nbmlops import __version__
from nbmlops.cli.main import as_commands, status
from nbmlops.core.display import Results, results
from nbmlops.core.errors import NotFound
from nbmlops.core.progress import stage
from nbmlops.core.records import ModelVersion
from nbmlops.workflows import verbs
from nbmlops.workflows.parameters import ModelRef, Obj
from nbmlops.workflows.verbs import COMMANDS, Verb


def find(ref: ModelRef, *, bug: bool = False) -> ModelVersion:
    """Find one version."""
    stage("looking")
    if bug:
        raise ZeroDivisionError("a bug")
    if ref != "flights/1":
        raise NotFound(f"no model is named {ref!r}", hint="List the models with: %models")
    return ModelVersion("flights", 1, tags={"area": "botany"})


def listed() -> Results[ModelVersion]:
    """List them."""
    return results([ModelVersion("flights", 1)], {"model": "reference"})


def take(obj: Obj) -> str:
    """Take a file."""
    return f"{type(obj).__name__} {obj.name}"


@pytest.fixture(autouse=True)
def _stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    stubs = types.ModuleType("nbmlops_stub_commands")
    monkeypatch.setitem(sys.modules, stubs.__name__, stubs)
    for function in (find, listed, take):
        setattr(stubs, function.__name__, function)
        verb = Verb(function.__name__, f"{stubs.__name__}:{function.__name__}", "x", cli=function.__name__)
        monkeypatch.setitem(verbs.COMMANDS, function.__name__, verb)


def test_a_result_is_printed_and_stages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["find", "flights/1"]) == 0
    out, err = capsys.readouterr()
    assert "flights/1" in out
    assert "area=botany" in out
    assert err == "looking …\n"


@pytest.mark.parametrize("argv", [["--json", "find", "flights/1"], ["find", "flights/1", "--json"]])
def test_json_is_the_records_own(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status(argv) == 0
    assert json.loads(capsys.readouterr().out)["tags"] == {"area": "botany"}


def test_json_of_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["listed", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["results"]] == ["flights"]


def test_an_error_is_one_line_with_the_commands_name_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["find", "flight"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[1:] == ["NotFound: no model is named 'flight'. List the models with: nbmlops models."]


@pytest.mark.parametrize("argv", [["find", "flight", "--traceback"], ["--traceback", "find", "flight"]])
def test_the_traceback_is_shown_when_asked(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status(argv) == 1
    assert "raise NotFound" in capsys.readouterr().err


def test_the_environment_asks_for_the_traceback_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBMLOPS_TRACEBACK", "1")
    assert status(["find", "flight"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        status(["find", "flights/1", "--bug"])


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["fnd"], "no such command 'fnd'. Did you mean 'find'? See nbmlops --help."),
        (["find"], "nbmlops find: missing argument 'REF'. See nbmlops find --help."),
        (["find", "a", "--bgu"], "nbmlops find has no option --bgu. Did you mean --bug? See nbmlops find --help."),
        (["--workspce", "x", "find"], "nbmlops has no option --workspce. Did you mean --workspace?"),
        (["--workspace", "/nowhere/at/all", "find", "a"], "'/nowhere/at/all' is no folder"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_line_and_status_2(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(argv) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_path_is_a_file_that_exists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.onnx").touch()
    assert status(["take", str(tmp_path / "model.onnx")]) == 0
    assert "model.onnx" in capsys.readouterr().out
    assert status(["take", str(tmp_path / "modle.onnx")]) == 1
    assert "Did you mean model.onnx?" in capsys.readouterr().err


def test_the_workspace_is_the_one_that_was_named(tmp_path: Path) -> None:
    assert status(["--workspace", str(tmp_path), "listed"]) == 0
    assert os.environ["NBMLOPS_WORKSPACE"] == str(tmp_path)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["--version"]) == 0
    assert capsys.readouterr().out == f"nbmlops {__version__}\n"
    assert status([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS if name not in {"find", "listed", "take"})


def test_advice_for_the_notebook_becomes_advice_for_the_shell() -> None:
    assert as_commands("Try %delete_model a/1 or %track or 5 % of %s") == (
        "Try nbmlops delete-model a/1 or %track or 5 % of %s"
    )


HEAVY = [
    "mlflow",
    "numpy",
    "pandas",
    "sklearn",
    "onnx",
    "onnxruntime",
    "matplotlib",
    "sqlalchemy",
    "IPython",
    "requests",
    "uvicorn",
    "rich",
]


def test_the_help_imports_no_verb_and_nothing_heavy() -> None:
    script = (
        "import sys; from nbmlops.cli.main import status; code = status(['--help']);"
        f"loaded = [name for name in {HEAVY} if name in sys.modules];"
        "loaded += [name for name in sys.modules if name in ('nbmlops.workflows.deploy', 'nbmlops.journal')];"
        "sys.exit(f'{code} {loaded}' if code or loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nbmlops.cli", *argv]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_it_runs_as_a_program() -> None:
    done = run("deploy")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "UsageError: nbmlops deploy: missing argument 'REF'. See nbmlops deploy --help."
    ]


def test_a_shell_can_complete_commands_and_options() -> None:
    found = run(_NBMLOPS_COMPLETE="complete_bash", COMP_WORDS="nbmlops und", COMP_CWORD="1")
    assert found.stdout.split() == ["undeploy"]
    found = run(_NBMLOPS_COMPLETE="complete_bash", COMP_WORDS="nbmlops tag --r", COMP_CWORD="2")
    assert found.stdout.split() == ["--reason"]
