"""How results look: tables and cards as HTML and as plain text, from the same declaration.

The HTML stays readable where styles are stripped (GitHub) and takes its colours from the page, so that it is right on
light and dark backgrounds. A meaning is never carried by colour alone.
"""

from __future__ import annotations

import base64
import html
import pprint
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeVar

T = TypeVar("T")
Tone = Literal["ok", "warn", "bad", "info", "muted"]

# Mid tones: each has a contrast of at least 3 on white and on JupyterLab's dark grey.
COLOURS: Mapping[str, str] = {
    "ok": "#2a9d5c",
    "warn": "#c77d0a",
    "bad": "#dd4b4b",
    "info": "#3b8bd0",
    "muted": "#8a8a8a",
}
SIGNS: Mapping[str, str] = {"ok": "✓ ", "warn": "▲ ", "bad": "✗ ", "info": "", "muted": ""}
LINE = "1px solid rgba(128,128,128,.35)"
DIGEST_LENGTH = 12


class Forms(Protocol):
    """What can be shown as HTML and as plain text."""

    @property
    def html(self) -> str: ...

    @property
    def text(self) -> str: ...


class _Both:
    """Mixin of what has both `Forms`: the notebook shows the one, the terminal the other."""

    def _repr_html_(self: Forms) -> str:
        return self.html

    def _repr_mimebundle_(self: Forms, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # Not _repr_pretty_: IPython would find the __repr__ of a dataclass before it.
        return {"text/plain": self.text, "text/html": self.html}

    def __str__(self: Forms) -> str:
        return self.text


@dataclass(frozen=True)
class Html(_Both):
    """A piece that is already safe HTML, with the plain text that stands for it.

    Attributes
    ----------
    html : str
        Markup; whatever came from outside is escaped in it.
    text : str
        What a terminal shows instead.
    """

    html: str
    text: str


def badge(text: str, tone: Tone = "info") -> Html:
    """Return a short state (``healthy``, ``refused``) with a sign and a colour of its tone."""
    words = f"{SIGNS[tone]}{text}"
    return Html(f'<span style="color:{COLOURS[tone]};font-weight:600">{html.escape(words)}</span>', words)


def code(text: str) -> Html:
    """Return `text` in a fixed-width font."""
    return Html(f"<code>{html.escape(text)}</code>", text)


def link(url: str, text: str | None = None) -> Html:
    """Return a link; only http, https and relative addresses become one."""
    label = text or url
    if url.partition(":")[0].lower() not in {"http", "https"} and ":" in url.partition("/")[0]:
        return Html(html.escape(label), label)
    return Html(f'<a href="{html.escape(url)}" target="_blank">{html.escape(label)}</a>', url)


def picture(png: bytes, alt: str) -> Html:
    """Return a PNG as an image inside the HTML, and `alt` as its text."""
    data = base64.b64encode(png).decode("ascii")
    return Html(f'<img style="max-width:100%" alt="{html.escape(alt)}" src="data:image/png;base64,{data}">', alt)


def short(digest: str) -> str:
    """Return the first 12 hexadecimal digits of a digest.

    >>> short("sha256:0123456789abcdef0123")
    '0123456789ab'
    """
    return digest.partition(":")[2][:DIGEST_LENGTH] or digest[:DIGEST_LENGTH]


def local_time(moment: datetime) -> str:
    """Return a moment in local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def plain_text(value: object) -> str:
    """Return `value` as a short text for a cell of a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, datetime):
        return local_time(value)
    if isinstance(value, timedelta):
        return str(timedelta(seconds=round(value.total_seconds())))
    if isinstance(value, str):
        return short(value) if value.startswith("sha256:") else value
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={plain_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(plain_text(item) for item in value)
    return str(value)


def markup(value: object) -> str:
    """Return `value` as safe HTML for a cell of a table."""
    if isinstance(value, Html):
        return value.html
    if isinstance(value, str) and value.startswith("sha256:"):
        return f'<code title="{html.escape(value)}">{html.escape(short(value))}</code>'
    if isinstance(value, (list, tuple)):
        return ", ".join(markup(item) for item in value)
    return html.escape(plain_text(value)).replace("\n", "<br>")


@dataclass(frozen=True)
class Table(_Both):
    """Rows under headers.

    Attributes
    ----------
    headers : tuple of str
    rows : tuple of tuple
        Cells: text, numbers, moments, mappings, sequences or `Html`.
    caption : str
        One line above the table.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    caption: str = ""

    @property
    def html(self) -> str:
        """The table as an HTML fragment, escaped."""
        caption = (
            f'<caption style="text-align:left;caption-side:top">{html.escape(self.caption)}</caption>'
            if self.caption
            else ""
        )
        head = "".join(
            f'<th style="text-align:left;border-bottom:{LINE}">{html.escape(name)}</th>' for name in self.headers
        )
        body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in self.rows)
        return (
            f'<table class="nbmlops" style="border-collapse:collapse;margin:.3em 0">{caption}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    @property
    def text(self) -> str:
        """The table as plain text."""
        from tabulate import tabulate

        rows = [[plain_text(value) for value in row] for row in self.rows]
        numeric = [_is_number_column(self.rows, place) for place in range(len(self.headers))]
        align = ["right" if number else "left" for number in numeric]
        grid = tabulate(rows, headers=self.headers, tablefmt="simple", disable_numparse=True, colalign=align)
        return f"{self.caption}\n{grid}" if self.caption else grid


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_number_column(rows: Sequence[Sequence[object]], place: int) -> bool:
    cells = [row[place] for row in rows if row[place] is not None]
    return bool(cells) and all(_is_number(cell) for cell in cells)


def _cell(value: object) -> str:
    align = "right" if _is_number(value) else "left"
    wrap = ";white-space:nowrap" if isinstance(value, datetime) else ""
    return f'<td style="text-align:{align};vertical-align:top{wrap}">{markup(value)}</td>'


def table(headers: Iterable[str], rows: Iterable[Iterable[object]], *, caption: str | None = None) -> Table:
    """Return a table; every row has as many cells as there are headers."""
    made = Table(tuple(headers), tuple(tuple(row) for row in rows), caption or "")
    if any(len(row) != len(made.headers) for row in made.rows):
        raise ValueError(f"every row needs {len(made.headers)} cells, one for each of {', '.join(made.headers)}")
    return made


@dataclass(frozen=True)
class Card(_Both):
    """One result: a title, fields in two columns, tables and pictures below, and a closing note.

    Attributes
    ----------
    title : str or Html
    fields : mapping of str to object
        Label to value; a field whose value is empty (None, "", (), {}) is left out.
    tables : tuple of Table or Html
    note : str or Html
        What to do next, or what to know.
    """

    title: str | Html
    fields: Mapping[str, object] = field(default_factory=dict)
    tables: tuple[Table | Html, ...] = ()
    note: str | Html = ""

    def _shown(self) -> dict[str, object]:
        return {label: value for label, value in self.fields.items() if value not in (None, "", (), [], {})}

    @property
    def html(self) -> str:
        """The card as an HTML fragment, escaped."""
        rows = "".join(
            '<tr><th scope="row" style="text-align:left;vertical-align:top;font-weight:normal;white-space:nowrap;'
            'opacity:.75">'
            f'{html.escape(label)}</th><td style="text-align:left">{markup(value)}</td></tr>'
            for label, value in self._shown().items()
        )
        fields = f'<table class="nbmlops" style="border-collapse:collapse;margin:.3em 0">{rows}</table>' if rows else ""
        tables = "".join(part.html for part in self.tables)
        note = f'<div style="margin-top:.3em">{markup(self.note)}</div>' if self.note else ""
        return f'<div class="nbmlops"><strong>{markup(self.title)}</strong>{fields}{tables}{note}</div>'

    @property
    def text(self) -> str:
        """The card as plain text."""
        fields = self._shown()
        width = max((len(label) for label in fields), default=0)
        parts = [str(self.title)]
        parts += [f"  {label:<{width}}  {_plain(value, width + 4)}" for label, value in fields.items()]
        parts += [f"\n{part.text}" for part in self.tables]
        if self.note:
            parts.append(f"\n{self.note}" if self.tables else str(self.note))
        return "\n".join(parts)


def _plain(value: object, indent: int) -> str:
    return plain_text(value).replace("\n", "\n" + " " * indent)


class Shown:
    """Mixin of a result that says how it looks: implement ``_show_``.

    The notebook shows its HTML and the terminal its text; ``repr`` stays what the class makes it.
    """

    __slots__ = ()

    def _show_(self) -> Card | Table:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._show_().html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self._show_().text, "text/html": self._repr_html_()}


Column = str | Callable[[Any], object]


class Results(tuple[T, ...], Generic[T]):
    """A frozen list of records that shows itself as a table.

    It is a tuple: it has a length, an order, members by index, and compares by content.
    """

    columns: Mapping[str, Column]
    empty: str

    @property
    def table(self) -> Table:
        """The records as a table."""
        return table(self.columns, ([_pick(record, how) for how in self.columns.values()] for record in self))

    def to_dict(self) -> dict[str, Any]:
        """Return the records as JSON-ready data, under ``results``."""
        from nbmlops.core.records import plain

        return {"results": [one.to_dict() if hasattr(one, "to_dict") else plain(one) for one in self]}

    def _repr_html_(self) -> str:
        return self.table.html if self else f'<em class="nbmlops">{html.escape(self.empty)}</em>'

    def __repr__(self) -> str:
        return self.table.text if self else self.empty


def _pick(record: object, how: Column) -> object:
    return getattr(record, how) if isinstance(how, str) else how(record)


def results(records: Iterable[T], columns: Mapping[str, Column], *, empty: str = "nothing yet") -> Results[T]:
    """Return `records` as a sequence that shows itself.

    Parameters
    ----------
    records : iterable
    columns : mapping of str to (str or callable)
        Header to the name of an attribute, or to a function of the record.
    empty : str
        What is shown where there are no records: the next step.
    """
    made = Results(records)
    made.columns = dict(columns)
    made.empty = empty
    return made


def rendered(value: object) -> str:
    """Return what a terminal shows for any result."""
    if isinstance(value, Shown):
        return value._show_().text
    if isinstance(value, (str, Html, Table, Card, Results)):
        return str(value)
    return pprint.pformat(value, width=100) if isinstance(value, (dict, list, tuple)) else str(value)
