from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nbmlops.capture import objects
from nbmlops.capture.objects import uses


def in_notebook(source: str) -> dict[str, Any]:
    """Run `source` as a notebook's cell: what it defines belongs to ``__main__``."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    return names


def tops(*found: Any) -> set[str]:
    return {name.partition(".")[0] for name in uses(*found)}


def test_the_steps_of_a_pipeline_bring_their_modules() -> None:
    found = uses(make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()))
    assert {
        "sklearn.pipeline",
        "sklearn.preprocessing._function_transformer",
        "sklearn.linear_model._logistic",
    } <= found
    assert any(name.startswith("numpy") for name in found)


def test_a_function_brings_what_its_body_names() -> None:
    names = in_notebook("import json as j\ndef f(x):\n    return [j.dumps(y) for y in x]")
    found = uses(names["f"])
    assert "json" in found


def test_a_function_of_the_notebook_is_followed_into_others_and_into_its_imports() -> None:
    names = in_notebook(
        "from fractions import Fraction\n"
        "def deep(x):\n    import colorsys\n    return Fraction(x)\n"
        "def f(x): return deep(x)"
    )
    found = uses(names["f"])
    assert {"fractions", "colorsys"} <= found


def test_closures_defaults_partials_and_methods_are_followed() -> None:
    names = in_notebook(
        "import json, csv, wave\n"
        "def outer():\n    inside = json.dumps\n    return lambda x, y=csv.reader: inside(x)\n"
        "class Custom:\n    def predict(self, X): return wave.open(X)\n"
    )
    inner = names["outer"]()
    assert {"json", "wave"} <= tops(functools.partial(inner, names["Custom"]().predict))


def test_a_class_of_the_notebook_brings_its_bases_and_its_methods() -> None:
    names = in_notebook(
        "from sklearn.base import BaseEstimator\nimport colorsys, fractions\n"
        "class Custom(BaseEstimator):\n"
        "    @property\n    def hue(self): return colorsys.rgb_to_hls\n"
        "    @staticmethod\n    def part(): return fractions.Fraction\n"
    )
    found = uses(names["Custom"]())
    assert {"sklearn.base", "colorsys", "fractions"} <= found


def test_slots_and_object_arrays_are_looked_into() -> None:
    class Slotted:
        __slots__ = ("empty", "held")

        def __init__(self) -> None:
            self.held = np.array([LogisticRegression()], dtype=object)

    assert "sklearn" in tops(Slotted())


def test_the_objects_own_code_never_runs() -> None:
    class Trap:
        def __getattr__(self, name: str) -> Any:
            pytest.fail(f"asked for {name}")

        def __getstate__(self) -> Any:
            pytest.fail("asked for its state")

    Trap.__module__ = "__main__"
    assert "__main__" in uses(Trap())


def test_a_circle_ends_and_an_unbound_closure_is_passed_over() -> None:
    ring: list[Any] = []
    ring.append(ring)
    cell = types.CellType()
    assert uses(ring, cell) == {"builtins"}


def test_a_large_object_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_OBJECTS", 50)
    forest = RandomForestClassifier(200).fit([[0.0], [1.0]], [0, 1])
    walk = objects._Walk()
    walk.add(forest)
    walk.run()
    assert len(walk._seen) == 50
    assert "sklearn.ensemble._forest" in walk.modules
