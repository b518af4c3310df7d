"""Model references: ``name/3``, ``name@champion`` or ``name`` (the newest)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nbmlops.core.errors import InvalidInput

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._ -]*[A-Za-z0-9])?\Z")
RESERVED_ALIAS = re.compile(r"(?:latest|v\d+)\Z", re.IGNORECASE)
NAME_LIMIT = 200


@dataclass(frozen=True)
class ModelReference:
    """A parsed reference; at most one of `version` and `alias` is set."""

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Parse ``name/3``, ``name@champion`` or ``name``.

        >>> ModelReference.parse("flights/3")
        ModelReference(name='flights', version=3, alias=None)
        """
        text = str(text).strip()
        if "@" in text:
            name, _, alias = text.partition("@")
            return cls(check_name(name), alias=check_alias(alias))
        name, slash, number = text.partition("/")
        if not slash:
            return cls(check_name(name))
        if not number.isdecimal() or int(number) < 1:
            raise InvalidInput(
                f"{text!r} is no model reference: {number!r} is no version number",
                expected="name/3, name@alias or name",
            )
        return cls(check_name(name), version=int(number))

    def __str__(self) -> str:
        if self.alias is not None:
            return f"{self.name}@{self.alias}"
        return self.name if self.version is None else f"{self.name}/{self.version}"


def check_name(name: str, what: str = "model name") -> str:
    """Return `name`, or raise with a name that would do."""
    if isinstance(name, str) and len(name) <= NAME_LIMIT and NAME.match(name):
        return name
    proposal = re.sub(r"[^A-Za-z0-9._-]+", "-", str(name)).strip("-._ ")[:NAME_LIMIT]
    raise InvalidInput(
        f"{name!r} is no {what}",
        expected="letters, digits, spaces and . _ - inside, a letter or digit at both ends "
        "(no '/' and no '@', which separate versions and aliases)",
        hint=f"Try {proposal!r}." if proposal else None,
    )


def check_alias(alias: str) -> str:
    """Return `alias`, or raise where it is malformed or reserved by MLflow."""
    check_name(alias, "alias")
    if RESERVED_ALIAS.match(alias):
        raise InvalidInput(f"{alias!r} is reserved by MLflow", hint="Choose another alias, such as 'champion'.")
    return alias


def nearest(word: str, known: Iterable[str], most: int = 3) -> str | None:
    """Return ``Did you mean …?`` with the nearest of `known`, or None where nothing is near."""
    known = list(known)
    matches = difflib.get_close_matches(word, known, n=most, cutoff=0.5)
    return f"Did you mean {' or '.join(matches)}?" if matches else None
