"""The training data as a dataset of MLflow's, with the full digest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbmlops.core import digests
from nbmlops.core.records import plain

if TYPE_CHECKING:
    from nbmlops.capture import Fingerprint

DIGEST_LIMIT = 36  # MLflow's; the full digest stands in the source and in a tag


@dataclass(frozen=True)
class Dataset:
    """What MLflow keeps about a dataset: texts only."""

    name: str
    digest: str
    full_digest: str
    source: str
    schema: str
    profile: str


def describe(fingerprint: Fingerprint, name: str = "training data") -> Dataset:
    """Describe fingerprinted data for MLflow."""
    columns = [{"name": c.name, "type": c.dtype, "required": not c.nullable} for c in fingerprint.schema]
    return Dataset(
        name=name,
        digest=fingerprint.digest.removeprefix(digests.PREFIX)[:DIGEST_LIMIT],
        full_digest=fingerprint.digest,
        source=json.dumps({"digest": fingerprint.digest}),
        schema=json.dumps({"nbmlops_schema": columns}),
        profile=json.dumps({"num_rows": fingerprint.rows, "num_columns": fingerprint.columns, **_small(fingerprint)}),
    )


def _small(fingerprint: Fingerprint) -> dict[str, object]:
    profile = {"columns": plain(fingerprint.profile)}
    return profile if len(json.dumps(profile)) < 500_000 else {}  # MLflow takes 16 MB, its pages do not
