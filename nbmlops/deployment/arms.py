"""What stands behind an endpoint: an arm is one model version, or an ensemble that answers as one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record

Combine = Literal["mean", "vote"]
ENSEMBLE = "ensemble"  # the runtime of an arm with members
UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
LONGEST_NAME = 64  # characters of an ensemble's version; it stands in headers, metrics and folders
DIGITS = 8  # of the digest that stands for what a shortened name leaves out


class Model(Protocol):
    """What a process can load: an arm of its own, or a member of an ensemble."""

    @property
    def bundle(self) -> Path: ...

    @property
    def digest(self) -> str: ...

    @property
    def runtime(self) -> str: ...

    @property
    def reference(self) -> str: ...

    @property
    def python(self) -> str: ...


@dataclass(frozen=True)
class MemberSpec(Record):
    """One model version of an ensemble.

    Attributes
    ----------
    version, model : str
        Together the reference ``model/version``.
    bundle : pathlib.Path
        Absolute path of the bundle's folder.
    digest : str
        The bundle's digest.
    runtime : str
        ``onnx``, ``sklearn``, ``pyfunc`` or ``hybrid``.
    weight : float
        Its share of the combined answer, relative to the other members'.
    python : str
        As of an arm.
    """

    version: str
    model: str
    bundle: Path
    digest: str
    runtime: str
    weight: float = 1.0
    python: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InvalidInput(f"the weight of {self.reference} is {self.weight!r}", expected="a positive number")

    @property
    def reference(self) -> str:
        """``model/version``."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True)
class ArmSpec(Record):
    """One version of a model behind an endpoint, or an ensemble.

    Attributes
    ----------
    version, model : str
        Together the reference ``model/version``; an ensemble's version names its members.
    bundle : pathlib.Path
        Absolute path of the bundle's folder; an ensemble's is that of its first member.
    digest : str
        The bundle's digest; an ensemble's is over its members.
    runtime : str
        ``onnx``, ``sklearn``, ``pyfunc``, ``hybrid`` or ``ensemble``.
    weight : float, percent
        Share of the traffic; an arm of weight 0 stays loaded for an instant rollback.
    why : str
        Why this runtime was chosen.
    shadow : float, percent
        Share of the requests that other arms answer of which it gets a copy; no caller sees its answers.
    members : tuple of MemberSpec
        The models of an ensemble; empty for a single model.
    combine : str
        How the members' answers become one: the weighted ``mean`` of their values or probabilities, or the ``vote``.
    python : str
        Path of the interpreter of the environment that it was proved in, which its worker process runs; empty for
        that of the kernel.
    any_environment : bool
        Whether it may be served with other packages than its bundle pins.
    """

    version: str
    model: str
    bundle: Path
    digest: str
    runtime: str
    weight: float = 100.0
    why: str = ""
    shadow: float = 0.0
    members: tuple[MemberSpec, ...] = ()
    combine: Combine = "mean"
    python: str = ""
    any_environment: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.shadow) and 0 <= self.shadow <= 100):
            raise InvalidInput(f"the shadow of version {self.version} is {self.shadow!r}", expected="0 to 100 percent")
        if len(self.members) == 1:
            raise InvalidInput(
                f"the ensemble {self.version} has one member", expected="at least two, as in a/3:3+b/1:1"
            )

    @property
    def reference(self) -> str:
        """``model/version``."""
        return f"{self.model}/{self.version}"

    @property
    def is_proved(self) -> bool:
        """Whether every model of it was proved in an environment of its own."""
        return all(model.python for model in self.models.values())

    @property
    def is_idle(self) -> bool:
        """Whether it gets neither traffic nor copies of it, and is loaded for a rollback alone."""
        return self.weight == 0 and self.shadow == 0

    @property
    def models(self) -> dict[str, Model]:
        """What its processes load, by a name that is unique at the endpoint."""
        if not self.members:
            return {self.version: self}
        return {f"{self.version} ({member.reference})": member for member in self.members}


def ensemble(members: Sequence[MemberSpec], model: str, *, combine: Combine = "mean", weight: float = 100.0) -> ArmSpec:
    """Return the arm that combines `members`; its version is a name that fits a header and a folder.

    Parameters
    ----------
    members : sequence of MemberSpec
        At least two, all different.
    model : str
        Name of the model that the endpoint serves.
    combine : {"mean", "vote"}
    weight : float, percent
        Its share of the traffic.

    Raises
    ------
    InvalidInput
        Members are too few, or one is named twice.
    """
    references = [member.reference for member in members]
    if len(set(references)) != len(references):
        raise InvalidInput(f"the ensemble {'+'.join(references)} names a version twice", expected="each version once")
    if len(members) < 2:
        raise InvalidInput(f"the ensemble {'+'.join(references)} has one member", expected="at least two")
    content = [[member.reference, member.digest, member.weight] for member in members]
    return ArmSpec(
        version=_name(members, combine),
        model=model,
        bundle=members[0].bundle,
        digest=digests.of_json({"members": content, "combine": combine}),
        runtime=ENSEMBLE,
        weight=weight,
        why=", ".join(f"{member.reference} by {member.runtime}" for member in members),
        members=tuple(members),
        combine=combine,
    )


def _name(members: Sequence[MemberSpec], combine: Combine) -> str:
    """Return ``a-3x3+b-1x1``, with a digest at its end where that leaves something out."""
    plain = "+".join(f"{member.model}-{member.version}x{member.weight:g}" for member in members)
    plain += "" if combine == "mean" else f"-{combine}"
    safe = "+".join(UNSAFE.sub("_", part) for part in plain.split("+"))
    if safe == plain and len(safe) <= LONGEST_NAME:
        return safe
    mark = digests.of_bytes(plain.encode()).removeprefix(digests.PREFIX)[:DIGITS]
    return f"{safe[: LONGEST_NAME - DIGITS - 1]}-{mark}"


def for_journal(arm: ArmSpec) -> dict[str, Any]:
    """Return what the journal keeps of an arm: no paths, which differ between machines."""
    kept: dict[str, Any] = {
        "version": arm.version,
        "bundle": arm.digest,
        "runtime": arm.runtime,
        "weight": arm.weight,
        "why": arm.why,
    }
    if arm.shadow:
        kept["shadow"] = arm.shadow
    if arm.any_environment:
        kept["any_environment"] = True
    if arm.members:
        kept["combine"] = arm.combine
        kept["members"] = [
            {
                "model": member.model,
                "version": member.version,
                "bundle": member.digest,
                "runtime": member.runtime,
                "weight": member.weight,
            }
            for member in arm.members
        ]
    return kept
