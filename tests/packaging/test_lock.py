from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from hypothesis import given
from hypothesis import strategies as st

from nbmlops.capture import capture_environment
from nbmlops.capture.distributions import installed
from nbmlops.packaging.lock import SERVER, lock
from tests.packaging.conftest import ENVIRONMENT


def names(text: str) -> set[str]:
    return {line.split("==")[0].split(" @ ")[0].replace("_", "-") for line in text.splitlines()}


def test_a_converted_model_needs_the_server_alone():
    made = lock(ENVIRONMENT, "onnx")
    assert {*SERVER, "onnxruntime", "click"} <= names(made.text)
    assert not {"house", "jupyterlab", "scikit-learn", "pandas", "mlflow"} & names(made.text)


def test_what_was_captured_holds_over_what_is_installed_now():
    made = lock(ENVIRONMENT, "sklearn", serialization="skops")
    lines = made.text.splitlines()
    assert "numpy==1.2.3" in lines
    assert "house @ git+u@abc" in lines
    assert f"scikit-learn=={version('scikit-learn')}" in lines
    assert f"skops=={version('skops')}" in lines


def test_what_only_the_kernel_had_is_left_out():
    assert "jupyterlab" not in names(lock(ENVIRONMENT, "sklearn").text)


def test_the_build_of_onnx_runtime_that_is_here_is_pinned(monkeypatch):
    known = installed()
    plain = known.by_name["onnxruntime"]
    other = {name: one for name, one in known.by_name.items() if name != "onnxruntime"} | {"onnxruntime-gpu": plain}
    monkeypatch.setattr("nbmlops.packaging.lock.installed", lambda: replace(known, by_name=other))
    pins = lock(ENVIRONMENT, "onnx").packages
    assert version("onnxruntime") in [one.version for one in pins if one.name == "onnxruntime"]


def test_the_last_resort_needs_mlflow():
    assert "mlflow" in names(lock(ENVIRONMENT, "pyfunc").text)


def test_every_line_is_an_exact_pin_in_order():
    lines = lock(ENVIRONMENT, "sklearn").text.splitlines()
    assert all("==" in line or " @ " in line for line in lines)
    assert lines == sorted(lines, key=lambda line: line.lower().replace("_", "-"))


def test_a_real_capture_locks_what_its_model_needs():
    from sklearn.linear_model import LogisticRegression

    made = lock(capture_environment(LogisticRegression()).to_dict(), "sklearn")
    assert {"scikit-learn", "scipy", "numpy"} <= names(made.text)
    assert not {"nbmlops", "pytest", "mlflow"} & names(made.text)


@given(st.permutations(ENVIRONMENT["packages"]))
def test_the_order_of_a_capture_does_not_count(packages):
    assert lock({**ENVIRONMENT, "packages": packages}, "sklearn") == lock(ENVIRONMENT, "sklearn")


def test_python_and_pins_make_the_id():
    base = lock(ENVIRONMENT, "onnx")
    assert lock({**ENVIRONMENT, "python": "3.12"}, "onnx").id != base.id
    changed = [{**ENVIRONMENT["packages"][0], "version": "1.2.4"}]
    assert lock({**ENVIRONMENT, "packages": changed}, "onnx").id != base.id
