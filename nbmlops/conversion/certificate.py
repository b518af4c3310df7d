"""The certificate of a conversion: what the choice of a runtime rests on, as plain data and as a page.

The data holds counts, digests and versions and no row, so that it may lie beside a bundle and be named in the journal.
The rows that were answered otherwise are added only to the copy that lies with the run, where the sample lies too.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.evidence import FEWEST_ROWS, MADE, OWN
from nbmlops.conversion.fidelity import TOLERANCE
from nbmlops.core.display import Card, Table, table
from nbmlops.core.records import plain

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.conversion.evidence import Evidence
    from nbmlops.conversion.judging import Finding
    from nbmlops.conversion.ladder import Attempt, Terms
    from nbmlops.conversion.options import Options

FORMAT = 1
"""Version of the certificate's layout. A field that old readers must not miss raises it."""
MOST_FLIPS = 100
"""Rows that a certificate lists; it says how many there are."""
PACKAGES = {
    "nbmlops": ("nbmlops",),
    "numpy": ("numpy",),
    "pandas": ("pandas",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "sklearn": ("scikit-learn",),
    "skl2onnx": ("skl2onnx",),
    "onnxmltools": ("onnxmltools",),
    "hummingbird": ("hummingbird-ml",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
    "torch": ("torch",),
    "onnxscript": ("onnxscript",),
}
"""Modules that take part where they are loaded -> the distributions that may bring them."""


def certificate(
    trail: Sequence[Attempt],
    evidence: Evidence,
    *,
    told: Attempt,
    reason: str,
    terms: Terms,
    options: Options | None,
) -> dict[str, Any]:
    """Return the certificate of a choice as JSON-ready data.

    Parameters
    ----------
    trail : sequence of Attempt
        Everything that was tried.
    evidence : Evidence
        What was compared on.
    told : Attempt
        The attempt that was chosen, or that says best why none was.
    reason : str
    terms : Terms
    options : Options or None
    """
    chosen = told.state == "chosen"
    onnx = told.onnx
    return {
        "format": FORMAT,
        "chosen": told.converter if chosen else None,
        "rung": told.rung if chosen else "",
        "reason": reason,
        "trail": [_step(attempt) for attempt in trail],
        "tolerances": {
            "difference": TOLERANCE,
            "labels": "every one but exact ties",
            "rows": FEWEST_ROWS,
            "typical_rows": terms.rows,
        },
        "rows": _rows(told.findings, evidence),
        "fidelity": _fidelity(told.findings),
        "speed": None if told.speed is None else plain(told.speed),
        "provider": onnx.session.get_providers()[0] if onnx is not None and told.faithful else "",
        "options": plain(options) if options is not None else {},
        "onnx": onnx.digest if onnx is not None else "",
        "opset": onnx.opset if onnx is not None else None,
        "without_nulls": list(onnx.without_nulls) if onnx is not None else [],
        "versions": versions(),
    }


def _step(attempt: Attempt) -> dict[str, Any]:
    return {
        "converter": attempt.converter,
        "rung": attempt.rung,
        "state": attempt.state,
        "outcome": attempt.outcome,
    }


def _rows(findings: Sequence[Finding], evidence: Evidence) -> dict[str, Any]:
    sizes = {finding.kind: finding.rows + finding.refused for finding in findings}
    return {
        "own": sizes.pop(OWN, 0),
        "made": sizes.pop(MADE, 0),
        "adversarial": sizes,
        "digest": evidence.digest(len(findings)),
        "reference": evidence.reference.digest,
    }


def _fidelity(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the counts over all groups, and those of each."""
    compared = [finding.fidelity for finding in findings if finding.fidelity is not None]
    return {
        "rows": sum(one.rows for one in compared),
        "flipped": sum(one.labels_different for one in compared),
        "ties": sum(one.ties for one in compared),
        "max_difference": max((one.max_difference for one in compared), default=0.0),
        "p999_difference": max((one.p999_difference for one in compared), default=0.0),
        "groups": [plain(finding) for finding in findings],
    }


def versions() -> dict[str, str]:
    """Return distribution -> version of every package that takes part in a conversion and is loaded."""
    found = {}
    for module, distributions in PACKAGES.items():
        for name in distributions if module in sys.modules else ():
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:  # another distribution brought the module
                continue
    return found


def with_flips(facts: Mapping[str, Any], flips: pd.DataFrame | None) -> dict[str, Any]:
    """Return a certificate that also lists the rows answered otherwise, with their inputs."""
    total = 0 if flips is None else len(flips)
    shown = [] if flips is None else flips.head(MOST_FLIPS).astype(object).to_numpy().tolist()
    columns = [] if flips is None else [str(name) for name in flips.columns]
    rows = [[_cell(value) for value in row] for row in shown]
    return {**facts, "flips": {"total": total, "columns": columns, "rows": rows}}


def _cell(value: Any) -> Any:
    """Return a cell as JSON holds it without loss: a number beyond its range, a gap or a time as text."""
    import math

    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def page(facts: Mapping[str, Any]) -> str:
    """Return a certificate as one HTML document that needs nothing else, from no network either."""
    body = card(facts).html
    title = html.escape(f"Conversion certificate {facts.get('version', '')}".strip())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:14px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
        "color-scheme:light dark}th,td{padding:.15em .8em .15em 0}</style></head>"
        f"<body>{body}</body></html>"
    )


def card(facts: Mapping[str, Any]) -> Card:
    """Return a certificate as a card: what serves and why, what was tried, compared and measured."""
    rows, fidelity = facts["rows"], facts["fidelity"]
    fields = {
        "version": facts.get("version", ""),
        "serves": f"ONNX Runtime, converted by {facts['chosen']} in {facts['rung']}" if facts["chosen"] else "original",
        "why": facts["reason"],
        "rows": f"{rows['own']:,} of the user's own, {rows['made']:,} mixed from them, "
        f"{sum(rows['adversarial'].values()):,} adversarial",
        "flipped": f"{fidelity['flipped']:,}, and {fidelity['ties']:,} exact ties",
        "largest difference": f"{fidelity['max_difference']:.1e} (at most {facts['tolerances']['difference']:.0e})",
        "all but 0.1 %": f"within {fidelity['p999_difference']:.1e}",
        "execution provider": facts["provider"],
        "options": facts["options"],
        "nulls refused in": facts["without_nulls"],
        "operator set": facts["opset"],
        "versions": facts["versions"],
        "digest of the rows": rows["digest"],
        "digest of the sample": rows["reference"],
        "digest of the model": facts.get("model", ""),
        "digest of the ONNX model": facts["onnx"],
    }
    return Card("Conversion certificate", fields, _tables(facts))


def _tables(facts: Mapping[str, Any]) -> tuple[Table, ...]:
    trail = table(
        ("rung", "converter", "outcome"),
        ((step["rung"], step["converter"], step["outcome"]) for step in facts["trail"]),
        caption="What was tried",
    )
    groups = table(
        ("rows", "of which refused by both", "flipped", "ties", "largest difference", "kind"),
        (_group(one) for one in facts["fidelity"]["groups"]),
        caption="What was compared",
    )
    made = [trail, groups] + ([speeds(facts["speed"])] if facts["speed"] else [])
    flips = facts.get("flips")
    if flips and flips["rows"]:
        caption = f"Rows answered otherwise: {len(flips['rows']):,} of {flips['total']:,}"
        made.append(table(flips["columns"], flips["rows"], caption=caption))
    return tuple(made)


def _group(one: Mapping[str, Any]) -> tuple[object, ...]:
    fit = one["fidelity"] or {"labels_different": 0, "ties": 0, "max_difference": 0.0}
    refused = one["refused"] - one["answered"]
    return (
        one["rows"] + one["refused"],
        refused,
        fit["labels_different"] + one["answered"],
        fit["ties"],
        fit["max_difference"],
        one["kind"],
    )


def speeds(speed: Mapping[str, Any]) -> Table:
    """Return medians of one call at each number of rows, and which runtime was the quicker."""
    return table(
        ("rows in a call", "fitted object, ms", "ONNX Runtime, ms", "times as fast", "quicker"),
        (
            (rows, fitted, onnx, fitted / onnx, "ONNX Runtime" if onnx < fitted else "fitted object")
            for rows, fitted, onnx in zip(speed["rows"], speed["fitted_ms"], speed["onnx_ms"], strict=True)
        ),
        caption="Medians of one call, the two taking turns",
    )
