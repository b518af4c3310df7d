"""What may be done to a converted model before it is compared: it passes the same gate afterwards, or does not serve.

References
----------
ONNX Runtime, Graph Optimizations, https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
ONNX Runtime, Quantize ONNX models, https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nbmlops.core.errors import InvalidInput, InvalidObject
from nbmlops.core.records import Record
from nbmlops.core.references import nearest

if TYPE_CHECKING:
    import onnx

    from nbmlops.conversion.onnx_model import OnnxModel

LEVELS = {"basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}
"""Levels of optimisation whose result every machine can run, and ONNX Runtime's names of them."""
HERE_ALONE = ("all", "layout")
"""Levels that lay data out for the processor that they run on. ONNX Runtime does that itself wherever it loads."""
QUANTIZED = ("MatMul", "Gemm")
"""Products with weights. Trees have none, and the linear operators of scikit-learn's converters keep theirs apart."""
NOWHERE = frozenset({"fpga"})


@dataclass(frozen=True)
class Options(Record):
    """What to do to a converted model.

    Attributes
    ----------
    quantize : bool
        Hold the weights of matrix products in eight bits, and multiply in eight bits.
    optimize : str
        ``basic`` or ``extended``: simplify the graph once, here, and not at every load. Empty for no.
    provider : str
        What ONNX Runtime computes on, by its name there; ``cuda`` is short for ``CUDAExecutionProvider``. Empty for
        the CPU.

    Raises
    ------
    InvalidInput
        A level that there is not or that would tie the model to this machine, or a provider that is not here.
    """

    quantize: bool = False
    optimize: str = ""
    provider: str = ""

    def __post_init__(self) -> None:
        if self.optimize in HERE_ALONE:
            raise InvalidInput(
                f"the optimisation level {self.optimize!r} makes a model for this machine's processor alone",
                expected=" or ".join(LEVELS),
                hint="ONNX Runtime does the rest by itself wherever it loads the model.",
            )
        if self.optimize and self.optimize not in LEVELS:
            raise InvalidInput(
                f"there is no optimisation level {self.optimize!r}",
                expected=" or ".join(LEVELS),
                hint=nearest(self.optimize, LEVELS),
            )
        object.__setattr__(self, "provider", checked_provider(self.provider))

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Options()

    def __str__(self) -> str:
        parts = ["--quantize"] if self.quantize else []
        parts += [f"--optimize {self.optimize}"] if self.optimize else []
        return " ".join(parts + ([f"--provider {self.provider}"] if self.provider else []))


def checked_provider(provider: str) -> str:
    """Return the full name of an execution provider that runs here; empty for the CPU.

    Raises
    ------
    InvalidInput
        It is unknown, not in this build of ONNX Runtime, or does not start.
    """
    if not provider:
        return ""
    from nbmlops.serving.bundle import CPU
    from nbmlops.serving.errors import ServingError
    from nbmlops.serving.runtimes import providers

    name, here = providers.full_name(provider), ", ".join(providers.available())
    if provider.lower() in NOWHERE:
        raise InvalidInput("models are not run on FPGAs", expected=f"one of {here}")
    if name == CPU:
        return ""
    if reason := providers.objection(name):
        raise InvalidInput(
            reason,
            expected=f"one of {here}",
            hint="Others come with other builds of ONNX Runtime, such as onnxruntime-gpu, beside a device's drivers.",
        )
    try:
        providers.make_session(_smallest(), name)
    except ServingError as error:
        raise InvalidInput(
            str(error), expected=f"one of {here}", hint="Look at the device's drivers and libraries."
        ) from error
    return name


def applied(model: OnnxModel, options: Options) -> OnnxModel:
    """Return `model` as the options want it: quantised first, then optimised.

    Raises
    ------
    InvalidObject
        There is nothing in it to quantise.
    """
    content = model.content
    if options.quantize:
        content = quantized(content)
    if options.optimize:
        content = optimized(content, options.optimize)
    return replace(model, content=content, provider=options.provider)


def quantized(content: bytes) -> bytes:
    """Return a model with the weights of its matrix products in eight bits.

    What is multiplied with them is brought to eight bits at each call ("dynamic" quantisation), so no sample is needed
    to choose its range.

    Raises
    ------
    InvalidObject
        It has no product with weights.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    graph = onnx.load_from_string(content)
    if not _products(graph.graph):
        found = ", ".join(sorted({node.op_type for node in graph.graph.node}))
        raise InvalidObject(
            f"there is nothing to quantise: no matrix is multiplied with float32 weights, the graph has {found}",
            expected="a network, such as an MLPClassifier",
        )
    with tempfile.TemporaryDirectory() as folder, _silence():
        path = Path(folder) / "quantized.onnx"
        quantize_dynamic(graph, path, op_types_to_quantize=list(QUANTIZED))
        return path.read_bytes()


def _products(graph: onnx.GraphProto) -> list[str]:
    from onnx import TensorProto

    weights = {one.name for one in graph.initializer if one.data_type == TensorProto.FLOAT}
    return [node.name for node in graph.node if node.op_type in QUANTIZED and weights & set(node.input)]


def optimized(content: bytes, level: str) -> bytes:
    """Return a model after ONNX Runtime's own simplifications, as it would make them at every load."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[level])
        settings.optimized_model_filepath = str(path)
        settings.log_severity_level = 3  # it warns that some levels tie a model to a machine: those are refused
        onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def _smallest() -> bytes:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "smallest", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@contextmanager
def _silence() -> Iterator[None]:
    """Keep advice to preprocess images to itself, which the quantiser gives at the root logger."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
