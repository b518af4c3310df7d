"""BentoML services: plain, and with a batchable API. ``MODEL=… bentoml serve bentoml_services:Plain``."""

import bentoml
from scoring import load

SETTINGS = {
    "workers": 1,
    "traffic": {"timeout": 60, "max_concurrency": 1024},
    "logging": {"access": {"enabled": False}},
}


@bentoml.service(**SETTINGS)
class Plain:
    """One call of the model for each request."""

    def __init__(self) -> None:
        self.score = load()

    @bentoml.api
    def predict(self, rows: list[list]) -> list[int]:
        """Score rows."""
        return self.score(rows)


@bentoml.service(**SETTINGS)
class Batching:
    """One call of the model for what BentoML gathers."""

    def __init__(self) -> None:
        self.score = load()

    @bentoml.api(batchable=True, max_batch_size=64)
    def predict(self, rows: list[list]) -> list[int]:
        """Score rows."""
        return self.score(rows)
