"""The last resort: shap's weighted regression over coalitions of columns."""

from __future__ import annotations

import numpy as np

from nbmlops.explanation.seam import Part, Prepared
from nbmlops.explanation.subject import Floats, Subject

BACKGROUND = 20  # rows


class Kernel:
    """Explains whatever answers with numbers, from codes that stand for the values of its columns.

    shap knows numbers alone, so each row and background row has a number, and a column of them says whose value is
    meant.
    """

    name = "kernel"
    apart = True

    def can_explain(self, subject: Subject) -> bool:
        """Return whether there are rows to fill unknown columns from."""
        return len(subject.background) > 0

    def prepare(self, subject: Subject) -> Prepared:
        """Return shap's values."""
        import pandas as pd
        import shap

        known = subject.background.sample(min(BACKGROUND, len(subject.background)), random_state=subject.seed)
        columns = len(subject.columns)

        def codes(first: int, count: int) -> Floats:
            return np.repeat(np.arange(first, first + count, dtype=np.float64)[:, None], columns, axis=1)

        def explain(rows: pd.DataFrame) -> Part:
            values = pd.concat([known, rows], ignore_index=True)

            def answer(coded: Floats) -> Floats:
                made = values.take(np.zeros(len(coded), dtype=int)).reset_index(drop=True)
                for place in range(columns):
                    made.isetitem(place, values.iloc[:, place].take(coded[:, place].astype(int)).array)
                return subject.output(subject.scale, made)

            explainer = shap.KernelExplainer(answer, codes(0, len(known)))
            found = np.asarray(explainer.shap_values(codes(len(known), len(rows)), silent=True))
            return Part(found.reshape(len(rows), columns, -1))

        return Prepared(
            explain,
            base_values=subject.output(subject.scale, known).mean(axis=0),
            scale=subject.scale,
            background=len(known),
            how=f"a regression over coalitions of columns, {len(known)} background rows",
        )
