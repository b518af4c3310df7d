"""Filters such as ``area=botany, alias=champion``, in any spacing."""

from __future__ import annotations

import re
from collections.abc import Callable

from nbmlops.core.errors import InvalidInput
from nbmlops.registry.records import StoredVersion

Condition = Callable[[StoredVersion], bool]

QUOTED = r"""(?:"[^"]*"|'[^']*')"""
KEY = rf"""(?:{QUOTED}|[^\s,=:!"']+)"""
VALUE = rf"""(?:{QUOTED}|[^\s,=:!"'][^\s,"']*)"""
TERM = re.compile(rf"\s*(?P<key>{KEY})\s*(?P<sign>!=|=|:)\s*(?P<value>{VALUE})\s*(?:,|(?=\s)|$)")
EXPECTED = "conditions such as area=botany or name=flights, alias=champion, or a model's name"


def parse(text: str | None) -> Condition:
    """Return the condition that a filter states; without one, every version passes.

    ``key=value``, ``key = value`` and ``key: value`` are the same; ``key!=value`` is the opposite; several conditions,
    separated by spaces or commas, must all hold. Text with spaces goes in quotes. A lone word is a model's name.

    Raises
    ------
    InvalidInput
        Naming the part that can't be read.
    """
    rest = (text or "").strip()
    if len(rest) > 1 and rest[0] == rest[-1] and rest[0] in "\"'" and rest[0] not in rest[1:-1]:
        rest = rest[1:-1].strip()  # the whole filter in quotes, as a shell leaves it
    terms: list[Condition] = []
    if re.fullmatch(KEY, rest):
        return _term("name", rest.strip("\"'"), opposite=False)
    while rest:
        match = TERM.match(rest)
        if match is None:
            raise InvalidInput(f"the filter can't be read at {rest!r}", expected=EXPECTED)
        key, sign, value = (match[name].strip("\"'") for name in ("key", "sign", "value"))
        terms.append(_term(key, value, opposite=sign == "!="))
        rest = rest[match.end() :].strip()
    return lambda version: all(term(version) for term in terms)


def _term(key: str, value: str, *, opposite: bool) -> Condition:
    key = key.removeprefix("tags.").removeprefix("tag.")
    return lambda version: (value in _values(version, key)) != opposite


def _values(version: StoredVersion, key: str) -> tuple[str, ...]:
    if key == "name":
        return (version.name,)
    if key == "version":
        return (str(version.version),)
    if key in ("alias", "aliases"):
        return version.aliases
    if key == "kind":
        return (version.own.get("kind", ""),)
    tag = version.tags.get(key)
    return () if tag is None else (tag,)
