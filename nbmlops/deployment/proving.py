"""The proof: a bundle's server in a fresh environment, its answers to the saved rows held against the fitted object's.

It starts what will serve. A worker process runs in the environment under the endpoint's own supervisor. An ONNX bundle
is served by the server that it carries, in the environment alone; an endpoint's scorer, which is the same code, takes
the bundle in only where its own packages are those of the lock.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.conversion import agreement
from nbmlops.core.errors import ScoringError
from nbmlops.core.progress import stage
from nbmlops.core.records import frozen_map
from nbmlops.deployment.alone import Alone, alone
from nbmlops.deployment.client import Sending, outputs
from nbmlops.deployment.errors import explained
from nbmlops.deployment.identity import Identity, identity
from nbmlops.deployment.processes import same_island
from nbmlops.deployment.proof import Proof
from nbmlops.deployment.replays import answers, finite, part
from nbmlops.deployment.spec import Limits
from nbmlops.deployment.trials import Trial, trial

if TYPE_CHECKING:
    import numpy as np

    from nbmlops.packaging import Bundle
    from nbmlops.packaging.venv import VirtualEnvironment
    from nbmlops.registry import Reference

PATIENCE = 600.0  # seconds for one request: all rows at once take longer than a request of an endpoint may
LIMITS = Limits(body_bytes=240 * 2**20, timeout_s=PATIENCE)
ALL = 10**6  # rows in one request
SINGLE = 8  # rows that are sent one by one
ODD = (3, 17)  # rows a request, beside


def prove(bundle: Bundle, environment: VirtualEnvironment, reference: Reference | None) -> Proof:
    """Serve `bundle` in `environment`, send it the reference's rows, and compare the answers.

    All rows go in one request first, as the fitted object got them; then some one by one and in odd numbers.

    Parameters
    ----------
    bundle : Bundle
    environment : VirtualEnvironment
    reference : Reference, optional
        The sample with the fitted object's answers; without one, that the server starts is all that is proved.

    Raises
    ------
    EndpointError
        The server does not start.
    ScoringError
        The server refuses rows of the sample, or the model raises.
    """
    stage("starting its server in that environment")
    made = Proof(
        bundle=bundle.digest,
        runtime=bundle.runtime,
        environment_id=str(bundle.manifest["serving_environment_id"]),
        python=str(bundle.manifest.get("python") or ""),
        packages=frozen_map(dict(sorted(Counter(environment.origins.values()).items()))),
    )
    sent = None if reference is None else finite(reference)
    with _server(bundle, environment.python) as server:
        if sent is None or not len(sent.inputs):
            return made
        stage(f"replaying {len(sent.inputs):,} saved rows through it")
        try:
            proof = _compared(made, server, sent, converted=bundle.manifest.get("onnx") is not None)
        except ScoringError as error:
            raise explained(error, server.errors) from error.__cause__
    assert reference is not None
    return replace(proof, left_out=len(reference.inputs) - len(sent.inputs))


def _server(bundle: Bundle, python: Path) -> AbstractContextManager[Alone | Trial]:
    if bundle.runtime == "onnx" and same_island(bundle.path):
        return alone(bundle.path, python, limits=LIMITS)
    return trial(bundle, limits=LIMITS, python=str(python))


def _compared(made: Proof, server: Alone | Trial, sent: Reference, *, converted: bool) -> Proof:
    labels_alone = sent.probabilities is not None and "both" not in outputs(server.url, server.headers)
    if labels_alone:
        sent = replace(sent, probabilities=None)
    found = answers(server.url, server.headers, sent, sending=Sending(ALL, PATIENCE))
    fidelity = agreement(sent, *found)
    proof = replace(made, fidelity=fidelity, labels_alone=labels_alone, shapes=(len(sent.inputs),))
    if not fidelity.agrees:
        return proof if converted else replace(proof, whole=identity(sent, *found))
    chosen, apart = _apart(server, sent)
    proof = replace(proof, shapes=tuple(dict.fromkeys((len(sent.inputs), 1, *ODD))))
    if converted:
        other = agreement(part(sent, chosen), *apart)
        return proof if other.agrees else replace(proof, fidelity=replace(other, worst=_at(chosen, other.worst)))
    compared = identity(part(sent, chosen), *apart)
    where = Identity(compared.rows, compared.identical, compared.ulps, _at(chosen, compared.worst))
    return replace(proof, whole=identity(sent, *found), apart=where)


def _apart(server: Alone | Trial, sent: Reference) -> tuple[np.ndarray[Any, Any], tuple[Any, Any]]:
    """Return which rows were sent again, one by one and in odd numbers, and their answers in that order."""
    import numpy as np

    rows = len(sent.inputs)
    spread = np.unique(np.linspace(0, rows - 1, min(rows, SINGLE + sum(ODD))).astype(int))
    single, odd = spread[:: max(1, len(spread) // SINGLE)][:SINGLE], spread[:-1] if len(spread) > 1 else spread
    first, second = odd[: ODD[0]], odd[ODD[0] : sum(ODD)]
    groups = [(single, 1), *((one, len(one)) for one in (first, second) if len(one))]
    found = []
    for group, size in groups:
        sending = Sending(size, PATIENCE)
        found.append(answers(server.url, server.headers, part(sent, group), sending=sending))
    predictions = np.concatenate([np.asarray(one) for one, _ in found])
    probabilities = None if sent.probabilities is None else np.concatenate([np.asarray(one) for _, one in found])
    return np.concatenate([group for group, _ in groups]), (predictions, probabilities)


def _at(chosen: np.ndarray[Any, Any], places: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(chosen[place]) for place in places)
