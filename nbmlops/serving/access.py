"""Who may call: the names a server answers to, the pages that may call it, and the tokens it takes.

A token alone does not guard a server on a person's own machine where it runs without one: any page in the person's
browser can send requests to a loopback port. Such a page betrays itself by its ``Origin``, and one that had its own
name resolve to the loopback address (DNS rebinding) by its ``Host``.

References
----------
RFC 9110, sections 7.2 (Host) and 11 (authentication); RFC 6750 (bearer tokens); RFC 6454 (Origin); the Fetch
standard's CORS protocol.
"""

from __future__ import annotations

import ipaddress
import re
from hmac import compare_digest
from typing import TYPE_CHECKING

from .configuration import ServingConfig
from .documents import shown
from .errors import RequestError, malformed

if TYPE_CHECKING:
    from .exchange import Head

Headers = list[tuple[bytes, bytes]]

# A probe calls by address and holds no token; what it learns is that the port answers, which it knew.
OPEN = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready"})
REMEMBERED = 64  # spellings of the Host header: names with ports
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/?#@\[\]]+)(?::\d{0,5})?")
_ASKED = b"access-control-request-method"
_SENT = b"authorization, content-type, x-nbmlops-version, x-nbmlops-key, inference-header-content-length"
_READ = b"x-prediction-id, x-nbmlops-version, retry-after, inference-header-content-length"


class Access:
    """Decides from a request's head alone whether it is answered.

    Parameters
    ----------
    config : ServingConfig, optional
        None is that of a server that has nothing to tell yet.
    """

    def __init__(self, config: ServingConfig | None = None) -> None:
        config = config or ServingConfig("", [], None)
        self._any_host = "*" in config.hosts
        self._names = {_normal(name) for name in config.hosts}
        self._remembered: set[bytes | None] = set()
        self._origins = {origin.rstrip("/").lower().encode() for origin in config.origins}
        tokens = [] if config.token is None else [config.token, *config.earlier_tokens]
        self._secrets = [b"Bearer " + token.encode() for token in tokens]

    @property
    def authenticated(self) -> bool:
        """Whether a bearer token is asked for."""
        return bool(self._secrets)

    def check(self, head: Head) -> None:
        """Return if the request may be answered.

        Raises
        ------
        RequestError
            400 without a Host header, 403 for a foreign host or origin, 401 without one of the tokens.
        """
        if head.path in OPEN:
            return
        headers = head.headers
        host = headers.get(b"host")
        if host not in self._remembered:
            self._check_host(host)
        if b"origin" in headers:
            self._check_origin(headers[b"origin"], host)
            if self._is_preflight(head):
                return  # a browser asks this before it sends the token
        if self._secrets:
            given = headers.get(b"authorization", b"")
            if not self._proves(given):
                self._check_spelling(given)

    def _check_host(self, host: bytes | None) -> None:
        match = _HOST.fullmatch(host.decode("latin-1")) if host else None
        if match is None:
            message = "the request has no Host header" if not host else "the Host header can't be read"
            raise malformed(message, field="host", expected="the endpoint's name, perhaps with its port")
        if not self._any_host and _normal(match[1]) not in self._names:
            message = f"this endpoint does not answer under the name {shown(match[1])}"
            expected = f"a Host header of {' or '.join(sorted(self._names))}"
            raise RequestError(403, "foreign_host", message, field="host", expected=expected)
        if len(self._remembered) < REMEMBERED:
            self._remembered.add(host)

    def _check_origin(self, origin: bytes, host: bytes | None) -> None:
        if not self._allows(origin) and not _same(origin, host):
            message = "the request comes from a page of another origin"
            expected = "no Origin header, the endpoint's own, or one that the endpoint was told to answer"
            raise RequestError(403, "foreign_origin", message, field="origin", expected=expected)

    def _allows(self, origin: bytes) -> bool:
        return origin.lower() in self._origins

    def _is_preflight(self, head: Head) -> bool:
        return head.method == "OPTIONS" and _ASKED in head.headers and self._allows(head.headers[b"origin"])

    def _proves(self, given: bytes) -> bool:
        right = False
        for secret in self._secrets:
            # Every token is compared to its end, so that the time taken tells nothing of which one was near.
            right |= compare_digest(given, secret)
        return right

    def _check_spelling(self, given: bytes) -> None:
        """Take another spelling of the scheme, or more spaces, before refusing."""
        scheme, _, token = given.partition(b" ")
        if scheme.lower() == b"bearer" and self._proves(b"Bearer " + token.strip()):
            return
        message = "the bearer token is not the endpoint's" if given else "the request carries no bearer token"
        expected = "the header Authorization: Bearer TOKEN"
        raise RequestError(401, "unauthorized", message, field="authorization", expected=expected)

    def preflight(self, head: Head) -> Headers | None:
        """Return the headers of the empty answer (204) to a browser's CORS preflight; None where it is none.

        Ask after `check`.
        """
        if not self._origins or b"origin" not in head.headers or not self._is_preflight(head):
            return None
        more = [
            (b"access-control-allow-methods", b"GET, HEAD, POST"),
            (b"access-control-allow-headers", _SENT),
            (b"access-control-max-age", b"600"),
        ]
        return [*self.answer_headers(head), *more]

    def answer_headers(self, head: Head) -> Headers:
        """Return the headers that let an allowed page read the answer; none without an ``Origin``."""
        origin = head.headers.get(b"origin")
        if origin is None or not self._allows(origin):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _READ),
            (b"vary", b"origin"),
        ]


def _normal(name: str) -> str:
    """Return a host's name in one spelling."""
    name = name.lower().removeprefix("[").removesuffix("]")
    if ":" not in name:
        return name
    try:
        return ipaddress.IPv6Address(name).compressed
    except ValueError:
        return name


def _same(origin: bytes, host: bytes | None) -> bool:
    """Whether a page came from the very server that it calls."""
    scheme, separator, place = origin.lower().partition(b"://")
    return bool(separator) and scheme in (b"http", b"https") and place == (host or b"").lower()
