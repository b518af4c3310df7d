"""Runtimes: what loads a bundle's model and answers with it.

`make_runtime` imports only the module that the bundle asks for, so that a scorer of ONNX models never loads pandas.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

from ..bundle import Bundle, show_cells
from ..documents import Output
from ..errors import ServingError
from ..inputs import ModelInput
from ..outputs import Outputs


class Runtime(Protocol):
    """A loaded model.

    Attributes
    ----------
    batches : bool
        Whether rows of several requests may be scored in one call.
    inline : bool
        Whether a call on few rows is quick enough for the event loop's own thread.
    outputs : tuple of str
        The values of ``params.output`` that the model can answer.
    """

    batches: bool
    inline: bool
    outputs: tuple[str, ...]

    def predict(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score `data`; `output` ``both`` asks for labels and probabilities.

        `params` are the model's own parameters, complete and checked; a model that declares none gets None.
        """
        ...


def make_runtime(bundle: Bundle) -> Runtime:
    """Load the bundle's model in this process.

    Raises
    ------
    ServingError
        ``model_failed`` when loading raised.
    """
    show_cells(bundle)
    module = importlib.import_module(f".{bundle.manifest.runtime}", __package__)
    # Loading runs the model's own code, which may raise anything.
    try:
        runtime: Runtime = module.load(bundle)
    except ServingError:
        raise
    except Exception as error:
        reason = "".join(traceback.format_exception_only(error)).strip()
        raise ServingError("model_failed", f"the {bundle.manifest.runtime} model can't be loaded: {reason}") from error
    return runtime
