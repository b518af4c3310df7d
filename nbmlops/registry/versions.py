"""Registered versions, their tags and aliases: the same answers whether they come from SQLite or over REST."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nbmlops.journal.operations import is_alive, this_process
from nbmlops.registry.connection import EXISTS, MISSING, Connection
from nbmlops.registry.records import PREFIX, StoredVersion
from nbmlops.registry.tracking import PAGE, PROCESS, NewModel

MODELS = "models:/"


class Versions:
    """MLflow's registered models.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def create(self, name: str, model: NewModel, tags: Mapping[str, str]) -> StoredVersion:
        """Register a finished model as the next version of `name`: the one step that makes it visible."""
        client = self.connection.client
        # A server refuses paths; on a database the other spelling would be resolved with MLflow's global URI.
        source = f"{MODELS}{model.model_id}" if self.connection.remote else model.location
        own = {**tags, f"{PREFIX}model_id": model.model_id}
        with self.connection.errors():
            with self.connection.tolerating(EXISTS):
                client.create_registered_model(name, tags={PROCESS: json.dumps(this_process())})
            made = client.create_model_version(
                name, source=source, run_id=model.run_id, tags=own, model_id=model.model_id
            )
        return _stored(made, {})

    def all(self, name: str | None = None) -> list[StoredVersion]:
        """Return all versions, or those of one model, by name and number."""
        with self.connection.errors():
            aliases = self._aliases(name)
            found = self._pages(self.connection.client.search_model_versions, name)
            stored = [_stored(version, aliases.get(version.name, {})) for version in found]
        return sorted(stored, key=lambda version: (version.name, version.version))

    def one(self, name: str, number: int) -> StoredVersion | None:
        """Return one version, or None where there is none."""
        with self.connection.errors(), self.connection.tolerating(MISSING):
            found = self.connection.client.get_model_version(name, str(number))
            return _stored(found, dict.fromkeys(found.aliases, number))
        return None

    def aliases(self, name: str) -> dict[str, int]:
        """Return alias -> version of one model."""
        with self.connection.errors():
            return self._aliases(name).get(name, {})

    def _aliases(self, name: str | None) -> dict[str, dict[str, int]]:
        found = self._pages(self.connection.client.search_registered_models, name)
        return {model.name: {alias: int(number) for alias, number in model.aliases.items()} for model in found}

    def _pages(self, search: Any, name: str | None) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = search(f"name='{name}'" if name else None, max_results=PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def set_tags(self, version: StoredVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version; an empty value takes the tag away."""
        client, number = self.connection.client, str(version.version)
        with self.connection.errors():
            for key, value in tags.items():
                if value:
                    client.set_model_version_tag(version.name, number, key, value)
                else:
                    client.delete_model_version_tag(version.name, number, key)

    def set_alias(self, version: StoredVersion, alias: str) -> None:
        """Let `alias` name this version and no other."""
        with self.connection.errors():
            self.connection.client.set_registered_model_alias(version.name, alias, str(version.version))

    def remove_alias(self, name: str, alias: str) -> None:
        """Let `alias` name no version of the model."""
        with self.connection.errors():
            self.connection.client.delete_registered_model_alias(name, alias)

    def delete(self, version: StoredVersion) -> None:
        """Delete a version; MLflow never gives its number again."""
        with self.connection.errors():
            self.connection.client.delete_model_version(version.name, str(version.version))

    def location(self, version: StoredVersion) -> str:
        """Return where the version's files are."""
        with self.connection.errors():
            found = self.connection.client.get_model_version_download_uri(version.name, str(version.version))
        return str(found)

    def delete_empty(self, keep: set[str]) -> None:
        """Delete the names without a version that a process left which died before it made one.

        Parameters
        ----------
        keep : set of str
            Names that had a version once: their numbers must go on.
        """
        client = self.connection.client
        with self.connection.errors():
            models = {model.name: model for model in self._pages(client.search_registered_models, None)}
            used = {version.name for version in self._pages(client.search_model_versions, None)}
            for name in models.keys() - used - keep:
                process = (models[name].tags or {}).get(PROCESS)
                if process and is_alive(json.loads(process)) is False:
                    client.delete_registered_model(name)


def _stored(found: Any, aliases: Mapping[str, int]) -> StoredVersion:
    number = int(found.version)  # a number on a database, text over REST
    tags = {str(key): str(value) for key, value in (found.tags or {}).items()}
    source = str(found.source or "")
    return StoredVersion(
        name=str(found.name),
        version=number,
        run_id=str(found.run_id or ""),  # None on a database, empty over REST
        source=source,
        created_at=datetime.fromtimestamp(int(found.creation_timestamp) / 1000, UTC),
        tags=tags,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
    )
