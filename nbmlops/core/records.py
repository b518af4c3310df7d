"""Frozen records that travel between rooms, and how they become plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nbmlops.core.display import Card, Html, Shown, Tone, badge


def plain(value: Any) -> Any:
    """Return `value` as JSON-ready data: dicts, lists, strings, numbers, booleans and None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Integral):  # NumPy's numbers
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return str(value)


class Record:
    """Mixin of every public result: ``to_dict()`` gives plain, JSON-ready data."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready data."""
        data = plain(self)
        assert isinstance(data, dict)
        return data


def frozen_map(values: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return a read-only copy of `values`."""
    return MappingProxyType(dict(values or {}))


HEALTH_TONES: Mapping[str, Tone] = MappingProxyType({"healthy": "ok", "degraded": "warn", "down": "bad"})


def health_badge(state: str) -> Html | str:
    """Return a health (``healthy``, ``degraded``, ``down``) with its sign and colour; nothing for no state."""
    return badge(state, HEALTH_TONES.get(state, "muted")) if state else ""


@dataclass(frozen=True)
class ModelVersion(Record, Shown):
    """One registered version of a model.

    Attributes
    ----------
    name, version : str, int
        Together the reference ``name/version``.
    run_id : str
        MLflow's run that logged it; empty where there is none.
    digest : str
        ``sha256:…`` over the registered files.
    environment_id : str
        Digest of the Python version and the sorted pins; empty where unknown.
    tags : mapping of str to str
        The user's own tags (those of nbmlops itself are kept apart).
    aliases : tuple of str
    deployed_at : tuple of str
        Names of the endpoints that serve it now.
    kind : str
        ``sklearn``, ``xgboost``, ``lightgbm``, ``catboost``, ``torch``, ``python``, ``function``, ``onnx``, ``files``.
    label : str
        Name of the label column; empty where there is none.
    uri : str
        MLflow's source of the version, which MLflow alone can load.
    created_at : datetime.datetime
        With its time zone (UTC).
    health : str
        ``healthy``, ``degraded``, ``down``, or empty where it is deployed nowhere.
    metrics : mapping of str to float
        Metrics of the run.
    warnings : tuple of str
        What was noticed at registration.
    """

    name: str
    version: int
    run_id: str = ""
    digest: str = ""
    environment_id: str = ""
    tags: Mapping[str, str] = field(default_factory=frozen_map)
    aliases: tuple[str, ...] = ()
    deployed_at: tuple[str, ...] = ()
    kind: str = ""
    label: str = ""
    uri: str = ""
    created_at: datetime | None = None
    health: str = ""
    metrics: Mapping[str, float] = field(default_factory=frozen_map)
    warnings: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """``name/version``, as every verb takes it."""
        return f"{self.name}/{self.version}"

    def _show_(self) -> Card:
        return Card(
            title=self.reference,
            fields={
                "kind": self.kind,
                "label": self.label,
                "aliases": self.aliases,
                "tags": self.tags,
                "deployed at": self.deployed_at,
                "health": health_badge(self.health),
                "metrics": self.metrics,
                "registered": self.created_at,
                "digest": self.digest,
                "environment": self.environment_id,
                "run": self.run_id,
            },
            note="\n".join(f"▲ {warning}" for warning in self.warnings),
        )
