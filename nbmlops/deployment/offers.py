"""What rooms above this one offer on an endpoint: its verbs that this room can't know."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from nbmlops.core.errors import NotFound

GROUP = "nbmlops.endpoint"


@cache
def offered(verb: str) -> Callable[..., Any]:
    """Return the function that an entry point of the group ``nbmlops.endpoint`` names.

    It takes the workspace and the endpoint's name, then what the verb takes.

    Raises
    ------
    NotFound
        There is none.
    """
    for point in entry_points(group=GROUP, name=verb):
        function: Callable[..., Any] = point.load()
        return function
    raise NotFound(
        f"this installation offers no {verb!r} on endpoints",
        hint="It was installed before there was one: install nbmlops again.",
    )
