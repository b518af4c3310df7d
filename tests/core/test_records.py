"""Records: frozen, compared by content, and plain data on demand."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from nbmlops.core.records import ModelVersion, Record, frozen_map, plain


class Colour(Enum):
    """An enumeration."""

    RED = "red"


@dataclass(frozen=True)
class Inner(Record):
    """A record inside a record."""

    number: int
    hidden: object = field(default=None, repr=False)


def test_everything_becomes_json_ready() -> None:
    value = {
        "inner": Inner(1, hidden=object()),
        "map": frozen_map({"a": (1, 2)}),
        "when": datetime(2013, 1, 1, tzinfo=UTC),
        "path": Path("a/b"),
        "enum": Colour.RED,
        3: {True},
        "numbers": [np.int64(3), np.float32(0.5), np.float64(0.25)],
        "other": Colour,
    }
    data = plain(value)
    assert json.loads(json.dumps(data)) == data
    assert data["inner"] == {"number": 1}
    assert data["map"] == {"a": [1, 2]}
    assert (data["when"], data["path"], data["enum"]) == ("2013-01-01T00:00:00+00:00", "a/b", "red")
    assert data["3"] == [True]
    assert data["numbers"] == [3, 0.5, 0.25]


def test_a_frozen_map_is_a_copy_that_cannot_be_changed() -> None:
    source = {"a": 1}
    frozen = frozen_map(source)
    source["a"] = 2
    assert frozen == {"a": 1}
    with pytest.raises(TypeError):
        frozen["a"] = 3  # type: ignore[index]
    assert frozen_map() == frozen_map(None) == {}


def test_model_versions_compare_by_content_and_are_frozen() -> None:
    version = ModelVersion("flights", 3, tags=frozen_map({"area": "ny"}), aliases=("champion",))
    assert version == ModelVersion("flights", 3, tags={"area": "ny"}, aliases=("champion",))
    assert version != ModelVersion("flights", 4)
    assert version.reference == "flights/3"
    assert json.loads(json.dumps(version.to_dict()))["aliases"] == ["champion"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        version.version = 4  # type: ignore[misc]
    assert "flights/3" in version._repr_html_()
