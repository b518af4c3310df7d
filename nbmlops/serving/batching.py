"""Greedy batching: what is waiting when a call begins goes into that call; nothing ever waits for a timer.

Quick runtimes are called on the event loop's own thread, at the end of the iteration in which requests arrived. Slow
ones, and requests of many rows, go to a thread or to a worker process, and what arrives meanwhile becomes the next
batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from .documents import Output, ScoringRequest
from .errors import ModelFailed, RequestError
from .inputs import Decoded, ModelInput
from .outputs import Outputs
from .runtimes import Runtime

INLINE_ROWS = 32  # above this, a call would hold up the event loop for longer than batching gains
BATCH_ROWS = 1024

Assemble = Callable[[Sequence[Decoded]], ModelInput]
Params = Mapping[str, Any] | None


class Item(Protocol):
    """What waits for a model's answer.

    Attributes
    ----------
    request : ScoringRequest
    settled : bool
        Whether it was answered already: it ran out of time, or nobody waits any more.
    timer : asyncio.TimerHandle, optional
        Of its time-out; whoever settles the item cancels it.
    """

    request: ScoringRequest
    settled: bool
    timer: asyncio.TimerHandle | None

    def settle(self, result: Outputs | Exception) -> None:
        """Take the answer, or what kept the model from answering; only the first one counts."""
        ...


class Backend(Protocol):
    """What a batch is sent to: a runtime in a thread of this process, or a worker process.

    Attributes
    ----------
    batches : bool
        Whether rows of several requests may go into one call.
    depth : int
        How many calls may be under way at once.
    outputs : tuple of str
        The values of ``params.output`` that it can answer.
    """

    batches: bool
    depth: int
    outputs: tuple[str, ...]

    async def call(self, data: ModelInput, output: Output, params: Params = None) -> Outputs:
        """Score one batch, off the event loop."""
        ...

    async def close(self) -> None:
        """Release what the backend holds."""
        ...


class ThreadBackend:
    """A runtime that is called in one thread of this process."""

    depth = 1

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.batches = runtime.batches
        self.outputs = runtime.outputs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def call(self, data: ModelInput, output: Output, params: Params = None) -> Outputs:
        """Score one batch in the thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(guarded, self.runtime, data, output, params=params))

    async def close(self) -> None:
        """Let the thread go; a call that hangs in it is left to its fate."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def guarded(runtime: Runtime, data: ModelInput, output: Output, *, params: Params = None) -> Outputs:
    """Score one batch.

    Raises
    ------
    ModelFailed
        The model raised; the traceback is kept for the error store.
    """
    try:
        return runtime.predict(data, output) if params is None else runtime.predict(data, output, params)
    except Exception as error:  # noqa: BLE001 - a model may raise anything, and must not take the server with it
        raise ModelFailed.of(error) from None


class Batcher:
    """Gathers decoded requests into calls of one model.

    Parameters
    ----------
    backend : Backend
    assemble : callable
        Joins the data of several requests.
    quick : Runtime, optional
        A runtime for calls of few rows on the event loop's own thread.
    observe : callable, optional
        Told the number of rows of every call.
    """

    def __init__(
        self,
        backend: Backend,
        assemble: Assemble,
        *,
        quick: Runtime | None = None,
        observe: Callable[[int], None] | None = None,
    ) -> None:
        self.backend = backend
        self._assemble = assemble
        self._quick = quick if quick is not None and quick.batches else None
        self._observe = observe or (lambda rows: None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon: list[Item] = []
        self._waiting: deque[Item] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._working = 0

    @property
    def queued(self) -> int:
        """How many requests wait for a call."""
        return len(self._soon) + len(self._waiting)

    def submit(self, item: Item, timeout: float, *, aside: bool = False) -> None:
        """Queue a request; its `settle` is called once, later and on this thread.

        Parameters
        ----------
        item : Item
            Settled with the answers, or with a `RequestError` (504, the model took too long), `ModelFailed` (it
            raised) or `WorkerUnavailable` (its process can't be reached).
        timeout : float, seconds
        aside : bool
            Whether to score it off the event loop's thread, however small it is.
        """
        loop = self._loop or asyncio.get_running_loop()
        self._loop = loop
        if self._quick is not None and not aside and len(item.request.data) <= INLINE_ROWS:
            self._soon.append(item)
            if len(self._soon) == 1:
                loop.call_soon(self._flush)
            return
        item.timer = loop.call_later(timeout, item.settle, _overdue(timeout))
        self._waiting.append(item)
        if self._working < self.backend.depth:
            self._working += 1
            task = loop.create_task(self._work())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    def _flush(self) -> None:
        soon, self._soon = self._soon, []
        for batch in _grouped(soon):
            self._call_quick(batch)

    def _call_quick(self, batch: list[Item]) -> None:
        assert self._quick is not None
        try:
            data = self._assemble([item.request.data for item in batch])
            self._distribute(batch, guarded(self._quick, data, _wanted(batch), params=batch[0].request.params))
        except ModelFailed as error:
            for single in _alone(batch, error):
                self._call_quick(single)
        except Exception as error:  # noqa: BLE001 - part of the request handler: nobody may be left waiting
            _settle_all(batch, error)

    def _distribute(self, batch: list[Item], outputs: Outputs) -> None:
        if len(batch) == 1:
            self._observe(len(batch[0].request.data))
            batch[0].settle(outputs)
            return
        sizes = [len(item.request.data) for item in batch]
        if outputs.lengths() != {sum(sizes)}:
            raise ModelFailed(f"the model answered {outputs.lengths()} rows to {sum(sizes)}")
        self._observe(sum(sizes))
        start = 0
        for item, size in zip(batch, sizes, strict=True):
            item.settle(outputs.part(start, start + size))
            start += size

    async def _work(self) -> None:
        try:
            while batch := self._take():
                await self._call(batch)
        finally:
            # In the same step as the last look at the queue: what is queued later finds a free place.
            self._working -= 1

    async def _call(self, batch: list[Item]) -> None:
        try:
            data = self._assemble([item.request.data for item in batch])
            self._distribute(batch, await self.backend.call(data, _wanted(batch), batch[0].request.params))
        except ModelFailed as error:
            for single in _alone(batch, error):
                await self._call(single)
        except Exception as error:  # noqa: BLE001 - part of the request handler: nobody may be left waiting
            _settle_all(batch, error)

    def _take(self) -> list[Item]:
        """Return the next requests to score together."""
        batch: list[Item] = []
        rows = 0
        while self._waiting:
            item = self._waiting[0]
            if item.settled:
                self._waiting.popleft()
                continue
            rows += len(item.request.data)
            if batch and (not self.backend.batches or rows > BATCH_ROWS or _shape(item) != _shape(batch[0])):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def close(self) -> None:
        """Give up what is under way and release the backend."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self.backend.close()


def _alone(batch: list[Item], error: ModelFailed) -> list[list[Item]]:
    """Return each request by itself, so that only the one at fault fails; none where it is alone already."""
    if len(batch) > 1:
        return [[item] for item in batch]
    _settle_all(batch, error)
    return []


def _settle_all(batch: list[Item], error: Exception) -> None:
    for item in batch:
        item.settle(error)


def _overdue(timeout: float) -> RequestError:
    return RequestError(504, "timeout", f"the model did not answer within {timeout:g} s", expected="a quicker answer")


def _wanted(batch: list[Item]) -> Output:
    outputs: set[Output] = {item.request.output for item in batch}
    return outputs.pop() if len(outputs) == 1 else "both"


def _shape(item: Item) -> Any:
    """Return what two requests must share to go into one call."""
    params = item.request.params
    # Models that take parameters are rare, and their requests share a call only where all give none.
    return item.request.data.kin, None if params is None else id(params)


def _grouped(items: list[Item]) -> list[list[Item]]:
    if len(items) == 1:
        return [items]
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(_shape(item), []).append(item)
    return list(groups.values())
