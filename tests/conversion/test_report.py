from __future__ import annotations

import json

import pytest
from sklearn.linear_model import LogisticRegression

from nbmlops.conversion import convert
from nbmlops.conversion.report import ConversionReport
from nbmlops.core.errors import Refused
from tests.conversion.conftest import make_case


def test_a_report_shows_what_serves_and_why(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    report = convert(case.model, case.signature, case.reference)
    page = report._repr_html_()
    for words in ("ONNX Runtime", "skl2onnx", "600, 0 with another answer", "× at 1 row"):
        assert words in page
        assert words in report._show_().text
    assert json.loads(json.dumps(report.to_dict()))["chosen"] == "skl2onnx"
    assert "onnx" not in report.to_dict()
    assert report.predict_proba(flights).shape == (600, 2)


def test_a_refusal_shows_its_reason_and_has_nothing_to_predict_with():
    report = ConversionReport(chosen=None, rung="", reason="no converter takes <b>it</b>")
    assert "&lt;b&gt;it&lt;/b&gt;" in report._repr_html_()
    assert "own runtime" in report._show_().text
    with pytest.raises(Refused, match="no converter takes"):
        report.predict([[1]])
