"""Converters that are wrong on purpose, each as a real one was or may be: none of their models may ever be chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from onnx import AttributeProto, ModelProto, helper

from nbmlops.conversion.rungs import FLOAT32
from nbmlops.conversion.scikit_learn import SklearnConverter


@dataclass(frozen=True)
class WrongConverter:
    """Spoils what skl2onnx makes."""

    name: str
    spoil: Callable[[ModelProto], None]
    rungs = (FLOAT32,)

    def can_convert(self, model):
        return True

    def convert(self, model, signature, *, rung=FLOAT32):
        onnx = SklearnConverter().convert(model, signature, rung=rung)
        graph = ModelProto.FromString(onnx.content)
        before = onnx.content
        self.spoil(graph)
        content = graph.SerializeToString(deterministic=True)
        assert content != before, "nothing was spoilt"
        return replace(onnx, content=content, converter=self.name)


def attributes(graph: ModelProto, name: str) -> Iterator[AttributeProto]:
    for node in graph.graph.node:
        yield from (one for one in node.attribute if one.name == name)


def one_leaf_is_heavier(graph):
    weights = next(iter([*attributes(graph, "class_weights"), *attributes(graph, "target_weights")])).floats
    weights[len(weights) // 3] += 0.02


def thresholds_are_one_step_higher(graph):
    for values in attributes(graph, "nodes_values"):
        values.floats[:] = np.nextafter(np.array(values.floats, dtype=np.float32), np.float32(np.inf)).tolist()


def the_border_belongs_to_the_other_side(graph):
    for modes in attributes(graph, "nodes_modes"):
        modes.strings[:] = [b"BRANCH_LT" if one == b"BRANCH_LEQ" else one for one in modes.strings]


def one_against_the_rest_for_softmax(graph):
    for form in attributes(graph, "post_transform"):
        form.s = b"LOGISTIC"
    for node in graph.graph.node:
        if node.op_type == "Softmax":
            node.op_type = "Sigmoid"
            del node.attribute[:]


def coefficients_have_three_digits(graph):
    for values in attributes(graph, "coefficients"):
        values.floats[:] = [float(f"{one:.3g}") for one in values.floats]


def two_classes_are_exchanged(graph):
    for name in ("classlabels_strings", "classlabels_ints", "cats_strings"):
        for labels in attributes(graph, name):
            kept = list(labels.strings or labels.ints)
            if len(kept) > 1:
                (labels.strings if labels.strings else labels.ints)[:] = [*kept[:-2], kept[-1], kept[-2]]


def rare_categories_are_exchanged(graph):
    for labels in attributes(graph, "cats_strings"):
        names = list(labels.strings)
        if b"HA" in names and b"YV" in names:
            first, second = names.index(b"HA"), names.index(b"YV")
            labels.strings[first], labels.strings[second] = b"YV", b"HA"


def numbers_are_cut_at_two_thousand(graph):
    name = graph.graph.input[0].name
    for node in graph.graph.node:
        node.input[:] = [f"{name}_cut" if one == name else one for one in node.input]
    graph.graph.initializer.extend(
        [helper.make_tensor(f"cut_{end}", 1, [], [value]) for end, value in (("low", -9e3), ("high", 9e3))]
    )
    graph.graph.node.insert(0, helper.make_node("Clip", [name, "cut_low", "cut_high"], [f"{name}_cut"]))


TREE, FOREST, BOOSTING = "decision tree", "random forest", "gradient boosting"
LOGISTIC, MULTINOMIAL = "logistic regression, true and false", "logistic regression, three classes"
WRONG = (
    (one_leaf_is_heavier, (TREE, FOREST, BOOSTING, "random forest, regression")),
    (thresholds_are_one_step_higher, (TREE, FOREST, BOOSTING, "gradient boosting, regression")),
    (the_border_belongs_to_the_other_side, (TREE, FOREST)),
    (one_against_the_rest_for_softmax, (MULTINOMIAL,)),
    (coefficients_have_three_digits, (LOGISTIC, MULTINOMIAL, "lasso")),
    (two_classes_are_exchanged, (TREE, MULTINOMIAL)),
    (rare_categories_are_exchanged, ("columns and logistic regression", "columns and forest")),
    (numbers_are_cut_at_two_thousand, (LOGISTIC, "elastic net")),
)
