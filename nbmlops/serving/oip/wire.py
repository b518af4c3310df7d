"""The protocol between the bytes of a request and an arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ..documents import Output, ScoringRequest
from ..errors import RequestError, invalid
from ..exchange import Answer, Head
from ..outputs import Outputs
from ..parameters import Parameters
from ..wires import advice
from .answers import LABELS, PROBABILITIES, Wanted, chosen, tensors_of, unknown_output, write_answer
from .mapping import make_mapping
from .metadata import answers_by_name, label_datatype
from .requests import HEADER, InferRequest, names_once, read_request, wants_binary

if TYPE_CHECKING:
    from ..arms import Arm
    from ..bundle import Bundle

KINDS = (b"", b"application/json", b"application/octet-stream")
# What clients of other servers send along, and what no model here heeds.
UNHEEDED = frozenset(
    ("content_type", "headers", "priority", "timeout", "sequence_id", "sequence_start", "sequence_end")
)
_OUTPUTS: dict[frozenset[str], Output] = {
    frozenset((LABELS,)): "label",
    frozenset((PROBABILITIES,)): "probabilities",
    frozenset((LABELS, PROBABILITIES)): "both",
}
_NOTHING = Wanted()


class TensorDialect:
    """What the protocol needs to know of one model.

    Parameters
    ----------
    bundle : Bundle
    """

    def __init__(self, bundle: Bundle) -> None:
        self.mapping = make_mapping(bundle.signature)
        self.parameters = Parameters(bundle.signature.params)
        self.names = answers_by_name(bundle)
        self.label = label_datatype(bundle.signature)


class OipWire:
    """The Open Inference Protocol for one name of a model.

    Parameters
    ----------
    model : str
        The name in the path, which answers repeat.
    """

    name = "oip"
    noted = True

    def __init__(self, model: str) -> None:
        self.model = model

    def check(self, head: Head) -> None:
        """Refuse what says that it is something else; Triton's client says nothing."""
        kind = head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in KINDS:
            message = "the content type is not one of those served"
            expected = "application/json, or application/octet-stream with binary tensors"
            raise RequestError(415, "unsupported_media_type", message, field="content-type", expected=expected)
        if head.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            message = "the body is compressed, which this server does not read"
            raise RequestError(
                415, "unsupported_media_type", message, field="content-encoding", expected="a body without compression"
            )

    def decode(self, arm: Arm, head: Head, body: bytes) -> ScoringRequest:
        """Return the decoded request."""
        dialect = arm.dialect
        request, tensors = read_request(body, head.headers.get(HEADER))
        given = request.parameters
        output, params, wanted = _wanted(request, dialect, given)
        if request.outputs:
            output = self._output_of(request, dialect, arm)
        data = dialect.mapping(tensors, None if given is None else given.get("content_type"))
        return ScoringRequest(data, output, params, wanted)

    def _output_of(self, request: InferRequest, dialect: TensorDialect, arm: Arm) -> Output:
        names = [output.name for output in request.outputs or ()]
        names_once(names, "output")
        if dialect.names is not None:
            known = dialect.names if "probabilities" in arm.outputs else dialect.names[:1]
            for name in names:
                if name not in known:
                    raise unknown_output(name, known)
        # Of a model that answers under names of its own it turns out later whether it has these.
        return _OUTPUTS.get(frozenset(names), "label")

    def encode(self, arm: Arm, request: ScoringRequest, outputs: Outputs, *, prediction: str) -> Answer:
        """Return the answer with the model's outputs."""
        wanted: Wanted = request.context or _NOTHING
        head = {
            "model_name": self.model,
            "model_version": arm.config.version,
            "id": prediction if wanted.id is None else wanted.id,
        }
        return write_answer(head, chosen(tensors_of(outputs, arm.dialect.label), wanted))

    def refuse(self, error: RequestError) -> Answer:
        """Return ``{"error": "…", "code": …, "field": …}``: a string for the protocol, and what programs read."""
        text = error.message if error.expected is None else f"{error.message}; expected {error.expected}"
        document = {"error": text, "code": error.code, "field": error.field}
        return Answer(error.status, msgspec.json.encode(document), headers=advice(error))


def _wanted(request: InferRequest, dialect: TensorDialect, given: dict[str, Any] | None) -> tuple[Output, Any, Wanted]:
    """Return the wanted answer, the model's parameters and how the answer is to be written."""
    binary = False if given is None else given.get("binary_data_output", False)
    if not isinstance(binary, bool):
        raise invalid("binary_data_output is no boolean", field="parameters", expected="true or false")
    if given is not None and not isinstance(given.get("content_type"), str | None):
        raise invalid("content_type is no text", field="parameters", expected="a name such as pd or np")
    outputs = None
    if request.outputs:
        outputs = [(output.name, wants_binary(output, default=binary)) for output in request.outputs]
    wanted = Wanted(request.id or None, binary, outputs)
    own = _own(given, dialect.parameters) if given else None
    try:
        output, params = dialect.parameters.read(own)
    except RequestError as error:
        error.field = f"parameters{(error.field or '').removeprefix('params')}"
        raise
    return output, params, wanted


def _own(given: dict[str, Any], parameters: Parameters) -> dict[str, Any] | None:
    """Return the parameters that are neither the protocol's nor another server's."""
    return {
        name: value
        for name, value in given.items()
        if name in parameters.declared or (name not in UNHEEDED and name != "binary_data_output")
    } or None
