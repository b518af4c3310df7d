"""How the public surface is used; mypy reads it, nobody runs it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import nbmlops
from nbmlops import Endpoint, ModelVersion
from nbmlops.core.display import Results
from nbmlops.deployment import TrafficChange


def life_cycle(model: Any, frame: Any) -> None:
    version = nbmlops.register_model(model, name="flights", data=frame, label="late", tags={"area": "air"})
    assert_type(version, ModelVersion)
    assert_type(version.reference, str)
    assert_type(version.created_at, datetime | None)
    assert_type(nbmlops.models("area=air"), Results[ModelVersion])
    assert_type([one.name for one in nbmlops.models()], list[str])
    assert_type(nbmlops.promote("flights/1", "champion", reason="better"), ModelVersion)
    assert_type(nbmlops.tag("flights/1", {"area": "sea"}), ModelVersion)
    assert_type(nbmlops.download("flights/1", "out"), Path)
    assert_type(nbmlops.endpoint("flights"), Endpoint)
    assert_type(nbmlops.traffic("flights", {"1": 90, "2": 10}), TrafficChange)
    nbmlops.history("flights")
    nbmlops.at("10 min ago")
    nbmlops.deploy("flights@champion", endpoint="blue", auth=False)
    nbmlops.down()


def misuse() -> None:
    nbmlops.register_model(object())  # type: ignore[call-arg]
    nbmlops.promote("flights/1")  # type: ignore[call-arg]
    nbmlops.deploy("flights", cpu="many")  # type: ignore[arg-type]
    nbmlops.nothing  # type: ignore[attr-defined]  # noqa: B018
