"""What a proof saw, as it is shown, attested beside the bundle and kept in the journal: counts, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbmlops.conversion import Fidelity
from nbmlops.core.display import Card, Shown, badge, table
from nbmlops.core.records import Record, frozen_map
from nbmlops.deployment.identity import BOUND, Identity
from nbmlops.deployment.replays import Replay


@dataclass(frozen=True)
class Proof(Record, Shown):
    """A bundle's server in a fresh environment, its answers compared with the fitted object's.

    Attributes
    ----------
    bundle : str
        Digest of the bundle.
    runtime : str
        ``onnx``, ``sklearn`` or ``pyfunc``.
    environment_id : str
        Digest of the serving environment that was made from the lock.
    python : str
        Its Python's minor version.
    packages : mapping of str to int
        Where its packages were taken from -> how many.
    fidelity : Fidelity or None
        The answers to all rows at once; None where no rows were kept at the registration.
    whole : Identity or None
        The same answers to the bit; None for a converted model, which is held to its tolerance.
    apart : Identity or None
        Rows sent one by one and in odd numbers.
    shapes : tuple of int
        Numbers of rows that were sent together.
    left_out : int
        Rows that no request can hold, for they have infinite numbers.
    labels_alone : bool
        Whether the server has no probabilities to compare.
    """

    bundle: str
    runtime: str
    environment_id: str
    python: str
    packages: Mapping[str, int] = field(default_factory=frozen_map)
    fidelity: Fidelity | None = None
    whole: Identity | None = None
    apart: Identity | None = None
    shapes: tuple[int, ...] = ()
    left_out: int = 0
    labels_alone: bool = False

    @property
    def rows(self) -> int:
        """Rows whose answers were compared."""
        return 0 if self.fidelity is None else self.fidelity.rows

    @property
    def converted(self) -> bool:
        """Whether another runtime than the model's own answered."""
        return self.fidelity is not None and self.whole is None

    @property
    def agrees(self) -> bool:
        """Whether every answer is as near to the fitted object's as it has to be; true where none was compared."""
        if self.fidelity is None:
            return True
        compared = [one for one in (self.whole, self.apart) if one is not None]
        return self.fidelity.agrees and (self.converted or all(one.holds for one in compared))

    @property
    def says(self) -> str:
        """The outcome in one line."""
        if self.fidelity is None:
            return "it starts; no rows were kept at its registration, so no answer was compared"
        if not self.agrees:
            return self.disagreement
        what = "every label" if self.labels_alone else "every label and value"
        if self.converted:
            found = self.fidelity
            return (
                f"{self.rows:,} rows within {found.max_difference:.1g} (bound {found.tolerance:g}), every label equal"
            )
        assert self.whole is not None
        if self.whole.ulps == 0:
            return f"{self.rows:,} rows identical, {what}{self._apart}"
        return f"{self.rows:,} rows within {self.whole.ulps:.3g} ulps (bound {BOUND}), every label equal{self._apart}"

    @property
    def _apart(self) -> str:
        if self.apart is None or self.apart.ulps == 0:
            return ""
        return f"; in other numbers of rows within {self.apart.ulps:.3g} ulps (bound {BOUND})"

    @property
    def disagreement(self) -> str:
        """How the answers differ and in which rows of the saved sample."""
        assert self.fidelity is not None
        found = self.fidelity
        if found.agrees and self.whole is not None and self.whole.holds and self.apart is not None:
            rows = ", ".join(map(str, self.apart.worst))
            return f"sent in other numbers of rows it answers differently (rows {rows} of the saved sample)"
        if found.agrees and self.whole is not None:
            rows = ", ".join(map(str, self.whole.worst))
            return f"values differ by up to {self.whole.ulps:.3g} ulps (rows {rows} of the saved sample are the worst)"
        return Replay(self.rows, found).says

    def kept(self) -> dict[str, Any]:
        """Return what the journal keeps of it."""
        facts: dict[str, Any] = {"proved": True, "environment": self.environment_id}
        if self.fidelity is not None:
            facts |= Replay(self.rows, self.fidelity, labels_alone=self.labels_alone).kept()
        if self.whole is not None and self.apart is not None and self.agrees:
            facts |= {"identical": self.whole.identical, "ulps": max(self.whole.ulps, self.apart.ulps)}
        return facts

    def _show_(self) -> Card:
        fields = {
            "answers": badge(self.says, "ok" if self.agrees else "bad"),
            "sent": f"{', '.join(map(str, self.shapes))} rows a request" if self.shapes else "",
            "left out": f"{self.left_out:,} rows with infinite numbers" if self.left_out else "",
            "runtime": self.runtime,
            "python": self.python,
            "environment": self.environment_id,
            "bundle": self.bundle,
        }
        origins = table(("packages from", "how many"), list(self.packages.items()))
        return Card(title="Proof", fields=fields, tables=(origins,) if self.packages else ())
