"""The entry point ``nbmlops``."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import nbmlops
from nbmlops.core.display import rendered
from nbmlops.core.errors import NbmlopsError
from nbmlops.core.progress import stages
from nbmlops.core.records import plain
from nbmlops.workflows.commands import ClickError, Files, command, usage_error
from nbmlops.workflows.verbs import COMMANDS, MAGICS

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
SWITCHES = ("--json", "--traceback")  # taken before and after the command's name alike
MAGIC = re.compile(r"%([a-z_]+)")


class VerbCommands(Mapping[str, Any]):
    """Commands by name, each built when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return command(COMMANDS[name], Files())

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class VerbGroup(TyperGroup):
    """The group of all verbs; its own help imports none of them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = VerbCommands()  # type: ignore[assignment]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with its summary."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in COMMANDS.items()])


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nbmlops {nbmlops.__version__}")
        raise typer.Exit


def _global_options(
    workspace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The project's folder; default: found from here up.")
    ] = None,
    *,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the whole traceback of an error (or set NBMLOPS_TRACEBACK=1).")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """From the cell a model was fitted in to production and back."""
    if workspace is not None:
        if not workspace.is_dir():
            raise typer.BadParameter(f"{str(workspace)!r} is no folder", param_hint="--workspace")
        os.environ["NBMLOPS_WORKSPACE"] = str(workspace)
    if show_traceback:
        os.environ["NBMLOPS_TRACEBACK"] = "1"


def as_commands(text: str) -> str:
    """Return a text in which the advice to use a magic is advice to use the command."""

    def named(found: re.Match[str]) -> str:
        verb = MAGICS.get(found[1])
        return f"nbmlops {verb.cli}" if verb is not None and verb.cli else found[0]

    return MAGIC.sub(named, text)


def _stage(text: str) -> None:
    print(f"{text} …", file=sys.stderr)  # noqa: T201


def _app() -> Any:
    app = typer.Typer(cls=VerbGroup, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_global_options)
    return get_command(app)


def _print(result: Any, as_json: bool) -> None:
    if result is None:
        return
    if as_json:
        data = result.to_dict() if hasattr(result, "to_dict") else plain(result)
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        typer.echo(as_commands(rendered(result)))


def _fail(error: BaseException, status: int) -> int:
    if os.environ.get("NBMLOPS_TRACEBACK", "") not in {"", "0"}:
        traceback.print_exception(error)
    else:
        typer.echo(as_commands(f"{type(error).__name__}: {error}"), err=True)
    return status


def _complete(app: Any) -> None:
    """Answer a shell's request for completion, which Typer does where a command is run as a script."""
    if "_NBMLOPS_COMPLETE" in os.environ:
        app.main(prog_name="nbmlops")


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 when done, 1 on an error, 2 when the line can't be read."""
    sys.exit(status(list(sys.argv[1:] if argv is None else argv)))


def status(argv: list[str]) -> int:
    """Run one command and return its exit status; an error is one line on stderr."""
    app = _app()
    _complete(app)
    called = "nbmlops"
    anywhere = [word for word in argv if word in SWITCHES]
    words = [*anywhere, *(word for word in argv if word not in SWITCHES)]
    try:
        with app.make_context(called, words or ["--help"]) as context, stages(_stage):
            result = app.invoke(context)
            _print(result, context.params["json_output"])
    except typer.Exit as done:
        return done.exit_code
    except NbmlopsError as error:
        return _fail(error, FAILED)
    except ClickError as error:
        made = getattr(getattr(error, "ctx", None), "command", app)
        path = getattr(getattr(error, "ctx", None), "command_path", called)
        return _fail(usage_error(error, made, path), MISUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
