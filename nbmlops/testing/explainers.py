"""Conformance of an explainer: what `nbmlops.explanation` relies on, of whoever made it."""

from __future__ import annotations

import pickle

from nbmlops.explanation import Explainer, Subject
from nbmlops.explanation.choice import TOLERANCE, distance
from nbmlops.explanation.seam import EXPLAINER_ERRORS


def check_explainer(explainer: Explainer, subject: Subject) -> None:
    """Check that `explainer` keeps the promises of the seam on a subject that it takes.

    Parameters
    ----------
    explainer : Explainer
    subject : Subject
        A fitted model that `explainer` can explain, with at least two rows.

    Raises
    ------
    AssertionError
        Saying which promise is broken.
    """
    import numpy as np

    assert isinstance(explainer, Explainer), "it lacks name, apart, can_explain or prepare"
    assert explainer.name, "its name is empty"
    assert explainer.can_explain(subject) is True, "can_explain says no to the subject"
    before = pickle.dumps(subject.model)
    try:
        prepared = explainer.prepare(subject)
    except EXPLAINER_ERRORS as error:
        raise AssertionError(f"it fails on what it can explain: {error}") from error
    part = prepared.explain(subject.rows)
    assert pickle.dumps(subject.model) == before, "it changed the model"
    outputs = subject.output(prepared.scale, subject.rows)
    shape = (len(subject.rows), len(subject.columns), outputs.shape[1])
    assert part.values.shape == shape, f"its values have shape {part.values.shape}, not {shape}"
    residual = distance(part.values.sum(axis=1) + prepared.base_values, outputs)
    assert residual <= TOLERANCE, f"its sums differ from the model's output by {residual:.1e}"
    again = np.concatenate([prepared.explain(subject.rows.iloc[:1]).values, prepared.explain(subject.rows[1:]).values])
    assert np.allclose(again, part.values, atol=1e-9), "the same rows in other parts get other values"
