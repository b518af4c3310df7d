"""The bundle: one content-addressed folder that a model version is served, profiled and proved from."""

from nbmlops.packaging.attestations import attest, attestations
from nbmlops.packaging.bundle import Bundle, build_bundle, read_bundle, verify

__all__ = ["Bundle", "attest", "attestations", "build_bundle", "read_bundle", "verify"]
