"""Model versions, runs, aliases and guards: the one door to MLflow.

MLflow is the system of record. What is written here is an ordinary MLflow model that MLflow alone can load; what
nbmlops adds lies under the tag prefix ``nbmlops.`` and in the run's ``nbmlops/`` artifacts.
"""

from nbmlops.registry.records import UNOPENED, Reference, Registration
from nbmlops.registry.registry import Registry
from nbmlops.registry.runs import TrackedFit

__all__ = ["UNOPENED", "Reference", "Registration", "Registry", "TrackedFit"]
