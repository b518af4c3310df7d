"""A deployment target in memory, for tests of what stands on targets."""

from __future__ import annotations

from nbmlops.deployment import DeploymentPlan, EndpointSpec, EndpointStatus
from nbmlops.deployment.plan import make_plan, stale
from nbmlops.deployment.target import unknown


class FakeTarget:
    """Keeps the whole contract of a target except that nothing answers at its URLs.

    Attributes
    ----------
    name : str
    """

    name = "fake"

    def __init__(self) -> None:
        self._specs: dict[str, EndpointSpec] = {}
        self._lines: dict[str, list[str]] = {}

    def spec(self, name: str) -> EndpointSpec | None:
        """Return the endpoint as it was last applied."""
        return self._specs.get(name)

    def plan(self, spec: EndpointSpec) -> DeploymentPlan:
        """Return what applying `spec` would change."""
        return make_plan(self.name, self.spec(spec.endpoint), spec, manifests={})

    def apply(self, plan: DeploymentPlan) -> EndpointStatus:
        """Carry out `plan`, unless the endpoint was changed since."""
        name = plan.spec.endpoint
        now = self.plan(plan.spec)
        if now.digest != plan.digest:
            raise stale(plan, now)
        self._specs[name] = plan.spec
        self._lines.setdefault(name, []).append(f"serves {plan.spec.traffic}")
        return self.status(name)

    def status(self, name: str) -> EndpointStatus:
        """Return a healthy status."""
        spec = self._existing(name)
        return EndpointStatus(name, f"http://fake.invalid/{name}", "healthy", arms=spec.arms)

    def statuses(self) -> tuple[EndpointStatus, ...]:
        """Return every endpoint's status, by name."""
        return tuple(self.status(name) for name in sorted(self._specs))

    def logs(self, name: str, lines: int = 50) -> str:
        """Return what was applied."""
        self._existing(name)
        return "\n".join(self._lines[name][-lines:])

    def restart(self, name: str) -> EndpointStatus:
        """Do nothing, successfully."""
        return self.status(name)

    def delete(self, name: str) -> None:
        """Forget the endpoint."""
        self._existing(name)
        del self._specs[name], self._lines[name]

    def token(self, name: str) -> str:
        """Return a token that opens nothing."""
        return "fake-token" if self._existing(name).auth else ""

    def _existing(self, name: str) -> EndpointSpec:
        if name not in self._specs:
            raise unknown(name, self._specs)
        return self._specs[name]
