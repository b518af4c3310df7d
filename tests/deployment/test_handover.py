"""What a scorer is told of an endpoint, as the serving island reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nbmlops.deployment import processes
from nbmlops.deployment.arms import ensemble
from nbmlops.deployment.handover import Access, Places, configuration
from nbmlops.deployment.processes import Post
from nbmlops.deployment.spec import Capture, EndpointSpec
from nbmlops.serving.configuration import ServingConfig, parse_config
from tests.deployment.conftest import an_arm
from tests.deployment.test_arms import a_member

PLACES = Places(Path("/run/errors"), Path("/run/counts"), Path("/home/collected/flights"))
ACCESS = Access("now", ("before",))


def told(spec: EndpointSpec, slot: int = 0, sockets=None) -> ServingConfig:
    return parse_config(configuration(spec, slot, sockets=sockets or {}, access=ACCESS, places=PLACES))


def test_arms_shadows_tokens_and_places() -> None:
    shadow = replace(an_arm("2", 0.0), shadow=50.0)
    config = told(EndpointSpec("flights", "offset", (an_arm(), shadow)))
    assert [(arm.name, arm.weight, arm.shadow) for arm in config.arms] == [("1", 100.0, 0.0), ("2", 0.0, 50.0)]
    assert (config.token, config.earlier_tokens) == ("now", ["before"])
    assert (config.errors, config.counts, config.salt) == ("/run/errors", "/run/counts", "flights")
    assert config.capture is None


def test_an_open_endpoint_takes_no_token_an_earlier_one_neither() -> None:
    config = told(EndpointSpec("flights", "offset", (an_arm(),), auth=False))
    assert (config.token, config.earlier_tokens) == (None, [])


def test_capture_is_told_with_its_folder() -> None:
    capture = Capture("strict", 0.25, ("name", "age"))
    config = told(EndpointSpec("flights", "offset", (an_arm(),), capture=capture)).capture
    assert config is not None
    assert (config.folder, config.mode, config.sample) == ("/home/collected/flights", "strict", 0.25)
    assert config.redact == ["name", "age"]


def test_each_scorer_is_told_its_own_workers_those_of_members_too(monkeypatch) -> None:
    monkeypatch.setattr(processes, "same_island", lambda bundle: True)
    combined = ensemble([a_member(), a_member("b", "1", 1.0, "sklearn")], "offset", weight=0.0)
    spec = EndpointSpec("flights", "offset", (replace(an_arm(), runtime="sklearn"), combined))
    posts = list(processes.posts(replace(spec, resources=replace(spec.resources, workers=2))))
    workers = {post: f"/s/{place}" for place, post in enumerate(posts) if not post.is_scorer}
    assert len(workers) == 4
    single, several = told(spec, 1, workers).arms
    assert single.socket == workers[Post(1, "1", single_digest(spec))]
    assert several.socket is None
    first, second = several.members
    assert (first.model, first.version, first.weight, first.socket) == ("a", "3", 3.0, None)
    assert second.socket == workers[Post(1, f"{combined.version} (b/1)", combined.members[1].digest)]
    assert processes.model_at(Post(1, f"{combined.version} (b/1)"), spec) == combined.members[1]


def single_digest(spec: EndpointSpec) -> str:
    return spec.arms[0].digest
