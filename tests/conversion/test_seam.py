from __future__ import annotations

from dataclasses import replace

import pytest
from sklearn.linear_model import LogisticRegression

from nbmlops.conversion import converters as found
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.testing.converters import check_converter
from tests.conversion.conftest import make_case


class Entry:
    def __init__(self, name, kind):
        self.name, self._kind = name, kind

    def load(self):
        return self._kind


class Other(SklearnConverter):
    name = "other"


def test_converters_come_from_entry_points_and_ours_are_first(monkeypatch):
    entries = [Entry("other", Other), Entry("skl2onnx", SklearnConverter)]
    monkeypatch.setattr("nbmlops.conversion.seam.entry_points", lambda group: entries)
    assert [one.name for one in found()] == ["skl2onnx", "nbmlops", "other", "outside-float64", "outside-float32"]


@pytest.fixture
def case(flights, late):
    return make_case(LogisticRegression(), flights[["wind", "hour"]], late)


def test_the_shipped_converter_conforms(case):
    check_converter(SklearnConverter(), case.model, case.reference.inputs)


class Greedy(SklearnConverter):
    def can_convert(self, model):
        return True


class Meddling(SklearnConverter):
    def convert(self, model, signature, *, rung="float32"):
        model.touched = True
        return super().convert(model, signature, rung=rung)


class Restless(SklearnConverter):
    calls = 0

    def convert(self, model, signature, *, rung="float32"):
        Restless.calls += 1
        made = super().convert(model, signature, rung=rung)
        return replace(made, content=made.content + bytes([0x32, 1, 48 + Restless.calls]))


class Unsigned(SklearnConverter):
    def convert(self, model, signature, *, rung="float32"):
        return replace(super().convert(model, signature, rung=rung), converter="somebody")


@pytest.mark.parametrize(
    ("kind", "promise"),
    [(Greedy, "plain object"), (Meddling, "changed"), (Restless, "other bytes"), (Unsigned, "signed")],
)
def test_the_kit_finds_a_broken_promise(case, kind, promise):
    with pytest.raises(AssertionError, match=promise):
        check_converter(kind(), case.model, case.reference.inputs)
