"""The conformance check of deployment targets: one public list of promises, run by every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from nbmlops.core.errors import NotFound, Refused
from nbmlops.deployment import ArmSpec, EndpointSpec, Target

NAME = "conformance"
Promise = Callable[[Target, ArmSpec, ArmSpec], None]


def check_target(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """Check that `target` keeps every promise of the protocol; it deploys, changes and deletes real endpoints.

    Parameters
    ----------
    target : Target
    first, second : ArmSpec
        Two versions of one model; `nbmlops.testing.models.offset_onnx` makes small ones.

    Raises
    ------
    AssertionError
        Naming the promise that is broken. Nothing that the check deployed is left.
    """
    assert isinstance(target, Target), f"{type(target).__name__} lacks methods of the protocol"
    for promise in PROMISES:
        try:
            promise(target, first, second)
        except AssertionError as error:
            raise AssertionError(f"target {target.name!r} breaks a promise: {promise.__doc__} {error}") from error
        finally:
            with suppress(NotFound):
                target.delete(NAME)


def planning_changes_nothing(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """Planning changes nothing, and equal plans have equal digests."""
    spec = _spec(first)
    plan = target.plan(spec)
    assert plan.digest == target.plan(spec).digest
    assert plan.changes
    assert target.spec(NAME) is None
    assert NAME not in [status.name for status in target.statuses()]


def applying_brings_it_about(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """After apply the endpoint is healthy and as planned, and planning it again finds no change."""
    spec = _spec(first)
    status = target.apply(target.plan(spec))
    assert (status.name, status.health) == (NAME, "healthy"), status
    assert status.traffic == {first.version: 100.0}
    assert target.spec(NAME) == spec
    assert target.plan(spec).changes == ()
    assert [one.name for one in target.statuses()].count(NAME) == 1


def a_shadow_is_kept_apart_from_the_traffic(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """A shadow has its share beside the traffic, and a change of its share is a change."""
    spec = _spec(first, replace(second, weight=0.0, shadow=50.0))
    status = target.apply(target.plan(spec))
    assert (status.traffic, status.shadows) == ({first.version: 100.0}, {second.version: 50.0}), status
    assert target.plan(spec).changes == ()
    less = spec.with_shadows({second.version: 10.0})
    assert target.plan(less).changes
    assert target.apply(target.plan(less)).shadows == {second.version: 10.0}
    assert target.spec(NAME) == less


def a_stale_plan_is_refused(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """A plan made before somebody else changed the endpoint is refused and changes nothing."""
    target.apply(target.plan(_spec(first)))
    stale = target.plan(_spec(replace(first, weight=50.0), replace(second, weight=50.0)))
    target.apply(target.plan(_spec(second)))
    with _expected(Refused):
        target.apply(stale)
    assert target.status(NAME).traffic == {second.version: 100.0}


def the_address_stays(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """A change of version and a restart keep the address and the token."""
    before = target.apply(target.plan(_spec(first)))
    token = target.token(NAME)
    after = target.apply(target.plan(_spec(replace(first, weight=0.0), second)))
    again = target.restart(NAME)
    assert before.url == after.url == again.url
    assert again.health == "healthy"
    assert again.traffic == {second.version: 100.0}
    assert token
    assert target.token(NAME) == token


def deleting_leaves_nothing(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """After delete the endpoint is unknown everywhere."""
    target.apply(target.plan(_spec(first)))
    target.delete(NAME)
    assert target.spec(NAME) is None
    assert NAME not in [status.name for status in target.statuses()]


def unknown_names_are_not_found(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """Every method that takes a name raises NotFound for one that is not there, and offers the nearest."""
    target.apply(target.plan(_spec(first)))
    for method in (target.status, target.logs, target.restart, target.delete, target.token):
        with _expected(NotFound) as caught:
            method(f"{NAME}x")
        assert NAME in str(caught[0]), f"the error does not offer {NAME!r}: {caught[0]}"


def no_token_without_authentication(target: Target, first: ArmSpec, second: ArmSpec) -> None:
    """An endpoint without authentication has the empty token."""
    target.apply(target.plan(replace(_spec(first), auth=False)))
    assert target.token(NAME) == ""


PROMISES: tuple[Promise, ...] = (
    planning_changes_nothing,
    applying_brings_it_about,
    a_shadow_is_kept_apart_from_the_traffic,
    a_stale_plan_is_refused,
    the_address_stays,
    deleting_leaves_nothing,
    unknown_names_are_not_found,
    no_token_without_authentication,
)


def _spec(*arms: ArmSpec) -> EndpointSpec:
    return EndpointSpec(NAME, arms[0].model, arms)


@contextmanager
def _expected(kind: type[Exception]) -> Iterator[list[Exception]]:
    caught: list[Exception] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        raise AssertionError(f"{kind.__name__} was expected")
