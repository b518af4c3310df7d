"""Monitoring: what an endpoint was sent and what it answered."""

from __future__ import annotations

from nbmlops.monitoring.collected import CollectedData as CollectedData

__all__ = ["CollectedData"]
