from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter

import pytest

from nbmlops.serving.configuration import parse_config
from nbmlops.serving.errors import ServingError

from . import bundles

ONE = {"inputs": {"x": [1.0]}}
ARM = {"name": "1", "model": "m", "version": "1", "bundle": "/nowhere"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"arms": []}, "no arm"),
        ({"arms": [ARM, ARM]}, "twice"),
        ({"arms": [{**ARM, "weight": -1}]}, "negative"),
        ({"arms": [{**ARM, "weight": 0}]}, "all weights are 0"),
        ({"arms": [{"name": "1"}]}, "can't be read"),
        ({"token": ""}, "token is empty"),
        ({"token": 5}, "can't be read"),
        ({"limits": {"queue": 0}}, "not positive"),
        ({"limits": {"timeout_s": -1}}, "not positive"),
        ({"endpoint": None}, "can't be read"),
    ],
)
def test_a_wrong_configuration_is_refused(change, words):
    document = {"format": 1, "endpoint": "e", "token": None, "arms": [ARM], **change}
    with pytest.raises(ServingError, match=words) as caught:
        parse_config(document)
    assert caught.value.code == "invalid_configuration"


def test_a_configuration_without_a_word_on_the_token_is_refused():
    with pytest.raises(ServingError, match="token"):
        parse_config({"format": 1, "endpoint": "e", "arms": [ARM]})


def test_traffic_follows_the_weights(served, made):
    served.configure(("1", made("ten"), 90), ("2", made("twenty"), 10), ("3", made("ten"), 0))
    router = served.application.router
    count = Counter(router.choose(None).config.name for _ in range(10_000))
    # 99.99 % of the binomial distribution lies within 4 standard deviations, which are 30 here.
    assert abs(count["2"] - 1000) < 120
    assert count["3"] == 0


def test_a_request_may_ask_for_a_version_even_without_traffic(served, made):
    served.configure(("1", made("ten"), 100), ("2", made("twenty"), 0))
    assert served.post(ONE).predictions == [11.0]
    answer = served.post(ONE, x_nbmlops_version="2")
    assert answer.predictions == [21.0]
    assert answer.headers["x-nbmlops-version"] == "2"


def test_an_unknown_version_is_answered_with_the_known_ones(served, made):
    served.configure(("1", made("ten"), 100), ("2", made("twenty"), 0))
    answer = served.post(ONE, x_nbmlops_version="7")
    assert (answer.status, answer.error["code"], answer.error["expected"]) == (404, "unknown_version", "1 or 2")


def test_a_version_is_found_where_the_arm_has_another_name(served, made):
    arms = [{**ARM, "name": "a/1", "bundle": str(made("ten"))}]
    served.run(served.control.configure({"endpoint": "e", "token": None, "arms": arms}))
    assert served.post(ONE, x_nbmlops_version="1").headers["x-nbmlops-version"] == "a/1"


def test_a_configuration_that_fails_leaves_the_one_before(served, made, tmp_path):
    served.configure(("1", made("ten"), 100))
    broken = bundles.constant_bundle(tmp_path / "broken", 1.0)
    (broken / "model.onnx").write_bytes(b"changed")
    with pytest.raises(ServingError, match=r"model.onnx has digest") as caught:
        served.configure(("1", made("twenty"), 100), ("2", broken, 0))
    assert caught.value.code == "corrupt_bundle"
    assert served.post(ONE).predictions == [11.0]


def test_new_weights_keep_the_model_loaded(served, made):
    served.configure(("1", made("ten"), 100), ("2", made("twenty"), 0))
    before = dict(served.application.router.arms)
    served.configure(("1", made("ten"), 0), ("2", made("twenty"), 100))
    assert served.application.router.arms == before
    assert served.post(ONE).predictions == [21.0]


def test_another_bundle_under_the_same_name_is_loaded(served, made):
    served.configure(("1", made("ten"), 100))
    served.configure(("1", made("twenty"), 100))
    assert served.post(ONE).predictions == [21.0]


def test_swapping_under_load_fails_no_request(served, made):
    served.configure(("first", made("ten"), 100))
    answers = []

    async def load(stop):
        while not stop.is_set():
            answers.append(await served.request("POST", "/invocations", ONE, "application/json"))
            await asyncio.sleep(0)

    async def story():
        stop = asyncio.Event()
        callers = [asyncio.create_task(load(stop)) for _ in range(8)]
        for number, name in zip(range(10), itertools.cycle(["twenty", "ten"]), strict=False):
            arm = {**ARM, "name": str(number), "bundle": str(made(name))}
            await served.control.configure({"endpoint": "e", "token": None, "arms": [arm]})
            seen = len(answers)
            while len(answers) < seen + 20:
                await asyncio.sleep(0)
        stop.set()
        await asyncio.gather(*callers)

    served.run(story())
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-nbmlops-version"] for answer in answers} >= set("0123456789")
    for answer in answers:
        even = answer.headers["x-nbmlops-version"] in ("0", "2", "4", "6", "8")
        assert answer.predictions == [21.0 if even else 11.0]


def test_requests_in_flight_finish_on_the_arm_they_began_with(served, made):
    served.configure(("1", made("skops"), 100))
    row = {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}}
    runtime = served.application.router.arms["1"].batcher.backend.runtime
    predict, release = runtime.predict, threading.Event()
    runtime.predict = lambda *arguments: release.wait(30) and predict(*arguments)

    async def story():
        first = asyncio.create_task(served.request("POST", "/invocations", row, "application/json"))
        while not served.application.in_flight:
            await asyncio.sleep(0)
        arm = {**ARM, "name": "2", "bundle": str(made("ten"))}
        await served.control.configure({"endpoint": "e", "token": None, "arms": [arm]})
        for _ in range(100):
            await asyncio.sleep(0)
        during = served.control.stats()["retiring"]
        release.set()
        return during, await first

    during, answer = served.run(story())
    assert during == 1
    assert (answer.status, answer.headers["x-nbmlops-version"]) == (200, "1")


def test_stats_count_requests_and_errors(served, made):
    served.configure(("1", made("ten"), 100), token="t")
    served.post(ONE, authorization="Bearer t")
    served.post({"inputs": {}}, authorization="Bearer t")
    served.post(ONE)
    stats = json.loads(json.dumps(served.control.stats()))
    assert stats["arms"]["1"]["requests"] == 2
    assert stats["arms"]["1"]["errors"] == 1
    assert (stats["requests"], stats["errors"]) == (3, 2)
    assert stats["idle_s"] < 60
    assert stats["rss_bytes"] > 2**20
    assert stats["in_flight"] == 0
