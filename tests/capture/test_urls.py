from __future__ import annotations

import pytest

from nbmlops.capture.urls import without_credentials


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ada:secret@example.org/a.git", "https://example.org/a.git"),
        ("https://secret@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("https://example.org/a.git?private_token=secret#x", "https://example.org/a.git"),
        ("ssh://git:secret@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:team/a.git", "git@example.org:team/a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("file:///srv/a", "file:///srv/a"),
    ],
)
def test_credentials_are_gone_and_the_address_still_works(url: str, expected: str) -> None:
    assert without_credentials(url) == expected
