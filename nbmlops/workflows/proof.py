"""Proof before deploy: asked for once for each bundle, attested beside it, and told in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nbmlops.core.errors import EndpointError, NbmlopsError, Refused, ScoringError

if TYPE_CHECKING:
    from nbmlops.core.records import ModelVersion
    from nbmlops.deployment import Proof
    from nbmlops.packaging import Bundle
    from nbmlops.registry import Reference
    from nbmlops.workflows.prepare import Checked
    from nbmlops.workflows.session import Session

KIND = "proof"


def proved(
    session: Session, version: ModelVersion, bundle: Bundle, *, reference: Reference | None, fetch: bool = False
) -> Proof:
    """Return the proof of a bundle, made now unless it was made before.

    Its environment is made from its lock in either case, since the endpoint is to run in it.

    Parameters
    ----------
    session : Session
    version : ModelVersion
    bundle : Bundle
    reference : Reference, optional
        The saved rows with the fitted object's answers.
    fetch : bool, default False
        Let uv fetch what is neither installed here nor cached.

    Returns
    -------
    Proof
        Where its answers differ (`Proof.agrees`), nothing is attested: the caller chooses another runtime or refuses.

    Raises
    ------
    Refused
        The environment can't be made, or the server does not start or answer in it; it is named what is missing.
    """
    from nbmlops.deployment.proving import prove
    from nbmlops.packaging.venv import environment_for

    try:
        environment = environment_for(bundle, fetch=fetch)
        known = recalled(bundle, reference)
        made = known or prove(bundle, environment, reference)
    except Refused as refusal:
        _refused(session, version, bundle, because=str(refusal))
        raise
    except (EndpointError, ScoringError) as error:
        explained = _explained(error, version)
        _refused(session, version, bundle, because=str(explained))
        raise explained from error
    if known is None and made.agrees:
        _attest(session, version, bundle, proof=made, sample=_sample(reference))
    return made


def recalled(bundle: Bundle, reference: Reference | None) -> Proof | None:
    """Return the proof that is attested beside a bundle, where it was made with the same rows."""
    from nbmlops.deployment import Proof
    from nbmlops.packaging.attestations import attestations

    facts = attestations(bundle).get(KIND)
    if facts is None or facts.get("sample") != _sample(reference):
        return None
    return msgspec.convert(facts["proof"], Proof)


def refuse(
    session: Session, version: ModelVersion, bundle: Bundle, *, seen: Checked, reference: Reference | None
) -> Refused:
    """Return, and journal, the refusal of a bundle whose served answers differ from the fitted object's."""
    from nbmlops.deployment.findings import reordered

    served = (bundle.manifest.get("signature") or {}).get("inputs")
    why = [seen.says, reordered(reference, served) if reference is not None else ""]
    refusal = Refused(
        f"{version.reference} answers differently when it is served: {'; '.join(filter(None, why))}",
        expected="the fitted object's own answers on the saved sample",
        hint="A model whose answers depend on chance, on time or on rows sent together can't be served so; "
        "register it again without data to serve it unchecked.",
    )
    _refused(session, version, bundle, because=str(refusal))
    return refusal


def _explained(error: NbmlopsError, version: ModelVersion) -> Refused:
    from nbmlops.deployment.findings import explain

    return explain(error, version.reference, notes=[note for note in version.warnings if "cell" in note])


def _sample(reference: Reference | None) -> str:
    return "" if reference is None else reference.digest


def _attest(session: Session, version: ModelVersion, bundle: Bundle, *, proof: Proof, sample: str) -> None:
    from nbmlops.packaging.attestations import attest

    facts = {"says": proof.says, "rows": proof.rows, "sample": sample, "proof": proof.to_dict()}
    digest = attest(bundle, KIND, facts)
    about: dict[str, Any] = {"bundle": bundle.digest, "attestation": digest, **proof.kept()}
    session.journal.append("model.proved", f"model/{version.reference}", about)


def _refused(session: Session, version: ModelVersion, bundle: Bundle, *, because: str) -> None:
    about = {"verb": "deploy", "bundle": bundle.digest, "because": [because]}
    session.journal.append("model.refused", f"model/{version.reference}", about)
