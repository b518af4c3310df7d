"""A verb's signature is its command: arguments, options, flags, defaults, help, errors."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.workflows import commands
from nbmlops.workflows.commands import Files, UsageError, documentation, fields, help_text, words
from nbmlops.workflows.parameters import Assets, Filter, Folder, ModelRef, Parameter, Splits, Tags, Time
from nbmlops.workflows.verbs import Verb

if TYPE_CHECKING:
    from nowhere_to_be_found import Result


def serve(
    ref: ModelRef,
    *,
    target: Annotated[str, Parameter("Where to.", "TARGET")] = "local",
    cpu: Annotated[float, Parameter("Cores.")] | None = None,
    workers: int = 1,
    level: Literal["low", "high"] = "low",
    tags: Tags | None = None,
    assets: Assets = (),
    auth: Annotated[bool, Parameter("No token.")] = True,
) -> Result:
    """Serve it.

    In more words.

    Raises
    ------
    Refused
    """
    return dict(locals())  # type: ignore[return-value]


def split(endpoint: str, shares: Splits) -> Any:
    """Split."""
    return endpoint, shares


def find(filter: Filter | None = None) -> Any:
    """Find."""
    return filter


def when(time: Time) -> Any:
    """Tell."""
    return time


def write(ref: ModelRef, folder: Folder) -> Any:
    """Write."""
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    stubs = types.ModuleType("nbmlops_stub_functions")
    monkeypatch.setitem(sys.modules, stubs.__name__, stubs)

    def run(function: Callable[..., Any], line: str) -> Any:
        setattr(stubs, function.__name__, function)
        verb = Verb(function.__name__, f"{stubs.__name__}:{function.__name__}", "x", cli=function.__name__)
        return commands.run(verb, words(line), Files(), called=f"%{function.__name__}")

    return run


def test_positional_is_an_argument_and_keyword_only_an_option() -> None:
    by_name = {field.name: field for field in fields(serve)}
    assert [name for name, field in by_name.items() if not field.option] == ["ref"]
    assert {field.spelled for field in by_name.values() if field.option} == {
        *("--target", "--cpu", "--workers", "--level", "--tag", "--asset", "--no-auth"),
    }


def test_values_have_their_types(run: Callable[..., Any]) -> None:
    line = "flights/3 --cpu 1.5 --workers 2 --level high --tag a=b --tag 'c=d e' --asset ~/words.txt --no-auth"
    assert run(serve, line) == {
        "ref": "flights/3",
        "target": "local",
        "cpu": 1.5,
        "workers": 2,
        "level": "high",
        "tags": {"a": "b", "c": "d e"},
        "assets": (Path("~/words.txt").expanduser(),),
        "auth": False,
    }


def test_options_may_stand_anywhere(run: Callable[..., Any]) -> None:
    assert run(serve, "--cpu 1 flights") == run(serve, "flights --cpu 1") == run(serve, "flights --cpu=1")


def test_several_words_are_one_value(run: Callable[..., Any]) -> None:
    assert run(split, "flights 1=90 2=10") == ("flights", {"1": 90.0, "2": 10.0})
    assert run(find, "area = botany") == "area = botany"
    assert run(find, "") is None
    assert run(when, "2026-01-01T00:00Z").year in {2025, 2026}
    assert run(write, "flights ~/out") == Path("~/out").expanduser()


@pytest.mark.parametrize(
    ("function", "line", "told"),
    [
        (serve, "", "missing argument 'REF'"),
        (serve, "a b", "unexpected extra argument"),
        (serve, "a --cpu many", "'--cpu'"),
        (serve, "a --workers 1.5", "'--workers'"),
        (serve, "a --level middle", "'--level'"),
        (serve, "a --auth", "has no option --auth. Did you mean --no-auth?"),
        (serve, "a --cpus 1", "has no option --cpus. Did you mean --cpu?"),
        (split, "flights", "missing argument 'VERSION=PERCENT'"),
        (when, "", "missing argument 'TIME'"),
    ],
)
def test_a_wrong_line_is_one_line_that_names_the_help(
    run: Callable[..., Any], function: Callable[..., Any], line: str, told: str
) -> None:
    with pytest.raises(UsageError) as raised:
        run(function, line)
    assert told in str(raised.value)
    assert str(raised.value).endswith(f"See %{function.__name__} --help.")
    assert "\n" not in str(raised.value)


def test_a_value_that_can_be_read_but_not_taken(run: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match="'ab' is no tag"):
        run(serve, "flights --tag ab")


def test_an_open_quote() -> None:
    with pytest.raises(UsageError, match="Close the quote"):
        words("--name 'my model")


def test_help_is_printed_and_nothing_runs(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(serve, "--help") is None
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "Usage: %serve [OPTIONS] REF"
    for text in ("Serve it.", "In more words.", "--target TARGET", "Where to.", "[default: local]", "--cpu NUMBER"):
        assert text in shown
    assert "Raises" not in shown
    assert "<" not in shown  # no Python types


def test_the_help_text_is_what_help_prints(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(split, "--help")
    verb = Verb("split", "nbmlops_stub_functions:split", "x", cli="split")
    assert help_text(verb, Files(), called="%split") == capsys.readouterr().out.rstrip("\n")
    assert "VERSION=PERCENT..." in help_text(verb, Files(), called="%split")


def test_a_docstring_ends_at_its_first_section() -> None:
    assert documentation(serve) == "Serve it.\n\nIn more words."
    assert documentation(lambda: None) == ""


def test_paths_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert Files().object(str(tmp_path / "model.onnx")) == tmp_path / "model.onnx"
    with pytest.raises(NotFound, match=r"Did you mean model\.onnx"):
        Files().object(str(tmp_path / "modl.onnx"))
    (tmp_path / "rows.csv").write_text("a\n1\n")
    assert Files().data(str(tmp_path / "rows.csv"))["a"].tolist() == [1]
