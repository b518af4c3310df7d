"""The paths below ``/v2``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ..documents import nearest, shown
from ..errors import RequestError
from ..exchange import Answer, Head
from .metadata import model_metadata, server_metadata
from .wire import OipWire

if TYPE_CHECKING:
    from ..application import Application, Route
    from ..arms import Arm

PREFIX = "/v2"
PROTOCOL = OipWire("")  # of paths that name no model


def served_names(endpoint: str, arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """Return the models by the names that they have in paths: the endpoint's for all, and each model's own."""
    names = {endpoint: list(arms)}
    for arm in arms:
        if arm.config.model != endpoint:
            names.setdefault(arm.config.model, []).append(arm)
    return names


def versions_of(arms: Sequence[Arm]) -> dict[str, Arm]:
    """Return arms by what stands for them behind ``/versions/``: their names, and versions that no other has."""
    versions = [arm.config.version for arm in arms]
    found = {arm.config.version: arm for arm in arms if versions.count(arm.config.version) == 1}
    return {**found, **{arm.config.name: arm for arm in arms}}


@dataclass(frozen=True)
class Place:
    """The path of a model, or of one of its versions.

    Attributes
    ----------
    path : str
    model : str
        The name in it.
    arms : list of Arm
        Which may answer there.
    pin : str, optional
        The one arm that answers; None where traffic is divided.
    """

    path: str
    model: str
    arms: list[Arm]
    pin: str | None


def places(endpoint: str, arms: Sequence[Arm]) -> Iterator[Place]:
    """Give the paths of all models and versions."""
    for name, served in served_names(endpoint, arms).items():
        path = f"{PREFIX}/models/{name}"
        # A name that stands for some of the arms only says nothing of how traffic is divided between these.
        if len(served) in (1, len(arms)):
            yield Place(path, name, served, None if len(served) == len(arms) else served[0].config.name)
        for version, arm in versions_of(served).items():
            yield Place(f"{path}/versions/{version}", name, [arm], arm.config.name)


def oip_routes(application: Application) -> dict[str, Route]:
    """Return the routes of what an application serves now.

    Parameters
    ----------
    application : Application
    """
    route = application.page_route
    routes = {
        PREFIX: route(lambda _: _json(server_metadata()), PROTOCOL),
        f"{PREFIX}/health/live": route(lambda _: _json({"live": True}), PROTOCOL),
        f"{PREFIX}/health/ready": route(lambda _: _ready(application.ready), PROTOCOL),
    }
    if application.router is None or application.config is None:
        return routes
    arms = list(application.router.arms.values())
    routes[f"{PREFIX}/repository/index"] = route(
        _index(served_names(application.config.endpoint, arms)), PROTOCOL, method="POST"
    )
    for place in places(application.config.endpoint, arms):
        routes.update(_model(application, place))
    return routes


def _model(application: Application, place: Place) -> dict[str, Route]:
    wire, arms = OipWire(place.model), place.arms

    def metadata(_: Head) -> Answer:
        first = max(arms, key=lambda arm: arm.config.weight)
        versions = [arm.config.version for arm in arms]
        return _json(model_metadata(wire.model, versions, bundle=first.bundle, outputs=first.outputs))

    def ready(_: Head) -> Answer:
        return _ready(all(arm.ready for arm in arms if arm.config.weight > 0 or len(arms) == 1))

    return {
        place.path: application.page_route(metadata, wire),
        f"{place.path}/ready": application.page_route(ready, wire),
        f"{place.path}/infer": application.scoring_route(wire, place.pin),
    }


def _index(names: dict[str, list[Arm]]) -> Callable[[Head], Answer]:
    def answer(_: Head) -> Answer:
        return _json(
            [
                {
                    "name": name,
                    "version": arm.config.version,
                    "state": "READY" if arm.ready else "UNAVAILABLE",
                    "reason": "" if arm.ready else "its process is being restarted",
                }
                for name, arms in names.items()
                for arm in arms
            ]
        )

    return answer


def _json(document: Any) -> Answer:
    return Answer(200, msgspec.json.encode(document))


def _ready(ready: bool) -> Answer:
    return Answer(200 if ready else 503, msgspec.json.encode({"ready": ready}))


def nothing_at(path: str, routes: Sequence[str]) -> RequestError:
    """Return the error for a path at which nothing is; it names what is near."""
    parts = path.split("/")
    if parts[1:2] != [PREFIX.strip("/")]:
        known = [route for route in routes if not route.startswith(f"{PREFIX}/")]
        return RequestError(404, "not_found", "there is nothing at this path", field="path", expected=", ".join(known))
    models = sorted({route.split("/")[3] for route in routes if route.startswith(f"{PREFIX}/models/")})
    if parts[2:3] == ["models"] and len(parts) > 3 and parts[3] not in models:
        message = f"there is no model {shown(parts[3])} behind this endpoint{nearest(parts[3], models)}"
        return RequestError(404, "unknown_model", message, field="path", expected=" or ".join(models))
    versions = [route.split("/")[5] for route in routes if route.startswith(f"{'/'.join(parts[:4])}/versions/")]
    if parts[4:5] == ["versions"] and len(parts) > 5 and parts[5] not in versions:
        message = f"there is no version {shown(parts[5])} of {shown(parts[3])} behind this endpoint"
        return RequestError(
            404, "unknown_version", message, field="path", expected=" or ".join(dict.fromkeys(versions))
        )
    below = [route for route in routes if route.startswith("/".join(parts[:4]))] or [PREFIX]
    return RequestError(404, "not_found", "there is nothing at this path", field="path", expected=", ".join(below))
