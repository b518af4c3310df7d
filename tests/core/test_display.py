"""Results as HTML and as text: the same content, escaped, and readable without styles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbmlops.core.display import (
    Card,
    Results,
    Shown,
    Table,
    badge,
    code,
    link,
    local_time,
    picture,
    plain_text,
    rendered,
    results,
    short,
    table,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4


class Reader(HTMLParser):
    """Collect text and tags, and check that every tag is closed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"br", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@example(["<script>", "a & <b>"], "<i>")
@given(st.lists(st.text(), min_size=2, max_size=2), st.text())
def test_nothing_from_outside_becomes_markup(cells: list[str], caption: str) -> None:
    shown = Card(cells[0], {cells[1]: cells[0]}, (table(cells, [cells], caption=caption),), caption)
    allowed = {"div", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "br", "code"}
    assert set(Reader(shown.html).tags) <= allowed


def test_html_and_text_tell_the_same() -> None:
    made = table(["model", "rows", "who"], [["flights/1", 12_345, "<Ann>"], ["flights/2", 7, None]], caption="All")
    read = Reader(made.html).words
    assert read == ["All", "model", "rows", "who", "flights/1", "12345", "<Ann>", "flights/2", "7"]
    assert made.text.splitlines() == [
        "All",
        "model        rows  who",
        "---------  ------  -----",
        "flights/1   12345  <Ann>",
        "flights/2       7",
    ]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 2 cells"):
        table(["a", "b"], [[1]])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (3, "3"),
        (0.123456, "0.1235"),
        (123_456.7, "123,457"),
        (timedelta(seconds=61.4), "0:01:01"),
        (DIGEST, "0123456789ab"),
        ({"area": "botany", "n": 1}, "area=botany, n=1"),
        (("a", "b"), "a, b"),
    ],
)
def test_values_as_text(value: object, shown: str) -> None:
    assert plain_text(value) == shown


def test_times_are_local() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert plain_text(time) == local_time(time) == time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_a_short_digest_keeps_the_whole_one_at_hand() -> None:
    assert short(DIGEST) == "0123456789ab"
    assert short("abc") == "abc"
    assert f'title="{DIGEST}"' in table(["digest"], [[DIGEST]]).html


@pytest.mark.parametrize("tone", ["ok", "warn", "bad"])
def test_a_tone_is_more_than_a_colour(tone: str) -> None:
    assert badge("state", tone).text != "state"  # type: ignore[arg-type]
    assert badge("<b>", tone).text in Reader(badge("<b>", tone).html).words  # type: ignore[arg-type]


def test_pieces_are_escaped() -> None:
    assert code("a<b").html == "<code>a&lt;b</code>"
    assert 'href="http://127.0.0.1:8000/docs"' in link("http://127.0.0.1:8000/docs").html
    assert "href" not in link("javascript:alert(1)", "x").html
    assert 'alt="&lt;plot&gt;"' in picture(b"png", "<plot>").html
    assert picture(b"png", "a plot").text == "a plot"


def test_a_card_leaves_out_what_is_empty() -> None:
    shown = Card("flights/1", {"kind": "sklearn", "tags": {}, "run": "", "rows": 0}, note="%deploy flights/1")
    assert shown.text.splitlines() == ["flights/1", "  kind  sklearn", "  rows  0", "%deploy flights/1"]
    assert "tags" not in shown.html


@dataclass(frozen=True)
class One(Shown):
    name: str

    def _show_(self) -> Card:
        return Card(self.name)


def test_results_are_a_tuple_that_shows_itself() -> None:
    found = results([One("a"), One("b")], {"name": "name", "length": lambda one: len(one.name)})
    assert isinstance(found, Results)
    assert found == (One("a"), One("b"))
    assert found[1].name == "b"
    assert repr(found).splitlines()[-1] == "b              1"
    assert Reader(found._repr_html_()).words == ["name", "length", "a", "1", "b", "1"]
    assert found.to_dict() == {"results": [{"name": "a"}, {"name": "b"}]}


def test_no_results_tell_the_next_step() -> None:
    none = results([], {"name": "name"}, empty="no models yet: <register>")
    assert repr(none) == "no models yet: <register>"
    assert Reader(none._repr_html_()).words == ["no models yet: <register>"]


def test_ipython_shows_text_and_html() -> None:
    from IPython.core.formatters import DisplayFormatter

    for shown in (One("flights"), table(["a"], [["flights"]]), results([One("flights")], {"a": "name"})):
        bundle, _ = DisplayFormatter().format(shown)  # type: ignore[no-untyped-call]
        assert "flights" in bundle["text/plain"]
        assert "One(" not in bundle["text/plain"]
        assert "flights" in bundle["text/html"]


def test_a_terminal_shows_any_result() -> None:
    assert rendered(One("flights")) == "flights"
    assert rendered("text") == "text"
    assert rendered({"a": 1}) == "{'a': 1}"
    assert rendered(Table(("a",), (("x",),))).splitlines()[-1] == "x"
    assert rendered(3) == "3"
