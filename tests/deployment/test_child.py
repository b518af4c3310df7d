"""A child process: what it says, how it fails, that it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nbmlops.deployment.child import Child, ChildFailed, Command

READY = "import sys, json, time\nprint(json.dumps({'ready': True}), flush=True)\n"
ECHO = READY + "for line in sys.stdin: print(json.dumps({'ok': True, 'said': json.loads(line)}), flush=True)\n"


def run(tmp_path: Path, code: str, use: Callable[[Child], Awaitable[object]], timeout: float = 20.0) -> object:
    async def work() -> object:
        command = Command("worker 0", (sys.executable, "-c", code), os.environ, tmp_path)
        child = await Child.start(command, logging.getLogger("test.child"), timeout)
        try:
            return await use(child)
        finally:
            await child.kill()

    return asyncio.run(work())


async def nothing(child: Child) -> None:
    return None


def test_it_answers_each_question(tmp_path: Path) -> None:
    async def ask(child: Child) -> list[dict]:
        return [await child.ask({"n": number}, 20.0) for number in range(3)]

    answers = run(tmp_path, ECHO, ask)
    assert [answer["said"]["n"] for answer in answers] == [0, 1, 2]


def test_what_a_model_prints_is_no_answer(tmp_path: Path) -> None:
    noisy = ECHO.replace("for line in sys.stdin:", "for line in sys.stdin: print('{\"a\": 1}'); print('hello');")

    async def ask(child: Child) -> dict:
        return await child.ask({"n": 1}, 20.0)

    assert run(tmp_path, "print('loading')\n" + noisy, ask)["said"] == {"n": 1}


def test_its_last_lines_are_in_the_failure(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="worker 0: it ended with exit code 3") as caught:
        run(tmp_path, "import sys; sys.stderr.write('no such module\\n'); sys.exit(3)", nothing)
    assert caught.value.tail == ("no such module",)


def test_a_no_is_a_failure_with_its_code(tmp_path: Path) -> None:
    refusal = 'print(\'{"ready": false, "code": "invalid_bundle", "error": "no model"}\', flush=True); input()'
    with pytest.raises(ChildFailed, match="no model") as caught:
        run(tmp_path, refusal, nothing)
    assert caught.value.code == "invalid_bundle"


def test_one_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=r"not ready within 0\.5 s"):
        run(tmp_path, "import time, pathlib; time.sleep(600)", nothing, timeout=0.5)


def test_one_that_falls_silent_is_ended(tmp_path: Path) -> None:
    async def ask(child: Child) -> str:
        with pytest.raises(ChildFailed, match=r"did not answer within 0\.2 s"):
            await child.ask({"op": "stats"}, 0.2)
        assert not child.retired
        return await child.wait()

    assert run(tmp_path, READY + "time.sleep(600)", ask) == "worker 0 was ended by SIGKILL"


def test_one_that_is_gone_says_so(tmp_path: Path) -> None:
    async def ask(child: Child) -> None:
        child.process.kill()
        await child.wait()
        with pytest.raises(ChildFailed, match=r"gone|ended"):
            await child.ask({"op": "stats"}, 20.0)

    run(tmp_path, ECHO, ask)


def test_stopping_closes_its_input_and_then_insists(tmp_path: Path) -> None:
    async def stop(child: Child) -> str:
        await child.stop(grace=0.2)
        return await child.wait()

    assert run(tmp_path, ECHO, stop) == "worker 0 ended with exit code 0"
    assert run(tmp_path, READY + "time.sleep(600)", stop) == "worker 0 was ended by SIGTERM"


def test_a_flood_on_both_pipes_stops_nobody(tmp_path: Path) -> None:
    flood = (
        READY + "\nfor n in range(20000): print('x' * 100); sys.stderr.write('y' * 100 + '\\n')\n" + ECHO[len(READY) :]
    )

    async def ask(child: Child) -> dict:
        return await child.ask({"n": 1}, 20.0)

    assert run(tmp_path, flood, ask)["said"] == {"n": 1}
