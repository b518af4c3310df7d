"""Where a conversion's certificate goes: with the version's run, beside the bundle, and its digest to the journal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core import digests

if TYPE_CHECKING:
    from nbmlops.conversion import ConversionReport
    from nbmlops.core.records import ModelVersion
    from nbmlops.packaging import Bundle
    from nbmlops.workflows.session import Session

KIND = "certificate"
PLACE = "conversion"
EVENT = "model.converted"


def certified(session: Session, version: ModelVersion, report: ConversionReport) -> dict[str, Any]:
    """Store a report's certificate with the version's run, as JSON and as a page, and return it.

    Only there does it list the rows that were answered otherwise. A report of a model that nothing could convert has
    none, and nothing is stored.
    """
    if not report.certificate:
        return {}
    from nbmlops.conversion.certificate import page, with_flips

    facts = {**report.certificate, "version": version.reference, "model": version.digest}
    full = with_flips(facts, report.flips)
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / f"{KIND}.json").write_text(json.dumps(full, indent=1, allow_nan=False))
        (Path(made) / f"{KIND}.html").write_text(page(full))
        session.registry.attach(version.reference, Path(made), PLACE)
    return facts


def attested(bundle: Bundle, facts: Mapping[str, Any], *, instead: str = "") -> None:
    """State a certificate about the bundle that serves.

    Parameters
    ----------
    bundle : Bundle
    facts : mapping
        Nothing is stated where it is empty.
    instead : str
        Why the original runtime serves after all, although the conversion was faithful in this process.
    """
    from nbmlops.packaging import attest

    if instead:
        facts = {**facts, "chosen": None, "rung": "", "reason": instead}
    if facts:
        attest(bundle, KIND, facts)


def journalled(session: Session, version: ModelVersion, bundle: Bundle) -> None:
    """Append the certificate of a bundle to the journal, where the newest one of its version is another."""
    from nbmlops.packaging import attestations

    facts = attestations(bundle).get(KIND)
    if facts is None:
        return
    subject, told = f"model/{version.reference}", outcome(version, facts)
    newest = session.journal.events(EVENT, subject, limit=1)
    if not newest or newest[-1].data.get("certificate") != told["certificate"]:
        session.journal.append(EVENT, subject, told)


def outcome(version: ModelVersion, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the journal keeps of a conversion: what serves, why, and the certificate's digest; no row."""
    chosen = facts.get("chosen")
    return {
        "name": version.name,
        "version": version.version,
        "serves": f"ONNX Runtime, by {chosen} in {facts['rung']}" if chosen else "the original runtime",
        "because": facts.get("reason", ""),
        "certificate": digests.of_json(dict(facts)) if facts else "",
    }
