"""The seam for explainers: three names, found by the entry-point group ``nbmlops.explainers``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nbmlops.core.errors import LIBRARY_ERRORS
from nbmlops.explanation.origins import Places
from nbmlops.explanation.subject import Floats, Subject

if TYPE_CHECKING:
    import pandas as pd

GROUP = "nbmlops.explainers"
EXPLAINER_ERRORS = LIBRARY_ERRORS
"""What an explainer may fail with: shap's errors share no base."""


@dataclass(frozen=True)
class Part:
    """Contributions of some rows.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_columns, n_outputs)
        What each raw column adds to each output.
    rebased : callable or None
        Takes places of background rows and gives `values` as they are with these alone; None where the explainer
        fills nothing from background rows.
    """

    values: Floats
    rebased: Callable[[Places], Floats] | None = None


@dataclass(frozen=True)
class Prepared:
    """An explainer that is ready for rows of one model.

    Attributes
    ----------
    explain : callable
        Takes a DataFrame of raw rows and gives a `Part`.
    base_values : ndarray, shape (n_outputs,)
        The output where no column is known.
    scale : str
        The scale of the model's output that base and values add up to, as `Subject.output` takes it.
    background : int
        Rows that unknown columns are filled from; 0 where the model's own counts of training rows do that.
    how : str
        In a few words.
    """

    explain: Callable[[pd.DataFrame], Part]
    base_values: Floats
    scale: str
    background: int
    how: str


@runtime_checkable
class Explainer(Protocol):
    """Finds what each column adds to each output. It need not be right: its sums are compared with the model's output.

    `nbmlops.testing.explainers.check_explainer` runs the conformance checks.

    Attributes
    ----------
    name : str
        Shown as ``Explanation.explainer``.
    apart : bool
        Whether it works in a process of its own, since it holds the interpreter or takes long to import.
    """

    name: str
    apart: bool

    def can_explain(self, subject: Subject) -> bool:
        """Return whether it is worth a try, without doing much work."""

    def prepare(self, subject: Subject) -> Prepared:
        """Return what explains rows, or raise one of `EXPLAINER_ERRORS`, whose first line is the reason."""


def explainers() -> tuple[Explainer, ...]:
    """Return the installed explainers: those of nbmlops from the exact to the sampled, others before the sampled."""
    from nbmlops.explanation.kernel import Kernel
    from nbmlops.explanation.linear import Linear
    from nbmlops.explanation.permutation import Permutation
    from nbmlops.explanation.trees import BoosterTrees, LeafPaths, ShapTrees

    others = [point.load()() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]
    return (Linear(), LeafPaths(), BoosterTrees(), ShapTrees(), *others, Permutation(), Kernel())
