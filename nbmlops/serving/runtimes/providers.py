"""Execution providers: on what ONNX Runtime computes. The one asked for is the one used, or nothing is served.

References
----------
ONNX Runtime, Execution Providers, https://onnxruntime.ai/docs/execution-providers/
"""

from __future__ import annotations

import onnxruntime

from ..bundle import CPU
from ..errors import ServingError

ELSEWHERE = "AzureExecutionProvider"  # every build names it, though it only calls models at a cloud's endpoints
SUFFIX = "ExecutionProvider"
GRAVE = 3  # of ONNX Runtime's levels, what is worth a line in the log: errors


def available() -> tuple[str, ...]:
    """Return the providers that can run a model here."""
    return tuple(name for name in onnxruntime.get_available_providers() if name != ELSEWHERE)


def full_name(provider: str) -> str:
    """Return ONNX Runtime's name of a provider: ``cuda`` is ``CUDAExecutionProvider``, and nothing is the CPU's."""
    asked = provider.lower().removesuffix(SUFFIX.lower())
    known = {name.removesuffix(SUFFIX).lower(): name for name in onnxruntime.get_all_providers()}
    return known.get(asked, provider) if provider else CPU


def objection(provider: str) -> str:
    """Return why `provider` can't run a model here, as a sentence without its end; empty where it can."""
    if provider in available():
        return ""
    if provider == ELSEWHERE:
        return f"{ELSEWHERE} runs no model by itself: it calls models at the endpoints of a cloud"
    if provider not in onnxruntime.get_all_providers():
        return f"ONNX Runtime knows no execution provider {provider!r}"
    return f"ONNX Runtime {onnxruntime.__version__} as it is installed here has no {provider}"


def make_session(model: str | bytes, provider: str = "", *, level: int = GRAVE) -> onnxruntime.InferenceSession:
    """Return a session that shares the machine well: many processes serve, each with one thread.

    Parameters
    ----------
    model : str or bytes
        Path or content of the graph.
    provider : str
        Its name in full; the CPU's where it is empty.
    level : int
        From which of its levels on ONNX Runtime says something.

    Raises
    ------
    ServingError
        ``provider_unavailable``: `provider` is not there, or could not start. ONNX Runtime itself would compute on the
        CPU then and say nothing.
    """
    asked = provider or CPU
    if reason := objection(asked):
        raise unavailable(reason)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = level
    session = onnxruntime.InferenceSession(model, options, providers=[asked])
    used = session.get_providers()[0]
    if used != asked:
        raise unavailable(f"{asked} could not start, and ONNX Runtime fell back to {used}")
    return session


def unavailable(reason: str) -> ServingError:
    """Return the error for a provider that can't be used, with those that can."""
    return ServingError("provider_unavailable", f"{reason}; available here: {', '.join(available())}")
