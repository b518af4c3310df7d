"""Events: what was appended, in CloudEvents 1.0 shape, and the canonical text that the chain hashes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record, frozen_map, plain
from nbmlops.core.settings import settings

PREFIX: Final = "nbmlops."
GENESIS: Final = "sha256:" + "0" * 64
DATA_LIMIT: Final = 256 * 1024
DEPTH_LIMIT: Final = 32
SUBJECT_LIMIT: Final = 500
INTEGER_LIMIT: Final = 2**53 - 1  # beyond it JSON's numbers lose digits (RFC 8785)

TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+\Z")
UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Event(Record):
    """One entry of the journal, with CloudEvents' own names.

    Attributes
    ----------
    id : str
        UUIDv7.
    source : str
        Which project's journal it comes from.
    type : str
        What happened, such as ``nbmlops.model.registered``.
    subject : str
        To what: ``model/NAME/VERSION``, ``endpoint/NAME``, ``run/ID``.
    time : datetime.datetime
        The database's time at the append, UTC, to the millisecond.
    data : mapping
        What else is known; plain JSON.
    sequence : int
        Place in the journal, from 1 without a gap.
    previous : str
        Digest of the previous event's text.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Any]
    sequence: int
    previous: str = field(repr=False)
    specversion: str = field(default="1.0", repr=False)
    datacontenttype: str = field(default="application/json", repr=False)

    @property
    def kind(self) -> str:
        """The type without its prefix: ``model.registered``."""
        return self.type.removeprefix(PREFIX)

    @property
    def actor(self) -> str:
        """Who did it."""
        return str(self.data.get("actor", ""))

    @property
    def reason(self) -> str:
        """Why, in their own words; empty where none was given."""
        return str(self.data.get("reason", ""))

    def to_dict(self) -> dict[str, Any]:
        """Return the event as CloudEvents JSON (``sequence`` and ``previous`` are extensions)."""
        return {
            "specversion": self.specversion,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": stamp(self.time),
            "datacontenttype": self.datacontenttype,
            "data": plain(self.data),
            "sequence": self.sequence,
            "previous": self.previous,
        }

    @property
    def text(self) -> str:
        """The RFC 8785 canonical text that is stored and hashed."""
        return digests.canonical(self.to_dict()).decode()

    @classmethod
    def from_text(cls, text: str) -> Event:
        """Read a stored text.

        Raises
        ------
        ValueError, KeyError, TypeError
            When the text is no event.
        """
        content = json.loads(text, parse_int=_number)
        content["time"] = datetime.fromisoformat(content["time"])
        content["data"] = frozen_map(content["data"])
        return cls(**content)


def _number(digits: str) -> int | float:
    """Read a number without a point; a large one was a float, which RFC 8785 writes without exponent up to 1e21."""
    value = int(digits)
    return value if abs(value) <= INTEGER_LIMIT else float(value)


@dataclass(frozen=True)
class Draft:
    """What is to be appended, checked."""

    type: str
    subject: str
    data: Mapping[str, Any]


def draft(
    type: str,
    subject: str,
    data: Mapping[str, Any] | None = None,
    *,
    actor: str | None = None,
    reason: str | None = None,
) -> Draft:
    """Check what is to be appended; actor and reason go into its data.

    Raises
    ------
    InvalidInput
        When the type, the subject or the data can't be stored.
    """
    content = {**(data or {}), "actor": actor or settings().actor}
    if reason:
        content["reason"] = reason
    return Draft(check_type(type), check_subject(subject), check_data(content))


def digest(text: str) -> str:
    """Return the digest of an event's text, which the next event carries."""
    return digests.of_bytes(text.encode(errors="surrogateescape"))


def stamp(time: datetime) -> str:
    """Return `time` as stored: UTC to the millisecond, so that texts sort as times do.

    A time without a zone is taken as local.
    """
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def full_type(name: str) -> str:
    """Return `name` with the prefix that stored types have.

    >>> full_type("model.registered")
    'nbmlops.model.registered'
    """
    return name if name.startswith(PREFIX) else PREFIX + name


def check_type(name: str) -> str:
    """Return the stored form of a type, or raise."""
    if not TYPE.match(name):
        raise InvalidInput(f"{name!r} is no event type", expected="lower-case words with dots, as in model.registered")
    return full_type(name)


def check_subject(subject: str) -> str:
    """Return `subject`, or raise where it is empty, too long or unprintable."""
    if not subject or len(subject) > SUBJECT_LIMIT or UNPRINTABLE.search(subject):
        raise InvalidInput(
            f"{subject[:80]!r} is no event subject", expected=f"1 to {SUBJECT_LIMIT} printable characters"
        )
    return subject


def check_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` as plain JSON, or raise an error that names the offending place.

    Raises
    ------
    InvalidInput
        When something in it is no JSON, or all of it is larger than 256 KiB.
    """
    checked = _checked(data, "data", 0)
    assert isinstance(checked, dict)
    size = len(digests.canonical(checked))
    if size > DATA_LIMIT:
        largest = max(checked, key=lambda key: len(digests.canonical(checked[key])))
        raise InvalidInput(
            f"the event's data take {size:,} bytes, most of them in data.{largest}",
            expected=f"at most {DATA_LIMIT:,} bytes",
            hint="Store the content as an artifact and put its digest into the event.",
        )
    return checked


def _checked(value: Any, where: str, depth: int) -> Any:
    if depth > DEPTH_LIMIT:
        raise InvalidInput(f"{where[:80]}… is nested more than {DEPTH_LIMIT} deep")
    if isinstance(value, Mapping):
        return {_text(key, where): _checked(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_checked(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= INTEGER_LIMIT:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    shown = repr(value) if isinstance(value, (int, float)) else f"a {type(value).__name__}"
    raise InvalidInput(
        f"{where} is {shown}, which JSON can't hold",
        expected="dicts with text keys, lists, text, true, false, null, finite numbers and integers below 2**53",
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{where} has the key {value!r}", expected="text as keys")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{where} holds text that is no Unicode (a lone surrogate)") from error
    return str(value)
