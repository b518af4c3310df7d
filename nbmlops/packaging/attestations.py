"""Attestations: what is stated about a bundle, kept beside it and keyed by its digest, never inside it.

A certificate, a proof, an SBOM say something about content that must not change when they are written, so each is a
file of its own in ``bundles/DIGEST.attestations/``, in the form of an in-toto statement.

References
----------
in-toto Attestation Framework, Statement v1: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, InvalidInput
from nbmlops.core.identifiers import new_id
from nbmlops.core.workspace import storage_errors
from nbmlops.packaging.bundle import Bundle

SUFFIX = ".attestations"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:nbmlops:{kind}:1"
KIND = re.compile(r"[a-z][a-z0-9-]*")


def attest(bundle: Bundle, kind: str, facts: Mapping[str, Any]) -> str:
    """State `facts` about a bundle, in place of what was stated under the same kind before.

    Parameters
    ----------
    bundle : Bundle
    kind : str
        ``certificate``, ``proof``, ``sbom``, …: lower-case letters, digits and hyphens.
    facts : mapping
        JSON-ready data without NaN or infinities.

    Returns
    -------
    str
        ``sha256:…`` of `facts` in RFC 8785 form, by which the journal and others may refer to them.

    Raises
    ------
    InvalidInput
        `kind` is no such word.
    StorageError
        The workspace can't be written.
    """
    if not KIND.fullmatch(kind):
        raise InvalidInput(f"{kind!r} is no kind of attestation", expected="lower-case letters, digits and hyphens")
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": bundle.path.name, "digest": {"sha256": _hexadecimal(bundle)}}],
        "predicateType": PREDICATE.format(kind=kind),
        "predicate": dict(facts),
    }
    text = digests.canonical(statement)
    folder = _folder(bundle)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{kind}-{new_id()}"
        unfinished.write_bytes(text)
        unfinished.replace(folder / f"{kind}.json")  # a reader sees the one or the other, never half
    return digests.of_json(dict(facts))


def attestations(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return kind -> facts of everything that is stated about a bundle.

    Raises
    ------
    Corrupt
        A file can't be read as a statement, or is about another bundle.
    """
    return {path.stem: _facts(path, bundle) for path in sorted(_folder(bundle).glob("[!.]*.json"))}


def _facts(path: Path, bundle: Bundle) -> dict[str, Any]:
    try:
        statement = json.loads(path.read_bytes())
        subject = statement["subject"][0]["digest"]["sha256"]
        facts = dict(statement["predicate"])
    except (ValueError, LookupError, TypeError) as error:
        raise _corrupt(path, "can't be read as a statement") from error
    if subject != _hexadecimal(bundle):
        raise _corrupt(path, f"is about the bundle {str(subject)[:12]}")
    return facts


def _corrupt(path: Path, what: str) -> Corrupt:
    return Corrupt(
        f"the attestation {path.name} {what}",
        expected=f"a statement about the bundle {path.parent.name[:12]}",
        hint=f"Remove {path} and deploy again: it is written anew.",
    )


def _folder(bundle: Bundle) -> Path:
    return bundle.path.with_name(_hexadecimal(bundle) + SUFFIX)


def _hexadecimal(bundle: Bundle) -> str:
    return bundle.digest.removeprefix(digests.PREFIX)
