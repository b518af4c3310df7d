"""The endpoint as a person holds it: a name that looks up everything else when it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core.display import Card, Html, Results, Shown, code, link, local_time
from nbmlops.core.errors import Corrupt, EndpointError, InvalidInput, NotFound, ScoringError
from nbmlops.core.records import Record, health_badge, plain
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import client, operate
from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.comparing import Comparisons, compared
from nbmlops.deployment.encoding import Output
from nbmlops.deployment.environments import environment_cell, environment_line
from nbmlops.deployment.errors import ServedError, explained, served_errors
from nbmlops.deployment.offers import offered
from nbmlops.deployment.plan import main_arm
from nbmlops.deployment.processes import manifest
from nbmlops.deployment.progressive import parse_duration
from nbmlops.deployment.spec import EndpointSpec, Resources
from nbmlops.deployment.splits import TrafficChange, split_bar
from nbmlops.deployment.standing import rollout_fields, split_line
from nbmlops.deployment.target import EndpointStatus, Target, target_of
from nbmlops.journal import Journal
from nbmlops.serving.bundle import provider_of

if TYPE_CHECKING:
    from pandas import DataFrame

VERSION_HEADER = "x-nbmlops-version"
MIB = 1024 * 1024
HOUR = 3600.0


@dataclass(frozen=True)
class Endpoint(Record, Shown):
    """A running (or stopped) endpoint. What it says of itself is asked anew each time.

    Attributes
    ----------
    name : str
    target : str
        Where it runs.
    """

    name: str
    target: str
    workspace: Workspace = field(repr=False)
    journal: Journal = field(repr=False, compare=False)

    @property
    def url(self) -> str:
        """Its address; requests go to ``url + "/invocations"``."""
        return self.live().url

    @property
    def model(self) -> str:
        """Name of the model that it serves."""
        return self._spec().model

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a request needs: the bearer token, read from its file."""
        token = self._target.token(self.name)
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def status(self) -> str:
        """``healthy``, ``degraded`` or ``down``, as of now."""
        return self.live().health

    @property
    def traffic(self) -> dict[str, float]:
        """Version -> percent, of the versions that get any."""
        return self.live().traffic

    @property
    def rollout(self) -> str:
        """Its split in one line, with shadows and the steps of a progressive rollout."""
        spec = self._target.spec(self.name)  # none where it was removed behind our back
        return split_line(spec, self.live()) if spec else ""

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions that are loaded, those without traffic included."""
        return tuple(arm.version for arm in self.live().arms)

    @property
    def environment(self) -> str:
        """What its versions with traffic are served in: short ids, and where one is not as its lock pins."""
        live = self.live()
        return environment_cell(live.environments, live.traffic)

    def live(self) -> EndpointStatus:
        """Return everything that is known of its state, as of now."""
        return operate.live(self._target, self.name)

    def predict(self, data: Any, *, output: Output | None = None, version: str | int | None = None) -> Any:
        """Score rows over HTTP, as any client would.

        Parameters
        ----------
        data : DataFrame, array, list of dicts, list of rows or dict of columns
            Of shape (n_rows, n_columns).
        output : {"label", "probabilities", "both"}, optional
            By default what the model's ``predict`` gives.
        version : str or int, optional
            Ask this version whatever the traffic split is.

        Returns
        -------
        ndarray or DataFrame
            See :func:`nbmlops.deployment.encoding.answer_of`.

        Raises
        ------
        ScoringError
            The server refused the rows, with its message and what it expected, or the model raised: then `traceback`
            says what, and so does the error's cause.
        EndpointError
            Nothing answers.
        """
        headers = self.headers
        if version is not None:
            headers[VERSION_HEADER] = str(version)
        live = self.live()
        if live.health == "down":
            raise EndpointError(f"endpoint {self.name!r} is down: {live.because}", hint="Restart it with .restart().")
        try:
            return client.score(live.url, headers, data, names=self._columns(version), output=output)
        except ScoringError as error:
            raise explained(error, self._errors) from error.__cause__

    def errors(self, limit: int = 20) -> Results[ServedError]:
        """Return the newest requests that it failed on, with their tracebacks; the newest first.

        They are gone a week later, or with the endpoint.
        """
        return served_errors(self._errors, limit)

    def collected(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        version: str | int | None = None,
        columns: Sequence[str] | None = None,
        shadows: bool = False,
    ) -> DataFrame:
        """Return the rows that it was sent, with its answers: one row for each row that was scored.

        Parameters
        ----------
        since, until : datetime, optional
            From the first up to, and without, the second.
        version : str or int, optional
            Only what this version answered.
        columns : sequence of str, optional
            These input columns alone.
        shadows : bool, default False
            Also the answers of shadows, which no caller saw.
        """
        read = offered("collected")
        found: DataFrame = read(
            self.workspace, self.name, since=since, until=until, version=version, columns=columns, shadows=shadows
        )
        return found

    @property
    def _errors(self) -> Path | None:
        """Return the folder of its error store, None where it is on no disk of this machine."""
        folder = getattr(self._target, "errors_folder", None)
        return None if folder is None else Path(folder(self.name))

    def set_traffic(
        self,
        traffic: Mapping[Any, float] | None = None,
        *,
        shadows: Mapping[Any, float] | None = None,
        reason: str | None = None,
    ) -> TrafficChange:
        """Divide the traffic between loaded versions, in percent: ``{"1": 90, "2": 10}``; set shadows likewise."""
        return operate.set_traffic(
            self.workspace, self.journal, self.name, traffic=traffic, shadows=shadows, reason=reason
        )

    def rollback(self, *, reason: str | None = None) -> Endpoint:
        """Go back to the traffic before the last change."""
        operate.rollback(self.workspace, self.journal, self.name, reason=reason)
        return self

    def rotate_token(self, *, grace: float | str = HOUR, reason: str | None = None) -> Endpoint:
        """Give it a new bearer token; whoever has the one before may use it for `grace` more.

        Parameters
        ----------
        grace : float or str, seconds
            Such as 3600, or ``"1h"``; after it the earlier token is refused.
        reason : str, optional
        """
        grace_s = parse_duration(grace)
        operate.rotate_token(self.workspace, self.journal, self.name, grace_s=grace_s, reason=reason)
        return self

    def compare(self) -> Comparisons:
        """Return how the answers of its shadows compare with those that callers got, pair by pair."""
        return compared(self.name, self.live().comparisons)

    def restart(self) -> Endpoint:
        """Bring it back as it was, at the same address."""
        self._target.restart(self.name)
        return self

    def logs(self, lines: int = 50) -> str:
        """Return the last lines of its logs."""
        return self._target.logs(self.name, lines)

    def delete(self, *, reason: str | None = None) -> None:
        """Stop it and remove it."""
        operate.undeploy(self.workspace, self.journal, self.name, reason=reason)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data, as of now and without the token."""
        live = self.live()
        facts = {"name": self.name, "target": self.target, "url": live.url, "status": live.health}
        arms = {"traffic": live.traffic, "versions": [arm.version for arm in live.arms]}
        more = {"environments": live.environments, "because": live.because}
        data: dict[str, Any] = plain(facts | {"model": _model(live)} | arms | more)
        return data

    @property
    def _target(self) -> Target:
        return target_of(self.workspace, self.journal, self.target)

    def _spec(self) -> EndpointSpec:
        spec = self._target.spec(self.name)
        if spec is None:
            raise NotFound(f"endpoint {self.name!r} is gone", hint="%endpoints lists those that are there.")
        return spec

    def _columns(self, version: str | int | None) -> list[str] | None:
        """Return the columns that the asked version takes, None where it takes an array or anything."""
        spec = self._spec()
        arm: ArmSpec | None = main_arm(spec) if version is None else spec.arm(str(version))
        if arm is None:
            known = ", ".join(one.version for one in spec.arms)
            raise InvalidInput(f"version {version} is not at endpoint {self.name!r}", expected=f"one of {known}")
        inputs = (manifest(arm.bundle).get("signature") or {}).get("inputs")
        return [column["name"] for column in inputs] if isinstance(inputs, list) else None

    def _show_(self) -> Card:
        live = self.live()
        fields = {
            "health": health_badge(live.health),
            "why": live.because,
            "model": _model(live),
            "traffic": split_bar(live.traffic),
            **rollout_fields(self._spec(), live),
            "kept warm": ", ".join(arm.version for arm in live.arms if arm.is_idle),
            "runtime": "\n".join(f"v{arm.version}: {_runtime(arm)}; {arm.why}" for arm in live.arms),
            "environment": "\n".join(
                filter(None, (environment_line(arm.version, live.environments.get(arm.version)) for arm in live.arms))
            ),
            "checked": "\n".join(_checked(arm.version, self._replay(arm.version)) for arm in live.arms if arm.weight),
            "size": _size(self._spec().resources),
            "target": self.target,
            "url": Html(link(f"{live.url}/ping", live.url).html, live.url),
            "memory": f"{live.rss / MIB:.0f} MiB in {len(live.pids) + 1} processes" if live.pids else "",
            "requests": f"{live.requests:,}" if live.pids else "",
            "last alarm": self._last_alarm(),
        }
        tables = compared(self.name, live.comparisons).tables
        return Card(title=f"Endpoint {self.name}", fields=fields, tables=tables, note=self._curl(live))

    def _last_alarm(self) -> str:
        events = self.journal.events("endpoint.guardrail_tripped", f"endpoint/{self.name}", limit=1)
        return f"{local_time(events[-1].time)}: {events[-1].data.get('because', '')}" if events else ""

    def _replay(self, version: str) -> Mapping[str, Any]:
        """Return what the journal kept of the replay before this version was last deployed here."""
        events = self.journal.events("endpoint.deployed", f"endpoint/{self.name}")
        kept = [event.data.get("replay") for event in events if str(event.data.get("version")) == version]
        return (kept[-1] if kept else None) or {}

    def _curl(self, live: EndpointStatus) -> Html | str:
        """Return a line for a shell; the token is read from its file there and never shown."""
        if live.health == "down":
            return ".restart() brings it back as it was."
        token = operate.token_file(self._target, self.name)
        header = f"-H \"Authorization: Bearer $(cat '{token}')\" " if token else ""
        line = f"curl {header}-H 'Content-Type: application/json' -d @rows.json {live.url}/invocations"
        return code(line)


def _model(live: EndpointStatus) -> str:
    return live.arms[0].model if live.arms else ""


def _runtime(arm: ArmSpec) -> str:
    """Return what runs an arm, and on what a graph is computed."""
    try:
        on = {provider_of(manifest(model.bundle)) for model in arm.models.values()} - {""}
    except Corrupt:  # a bundle that was cleared away while its model is loaded
        return arm.runtime
    return f"{arm.runtime} on {' and '.join(sorted(on))}" if on else arm.runtime


def _checked(version: str, replay: Mapping[str, Any]) -> str:
    proved = bool(replay.get("proved"))
    if "max_difference" not in replay:
        starts = "starts in a fresh environment, " if proved else ""
        return f"v{version}: {starts}unchecked, since no rows were kept at its registration"
    found = replay["max_difference"]
    seen = f"within {found:.1g} of the fitted object's" if found else "equal to the fitted object's"
    what = "every label" if replay.get("labels_alone") else "every answer"
    less = "; its probabilities can't be served, so they were not compared" if replay.get("labels_alone") else ""
    where = "a fresh environment" if proved else "this environment"
    unproved = "" if proved else "; not proved in a fresh environment"
    return f"v{version}: {replay['rows']:,} rows replayed through the server in {where}, {what} {seen}{less}{unproved}"


def _size(resources: Resources) -> str:
    """Return what it may use; both limits are soft on this machine, and said to be."""
    cores = "all cores" if resources.cpu is None else f"{resources.cpu:g} cores"
    memory = "no memory limit" if resources.memory_mib is None else f"{resources.memory_mib} MiB a process"
    scorers = f"{resources.workers} scorer" + ("s" if resources.workers > 1 else "")
    soft = "" if resources.cpu is None and resources.memory_mib is None else " (soft: affinity and a watchdog)"
    return f"{cores}, {memory}, {scorers}{soft}"
