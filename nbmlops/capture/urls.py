"""Addresses without what must not be written down."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def without_credentials(url: str) -> str:
    """Return `url` with neither user name nor password nor query; ``git@host:path`` is left as it is.

    >>> without_credentials("https://ada:secret@example.org/models.git")
    'https://example.org/models.git'
    """
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme in {"ssh", "git+ssh"}:  # an SSH address needs its user, and never holds a secret but a password
        user = parts.netloc.rpartition("@")[0].partition(":")[0]
        host = f"{user}@{host}" if user else host
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
