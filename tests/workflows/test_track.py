"""`%track`: every fit of the notebook is a run, and nothing else of the user's changes."""

from __future__ import annotations

import inspect
import itertools
import pickle
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import cloudpickle
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

import nbmlops.workflows.track as verb
from nbmlops.capture import fingerprint
from nbmlops.core.errors import StorageError
from nbmlops.registry import TrackedFit
from nbmlops.testing.shell import notebook
from nbmlops.workflows.session import Session, current
from nbmlops.workflows.tracking import measure, tracker
from nbmlops.workflows.tracking.measure import Arguments, description, metrics, parameters
from nbmlops.workflows.tracking.tracker import TrackedRuns

RNG = np.random.default_rng(2013)
X = RNG.normal(size=(120, 4))
Y = (X[:, 0] + RNG.normal(size=120) > 0).astype(int)


class FakeRegistry:
    """Keeps the fits that were logged; stands for MLflow."""

    def __init__(self) -> None:
        self.fits: list[TrackedFit] = []
        self.broken: Exception | None = None

    def names(self) -> list[str]:
        return []

    def log_run(self, fit: TrackedFit) -> str:
        if self.broken is not None:
            raise self.broken
        self.fits.append(fit)
        return f"run{len(self.fits)}"


class FakeJournal:
    """Keeps what was appended."""

    def __init__(self) -> None:
        self.appended: list[tuple[str, str, Mapping[str, Any]]] = []

    def append(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        self.appended.append((type, subject, data))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """Tracking is on, over a registry that only remembers."""
    fake = FakeRegistry()
    session = Session(None, FakeJournal(), fake)  # type: ignore[arg-type]
    monkeypatch.setattr(tracker, "current", lambda: session)
    monkeypatch.setattr(verb, "_tracker", None)
    assert verb.track().on
    yield fake
    verb.track(off=True)


class Own(ClassifierMixin, BaseEstimator):
    """An estimator of the user's, defined in the notebook."""

    def __init__(self, answer: int = 0, error: type[BaseException] | None = None) -> None:
        self.answer = answer
        self.error = error

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Own:
        if self.error is not None:
            raise self.error("user's own")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.answer)


def _complaints(recorded: pytest.WarningsRecorder) -> list[str]:
    return [str(warning.message) for warning in recorded if "could not be tracked" in str(warning.message)]


def _names(registry: FakeRegistry) -> list[str]:
    return [fit.estimator for fit in registry.fits]


def test_a_fit_is_a_run_with_parameters_metrics_data_and_environment(registry: FakeRegistry) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = LogisticRegression(C=0.5)
    assert model.fit(frame, Y) is model
    (fit,) = registry.fits
    assert (fit.estimator, fit.status) == ("LogisticRegression", "FINISHED")
    assert fit.params["C"] == "0.5"
    assert fit.metrics["training_score"] == fit.metrics["training_accuracy_score"] == model.score(frame, Y)
    assert 0 < fit.metrics["training_log_loss"] < 1
    assert 0.5 < fit.metrics["training_roc_auc"] <= 1
    assert fit.metrics["training_rows"] == 120
    assert fit.captured is not None
    assert fit.captured.environment.id.startswith("sha256:")
    assert fit.captured.data is not None
    assert fit.captured.data.digest == fingerprint(frame).digest


def test_the_journal_hears_of_it_without_parameters_or_data(registry: FakeRegistry) -> None:
    Ridge().fit(X, Y)
    ((type, subject, data),) = tracker.current().journal.appended  # type: ignore[attr-defined]
    assert (type, subject) == ("run.tracked", "run/run1")
    assert set(data) == {"run_id", "estimator", "metrics", "status"}


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
        RandomForestClassifier(3),
        StackingClassifier([("a", LogisticRegression()), ("b", Own())], cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_only_the_outermost_fit_counts(registry: FakeRegistry, model: Any) -> None:
    clone(model).fit(X, Y)
    assert _names(registry) == [type(model).__name__]


def test_a_search_tells_its_best(registry: FakeRegistry) -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 10.0]}, cv=2).fit(X, Y)
    (fit,) = registry.fits
    assert fit.params["best_ridge__alpha"] == str(search.best_params_["ridge__alpha"])
    assert fit.metrics["best_cv_score"] == search.best_score_


def test_the_clones_of_a_cross_validation_do_not_count(registry: FakeRegistry) -> None:
    cross_val_score(LogisticRegression(), X, Y, cv=2)
    assert registry.fits == []
    joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(clone(Ridge()).fit)(X, Y) for _ in range(3))
    assert registry.fits == []


def test_a_method_that_travels_to_another_process_is_the_plain_one(registry: FakeRegistry) -> None:
    model = Ridge()
    hooked = model.fit
    assert pickle.loads(pickle.dumps(Ridge().fit)).__self__.get_params() == model.get_params()
    verb.track(off=True)
    plain = cloudpickle.loads(cloudpickle.dumps(hooked))
    assert inspect.ismethod(plain)


@pytest.mark.parametrize(
    "model",
    [
        Own(answer=1),
        KMeans(2, n_init=1),
        xgboost.XGBClassifier(n_estimators=2),
        lightgbm.LGBMRegressor(n_estimators=2, verbose=-1),
        KNeighborsClassifier(),
        LinearRegression(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_estimator_with_the_base_class_is_seen(
    registry: FakeRegistry, model: Any, recwarn: pytest.WarningsRecorder
) -> None:
    model.fit(X, Y)
    assert _complaints(recwarn) == []
    (fit,) = registry.fits
    assert (fit.estimator, fit.status) == (type(model).__name__, "FINISHED")
    assert "training_score" in fit.metrics


def test_a_class_that_is_defined_later_is_seen(registry: FakeRegistry) -> None:
    class Later(Ridge):
        def fit(self, X: Any, y: Any) -> Any:
            return super().fit(X, y)

    Later().fit(X, Y)
    assert _names(registry) == ["Later"]


@pytest.mark.parametrize(("error", "status"), [(ZeroDivisionError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_failing_fit_is_recorded_and_its_error_passes(
    registry: FakeRegistry, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error, match=r"^user's own$") as caught:
        Own(error=error).fit(X, Y)
    assert caught.type is error
    assert caught.value.__context__ is None
    (fit,) = registry.fits
    assert (fit.status, set(fit.metrics)) == (status, {"fit_seconds"})


def test_a_failure_of_tracking_never_breaks_the_fit_and_is_said_once(
    registry: FakeRegistry, recwarn: pytest.WarningsRecorder
) -> None:
    registry.broken = StorageError("the disk is full")
    with pytest.warns(UserWarning, match="could not be tracked.*StorageError: the disk is full.*said once"):
        model = Ridge().fit(X, Y)
    assert model.coef_.shape == (4,)
    before = len(recwarn)
    assert Ridge().fit(X, Y).coef_.shape == (4,)
    assert len(recwarn) == before
    with pytest.raises(ZeroDivisionError):
        Own(error=ZeroDivisionError).fit(X, Y)


def test_a_score_that_fails_leaves_a_run_without_metrics(registry: FakeRegistry) -> None:
    class Odd(Own):
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            raise RuntimeError("no score")

    with pytest.warns(UserWarning, match="no score"):
        Odd().fit(X, Y)
    assert set(registry.fits[0].metrics) == {"fit_seconds"}


def test_off_leaves_everything_as_it_was(registry: FakeRegistry) -> None:
    verb.track(off=True)
    assert "__getattribute__" not in vars(BaseEstimator)
    assert inspect.ismethod(Ridge().fit)
    Ridge().fit(X, Y)
    assert registry.fits == []
    assert not verb.track(off=True).on


def test_a_method_that_was_kept_is_plain_after_off(registry: FakeRegistry) -> None:
    kept = Ridge().fit
    verb.track(off=True)
    kept(X, Y)
    assert registry.fits == []


def test_a_hook_of_somebody_else_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(estimator: Any, name: str) -> Any:
        return object.__getattribute__(estimator, name)

    monkeypatch.setattr(BaseEstimator, "__getattribute__", theirs)
    hook = tracker.Hook(lambda call: call.run())
    hook.install()
    assert vars(BaseEstimator)["__getattribute__"] is not theirs
    hook.remove()
    assert vars(BaseEstimator)["__getattribute__"] is theirs


def test_the_method_looks_like_the_one_it_stands_for(registry: FakeRegistry) -> None:
    model = Own()
    assert inspect.signature(model.fit) == inspect.signature(Own.fit.__get__(model))
    assert has_fit_parameter(model, "sample_weight")
    assert model.fit.__self__ is model
    assert model.fit.__doc__ == Own.fit.__doc__
    assert hasattr(Own(), "fit")


def test_an_estimator_that_was_fitted_under_tracking_carries_nothing_of_it(registry: FakeRegistry) -> None:
    model = make_pipeline(StandardScaler(), Own()).fit(X, Y)
    assert b"tracking" not in cloudpickle.dumps(model)
    assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()


def test_data_that_can_be_read_once_is_left_to_the_fit(
    registry: FakeRegistry, recwarn: pytest.WarningsRecorder
) -> None:
    class Streaming(Own):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Own:
            self.rows_ = list(X)
            return super().fit(X, y)

    model = TfidfVectorizer().fit(text for text in ["late flight", "early flight"])
    assert sorted(model.vocabulary_) == ["early", "flight", "late"]
    assert Streaming().fit(iter([[1.0], [2.0]]), [0, 1]).rows_ == [[1.0], [2.0]]
    assert len(registry.fits) == 2
    assert _complaints(recwarn) == []


def test_warnings_that_are_errors_do_not_break_the_fit(
    registry: FakeRegistry, recwarn: pytest.WarningsRecorder
) -> None:
    registry.broken = StorageError("the disk is full")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Ridge().fit(X, Y).coef_.shape == (4,)
    assert len(_complaints(recwarn)) == 1


@pytest.mark.parametrize(
    "data", [scipy.sparse.csr_matrix(X), X.tolist(), pd.DataFrame(X)], ids=["sparse", "list", "frame"]
)
def test_any_form_of_data_is_taken(registry: FakeRegistry, data: Any, recwarn: pytest.WarningsRecorder) -> None:
    LogisticRegression().fit(data, y=Y)
    assert _complaints(recwarn) == []
    assert "training_roc_auc" in registry.fits[0].metrics


def test_the_digest_is_of_the_data_before_the_fit(registry: FakeRegistry) -> None:
    class Writing(Own):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Own:
            X[:] = 0
            return super().fit(X, y)

    data = X.copy()
    Writing().fit(data, Y)
    captured = registry.fits[0].captured
    assert captured is not None
    assert captured.data is not None
    assert captured.data.digest == fingerprint(X).digest


@pytest.mark.parametrize(("seconds", "rows"), [(0.0, 120), (0.02, 80), (0.03, 50), (1.0, 10)])
def test_a_slow_model_is_scored_on_a_sample(monkeypatch: pytest.MonkeyPatch, seconds: float, rows: int) -> None:
    monkeypatch.setattr(measure, "PROBE_ROWS", 10)
    monkeypatch.setattr(measure, "SAMPLES", (80, 50))
    clock = itertools.count(0.0, seconds)  # each score of the ten rows takes that long
    monkeypatch.setattr(measure.time, "process_time", lambda: next(clock))
    model = LogisticRegression().fit(X, Y)
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    found = metrics(model, Arguments(X, Y))
    assert found["training_rows"] == rows
    assert found == metrics(model, Arguments(X, Y))
    assert found["training_log_loss"] > 0
    assert (np.random.get_state()[1] == state).all()  # type: ignore[union-attr]


def test_parameters_are_short_texts_without_data() -> None:
    model = Pipeline([("scale", StandardScaler()), ("fit", KMeans(2, init=X[:2]))])
    told = parameters(model)
    assert told["fit"] == "KMeans"
    assert told["fit__init"] == "ndarray(2, 4) float64"
    assert told["steps"] == "[(scale, StandardScaler), (fit, KMeans)]"
    assert next(iter(told)).count("__") == 0
    assert description(model) == "Pipeline(steps=[(scale, StandardScaler), (fit, KMeans)])"
    assert description(Ridge()) == "Ridge()"
    assert len(description(Own("x" * 1000))) == 70  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_parameter_becomes_a_short_text(value: Any) -> None:
    told = parameters(Own(value))["answer"]
    assert isinstance(told, str)
    assert len(told) <= measure.VALUE_LIMIT


def test_the_last_five_runs_are_shown(registry: FakeRegistry) -> None:
    for alpha in range(1, 8):
        Ridge(alpha=alpha).fit(X, Y)
    shown = verb.track()
    assert [run.estimator for run in shown.runs] == [f"Ridge(alpha={alpha})" for alpha in range(3, 8)]
    assert shown.runs[-1].shape == "120 × 4"
    assert "Ridge(alpha=7)" in shown._repr_html_()
    assert "Turn it off with %track --off" in shown._show_().text
    assert shown.to_dict()["runs"][0]["status"] == "FINISHED"
    assert "No fit" in repr(TrackedRuns())


def test_one_table_stands_under_a_cell_that_fitted(registry: FakeRegistry) -> None:
    verb.track(off=True)
    with notebook() as cells:
        cells.run(
            "from nbmlops.workflows.track import track; from sklearn.linear_model import Ridge; import numpy as np"
        )
        cells.run("track();")
        cell = cells.run("for alpha in (1, 2):\n    Ridge(alpha).fit(np.eye(3), [1, 2, 3])")
        (table,) = cell.shown
        assert "Ridge(alpha=2)" in table["text/plain"]
        assert "<table" in table["text/html"]
        assert cells.run("1 + 1").shown == ()
        assert "no longer tracked" in str(cells.run("%track --off").result._show_())
        cells.run("%track")
    assert inspect.ismethod(Ridge().fit)  # the extension was unloaded


@pytest.mark.integration
def test_a_tracked_fit_is_a_run_of_mlflow(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    verb.track()
    try:
        Ridge(alpha=2).fit(X, Y)
        with pytest.raises(ZeroDivisionError):
            Own(error=ZeroDivisionError).fit(X, Y)
    finally:
        verb.track(off=True)
    client = mlflow.MlflowClient(session.workspace.tracking_uri)
    events = current().journal.events("run.tracked")
    first, second = (client.get_run(event.data["run_id"]) for event in events)
    assert (first.info.status, second.info.status) == ("FINISHED", "FAILED")
    assert first.data.params["alpha"] == "2"
    assert first.data.metrics["training_score"] == pytest.approx(Ridge(alpha=2).fit(X, Y).score(X, Y))
    assert first.data.tags["nbmlops.data_digest"] == fingerprint(X).digest
    assert "nbmlops.environment_id" in first.data.tags
    assert [file.path for file in client.list_artifacts(first.info.run_id, "nbmlops")] == ["nbmlops/captured.json"]
    assert len(events) == 2
