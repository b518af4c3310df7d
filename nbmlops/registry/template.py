"""A fresh MLflow database in milliseconds: the migrated schema as SQL, instead of sixty migrations.

The SQL of the MLflow that the lock files name is shipped with the package. For any other, it is made once by MLflow's
own migrations and kept in the user's cache. Which one fits is told by the names of MLflow's migrations.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from nbmlops.core.errors import StorageError
from nbmlops.core.progress import stage
from nbmlops.core.workspace import storage_errors
from nbmlops.registry import mlflow_door

FORMAT = 1
DEFAULT_EXPERIMENT = "0"


def create(database: Path, artifacts: Path) -> None:
    """Make `database` where there is none; of several processes that try at once, one wins and all may go on.

    Parameters
    ----------
    database : pathlib.Path
        The SQLite file to make.
    artifacts : pathlib.Path
        Where MLflow's own default experiment keeps its files.
    """
    if database.exists():
        return
    script = template()
    with storage_errors(database.parent):
        handle, name = tempfile.mkstemp(prefix=".mlflow-", suffix=".db", dir=database.parent)
        os.close(handle)
        draft = Path(name)
        try:
            _fill(draft, script, artifacts)
            os.link(draft, database)
        except FileExistsError:
            pass  # another process was faster
        finally:
            draft.unlink()


def _fill(draft: Path, script: str, artifacts: Path) -> None:
    connection = sqlite3.connect(draft)
    try:
        connection.executescript(script)
        now = int(time.time() * 1000)
        connection.execute(
            "UPDATE experiments SET artifact_location = ?, creation_time = ?, last_update_time = ?",
            (str(artifacts / DEFAULT_EXPERIMENT), now, now),
        )
        connection.commit()
    except sqlite3.OperationalError as error:
        raise StorageError(f"{draft.parent} can't hold a database: {error}") from error
    finally:
        connection.close()


def template() -> str:
    """Return the SQL that makes a database of the installed MLflow."""
    name = f"mlflow-{revision()}.sql"
    shipped = files("nbmlops.registry") / "schemas" / name
    if shipped.is_file():
        return shipped.read_text()
    kept = cache_folder() / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):
            if not kept.exists():
                _keep(migrated(), kept)
    return kept.read_text()


def revision() -> str:
    """Return a digest of the names of MLflow's migrations, without importing MLflow."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    migrations = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    names = "\n".join(sorted(path.name for path in migrations.glob("*.py")))
    return hashlib.sha256(f"{FORMAT}\n{names}".encode()).hexdigest()[:12]


def cache_folder() -> Path:
    """The user's cache of templates: ``$XDG_CACHE_HOME/nbmlops``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbmlops"


def _keep(script: str, place: Path) -> None:
    draft = place.with_suffix(f".{os.getpid()}.draft")
    draft.write_text(script)
    draft.replace(place)


def migrated() -> str:
    """Run MLflow's migrations on an empty database and return its content as SQL."""
    stage("preparing MLflow's database, once")
    mlflow = mlflow_door.module()
    with tempfile.TemporaryDirectory(prefix="nbmlops-") as folder, mlflow_door.quiet():
        database = Path(folder) / "mlflow.db"
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}", registry_uri=f"sqlite:///{database}")
        client.search_experiments()
        connection = sqlite3.connect(database)
        try:
            # The only experiment is MLflow's default one, which names the folder it was made in.
            connection.execute("UPDATE experiments SET artifact_location = '', creation_time = 0, last_update_time = 0")
            return "\n".join(connection.iterdump()) + "\n"
        finally:
            connection.close()
