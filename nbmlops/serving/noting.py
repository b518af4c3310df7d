"""What is noted of an answered request: counts for the guardrails, the captured frames, the fault, the shadows."""

from __future__ import annotations

from hashlib import blake2b
from threading import Thread
from time import time_ns
from typing import Any

import numpy as np

from .configuration import ServingConfig
from .exchange import Answer
from .faults import ErrorStore, fault_of, say_where
from .outputs import Outputs
from .router import Router
from .scoring import Exchange
from .shadows import Copy, Shadows
from .spool import Record, Spool

SPLIT = b"inference-header-content-length"
SERVER_ERROR = 500


class Notes:
    """Notes what was answered, and sends it on its way.

    Attributes
    ----------
    errors : ErrorStore
    spool : Spool, optional
        None where nothing is captured.
    shadows : Shadows
    """

    def __init__(self) -> None:
        self.errors = ErrorStore()
        self.spool: Spool | None = None
        self.shadows = Shadows()
        self._config: ServingConfig | None = None
        self._strict = False

    def configure(self, config: ServingConfig, router: Router) -> None:
        """Note as `config` says from the next answer on."""
        self._config, capture = config, config.capture
        self.errors.open(config.errors, capture.redact if capture else ())
        self.shadows.configure(router)
        if self.spool is not None and self.spool.config != capture:
            Thread(target=self.spool.close, name="spool's end").start()  # it may wait for the disk
            self.spool = None
        if capture is not None and self.spool is None:
            self.spool = Spool(capture, config.endpoint)
        self._strict = capture is not None and capture.mode == "strict"

    def answered(self, exchange: Exchange) -> None:
        """Send the answer, after its commit where capture is strict, and note it."""
        if not exchange.wire.noted:
            exchange.send()
            return
        status, outputs = exchange.answer.status, exchange.outputs
        if outputs is None or self.spool is None:
            exchange.send()
        elif not self._strict:
            exchange.send()
            self.spool.add(self._record(exchange))
        elif not self.spool.add(self._record(exchange), lambda reason: exchange.send()):
            exchange.send()
        if not exchange.pinned and (outputs is not None or status >= SERVER_ERROR):
            seen = None if outputs is None else observed(outputs)
            exchange.arm.observations.observe(exchange.seconds, outputs is None, seen)
        if outputs is not None and self.shadows.arms:
            self.shadows.copy(exchange, self._copied)

    def fault(self, exchange: Exchange, error: Exception) -> None:
        """Keep why an exchange failed where only this machine's user finds it."""
        fault = fault_of(exchange, error, exchange.code or "")
        if self._config is not None and self._config.errors is not None:
            self.errors.add(fault)
        else:
            say_where(fault)

    def close(self) -> None:
        """Write what is pending."""
        if self.spool is not None:
            self.spool.close()
        self.errors.flush()

    def _copied(self, copy: Copy, answer: Answer) -> None:
        """Capture what a shadow answered, beside what the caller got."""
        if self.spool is None:
            return
        record = self._record(copy.exchange)
        arm = copy.arm
        record.arm, record.version, record.bundle = arm.config.name, arm.config.version, arm.bundle.digest
        record.answer, record.answer_split = answer.body, _split(answer)
        record.latency_s, record.shadow = copy.seconds, True
        self.spool.add(record)

    def _record(self, exchange: Exchange) -> Record:
        arm, headers, answer = exchange.arm, exchange.head.headers, exchange.answer
        key = headers.get(b"x-nbmlops-key")
        record = Record(
            exchange.prediction,
            time_ns(),
            arm.config.name,
            arm.config.version,
            arm.bundle.digest,
            exchange.wire.name,
            headers.get(b"content-type", b"").decode("latin-1"),
            exchange.body,
            answer.body,
            exchange.seconds,
            answer.status,
            "" if key is None else blake2b(key, digest_size=8).hexdigest(),
        )
        split = headers.get(SPLIT)
        if split is not None:
            record.split = int(split)
        record.answer_split = _split(answer)
        if self.spool is not None and self.spool.config.redact:
            record.data, record.names = exchange.request.data, arm.bundle.signature.names
        return record


def _split(answer: Answer) -> int:
    """Return how long the JSON document at the beginning of an answer is, 0 where nothing follows it."""
    return next((int(value) for name, value in answer.headers if name == SPLIT), 0)


def observed(outputs: Outputs) -> Any:
    """Return the answers whose distribution is watched, or None."""
    if outputs.labels is not None:
        return outputs.labels
    if outputs.probabilities is not None:
        return outputs.probabilities
    payload = outputs.payload
    if isinstance(payload, list) and payload and isinstance(payload[0], (str, int, float)):
        return np.array(payload[:1])
    return None
