"""From a verb's typed function to its command: what the magic and the command line run.

The function's signature is the declaration. Typer makes the Click command of it; this module only says which of its
parameters are arguments and which options, and reads the words with the parameters' own readers.
"""

from __future__ import annotations

import inspect
import re
import shlex
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand
from typer.main import get_command

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.references import nearest
from nbmlops.workflows.candidates import candidates
from nbmlops.workflows.parameters import Names, Parameter, read_data
from nbmlops.workflows.verbs import Verb

# Newer Typer carries its own copy of Click: this ancestor of BadParameter is Click's base error under either.
ClickError: type[Exception] = typer.BadParameter.__mro__[2]
OPTIONS = "[OPTIONS]"
METAVARS: dict[Any, str] = {int: "NUMBER", float: "NUMBER", str: "TEXT"}
SECTION = re.compile(r"\n[A-Z][\w ]+\n-{3,}")


class UsageError(InvalidInput):
    """A line that can't be read: an unknown option, a missing argument, a quote left open."""


class VerbCommand(TyperCommand):
    """A command whose usage and help name its arguments as the verb does, without Python's types."""

    def _arguments(self) -> list[Any]:
        return [parameter for parameter in self.params if parameter.param_type_name == "argument"]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return ``[OPTIONS] REF ALIAS``."""
        shown = [f"{one.metavar}{'...' if one.nargs == -1 else ''}" for one in self._arguments()]
        required = [one.required for one in self._arguments()]
        return [OPTIONS, *(text if must else f"[{text}]" for text, must in zip(shown, required, strict=True))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        arguments = [(one.metavar, one.help or "") for one in self._arguments()]
        records = (one.get_help_record(ctx) for one in self.get_params(ctx) if one.param_type_name == "option")
        for title, rows in (("Arguments", arguments), ("Options", [row for row in records if row])):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Files:
    """Names of the command line: words are paths."""

    def object(self, word: str) -> Path:
        """Return the path of a file or folder that exists."""
        path = Path(word).expanduser()
        if path.exists():
            return path
        near = nearest(path.name, (other.name for other in path.parent.glob("*")))
        raise NotFound(f"there is no file or folder {word!r}", hint=near)

    def data(self, word: str) -> Any:
        """Return the frame that the file or URI holds."""
        return read_data(word if "://" in word else Path(word).expanduser())


@dataclass(frozen=True)
class Field:
    """One parameter of a verb, as a command sees it."""

    name: str
    kind: Parameter
    base: Any
    default: Any
    option: bool

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def inverted(self) -> bool:
        """Whether it is a flag that is on by default, so that the option turns it off."""
        return self.default is True

    @property
    def takes_value(self) -> bool:
        return self.base is not bool

    @property
    def spelled(self) -> str:
        """The option as it is typed: ``--tag``, ``--no-auth``."""
        name = (self.kind.option or self.name).replace("_", "-")
        return f"--no-{name}" if self.inverted else f"--{name}"

    def for_typer(self) -> inspect.Parameter:
        """Return the parameter that Typer reads: words for whatever has a reader, else the plain type."""
        worded = self.kind.read is not None or self.kind.many
        base = list[str] if self.kind.many else str if worded else self.base
        default = None if worded and not self.required else False if self.inverted else self.default
        says: dict[str, Any] = {"help": self.kind.help or None}
        if self.takes_value:
            says["metavar"] = self.kind.metavar or METAVARS.get(base, "VALUE")
        if self.kind.completes:
            says["autocompletion"] = _completer(self.kind)
        if not self.option:
            marker = typer.Argument(show_default=False, **says)
        else:
            marker = typer.Option(self.spelled, show_default=default is not None and self.takes_value, **says)
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[base, marker]
        )

    def read(self, value: Any, names: Names) -> Any:
        """Return what the verb takes for the words that were given."""
        if self.inverted:
            return not value
        return value if self.kind.read is None else self.kind.read(value, names)


def _completer(kind: Parameter) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in candidates(kind.completes) if word.startswith(incomplete)]

    return complete


def fields(function: Callable[..., Any]) -> tuple[Field, ...]:
    """Return the parameters of a verb's function in the order of its signature."""
    signature = inspect.signature(function)
    stated = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    # Only the parameters' annotations are evaluated: a result's type may be imported for type checkers alone.
    holder = types.SimpleNamespace(__annotations__=stated)
    hints = get_type_hints(holder, globalns=getattr(function, "__globals__", {}), include_extras=True)
    return tuple(
        Field(
            name,
            *_split(hints[name]),
            default=parameter.default,
            option=parameter.kind is inspect.Parameter.KEYWORD_ONLY,
        )
        for name, parameter in signature.parameters.items()
    )


def _split(annotation: Any) -> tuple[Parameter, Any]:
    """Return the `Parameter` and the plain type of an annotation, under ``| None`` or not."""
    if get_origin(annotation) is Annotated:
        base, *notes = get_args(annotation)
        kind, plain = _split(base)
        for note in notes:
            kind = note.over(kind) if isinstance(note, Parameter) else kind
        return kind, plain
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        for member in members:
            if get_origin(member) is Annotated:
                return _split(member)
        return Parameter(), members[0]
    return Parameter(), annotation


def documentation(function: Callable[..., Any]) -> str:
    """Return what a docstring says before its first section."""
    return SECTION.split(inspect.getdoc(function) or "")[0].strip()


def command(verb: Verb, names: Names, cell: str = "") -> Any:
    """Return the Click command of a verb; it reads words through `names` and returns the verb's result.

    `cell` is the text below the line of a cell magic.
    """
    function = verb.function()
    every = fields(function)
    known = {field.name: field for field in every if not field.kind.cell}
    below = {field.name: cell for field in every if field.kind.cell}

    def call(**given: Any) -> Any:
        # A value left out stays left out, so that the function's own default holds.
        values = {name: value for name, value in given.items() if value is not None and value != []}
        return function(**below, **{name: known[name].read(value, names) for name, value in values.items()})

    call.__signature__ = inspect.Signature([field.for_typer() for field in known.values()])  # type: ignore[attr-defined]
    call.__annotations__ = {}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(verb.cli or verb.python, cls=VerbCommand, help=documentation(function))(call)
    return get_command(app)


def help_text(verb: Verb, names: Names, *, called: str) -> str:
    """Return what ``--help`` prints for a verb that is called `called`."""
    made = command(verb, names)
    with made.make_context(called, [], resilient_parsing=True) as context:
        text: str = made.get_help(context)
    return text


def words(line: str) -> list[str]:
    """Split a line as a shell would, so that ``--name "my model"`` is two words.

    Raises
    ------
    UsageError
        When a quote is left open.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"the line can't be read: {error}", hint="Close the quote.") from error


def run(verb: Verb, argv: Sequence[str], names: Names, *, called: str, cell: str = "") -> Any:
    """Run a verb on words and return its result; None where ``--help`` was printed.

    Parameters
    ----------
    verb : Verb
    argv : sequence of str
        The words after the verb's name.
    names : Names
        Where words are looked up.
    called : str
        How the user called it (``%deploy``, ``nbmlops deploy``), for usage and errors.
    cell : str
        The text below the line of a cell magic.

    Raises
    ------
    UsageError
        When the words do not fit the verb's parameters.
    """
    made = command(verb, names, cell)
    try:
        with made.make_context(called, list(argv)) as context:
            return made.invoke(context)
    except typer.Exit:
        return None
    except ClickError as error:
        raise usage_error(error, made, called) from error


def usage_error(error: Any, made: Any, called: str) -> UsageError:
    """Return Click's complaint in one line that names the nearest option and the way to the help."""
    more = f"See {called} --help."
    option = getattr(error, "option_name", None)
    if option is not None and type(error).__name__ == "NoSuchOption":
        options = [name for parameter in made.params for name in (*parameter.opts, *parameter.secondary_opts)]
        near = nearest(option, [name for name in options if name.startswith("--")], most=1)
        return UsageError(f"{called} has no option {option}", hint=f"{near} {more}" if near else more)
    complaint = error.format_message().rstrip(".")
    return UsageError(f"{called}: {complaint[:1].lower()}{complaint[1:]}", hint=more)
