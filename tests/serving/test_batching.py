from __future__ import annotations

import asyncio

import numpy as np
import pytest

from nbmlops.serving.batching import INLINE_ROWS, Batcher, ThreadBackend
from nbmlops.serving.documents import ScoringRequest
from nbmlops.serving.errors import ModelFailed, RequestError
from nbmlops.serving.inputs import Generic, Rows, Tensor, stack
from nbmlops.serving.outputs import Outputs


class Recorder:
    """A runtime that doubles numbers and remembers its calls; 13 makes it raise."""

    outputs = ("label", "probabilities", "both")

    def __init__(self, *, batches=True, inline=True, answer=None):
        self.batches, self.inline, self.answer = batches, inline, answer
        self.calls: list[tuple[int, str]] = []

    def predict(self, data, output):
        self.calls.append((len(data), output))
        if 13.0 in data.array:
            raise ZeroDivisionError("unlucky")
        if self.answer is not None:
            return self.answer(data)
        return Outputs(data.array[:, 0] * 2, np.column_stack([data.array[:, 0], data.array[:, 0]]))


def batcher(runtime, quick=True, observe=None):
    return Batcher(ThreadBackend(runtime), stack, quick=runtime if quick else None, observe=observe)


def tensor(*values, width=1, output="label"):
    return ScoringRequest(Tensor(np.array([[value] * width for value in values], dtype=float)), output)


class Waiting:
    """A request that waits for its answer, as an exchange does."""

    def __init__(self, request):
        self.request, self.timer = request, None
        self.answer = asyncio.get_running_loop().create_future()

    @property
    def settled(self):
        return self.answer.done()

    def settle(self, result):
        if not self.settled:
            self.answer.set_exception(result) if isinstance(result, Exception) else self.answer.set_result(result)


async def answer_of(made, request, timeout):
    waiting = Waiting(request)
    made.submit(waiting, timeout)
    return await waiting.answer


def score(made, *requests, timeout=5.0):
    async def together():
        try:
            work = (answer_of(made, request, timeout) for request in requests)
            return await asyncio.gather(*work, return_exceptions=True)
        finally:
            await made.close()

    return asyncio.run(together())


@pytest.mark.parametrize("quick", [True, False])
def test_requests_that_arrive_together_share_a_call(quick):
    runtime = Recorder()
    sizes = []
    answers = score(batcher(runtime, quick, sizes.append), *(tensor(float(value)) for value in range(10)))
    assert [answer.labels.tolist() for answer in answers] == [[value * 2.0] for value in range(10)]
    assert len(runtime.calls) == 1 if quick else len(runtime.calls) <= 2
    assert sum(sizes) == 10


def test_each_request_gets_its_own_rows():
    answers = score(batcher(Recorder()), tensor(1.0, 2.0), tensor(3.0), tensor(4.0, 5.0, 6.0))
    assert [answer.labels.tolist() for answer in answers] == [[2, 4], [6], [8, 10, 12]]
    assert [answer.probabilities.shape for answer in answers] == [(2, 2), (1, 2), (3, 2)]


def test_a_large_request_does_not_hold_up_the_loop():
    runtime = Recorder()
    score(batcher(runtime), tensor(*range(INLINE_ROWS + 1)), tensor(1.0))
    assert sorted(size for size, _ in runtime.calls) == [1, INLINE_ROWS + 1]


@pytest.mark.parametrize("quick", [True, False])
def test_only_the_request_at_fault_fails(quick):
    answers = score(batcher(Recorder(), quick), tensor(1.0), tensor(13.0), tensor(2.0))
    assert answers[0].labels.tolist() == [2]
    assert isinstance(answers[1], ModelFailed)
    assert "unlucky" in answers[1].traceback
    assert answers[2].labels.tolist() == [4]


@pytest.mark.parametrize("quick", [True, False])
def test_a_model_whose_rows_depend_on_each_other_is_not_batched(quick):
    runtime = Recorder(batches=False)
    score(batcher(runtime, quick), tensor(1.0), tensor(2.0))
    assert [size for size, _ in runtime.calls] == [1, 1]


@pytest.mark.parametrize("quick", [True, False])
def test_an_answer_of_another_length_is_never_cut_up(quick):
    runtime = Recorder(answer=lambda data: Outputs(np.array([len(data)])))
    answers = score(batcher(runtime, quick), tensor(1.0), tensor(2.0, 3.0))
    assert [answer.labels.tolist() for answer in answers] == [[1], [2]]


def test_different_shapes_are_called_apart():
    runtime = Recorder()
    answers = score(batcher(runtime), tensor(1.0), tensor(2.0, width=3), tensor(3.0))
    assert [answer.labels.tolist() for answer in answers] == [[2], [4], [6]]
    assert sorted(size for size, _ in runtime.calls) == [1, 2]


def test_one_call_answers_all_wanted_outputs():
    runtime = Recorder()
    score(batcher(runtime), tensor(1.0), tensor(2.0, output="probabilities"))
    assert runtime.calls == [(2, "both")]
    score(batcher(runtime), tensor(1.0, output="probabilities"), tensor(2.0, output="probabilities"))
    assert runtime.calls[1:] == [(2, "probabilities")]


def test_generic_data_is_never_joined():
    class Echo(Recorder):
        def predict(self, data, output):
            self.calls.append((1, output))
            return Outputs(payload=data.data)

    runtime = Echo()
    made = Batcher(ThreadBackend(runtime), lambda batch: batch[0], quick=runtime)
    answers = score(made, *(ScoringRequest(Generic("inputs", value)) for value in "abc"))
    assert [answer.payload for answer in answers] == ["a", "b", "c"]


def test_rows_that_lack_other_columns_are_called_apart():
    seen = []
    runtime = Recorder(answer=lambda data: Outputs(np.zeros(len(data))))

    def assemble(batch):
        seen.append({rows.absent for rows in batch})
        return Tensor(np.zeros((sum(len(rows) for rows in batch), 1)))

    made = Batcher(ThreadBackend(runtime), assemble, quick=runtime)
    requests = [ScoringRequest(Rows([(1,)], absent)) for absent in (frozenset(), frozenset([0]), frozenset())]
    score(made, *requests)
    assert sorted(map(len, seen)) == [1, 1]


def test_a_call_that_takes_too_long_is_given_up_and_the_next_one_served():
    import threading

    release = threading.Event()

    def slow(data):
        if data.array[0, 0] == 1.0:
            release.wait(5)
        return Outputs(data.array[:, 0])

    made = batcher(Recorder(answer=slow, batches=False), quick=False)

    async def story():
        first = asyncio.create_task(answer_of(made, tensor(1.0), 0.05))
        with pytest.raises(RequestError) as caught:
            await first
        later = asyncio.create_task(answer_of(made, tensor(2.0), 5.0))
        await asyncio.sleep(0)
        release.set()
        answer = await later
        await made.close()
        return caught.value, answer

    error, answer = asyncio.run(story())
    assert (error.status, error.code) == (504, "timeout")
    assert answer.labels.tolist() == [2.0]


def test_callers_that_went_away_are_not_scored():
    runtime = Recorder(inline=False, batches=False)
    made = batcher(runtime, quick=False)

    async def story():
        tasks = [asyncio.create_task(answer_of(made, tensor(float(value)), 5.0)) for value in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await made.close()

    asyncio.run(story())
    assert len(runtime.calls) == 2
