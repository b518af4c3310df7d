"""The kinds of parameters that verbs take, declared once for Python, magic and command line.

A verb annotates its parameters with these aliases. A positional parameter becomes an argument of the command and a
keyword-only one an option. Called as plain Python, a verb gets plain values; from a line of text, `commands` reads each
word through the `Parameter` of its alias.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from nbmlops.core.errors import InvalidInput

Completes = Literal["", "model", "endpoint", "alias", "plan", "object", "data", "path"]


class Names(Protocol):
    """Where the words of a line are looked up: a notebook's variables, or files alone."""

    def object(self, word: str) -> Any:
        """Return the object that `word` names (a variable, or a path that exists)."""

    def data(self, word: str) -> Any:
        """Return the data that `word` names (a variable, or what a path or URI holds)."""


@dataclass(frozen=True)
class Parameter:
    """How a parameter looks and is read on a line of text.

    Attributes
    ----------
    help : str
        One line of help.
    metavar : str
        What stands for the value in the usage line.
    completes : str
        What completion offers for it.
    read : callable or None
        Turns the word (or, with `many`, the list of words) into the verb's value; None keeps it.
    many : bool
        Takes several words: repeated as an option, all that follow as an argument.
    option : str
        Name of the option where it is not that of the parameter (``tag`` for ``tags``).
    cell : bool
        It is the text below a cell magic's line, not a word of it.
    """

    help: str = ""
    metavar: str = ""
    completes: Completes = ""
    read: Callable[[Any, Names], Any] | None = None
    many: bool = False
    option: str = ""
    cell: bool = False

    def over(self, below: Parameter) -> Parameter:
        """Return `below` with everything that is said here put over it."""
        return replace(below, **{name: value for name, value in vars(self).items() if value})


def pairs(words: Mapping[str, str] | list[str]) -> dict[str, str]:
    """Read ``k=v`` words into a dict.

    >>> pairs(["area=botany", "owner=Ann Lee"])
    {'area': 'botany', 'owner': 'Ann Lee'}
    """
    if isinstance(words, Mapping):
        return {str(key): str(value) for key, value in words.items()}
    read: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise InvalidInput(f"{word!r} is no tag", expected="key=value, as in area=botany")
        read[key.strip()] = value.strip()
    return read


def splits(words: Mapping[str, float] | list[str]) -> dict[str, float]:
    """Read ``VERSION=PERCENT`` words into a dict.

    >>> splits(["1=90", "2=10%"])
    {'1': 90.0, '2': 10.0}
    """
    if isinstance(words, Mapping):
        return {str(version): float(share) for version, share in words.items()}
    read: dict[str, float] = {}
    for word in words:
        version, _, share = word.partition("=")
        try:
            read[version.strip()] = float(share.strip().rstrip("%"))
        except ValueError:
            raise InvalidInput(
                f"{word!r} is no share of traffic", expected="version=percent, as in 1=90 2=10"
            ) from None
    return read


def percents(text: str | Sequence[float]) -> tuple[float, ...]:
    """Read a list of percentages.

    >>> percents("5,25,50%,100")
    (5.0, 25.0, 50.0, 100.0)
    """
    words = text.split(",") if isinstance(text, str) else text
    try:
        return tuple(float(word.strip().rstrip("%")) if isinstance(word, str) else float(word) for word in words)
    except ValueError:
        raise InvalidInput(f"{text!r} is no list of percentages", expected="5,25,50,100") from None


AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|w|weeks?)\s+ago", re.IGNORECASE)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str | datetime) -> datetime:
    """Read a time: ISO 8601, a time of today (``14:30``), or ``10 min ago``; local where no zone is given.

    >>> moment("2026-11-23T10:00Z")
    datetime.datetime(2026, 11, 23, 10, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(text, datetime):
        return text.astimezone(UTC)
    words = text.strip()
    if words.lower() == "now":
        return datetime.now(UTC)
    ago = AGO.fullmatch(words)
    if ago:
        return datetime.now(UTC) - timedelta(**{UNITS[ago[2][0].lower()]: float(ago[1])})
    today = f"{datetime.now().astimezone():%Y-%m-%d}T"
    try:
        return datetime.fromisoformat(today + words if re.match(r"\d\d:\d\d", words) else words).astimezone(UTC)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no time", expected="2026-11-23T10:00, 2026-11-23, 10:00 (today) or '10 min ago'"
        ) from None


def read_data(value: Any) -> Any:
    """Return the frame that a path or URI holds (``.csv``, ``.parquet``, compressed or not); anything else as it is.

    Raises
    ------
    InvalidInput
        When the file is neither CSV nor Parquet, or can't be read as what its name says.
    """
    if not isinstance(value, (str, Path)):
        return value
    name = str(value)
    if "://" not in name and not Path(name).is_file():
        raise InvalidInput(f"there is no file {name!r}", expected="a .csv or .parquet file, or a data frame")
    import pandas as pd

    suffixes = {suffix.lower() for suffix in Path(name).suffixes[-2:]}
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".pq": pd.read_parquet}
    for suffix, read in readers.items():
        if suffix in suffixes:
            try:
                return read(name)
            except (ValueError, OSError) as error:
                raise InvalidInput(f"{name!r} can't be read as {suffix[1:]}: {error}") from error
    raise InvalidInput(f"{name!r} is of no known format", expected="a .csv or .parquet file")


def _joined(words: str | list[str], names: Names) -> str | None:
    return words if isinstance(words, str) else " ".join(words) or None


ModelRef = Annotated[
    str, Parameter("A model version: name/3, name@alias, or name for the newest.", "REF", completes="model")
]
EndpointName = Annotated[str, Parameter("Name of the endpoint.", "ENDPOINT", completes="endpoint")]
AliasName = Annotated[str, Parameter("The alias, such as champion.", "ALIAS", completes="alias")]
Obj = Annotated[
    Any,
    Parameter(
        "What to register: a variable of the notebook (dots reach attributes), or the path of a file or folder.",
        "OBJ",
        completes="object",
        read=lambda word, names: names.object(word),
    ),
]
DataArg = Annotated[
    Any,
    Parameter(
        "Data: a data frame or array of the notebook, or the path or URI of a .csv or .parquet file.",
        "DATA",
        completes="data",
        read=lambda word, names: names.data(word),
    ),
]
Tags = Annotated[
    Mapping[str, str],
    Parameter(
        "A tag as key=value; may be repeated.",
        "KEY=VALUE",
        read=lambda words, names: pairs(words),
        many=True,
        option="tag",
    ),
]
Assets = Annotated[
    tuple[str | Path, ...],
    Parameter(
        "A file or folder that goes with the model; may be repeated.",
        "PATH",
        completes="path",
        read=lambda words, names: tuple(Path(word).expanduser() for word in words),
        many=True,
        option="asset",
    ),
]
Filter = Annotated[
    str,
    Parameter(
        "Only what matches, as in area=botany (several are joined by and); a lone word is a model's name.",
        "FILTER",
        read=_joined,
        many=True,
    ),
]
Splits = Annotated[
    Mapping[str, float],
    Parameter("Percent of traffic for each version.", "VERSION=PERCENT", read=lambda w, names: splits(w), many=True),
]
Percents = Annotated[Sequence[float], Parameter(metavar="PERCENT,…", read=lambda word, names: percents(word))]
Duration = Annotated[float | str, Parameter(metavar="TIME", read=lambda word, names: word)]
Time = Annotated[
    str | datetime,
    Parameter(
        "A moment: 2026-11-23T10:00, 10:00 (today), '10 min ago'; local time where no zone is given.",
        "TIME",
        read=lambda words, names: moment(" ".join(words)),
        many=True,
    ),
]
Folder = Annotated[
    str | Path,
    Parameter("The folder to write into.", "DIR", completes="path", read=lambda word, names: Path(word).expanduser()),
]
Quantized = Annotated[bool, Parameter("Hold a network's weights in eight bits, where it still answers the same.")]
Optimized = Annotated[str, Parameter("Simplify the graph once and not at every load: basic or extended.", "LEVEL")]
Provider = Annotated[str, Parameter("What ONNX Runtime computes on, such as cuda; by default the CPU.", "NAME")]
Reason = Annotated[str, Parameter("Why: kept in the journal.", "TEXT")]
Trust = Annotated[bool, Parameter("Let code be loaded that this workspace did not register: unpickling runs it.")]
