"""Ensembles: ``a/3:3+b/1:1`` read, each member prepared as if it were deployed alone, and checked to fit the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.workflows.prepare import Prepared, prepare
from nbmlops.workflows.session import Session

if TYPE_CHECKING:
    from nbmlops.conversion import Options
    from nbmlops.core.records import ModelVersion
    from nbmlops.deployment import ArmSpec

GRAMMAR = "REF:WEIGHT+REF:WEIGHT, as in a/3:3+b/1:1"


@dataclass(frozen=True)
class Member:
    """A member as it was asked for: a model reference and its weight."""

    ref: str
    weight: float


def is_ensemble(ref: str) -> bool:
    """Whether a reference names several models."""
    return "+" in ref or ":" in ref


def parse(ref: str) -> tuple[Member, ...]:
    """Read an ensemble; a member without a weight has weight 1.

    >>> parse("a/3:3+b@champion")
    (Member(ref='a/3', weight=3.0), Member(ref='b@champion', weight=1.0))

    Raises
    ------
    InvalidInput
    """
    found = []
    for part in ref.split("+"):
        name, colon, weight = part.strip().partition(":")
        try:
            found.append(Member(name.strip(), float(weight) if colon else 1.0))
        except ValueError:
            raise InvalidInput(
                f"{part!r} in {ref!r} has no weight that is a number", expected=f"an ensemble {GRAMMAR}"
            ) from None
    if len(found) < 2 or not all(member.ref for member in found):
        raise InvalidInput(f"{ref!r} is no ensemble", expected=f"at least two members, {GRAMMAR}")
    return tuple(found)


def prepare_ensemble(  # noqa: PLR0913 - those of `prepare` beside its own
    session: Session,
    ref: str,
    *,
    combine: str = "mean",
    model: str | None = None,
    trust: bool = False,
    proof: bool = False,
    fetch: bool = False,
    later: bool = False,
    options: Options | None = None,
) -> tuple[ArmSpec, Prepared]:
    """Return the arm of an ensemble, and what is kept of its members' replays.

    Parameters
    ----------
    combine : {"mean", "vote"}
        The weighted mean of values or probabilities, or the label with the most weight behind it.
    model : str, optional
        Name of the model that the endpoint serves; by default the members' own, where they share one.

    trust, proof, fetch, later : bool
    options : Options, optional
        As of :func:`nbmlops.workflows.prepare.prepare`.

    Raises
    ------
    InvalidInput
        `combine` is neither, or two members are the same version.
    Refused
        The members take different columns, or know different classes.
    """
    from nbmlops.deployment import MemberSpec, ensemble

    if combine not in ("mean", "vote"):
        raise InvalidInput(f"members can't be combined by {combine!r}", expected="mean or vote")
    asked = parse(ref)
    versions = [session.registry.version(member.ref) for member in asked]
    check_fit(versions, [session.registry.signature(version.reference) for version in versions])
    prepared = [
        prepare(session, version, trust=trust, proof=proof, fetch=fetch, later=later, options=options)
        for version in versions
    ]
    members = [
        MemberSpec(
            version=str(version.version),
            model=version.name,
            bundle=ready.bundle.path,
            digest=ready.bundle.digest,
            runtime=ready.bundle.runtime,
            weight=member.weight,
            python=ready.python,
        )
        for member, version, ready in zip(asked, versions, prepared, strict=True)
    ]
    arm = ensemble(members, model or versions[0].name, combine=combine)  # type: ignore[arg-type]
    replay = {version.reference: dict(ready.replay) for version, ready in zip(versions, prepared, strict=True)}
    return arm, Prepared(prepared[0].bundle, arm.why, {"members": replay})


def check_fit(versions: Sequence[ModelVersion], signatures: Sequence[dict[str, Any]]) -> None:
    """Refuse members that could not answer the same request, naming the column or the classes that differ.

    Raises
    ------
    Refused
    """
    first, names = signatures[0], [version.reference for version in versions]
    for name, signature in zip(names[1:], signatures[1:], strict=True):
        left, right = _columns(first), _columns(signature)
        for column in dict.fromkeys([*left, *right]):
            if left.get(column) != right.get(column):
                raise Refused(
                    f"{names[0]} and {name} can't answer together: column {column!r} is "
                    f"{left.get(column, 'not taken')} in the one and {right.get(column, 'not taken')} in the other",
                    expected="members that take the same columns",
                )
        for fact in ("task", "classes"):
            if first.get(fact) != signature.get(fact):
                raise Refused(
                    f"{names[0]} and {name} can't answer together: their {fact} differ, "
                    f"{_told(first.get(fact))} and {_told(signature.get(fact))}",
                    expected="members that answer the same question",
                )


def _columns(signature: dict[str, Any]) -> dict[str, str]:
    inputs = signature.get("inputs")
    if not isinstance(inputs, list):
        return {"(tensor)": str(inputs)}
    return {str(column.get("name", place)): str(column.get("type", "")) for place, column in enumerate(inputs)}


def _told(fact: Any) -> str:
    return ", ".join(map(str, fact)) if isinstance(fact, (list, tuple)) else str(fact)
