from __future__ import annotations

import asyncio

import msgspec
import pytest

from nbmlops.serving.configuration import ArmConfig, ServingConfig
from nbmlops.serving.errors import ServingError
from nbmlops.serving.guard import alarm, watch, without
from nbmlops.serving.guardrails import Rules
from nbmlops.serving.observations import Observations

from . import bundles

FLIGHT = {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[1400.0, 7, "UA"]]}}


def config(**weights: float) -> ServingConfig:
    arms = [ArmConfig(name=name, model="m", version=name, bundle="", weight=weight) for name, weight in weights.items()]
    return ServingConfig(endpoint="e", arms=arms, token=None, guardrails=Rules())


def observed(requests: int, errors: int) -> Observations:
    made = Observations()
    for number in range(requests):
        made.observe(0.001, number < errors)
    return made


def test_a_version_that_fails_more_often_is_taken_out_and_its_share_goes_to_the_champion():
    found = alarm(
        config(a=80, b=10, c=10), {"a": observed(800, 4), "b": observed(200, 80), "c": observed(200, 1)}, Rules()
    )
    assert (found.verdict.arm, found.verdict.rule) == ("b", "error_rate")
    assert found.weights == {"a": 90, "c": 10}
    after = without(config(a=80, b=10, c=10), found)
    assert {arm.name: arm.weight for arm in after.arms} == {"a": 90, "b": 0, "c": 10}


def test_the_champion_may_have_the_smaller_share():
    made = msgspec.structs.replace(config(a=10, b=90), champion="a")
    found = alarm(made, {"a": observed(200, 1), "b": observed(800, 200)}, Rules())
    assert found.weights == {"a": 100}


def test_what_is_no_worse_is_left_alone():
    assert alarm(config(a=90, b=10), {"a": observed(900, 9), "b": observed(100, 1)}, Rules()) is None
    assert alarm(config(a=100, b=0), {"a": observed(900, 0), "b": observed(100, 100)}, Rules()) is None


def test_a_server_that_stands_alone_takes_out_a_bad_version_and_tells(served, made, tmp_path):
    broken = bundles.sklearn_bundle(tmp_path / "b", bundles.Raises(), serialization="cloudpickle")
    document = {"endpoint": "flights", "token": None, "guardrails": {}}
    document["arms"] = [
        {"name": name, "model": "flights", "version": name, "bundle": str(path), "weight": weight}
        for name, path, weight in (("1", made("onnx"), 90), ("2", broken, 10))
    ]
    served.run(served.control.configure(document))
    told = []

    async def drive():
        guard = asyncio.create_task(watch(served.control.look, served.control.apply, told.append))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.gather(
                    *(served.request("POST", "/invocations", FLIGHT, "application/json") for _ in range(100))
                )
        guard.cancel()

    served.run(drive())
    assert told[0]["event"] == "guardrail_tripped"
    assert (told[0]["arm"], told[0]["traffic"]) == ("2", {"1": 100.0})
    assert {served.post(FLIGHT).status for _ in range(50)} == {200}
    assert served.application.router.arms["1"].observations.errors == 0


def test_rules_that_can_not_be_held_are_refused(served, made):
    arm = {"name": "1", "model": "m", "version": "1", "bundle": str(made("ten"))}
    with pytest.raises(ServingError, match="latency_factor is at least 1"):
        served.run(
            served.control.configure(
                {"endpoint": "e", "token": None, "arms": [arm], "guardrails": {"latency_factor": 0.5}}
            )
        )
