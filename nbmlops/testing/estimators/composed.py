"""Cases of estimators made of estimators: pipelines, columns of texts, calibration, voting, stacking, many outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import (
    calibration,
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    feature_selection,
    impute,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    preprocessing,
    svm,
    tree,
)
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (needed to name it)
from sklearn.pipeline import make_pipeline, make_union

from nbmlops.conversion.rungs import FLOAT64, FLOAT64_PREPROCESSING, OUTSIDE
from nbmlops.testing.estimators.case import EITHER, Case
from nbmlops.testing.estimators.data import (
    GAPPED,
    MIXED,
    NUMBERS,
    TEXTS,
    bundled,
    flights,
    notes,
    sentences,
)
from nbmlops.testing.estimators.single import scaled

CROSSES = "a scaled number crosses a threshold in float32: 2 to 7 % of the rows are off"
EXACT = (FLOAT64_PREPROCESSING, FLOAT64, OUTSIDE)
"""The rungs on which trees behind a scaler can be right."""


class Ratio(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A user's own step: appends the quotient of the first two columns."""

    def fit(self, rows: Any, target: Any = None) -> Ratio:
        """Learn nothing."""
        self.n_features_in_ = np.shape(rows)[1]
        return self

    def transform(self, rows: Any) -> np.ndarray[Any, Any]:
        """Return the columns with one more."""
        values = np.asarray(rows, dtype=np.float64)
        return np.column_stack([values, values[:, 0] / (1 + np.abs(values[:, 1]))])


def _logistic(**options: Any) -> Any:
    return linear_model.LogisticRegression(max_iter=500, **options)


def _forest(**options: Any) -> Any:
    return ensemble.RandomForestClassifier(25, max_depth=8, random_state=0, **options)


def mixed(model: Any, *, scale: bool = True, encoder: Any = None) -> Any:
    """Return `model` behind what a user does to columns of numbers and texts with gaps."""
    numbers = [impute.SimpleImputer(strategy="median"), *([preprocessing.StandardScaler()] if scale else [])]
    texts = [
        impute.SimpleImputer(strategy="most_frequent"),
        encoder or preprocessing.OneHotEncoder(handle_unknown="ignore"),
    ]
    columns = compose.ColumnTransformer(
        [("numbers", make_pipeline(*numbers), list(GAPPED)), ("texts", make_pipeline(*texts), list(TEXTS))],
        remainder="passthrough",
    )
    return make_pipeline(columns, model)


def _xgboost() -> Any:
    import xgboost

    return xgboost.XGBClassifier(n_estimators=15, max_depth=4, random_state=0, n_jobs=1)


def _lightgbm() -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=15, num_leaves=12, random_state=0, n_jobs=1, verbose=-1)


def _histogram() -> Any:
    return ensemble.HistGradientBoostingClassifier(max_iter=15, random_state=0)


def _voters() -> list[tuple[str, Any]]:
    return [("linear", scaled(_logistic())), ("Bayes", naive_bayes.GaussianNB()), ("forest", _forest())]


def _target_encoder() -> Any:
    return preprocessing.TargetEncoder(cv=model_selection.KFold(3))


COLUMNS = (
    Case("columns and logistic regression", "columns", lambda: mixed(_logistic()), flights(MIXED, "status")),
    Case("columns and ridge", "columns", lambda: mixed(linear_model.Ridge()), flights(MIXED, "delay")),
    Case("columns, scaler and forest", "columns", lambda: mixed(_forest()), flights(MIXED), rungs=EXACT,
         stepped=True, trap=CROSSES),
    Case("columns and forest", "columns", lambda: mixed(_forest(), scale=False), flights(MIXED), stepped=True),
    Case("columns, scaler and gradient boosting", "columns",
         lambda: mixed(ensemble.GradientBoostingRegressor(n_estimators=15, random_state=0)), flights(MIXED, "delay"),
         rungs=EXACT, stepped=True, trap=CROSSES),
    Case("columns, scaler and histogram boosting", "columns",
         lambda: mixed(_histogram(), encoder=preprocessing.OneHotEncoder(handle_unknown="ignore",
                                                                         sparse_output=False)),
         flights(MIXED), rungs=EXACT, stepped=True, trap=CROSSES),
    Case("columns, scaler and XGBoost", "columns", lambda: mixed(_xgboost()), flights(MIXED, "late number"),
         outcome=EITHER, rungs=EXACT, stepped=True, trap=CROSSES, needs="xgboost"),
    Case("columns, scaler and LightGBM", "columns", lambda: mixed(_lightgbm()), flights(MIXED),
         rungs=EXACT, stepped=True, trap=CROSSES, needs="lightgbm"),
    Case("one-hot encoder of frequent categories", "columns",
         lambda: mixed(_logistic(), encoder=preprocessing.OneHotEncoder(min_frequency=0.05,
                                                                        handle_unknown="infrequent_if_exist")),
         flights(MIXED), trap="rare categories are not gathered"),
    Case("ordinal encoder of unknown categories", "columns",
         lambda: mixed(_forest(), scale=False,
                       encoder=preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
         flights(MIXED), stepped=True),
    Case("target encoder", "columns", lambda: mixed(_logistic(), encoder=_target_encoder()), flights(MIXED)),
)  # fmt: skip

PREPROCESSING = (
    Case("imputer with indicators", "preprocessing",
         lambda: make_pipeline(impute.SimpleImputer(add_indicator=True), preprocessing.StandardScaler(), _logistic()),
         flights(GAPPED)),
    Case("neighbours' imputer", "preprocessing",
         lambda: make_pipeline(preprocessing.StandardScaler(), impute.KNNImputer(), _logistic()), flights(GAPPED),
         outcome=EITHER, rows=1000),
    Case("iterative imputer", "preprocessing",
         lambda: make_pipeline(impute.IterativeImputer(max_iter=3, random_state=0), _forest()), flights(GAPPED),
         stepped=True, jumps_in="float32"),
    Case("power transformer and principal components", "preprocessing",
         lambda: make_pipeline(preprocessing.PowerTransformer(), decomposition.PCA(3), _logistic()),
         flights(NUMBERS)),
    Case("power transformer and forest", "preprocessing",
         lambda: make_pipeline(preprocessing.PowerTransformer(), _forest()), flights(NUMBERS),
         stepped=True, jumps_in="float32", trap=CROSSES),
    Case("quantile transformer", "preprocessing",
         lambda: make_pipeline(preprocessing.QuantileTransformer(n_quantiles=20), _logistic()), flights(NUMBERS[:3])),
    Case("polynomial features", "preprocessing",
         lambda: make_pipeline(preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2),
                               linear_model.Ridge()),
         flights(NUMBERS, "delay")),
    Case("bins", "preprocessing",
         lambda: make_pipeline(preprocessing.KBinsDiscretizer(8, quantile_method="averaged_inverted_cdf"),
                               _logistic()),
         flights(NUMBERS), stepped=True, trap="edges of bins compare in float32"),
    Case("splines", "preprocessing",
         lambda: make_pipeline(preprocessing.StandardScaler(), preprocessing.SplineTransformer(n_knots=6),
                               linear_model.Ridge()),
         flights(NUMBERS, "delay")),
    Case("a function", "preprocessing",
         lambda: make_pipeline(preprocessing.FunctionTransformer(np.log1p), _logistic()),
         flights(("distance", "wind"), "late number"), trap="hummingbird leaves the function out: wrong by 0.69"),
    Case("a user's own step", "preprocessing",
         lambda: make_pipeline(Ratio(), preprocessing.StandardScaler(), _logistic()), flights(NUMBERS)),
    Case("union of components and chosen columns", "preprocessing",
         lambda: make_pipeline(preprocessing.StandardScaler(),
                               make_union(decomposition.PCA(3), feature_selection.SelectKBest(k=2)), _logistic()),
         bundled("breast_cancer")),
    Case("chosen columns and forest", "preprocessing",
         lambda: make_pipeline(feature_selection.SelectKBest(k=8), _forest()), bundled("breast_cancer"),
         stepped=True),
    Case("normalised rows", "preprocessing",
         lambda: make_pipeline(preprocessing.Normalizer(), preprocessing.MaxAbsScaler(), _logistic()),
         bundled("wine")),
    Case("bits", "preprocessing",
         lambda: make_pipeline(preprocessing.Binarizer(threshold=10.0), _logistic()), flights(NUMBERS),
         stepped=True),
    Case("search over a grid", "preprocessing",
         lambda: model_selection.GridSearchCV(scaled(_logistic()), {"logisticregression__C": [0.1, 1]}, cv=2),
         flights(NUMBERS)),
    Case("transformed target", "preprocessing",
         lambda: compose.TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
         flights(NUMBERS, "complaints"), outcome=EITHER, trap="the inverse of the target is left out"),
)  # fmt: skip

ENSEMBLES = (
    Case("calibrated pipeline", "ensembles",
         lambda: calibration.CalibratedClassifierCV(scaled(_logistic()), cv=3), flights(NUMBERS), outcome=EITHER,
         trap="skl2onnx takes the wrong score of a pipeline: wrong by 0.50"),
    Case("calibrated support vectors", "ensembles",
         lambda: calibration.CalibratedClassifierCV(scaled(svm.LinearSVC()), cv=3), flights(NUMBERS),
         outcome=EITHER),
    Case("isotonic calibration of a forest", "ensembles",
         lambda: calibration.CalibratedClassifierCV(_forest(), method="isotonic", cv=3), flights(NUMBERS),
         outcome=EITHER, stepped=True),
    Case("calibrated Bayes, three classes", "ensembles",
         lambda: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=3), bundled("iris")),
    Case("soft voting", "ensembles", lambda: ensemble.VotingClassifier(_voters(), voting="soft"), flights(NUMBERS),
         stepped=True, jumps_in="float32"),
    Case("hard voting", "ensembles", lambda: ensemble.VotingClassifier(_voters()), flights(NUMBERS),
         outcome=EITHER),
    Case("voting regression", "ensembles",
         lambda: ensemble.VotingRegressor([("ridge", linear_model.Ridge()),
                                           ("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=0))]),
         flights(NUMBERS, "delay"), stepped=True),
    Case("stacking", "ensembles",
         lambda: ensemble.StackingClassifier(_voters()[:2], final_estimator=_logistic(), cv=3), flights(NUMBERS)),
    Case("stacking, regression", "ensembles",
         lambda: ensemble.StackingRegressor([("ridge", linear_model.Ridge()),
                                             ("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=0))], cv=3),
         flights(NUMBERS, "delay"), stepped=True),
)  # fmt: skip

TEXT = (
    Case("texts by TF-IDF", "texts",
         lambda: make_pipeline(feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2)), _logistic()),
         sentences(3)),
    Case("texts by their characters", "texts",
         lambda: make_pipeline(feature_extraction.text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)),
                               _logistic()),
         sentences(), trap="characters at the edges of words are cut otherwise"),
    Case("texts by counts", "texts",
         lambda: make_pipeline(feature_extraction.text.CountVectorizer(), naive_bayes.MultinomialNB()),
         sentences()),
    Case("hashed texts", "texts",
         lambda: make_pipeline(feature_extraction.text.HashingVectorizer(n_features=64),
                               linear_model.SGDClassifier(loss="log_loss", random_state=0)),
         sentences()),
    Case("texts and numbers", "texts",
         lambda: make_pipeline(
             compose.ColumnTransformer([("note", feature_extraction.text.TfidfVectorizer(), "note"),
                                        ("numbers", preprocessing.StandardScaler(), ["distance", "wind"])]),
             _logistic()),
         notes()),
)  # fmt: skip

MANY_OUTPUTS = (
    Case("linear regression, two values", "many outputs", linear_model.LinearRegression,
         flights(NUMBERS, "delay and fuel")),
    Case("forest, two values", "many outputs",
         lambda: ensemble.RandomForestRegressor(20, max_depth=8, random_state=0), flights(NUMBERS, "delay and fuel"),
         stepped=True),
    Case("boosting of each value", "many outputs",
         lambda: multioutput.MultiOutputRegressor(
             ensemble.GradientBoostingRegressor(n_estimators=10, random_state=0)),
         bundled("linnerud"), stepped=True),
    Case("forest, two labels", "many outputs", lambda: _forest(), flights(NUMBERS, "late and far"), outcome=EITHER,
         stepped=True, trap="one tensor of probabilities stands for a list of two"),
    Case("logistic regression of each label", "many outputs",
         lambda: multioutput.MultiOutputClassifier(scaled(_logistic())), flights(NUMBERS, "late and far"),
         outcome=EITHER),
    Case("one against the rest", "many outputs",
         lambda: multiclass.OneVsRestClassifier(scaled(_logistic())), flights(NUMBERS, "status")),
    Case("labels in a chain", "many outputs",
         lambda: multioutput.ClassifierChain(_logistic(), random_state=0), flights(NUMBERS, "late and far"),
         outcome=EITHER),
)  # fmt: skip

CASES = (*COLUMNS, *PREPROCESSING, *ENSEMBLES, *TEXT, *MANY_OUTPUTS)
