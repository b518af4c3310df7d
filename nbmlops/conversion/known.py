"""Conversions that are known to answer wrongly without saying so, refused before they are tried.

The list saves time and gives a better reason; it is not what keeps a wrong model from serving. The comparison alone
must reject every one of them, and a test takes the list away to see that it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import holds, parts
from nbmlops.conversion.rungs import FLOAT32, RUNGS

if TYPE_CHECKING:
    from nbmlops.conversion.seam import Converter


@dataclass(frozen=True)
class Known:
    """A kind of model that a converter gets wrong.

    Attributes
    ----------
    converter : str
        Name of the converter.
    reason : str
        What goes wrong, as the end of a sentence.
    holds : callable
        Takes the fitted model and says whether it is of that kind.
    rungs : tuple of str
        The rungs on which it is wrong, all by default.
    """

    converter: str
    reason: str
    holds: Callable[[Any], bool]
    rungs: tuple[str, ...] = RUNGS


def refusal(converter: Converter, model: Any, rung: str, *, known: tuple[Known, ...]) -> str:
    """Return why `converter` is not asked for a rung of `model`; empty where nothing is known against it.

    A converter may have a method ``refusal(model) -> str | None`` of its own. It counts like the list, and an empty
    list turns both off.
    """
    own = getattr(converter, "refusal", None)
    if known and own is not None and (reason := own(model)):
        return str(reason)
    against = (one for one in known if one.converter == converter.name and rung in one.rungs)
    return next((one.reason for one in against if one.holds(model)), "")


def _calibrated_pipeline(model: Any) -> bool:
    return any(
        type(part).__name__ == "CalibratedClassifierCV" and any(holds(inner, "Pipeline") for inner in _inside(part))
        for part in parts(model)
    )


def _inside(calibrated: Any) -> list[Any]:
    return [one.estimator for one in getattr(calibrated, "calibrated_classifiers_", ())]


def _multinomial(model: Any) -> bool:
    return any(
        type(part).__name__ == "LogisticRegression" and len(getattr(part, "classes_", ())) > 2 for part in parts(model)
    )


def _any_of(*kinds: str) -> Callable[[Any], bool]:
    return lambda model: any(holds(model, kind) for kind in kinds)


KNOWN = (
    Known(
        "skl2onnx",
        "it is off by up to 0.5 where a pipeline is calibrated",
        _calibrated_pipeline,
        (FLOAT32,),
    ),
    Known("hummingbird", "it is off by up to 0.45 for a logistic regression of several classes", _multinomial),
    Known("hummingbird", "it leaves out the function of a FunctionTransformer", _any_of("FunctionTransformer")),
)
"""What is known; each entry was seen to answer wrongly without an error."""
