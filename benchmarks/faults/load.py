"""Load that keeps account of everything that it was answered, and of what it was not."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30.0  # seconds for an answer
PAUSE = 0.02  # seconds after a refused connection
STATUS_OK = 200


@dataclass(frozen=True)
class Answer:
    """An answer as its client saw it.

    Attributes
    ----------
    at : float, seconds since the epoch
        When it was complete.
    prediction : str
        The prediction id.
    """

    at: float
    prediction: str


@dataclass(frozen=True)
class Trouble:
    """What is no answer of the model's: ``refused``, ``broken``, ``silent``, or an HTTP status with its code."""

    at: float
    what: str


class Load:
    """Sends rows of one number from several connections until it is left.

    Parameters
    ----------
    url, token : str
    offsets : dict of str to float
        Version -> what its model adds to a row.
    """

    def __init__(self, url: str, token: str, offsets: dict[str, float], *, threads: int = 4) -> None:
        self.answers: list[Answer] = []
        self.troubles: list[Trouble] = []
        self.wrong: list[str] = []
        self._address = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._offsets = offsets
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait for so many more answers.

        Raises
        ------
        TimeoutError
        """
        wanted, deadline = len(self.answers) + count, time.monotonic() + PATIENCE
        while len(self.answers) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} more answers did not come within {PATIENCE:g} s: {self.told()}")
            time.sleep(PAUSE)

    def told(self) -> dict[str, int]:
        """Return how often each trouble was met."""
        return dict(Counter(trouble.what for trouble in self.troubles))

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        while not self._stop.is_set():
            try:
                self._ask(connection, float(next(self._numbers)))
            except ConnectionRefusedError:
                self._note("refused")
                self._stop.wait(PAUSE)
            except TimeoutError:
                self._note("silent")
                connection.close()
            except (ConnectionError, http.client.HTTPException):
                self._note("broken")
                connection.close()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, number: float) -> None:
        body = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[number]]}})
        connection.request("POST", "/invocations", body, self._headers)
        response = connection.getresponse()
        told = json.loads(response.read())
        if response.status != STATUS_OK:
            self._note(f"{response.status} {told['error']['code']}")
            return
        self.answers.append(Answer(time.time(), response.headers["x-prediction-id"]))
        expected = number + self._offsets[response.headers["x-nbmlops-version"]]
        if told["predictions"] != [expected]:
            self.wrong.append(f"{number} was answered with {told['predictions']}, not {expected}")

    def _note(self, what: str) -> None:
        self.troubles.append(Trouble(time.time(), what))
