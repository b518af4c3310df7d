"""Cases of one estimator, with no more before it than it needs: linear, trees, forests, kernels, neighbours, Bayes."""

from __future__ import annotations

from typing import Any

from sklearn import (
    cross_decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    gaussian_process,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    svm,
    tree,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from nbmlops.conversion.rungs import FLOAT64, FLOAT64_PREPROCESSING
from nbmlops.testing.estimators.case import EITHER, Case
from nbmlops.testing.estimators.data import EPOCH, GAPPED, NUMBERS, bundled, counts, crowded, flights

DOUBLE = (FLOAT64_PREPROCESSING, FLOAT64)


def scaled(model: Any) -> Any:
    """Return `model` behind a standard scaler."""
    return make_pipeline(StandardScaler(), model)


def _logistic(**options: Any) -> Any:
    return linear_model.LogisticRegression(max_iter=500, **options)


LINEAR = (
    Case("logistic regression", "linear", lambda: scaled(_logistic()), bundled("breast_cancer", texts=True)),
    Case("logistic regression, three classes", "linear", lambda: scaled(_logistic()), bundled("wine", texts=True)),
    Case("logistic regression, ten classes", "linear", lambda: scaled(_logistic()), bundled("digits"),
         trap="hummingbird takes several classes for one against the rest: wrong by 0.45"),
    Case("logistic regression, true and false", "linear", lambda: scaled(_logistic()), flights(NUMBERS)),
    Case("logistic regression, L1", "linear",
         lambda: scaled(_logistic(solver="liblinear", l1_ratio=1.0, C=0.3)), flights(NUMBERS, "late number")),
    Case("stochastic gradient descent", "linear",
         lambda: scaled(linear_model.SGDClassifier(loss="log_loss", random_state=0)), flights(NUMBERS, "status")),
    Case("stochastic gradient descent, hinge", "linear",
         lambda: scaled(linear_model.SGDClassifier(random_state=0)), flights(NUMBERS)),
    Case("ridge classifier", "linear", lambda: scaled(linear_model.RidgeClassifier()), flights(NUMBERS, "status")),
    Case("perceptron", "linear", lambda: scaled(linear_model.Perceptron(random_state=0)), flights(NUMBERS)),
    Case("linear regression", "linear", linear_model.LinearRegression, flights(NUMBERS, "delay")),
    Case("ridge, seconds and identifiers", "linear", linear_model.Ridge, flights(EPOCH, "delay"),
         rungs=DOUBLE, trap="seconds since 1970 lose two minutes as float32"),
    Case("lasso", "linear", lambda: scaled(linear_model.Lasso(0.1)), bundled("diabetes", named=True)),
    Case("elastic net", "linear", lambda: scaled(linear_model.ElasticNet(0.1)), flights(NUMBERS, "delay")),
    Case("Bayesian ridge", "linear", linear_model.BayesianRidge, bundled("diabetes")),
    Case("Huber regression", "linear", lambda: scaled(linear_model.HuberRegressor()), flights(NUMBERS, "delay")),
    Case("Poisson regression", "linear", lambda: scaled(linear_model.PoissonRegressor()),
         flights(NUMBERS, "complaints")),
    Case("Tweedie regression", "linear", lambda: scaled(linear_model.TweedieRegressor(power=1.5)),
         flights(NUMBERS, "complaints")),
    Case("partial least squares", "linear", lambda: cross_decomposition.PLSRegression(2), bundled("diabetes")),
    Case("linear discriminant analysis", "linear", discriminant_analysis.LinearDiscriminantAnalysis,
         bundled("iris", texts=True)),
    Case("quadratic discriminant analysis", "linear", discriminant_analysis.QuadraticDiscriminantAnalysis,
         bundled("iris"), outcome=EITHER),
    Case("the most frequent class", "linear", dummy.DummyClassifier, bundled("iris"), outcome=EITHER),
)  # fmt: skip

TREES = (
    Case("decision tree", "trees", lambda: tree.DecisionTreeClassifier(max_depth=8, random_state=0),
         flights(NUMBERS, "status"), stepped=True),
    Case("decision tree, seconds and identifiers", "trees",
         lambda: tree.DecisionTreeClassifier(max_depth=8, random_state=0), flights(EPOCH), stepped=True,
         trap="identifiers above 2**33 fall together as float32"),
    Case("decision tree, gaps", "trees", lambda: tree.DecisionTreeClassifier(max_depth=8, random_state=0),
         flights(GAPPED), stepped=True, trap="a gap goes the wrong way"),
    Case("decision tree, thresholds closer than a float32 can tell", "trees",
         lambda: tree.DecisionTreeClassifier(random_state=0), crowded(), stepped=True,
         trap="two thresholds are one float32"),
    Case("scaler and decision tree", "trees",
         lambda: scaled(tree.DecisionTreeClassifier(max_depth=8, random_state=0)), flights((*NUMBERS, "departure")),
         stepped=True, trap="a scaled number crosses a threshold in float32 and the label flips"),
    Case("decision tree, regression", "trees", lambda: tree.DecisionTreeRegressor(max_depth=8, random_state=0),
         flights(NUMBERS, "delay"), stepped=True),
    Case("extra tree", "trees", lambda: tree.ExtraTreeClassifier(max_depth=8, random_state=0),
         flights(NUMBERS, "status"), stepped=True),
)  # fmt: skip

FORESTS = (
    Case("random forest", "forests", lambda: ensemble.RandomForestClassifier(30, random_state=0),
         flights(NUMBERS, "status"), stepped=True),
    Case("random forest, gaps", "forests", lambda: ensemble.RandomForestClassifier(30, random_state=0),
         flights(GAPPED), stepped=True, trap="a gap goes the wrong way"),
    Case("random forest, ten classes", "forests",
         lambda: ensemble.RandomForestClassifier(20, max_depth=8, random_state=0), bundled("digits"), stepped=True),
    Case("random forest, regression", "forests",
         lambda: ensemble.RandomForestRegressor(30, max_depth=9, random_state=0), flights(EPOCH, "delay"),
         stepped=True),
    Case("extra trees", "forests", lambda: ensemble.ExtraTreesClassifier(30, max_depth=9, random_state=0),
         flights(NUMBERS), stepped=True, trap="0.2 % of the labels flip at exact ties"),
    Case("extra trees, regression", "forests",
         lambda: ensemble.ExtraTreesRegressor(30, max_depth=9, random_state=0), flights(NUMBERS, "delay"),
         stepped=True),
    Case("bagging", "forests", lambda: ensemble.BaggingClassifier(n_estimators=12, random_state=0),
         flights(NUMBERS), stepped=True),
    Case("AdaBoost", "forests", lambda: ensemble.AdaBoostClassifier(n_estimators=20, random_state=0),
         flights(NUMBERS), outcome=EITHER, stepped=True),
    Case("AdaBoost, regression", "forests", lambda: ensemble.AdaBoostRegressor(n_estimators=15, random_state=0),
         flights(NUMBERS, "delay"), stepped=True),
)  # fmt: skip

KERNELS = (
    Case("support vectors", "kernels", lambda: scaled(svm.SVC(C=2.0)), flights(NUMBERS, "status"), rows=700),
    Case("linear support vectors", "kernels", lambda: scaled(svm.LinearSVC()), flights(NUMBERS)),
    Case("support vector regression", "kernels", lambda: scaled(svm.SVR()), bundled("diabetes"), rows=700),
    Case("linear support vector regression", "kernels", lambda: scaled(svm.LinearSVR()), flights(NUMBERS, "delay")),
    Case("Gaussian process", "kernels",
         lambda: scaled(gaussian_process.GaussianProcessRegressor(alpha=0.1, optimizer=None)), bundled("diabetes"),
         outcome=EITHER, rows=300),
    Case("Gaussian process classifier", "kernels",
         lambda: scaled(gaussian_process.GaussianProcessClassifier(optimizer=None)), bundled("iris"),
         outcome=EITHER, rows=150),
)  # fmt: skip

NEIGHBOURS = (
    Case("nearest neighbours", "neighbours", lambda: scaled(neighbors.KNeighborsClassifier()), flights(NUMBERS),
         outcome=EITHER),
    Case("nearest neighbours, regression", "neighbours",
         lambda: scaled(neighbors.KNeighborsRegressor(7, weights="distance")), flights(NUMBERS, "delay"),
         outcome=EITHER),
    Case("nearest centroid", "neighbours", lambda: scaled(neighbors.NearestCentroid()), bundled("wine"),
         outcome=EITHER),
)  # fmt: skip

BAYES = (
    Case("naive Bayes", "naive Bayes", lambda: scaled(naive_bayes.GaussianNB()), bundled("breast_cancer")),
    Case("naive Bayes, raw columns", "naive Bayes", naive_bayes.GaussianNB, flights(NUMBERS)),
    Case("naive Bayes of counts", "naive Bayes", naive_bayes.MultinomialNB, counts()),
    Case("naive Bayes of bits", "naive Bayes", naive_bayes.BernoulliNB, counts()),
    Case("naive Bayes of the complement", "naive Bayes", naive_bayes.ComplementNB, counts()),
)  # fmt: skip

NEURAL = (
    Case("neural network", "neural networks",
         lambda: scaled(neural_network.MLPClassifier((24, 12), max_iter=60, random_state=0)),
         flights(NUMBERS, "status")),
    Case("neural network, regression", "neural networks",
         lambda: make_pipeline(RobustScaler(), neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=60,
                                                                           random_state=0)),
         flights(NUMBERS, "delay")),
    Case("neural network of tanh, ten classes", "neural networks",
         lambda: make_pipeline(MinMaxScaler(), neural_network.MLPClassifier((24,), activation="tanh", max_iter=25,
                                                                            random_state=0)),
         bundled("digits")),
)  # fmt: skip

ANOMALY = (
    Case("isolation forest", "anomaly",
         lambda: ensemble.IsolationForest(n_estimators=25, max_samples=64, random_state=0),
         flights(NUMBERS), outcome=EITHER, stepped=True),
    Case("one-class support vectors", "anomaly", lambda: scaled(svm.OneClassSVM(nu=0.1)), flights(NUMBERS),
         rows=700),
    Case("local outlier factor", "anomaly", lambda: scaled(neighbors.LocalOutlierFactor(novelty=True)),
         flights(NUMBERS), outcome=EITHER, rows=700),
)  # fmt: skip

CASES = (*LINEAR, *TREES, *FORESTS, *KERNELS, *NEIGHBOURS, *BAYES, *NEURAL, *ANOMALY)
