"""An ensemble: several models behind one arm, whose answers become one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .batching import Backend
from .documents import OUTPUTS, Output
from .errors import ModelFailed, ServingError
from .inputs import ModelInput, Table
from .outputs import Outputs
from .runtimes import Runtime
from .signature import Column, Signature

Array = NDArray[Any]
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Combination:
    """How the members' answers become one.

    Attributes
    ----------
    how : {"mean", "vote"}
        The weighted mean of numbers, or of probabilities, of which the most probable class is the label; or the
        label with the most weight.
    weights : tuple of float
    signature : Signature
        What all members take and answer.
    names : tuple of tuple of str
        The columns of each member, in its own order.
    """

    how: str
    weights: tuple[float, ...]
    signature: Signature
    names: tuple[tuple[str, ...], ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The values of ``params.output`` that the ensemble can answer."""
        return OUTPUTS if self._of_probabilities else ("label",)

    @property
    def _of_probabilities(self) -> bool:
        return self.how == "mean" and self.signature.task == CLASSIFICATION

    def asked(self) -> Output:
        """Return what each member is asked for."""
        return "probabilities" if self._of_probabilities else "label"

    def inputs(self, data: ModelInput) -> list[ModelInput]:
        """Return the data for each member, with its columns in its own order."""
        if not isinstance(data, Table):
            return [data] * len(self.weights)
        return [data if names == data.names else _ordered(data, names) for names in self.names]

    def combine(self, answers: Sequence[Outputs], output: Output) -> Outputs:
        """Return the ensemble's answer.

        Raises
        ------
        ModelFailed
            The members' answers can't be combined.
        """
        arrays = [_array(answer.probabilities if self._of_probabilities else _labels(answer)) for answer in answers]
        if len({array.shape for array in arrays}) != 1:
            raise ModelFailed(f"the members answered arrays of shapes {[array.shape for array in arrays]}")
        if self.how == "vote":
            return Outputs(_voted(arrays, self.weights))
        try:
            mean = np.average(np.stack(arrays).astype(np.float64), axis=0, weights=self.weights)
        except (TypeError, ValueError) as error:
            raise ModelFailed(f"the members' answers have no mean: {error}") from error
        if not self._of_probabilities:
            return Outputs(mean)
        labels = np.array(self.signature.classes)[mean.argmax(axis=1)] if output != "probabilities" else None
        return Outputs(labels, mean)


def _labels(answer: Outputs) -> Any:
    return answer.payload if answer.labels is None else answer.labels


def _array(values: Any) -> Array:
    if isinstance(values, msgspec.Raw):  # as a worker sends what may be anything
        values = msgspec.json.decode(values)
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, list) and not any(isinstance(value, dict | list | None) for value in values):
        return np.array(values)
    raise ModelFailed("a member answered neither numbers nor labels, which can't be combined")


def _ordered(table: Table, names: tuple[str, ...]) -> Table:
    places = {name: place for place, name in enumerate(table.names)}
    return Table.of(names, [table.columns[places[name]] for name in names])


def _voted(arrays: Sequence[Array], weights: Sequence[float]) -> Array:
    """Return for each row the label with the most weight; of equals, the one that comes first in the members' order."""
    winners = []
    for votes in zip(*(array.tolist() for array in arrays), strict=True):
        counts: dict[Any, float] = {}
        for vote, weight in zip(votes, weights, strict=True):
            counts[vote] = counts.get(vote, 0.0) + weight
        winners.append(max(counts, key=lambda label: counts[label]))
    return np.array(winners)


class EnsembleRuntime:
    """All members in this process.

    Parameters
    ----------
    members : sequence of Runtime
    combination : Combination
    """

    def __init__(self, members: Sequence[Runtime], combination: Combination) -> None:
        self._members = members
        self._combination = combination
        self.inline = all(member.inline for member in members)
        self.batches = all(member.batches for member in members)
        self.outputs = combination.outputs

    def predict(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score one batch with every member."""
        made, asked = self._combination, self._combination.asked()
        pairs = zip(self._members, made.inputs(data), strict=True)
        return made.combine([member.predict(given, asked, params) for member, given in pairs], output)


class EnsembleBackend:
    """Members of which some have processes of their own; they are called at the same time.

    Parameters
    ----------
    members : sequence of Backend
    combination : Combination
    """

    depth = 2

    def __init__(self, members: Sequence[Backend], combination: Combination) -> None:
        self.members = members
        self._combination = combination
        self.batches = all(member.batches for member in members)
        self.outputs = combination.outputs

    @property
    def connected(self) -> bool:
        """Whether every member can be reached."""
        return all(getattr(member, "connected", True) for member in self.members)

    async def call(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score one batch with every member."""
        made, asked = self._combination, self._combination.asked()
        calls = [
            member.call(given, asked, params) for member, given in zip(self.members, made.inputs(data), strict=True)
        ]
        return made.combine(await asyncio.gather(*calls), output)

    async def close(self) -> None:
        """Release all members."""
        await asyncio.gather(*(member.close() for member in self.members))


def combination(how: str, weights: Sequence[float], signatures: Sequence[Signature]) -> Combination:
    """Return how members of these signatures are combined.

    Raises
    ------
    ServingError
        ``invalid_configuration`` where they take different columns, or answer different things.
    """
    first = signatures[0]
    for other in signatures[1:]:
        if (first.task == CLASSIFICATION) != (other.task == CLASSIFICATION):
            raise _unlike(f"one is for {first.task}, another for {other.task}")
        if first.classes != other.classes and how == "mean":
            raise _unlike("they know different classes")
    if first.task == CLASSIFICATION and how == "mean" and not first.classes:
        raise _unlike("their classes are not known, so probabilities can't be combined")
    merged = merged_signature(signatures)
    return Combination(how, tuple(weights), merged, tuple(signature.names for signature in signatures))


def merged_signature(signatures: Sequence[Signature]) -> Signature:
    """Return the signature that takes only what all of `signatures` take.

    Raises
    ------
    ServingError
        Their columns have other names or types.
    """
    first = signatures[0]
    if first.columns is None:
        if any((other.columns, other.tensor) != (first.columns, first.tensor) for other in signatures):
            raise _unlike("they take different tensors")
        return first
    known = [{column.name: column for column in signature.columns or ()} for signature in signatures]
    for columns in known[1:]:
        if different := sorted(set(known[0]) ^ set(columns)):
            raise _unlike(f"not all of them take {', '.join(different[:5])}")
    merged = tuple(_merged([columns[name] for columns in known]) for name in first.names)
    return msgspec.structs.replace(first, columns=merged)


def _merged(columns: Sequence[Column]) -> Column:
    first = columns[0]
    if any((one.type, one.dtype, one.categories) != (first.type, first.dtype, first.categories) for one in columns):
        raise _unlike(f"column {first.name!r} has different types")
    required, nullable = any(one.required for one in columns), all(one.nullable for one in columns)
    return msgspec.structs.replace(first, required=required, nullable=nullable)


def _unlike(why: str) -> ServingError:
    return ServingError("invalid_configuration", f"the members of an ensemble can't be combined: {why}")
